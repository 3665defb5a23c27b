"""An interrupted training ends in the same bits as one that nobody disturbed."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lcd_core.checkpoints import Checkpoints, TrainingStopped
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.files import save_tensors
from lcd_core.prior import PriorTraining
from lcd_core.score_matching import DriftTraining
from lcd_core.settings import DriftSettings, PriorSettings
from lcd_core.training import TrainingDiverged, train

STEPS, LOG_EVERY = 47, 10  # the last row has seven steps


def prior_training(seed=3, steps=STEPS, **changes):
    rng = np.random.default_rng(0)
    counts = {q: torch.from_numpy(rng.poisson(3.0, (9, 5))) for q in ("control", "A", "B", "A+B")}
    settings = PriorSettings(
        latent_dimensions=4, hidden=5, blocks=1, output_hidden=6, output_blocks=1,
        steps=steps, warmup_steps=4, batch_cells=8, monte_carlo_states=16,
        conditions_per_step=2, log_every=LOG_EVERY, **changes,
    )  # fmt: skip
    return PriorTraining(counts, list("vwxyz"), torch.ones(5), settings, seed=seed, device="cpu")


def drift_training(seed=3, steps=STEPS, **changes):
    states = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0))
    membership = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    settings = DriftSettings(
        hidden=8, embedding_dimensions=4, steps=steps, warmup_steps=4, batch_states=16,
        log_every=LOG_EVERY, **changes,
    )  # fmt: skip
    return DriftTraining(Drift(4, 2, settings), states, membership, seed=seed)


TRAININGS = {"prior": prior_training, "drift": drift_training}


def rows(log):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in log.rows]


def assert_same(log, training, expected_log, expected):
    np.testing.assert_equal(rows(log), rows(expected_log))  # NaN equals NaN
    own, reference = training.state_dict(), expected.state_dict()
    assert own.keys() == reference.keys()
    for name in own:
        assert torch.equal(own[name], reference[name]), name


class StopAt(Checkpoints):
    """Asks for the stop after so many steps of this process."""

    def __init__(self, path, steps, **rest):
        super().__init__(path, **rest)
        self.left = steps

    @property
    def due(self):
        self.left -= 1
        self.stop_requested = self.left == 0
        return super().due


@pytest.mark.parametrize("name", TRAININGS)
class TestInterrupted:
    @pytest.mark.parametrize("seed", range(4))
    def test_at_random_steps(self, name, seed, tmp_path):
        make, path = TRAININGS[name], tmp_path / "checkpoint"
        reference = make()
        expected = train(reference)
        rng, done = random.Random(seed), 0
        while True:
            training, steps = make(), rng.randint(1, 20)
            if done + steps >= STEPS:
                break
            done += steps
            with pytest.raises(TrainingStopped, match=f"stopped at step {done} of {STEPS}"):
                train(training, StopAt(path, steps))
        log = train(training, Checkpoints(path))
        assert_same(log, training, expected, reference)
        assert log.rows[-1]["seconds"] > log.rows[0]["seconds"]

    def test_at_every_step(self, name, tmp_path):
        make, path = TRAININGS[name], tmp_path / "checkpoint"
        reference = make(steps=12)
        expected = train(reference)
        for step in range(1, 12):
            training = make(steps=12)
            with pytest.raises(TrainingStopped):
                train(training, StopAt(path, 1))
            assert training.done == step
        training = make(steps=12)
        assert_same(train(training, Checkpoints(path)), training, expected, reference)

    def test_a_saved_state_is_not_changed_by_the_steps_after_it(self, name, tmp_path):
        path = tmp_path / "checkpoint"
        always = Checkpoints(path, interval=0.0)  # saves after every step
        expected = train(reference := TRAININGS[name](), always)
        training = TRAININGS[name]()
        assert_same(train(training, Checkpoints(path)), training, expected, reference)

    def test_a_request_is_met_once(self, name, tmp_path):
        path = tmp_path / "checkpoint"
        own = Checkpoints(path, interval=1e9)
        train(TRAININGS[name](), own)
        assert not path.exists()
        own.save_requested = True
        train(TRAININGS[name](), own)
        assert path.exists()
        assert not own.save_requested
        own.delete()
        own.delete()
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def half_done(tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(TrainingStopped):
        train(drift_training(), StopAt(path, 20, code="a"))
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 4}, "other seed"),
        ({"steps": STEPS + 1}, "other settings"),
        ({"learning_rate": 2e-3}, "other settings"),
    ],
)
def test_a_checkpoint_of_another_training_is_not_used(half_done, caplog, changes, words):
    reference = drift_training(**changes)
    expected = train(reference)
    training = drift_training(**changes)
    log = train(training, Checkpoints(half_done, interval=0.0, code="a"))
    assert_same(log, training, expected, reference)
    assert len([own for own in caplog.messages if "is not used" in own and words in own]) == 1
    # and it was overwritten
    training = drift_training(**changes)
    assert_same(train(training, Checkpoints(half_done, code="a")), training, expected, reference)


def test_a_checkpoint_of_other_data_code_or_threads_is_not_used(half_done, caplog):
    other = drift_training()
    other.states[3, 1] += 1e-6
    train(other, Checkpoints(half_done, code="a"))
    assert "other data" in caplog.messages[-1]
    train(drift_training(), Checkpoints(half_done, code="b"))
    assert "other code" in caplog.messages[-1]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        train(drift_training(), Checkpoints(half_done, code="a"))
    finally:
        torch.set_num_threads(threads)
    assert "other threads" in caplog.messages[-1]
    train(prior_training(), Checkpoints(half_done, code="a"))
    assert "other data, names, settings" in caplog.messages[-1]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_not_used(half_done, caplog, share):
    content = half_done.read_bytes()
    half_done.write_bytes(content[: int(share * len(content))])
    reference = drift_training()
    expected = train(reference)
    training = drift_training()
    log = train(training, Checkpoints(half_done, code="a"))
    assert_same(log, training, expected, reference)
    assert sum("is not used" in own for own in caplog.messages) == 1


def test_a_foreign_file_is_not_used(tmp_path, caplog):
    path = tmp_path / "checkpoint"
    save_tensors(path, "fitted model", {"a": torch.zeros(1)}, {})
    train(drift_training(), Checkpoints(path))
    assert "is not used: fitted model" in caplog.text


def test_the_first_bad_step_of_a_row_is_named():
    training = drift_training()
    step = training.step

    def spoilt():
        return step() * (torch.nan if training.done in (24, 26) else 1.0)

    training.step = spoilt
    with pytest.raises(TrainingDiverged, match="of the drift diverged at step 24 of 47") as caught:
        train(training)
    assert "loss nan" in str(caught.value)
    assert isinstance(caught.value, InputError)


def test_an_explosion_is_noticed():
    training = drift_training()
    step = training.step
    training.step = lambda: step() * (1e6 if training.done > 30 else 1.0)
    with pytest.raises(TrainingDiverged, match="exploded by step 40 of 47"):
        train(training)


def test_rows_are_means_of_their_steps():
    training, reports = prior_training(), []
    step = training.step

    def recorded():
        reports.append(step())
        return reports[-1]

    training.step = recorded
    log = train(training)
    assert [row["step"] for row in log.rows] == [10, 20, 30, 40, 47]
    for row, first in zip(log.rows, range(0, STEPS, LOG_EVERY), strict=True):
        own = torch.stack(reports[first : first + LOG_EVERY]).mean(dim=0).tolist()
        assert [row["loss"], row["gradient_norm"], row["evidence"]] == pytest.approx(own)
        assert row["learning_rate"] == training.learning_rate(int(row["step"]) - 1)


# --- real processes --------------------------------------------------------------------------

JOB = """
    import sys, time
    sys.path[:0] = {paths!r}
    import torch
    torch.set_num_threads(1)
    from lcd_core.files import save_tensors
    from lcd_core.training import train
    from pipeline.checkpoints import checkpoints
    from tests.unit.test_checkpoints import TRAININGS

    training = TRAININGS[sys.argv[1]](steps=400)
    step = training.step
    training.step = lambda: (step(), time.sleep(0.002))[0]  # so that there is a moment to kill it
    with checkpoints(sys.argv[2], float(sys.argv[4]), "code") as own:
        print("ready", flush=True)
        log = train(training, own)
        columns = [[value for name, value in row.items() if name != "seconds"] for row in log.rows]
        save_tensors(sys.argv[3], "result", training.state_dict(), {{"rows": str(columns)}})
