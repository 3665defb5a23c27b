"""Seconds of one step of each kind, on this machine, at the sizes of a run.

``python -m estimate.probe`` reads tasks from standard input and writes their seconds as JSON; it is
started as often as jobs of the run will stand side by side, which share memory and caches.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evaluation.metrics import score
from lcd_core.direct_effects import direct_effects
from lcd_core.drift import Drift
from lcd_core.evidence import Evidence
from lcd_core.prior import PriorTraining
from lcd_core.sampling import sample_states
from lcd_core.score_matching import DriftTraining
from lcd_core.settings import DriftSettings, PriorSettings, SamplerSettings
from lcd_core.streams import stream
from pipeline.devices import choose_device
from pipeline.screen import lognorm

BUDGET = 0.8
"""Seconds that are spent on a task, unless one step takes longer."""
MOST_CONDITIONS = 24
"""Conditions of a probe of the prior, a step of which trains one."""
MOST_STATES = 2**26
"""Numbers in the states of a probe of the drift, of which a step draws a few."""
MOST_GENES = 120
"""Genes of a probe of the estimators, whose cost grows with their square and more."""
DRAWS = 2
EVALUATIONS = 100
"""Evaluations of the drift that limit responses take, roughly."""


def clock_for(device: torch.device) -> Callable[[], float]:
    """The processor's seconds of this process, which other programs do not lengthen.

    Of a GPU, and of several threads, of which some may wait, the seconds of the wall.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Median seconds of a run after the first, which counts if it takes very long."""
    clock = clock_for(device)
    seconds: list[float] = []
    while len(seconds) < 2 or sum(seconds) < BUDGET:
        start = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - start)
        if seconds[0] > 5 * BUDGET:
            break
    return statistics.median(seconds[1:] or seconds)


def prior(task: Mapping[str, Any], device: torch.device) -> float:
    """One step of the priors."""
    settings = PriorSettings(**task["settings"])
    counts = counts_of(min(task["conditions"], MOST_CONDITIONS), task["cells"], task["genes"])
    names = [str(g) for g in range(task["genes"])]
    eta = torch.ones(task["genes"])
    return timed(PriorTraining(counts, names, eta, settings, seed=1, device=device).step, device)


def counts_of(conditions: int, cells: int, genes: int) -> dict[str, torch.Tensor]:
    """Poisson counts around rates of about 1."""
    generator = torch.Generator().manual_seed(0)
    rate = torch.rand(genes, generator=generator).exp().square() - 0.9
    return {
        str(q): torch.poisson(rate.expand(cells, genes), generator=generator).int()
        for q in range(conditions)
    }


def drift(task: Mapping[str, Any], device: torch.device) -> float:
    """One step of the drift."""
    settings = DriftSettings(**task["settings"])
    genes, targets = task["genes"], task["targets"]
    conditions = min(task["conditions"], max(2, MOST_STATES // (genes * settings.samples)))
    network = Drift(genes, targets, settings).to(device)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(conditions, settings.samples, genes, generator=generator)
    membership = torch.zeros(conditions, targets)
    membership[torch.arange(1, conditions), torch.arange(1, conditions) % targets] = 1.0
    return timed(DriftTraining(network, states, membership, seed=1).step, device)


def sampling(task: Mapping[str, Any], device: torch.device) -> float:
    """Cells of one perturbation: all noise levels, a step at each, times the steps per level."""
    settings, sampler = DriftSettings(**task["drift"]), SamplerSettings(**task["sampler"])
    network = Drift(task["genes"], task["targets"], settings).to(device)
    network.reset(stream(1, "probe"))
    membership = torch.zeros(-(-task["cells"] // sampler.draws_per_state), task["targets"])
    one = SamplerSettings(**{**task["sampler"], "steps_per_level": 1})
    generator = stream(1, "probe", device=device)
    seconds = timed(lambda: sample_states(network, membership, one, generator), device)
    rate = torch.ones(task["cells"], task["genes"], device=device)
    return seconds * sampler.steps_per_level + timed(lambda: torch.poisson(rate), device)


def scores(task: Mapping[str, Any], device: torch.device) -> float:
    """All metrics of one pair of predicted and observed cells."""
    rng = np.random.default_rng(0)
    genes = task["genes"]
    predicted, observed = (
        lognorm(rng.poisson(1.0, (max(2, task[side]), genes))) for side in ("predicted", "observed")
    )
    mean, other = predicted.mean(axis=0), observed.mean(axis=0)
    top = np.arange(min(task["top_genes"], genes))
    more = {
        "differentially_expressed": np.arange(genes) % 3 == 0,
        "additive_mean": mean,
        "de_score": np.ones(genes),
        "components": np.linalg.qr(rng.normal(size=(genes, min(task["components"], genes))))[0],
    }

    def run() -> None:
        score(predicted, observed, mean, other, top, task["metrics"], **more)

    return timed(run, torch.device("cpu"))


def effects(task: Mapping[str, Any], device: torch.device) -> float:
    """An estimate of direct effects: some draws of few genes, scaled to all of both."""
    genes, perturbations = min(task["genes"], MOST_GENES), task["perturbations"]
    used = max(1, min(perturbations, genes))
    rng = np.random.default_rng(0)
    changes = rng.normal(size=(genes, used)) * (rng.random((genes, used)) < 0.2)
    changes[np.arange(used), np.arange(used)] += 3.0
    cells = rng.normal(size=(4 * genes, genes))
    evidence = Evidence(
        changes, [(i,) for i in range(used)], errors=np.full(changes.shape, 0.1),
        covariance=np.cov(cells.T).reshape(genes, genes), initial=changes, limits=changes,
        jacobian=-np.eye(genes),
    )  # fmt: skip
    name = task["estimator"]
    each = timed(lambda: direct_effects(name, evidence, draws=DRAWS, seed=1), torch.device("cpu"))
    growth = (task["genes"] / genes) ** 2 * (max(1, perturbations) / used)
    draws = task["draws"] / DRAWS if name == "adaptive_rows" else 1.0
    network = Drift(task["genes"], task["targets"], DriftSettings(**task["drift"])).double()
    rows = torch.zeros(1 + perturbations, task["genes"], dtype=torch.float64)
    member = torch.zeros(1 + perturbations, task["targets"], dtype=torch.float64)
    with torch.no_grad():
        evaluation = timed(lambda: network(rows, member, 0), torch.device("cpu"))
    return each * growth * draws + EVALUATIONS * evaluation


def tests(task: Mapping[str, Any], device: torch.device) -> float:
    """Differential expression of one perturbation, all genes."""
    from illico import asymptotic_wilcoxon  # compiles when it is first used

    del asymptotic_wilcoxon
    from anndata import AnnData
    from pandas import Categorical, DataFrame
    from scipy import sparse

    from pipeline.differential_expression import differential_expression

    rng, genes = np.random.default_rng(0), min(task["genes"], 500)
    number = [min(task["control"], 1000), min(task["cells"], 500)]
    counts = sparse.csr_matrix(rng.poisson(0.5, (sum(number), genes)).astype(np.int32))
    obs = DataFrame({"perturbation": Categorical(np.repeat(["control", "A"], number))})
    obs["library_size"] = np.asarray(counts.sum(axis=1), dtype=float).ravel()
    obs.index = obs.index.astype(str)
    cells = AnnData(counts, obs=obs)
    one = timed(lambda: differential_expression(cells, n_threads=1), torch.device("cpu"))
    return one * task["genes"] / genes * (task["control"] + task["cells"]) / sum(number)


KINDS: dict[str, Callable[[Mapping[str, Any], torch.device], float]] = {
    "prior": prior,
    "drift": drift,
    "sampling": sampling,
    "scores": scores,
    "effects": effects,
    "tests": tests,
}


def main() -> None:
    """Measure the tasks on standard input."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    torch.set_flush_denormal(True)
    device = choose_device(asked["device"])
    started = time.process_time()  # imports, on one core
    begin = time.perf_counter(), time.process_time()
    seconds = [KINDS[task["kind"]](task, device) for task in asked["tasks"]]
    wall, own = time.perf_counter() - begin[0], time.process_time() - begin[1]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    busy = wall / max(own, 1e-9) if name == "CPU" and asked["threads"] == 1 else 1.0
    json.dump({"start": started, "seconds": seconds, "device": name, "busy": busy}, sys.stdout)


