"""What only a GPU can show: no step waits for the one before, and interrupted fits go on there."""

from contextlib import nullcontext

import pytest
import torch

from lcd_core import score_matching
from lcd_core.checkpoints import Checkpoints, TrainingStopped
from lcd_core.drift import Drift
from lcd_core.prior import PriorTraining
from lcd_core.score_matching import DriftTraining
from lcd_core.training import train
from tests.unit.test_checkpoints import StopAt, assert_same, drift_training, prior_training
from tests.unit.test_precision import check_budget, gradients_of_a_drift, gradients_of_a_prior

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def prior_on_gpu(**changes):
    small = prior_training(**changes)
    counts = {name: own.counts.int() for name, own in zip(small.names, small.cells, strict=True)}
    return PriorTraining(
        counts, small.genes, small.eta, small.settings, seed=3, device=torch.device("cuda")
    )


def drift_on_gpu():
    small = drift_training()
    states = small.states.reshape(small.conditions, small.samples, -1)
    drift = Drift(4, 2, small.settings).to("cuda")
    return DriftTraining(drift, states, small.membership, seed=3)


TRAININGS = {"prior": prior_on_gpu, "drift": drift_on_gpu}


@pytest.fixture
def states_stay_on_the_host(monkeypatch):
    monkeypatch.setattr(score_matching, "SHARE_OF_FREE_MEMORY", 0.0)


def steps_without_waiting(training):
    for _ in range(3):  # libraries start up
        training.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        return [training.step() for _ in range(5)]
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", TRAININGS)
def test_no_step_waits_for_the_device(name):
    reports = torch.stack(steps_without_waiting(TRAININGS[name]()))
    assert reports.device.type == "cuda"
    assert reports.isfinite().all()


def test_states_move_to_the_device_if_they_fit():
    assert drift_on_gpu().states.is_cuda


@pytest.mark.usefixtures("states_stay_on_the_host")
def test_states_on_the_host_are_not_waited_for_either():
    training = drift_on_gpu()
    assert not training.states.is_cuda
    assert torch.stack(steps_without_waiting(training)).isfinite().all()


@pytest.mark.parametrize("name", TRAININGS)
def test_an_interrupted_training_goes_on_to_the_same_bits(name, tmp_path):
    reference = TRAININGS[name]()
    expected = train(reference)
    path = tmp_path / "checkpoint"
    for steps in (7, 16):
        with pytest.raises(TrainingStopped):
            train(TRAININGS[name](), StopAt(path, steps))
    training = TRAININGS[name]()
    log = train(training, Checkpoints(path))
    assert_same(log, training, expected, reference)


@pytest.mark.usefixtures("states_stay_on_the_host")
def test_so_does_one_with_its_states_on_the_host(tmp_path):
    test_an_interrupted_training_goes_on_to_the_same_bits("drift", tmp_path)


@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0),
    reason="the card has no TF32",
)
def test_tf32_of_the_card_keeps_the_budget_of_the_emulated_one():
    check_budget(lambda *how: gradients_of_a_prior(*how, 1.0, "cuda"), nullcontext)
    check_budget(lambda *how: gradients_of_a_drift(*how, 1.0, "cuda"), nullcontext)


def test_a_compiled_likelihood_gives_the_same_but_for_rounding():
    own, plain = prior_on_gpu(fused=True), prior_on_gpu()
    assert own.fused
    torch.testing.assert_close(own.step(), plain.step(), rtol=1e-5, atol=1e-6)