"""


class Jobs:
    """Starts a training as a process of its own, again and again."""

    def __init__(self, folder: Path, name: str) -> None:
        root = Path(__file__).parents[2]
        paths = [str(root / base) for base in ("", "workflow/scripts")]
        self.checkpoint, self.result = folder / ".fit.checkpoint", folder / "fit.safetensors"
        (folder / "job.py").write_text(textwrap.dedent(JOB.format(paths=paths)))
        self.command = [sys.executable, str(folder / "job.py"), name]

    def start(self, interval: float = 1e9) -> subprocess.Popen:
        arguments = [*self.command, str(self.checkpoint), str(self.result), str(interval)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    def finish(self) -> bytes:
        process = self.start()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert not self.checkpoint.exists()
        return self.result.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_processes_killed_at_random_moments_end_in_the_same_bytes(name, tmp_path):
    for folder in ("undisturbed", "killed"):
        (tmp_path / folder).mkdir()
    expected = Jobs(tmp_path / "undisturbed", name).finish()
    jobs, rng = Jobs(tmp_path / "killed", name), random.Random(name)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL):
        process = jobs.start(interval=0.01 if number == signal.SIGKILL else 1e9)
        while number == signal.SIGKILL and not jobs.checkpoint.exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0.02, 0.15))
        process.send_signal(number)
        if number == signal.SIGUSR1:  # saves and goes on; then nobody asks it to save again
            while not jobs.checkpoint.exists():
                time.sleep(0.01)
            process.kill()
        process.communicate(timeout=60)
        assert process.returncode == {signal.SIGTERM: 143}.get(number, -signal.SIGKILL)
        assert jobs.checkpoint.exists()
        assert not jobs.result.exists()
    assert jobs.finish() == expected