@dataclass(frozen=True)
class Measured:
    """What probes have measured.

    Attributes
    ----------
    seconds
        Of every task.
    start
        Seconds of the start of a job.
    device
        Name of the device.
    busy
        How many times longer a step takes now than the processor works on it.
    """

    seconds: list[float]
    start: float
    device: str
    busy: float


def measured(
    tasks: Sequence[Mapping[str, Any]], *, threads: int, device: str, side_by_side: int
) -> Measured:
    """Seconds of tasks, measured in so many processes at once.

    Parameters
    ----------
    tasks
        Each with its ``kind``, one of :data:`KINDS`, and what that needs.
    threads
        Threads of each process.
    device
        ``auto``, ``cpu`` or ``cuda``.
    side_by_side
        Processes at once.

    Raises
    ------
    InputError
        If the device is not there.
    RuntimeError
        If a process fails; with what it says.
    """
    choose_device(device)  # here, where it is refused in one message
    given = json.dumps({"tasks": list(tasks), "threads": threads, "device": device})
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "estimate.probe"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment,
        )
        for _ in range(side_by_side)
    ]  # fmt: skip
    for process in processes:  # before any answers, so that all measure at once
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        process.stdin = None
    found = []
    for process in processes:
        answer, complaint = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the probe failed:\n{complaint[-2000:]}")
        found.append(json.loads(answer))
    return Measured(
        [statistics.mean(own) for own in zip(*(f["seconds"] for f in found), strict=True)],
        statistics.mean(f["start"] for f in found),
        found[0]["device"],
        statistics.mean(f["busy"] for f in found),
    )


if __name__ == "__main__":
    main()
