"""Seconds a step at the published sizes, on the device there is.

    python benchmarks/device_steps.py --output device_steps.tsv

Sizes are those of the Norman screen as published: 1,000 genes, 237 conditions of 300 cells. A row
has the median of ``--repeats`` blocks of steps, each waited for, and the largest memory of a GPU.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift
from lcd_core.measurement import rate_scale
from lcd_core.model import LCD
from lcd_core.prior import PriorTraining
from lcd_core.score_matching import DriftTraining
from lcd_core.settings import PRESETS, DriftSettings, PriorSettings, StateSettings
from lcd_core.states import StateTransform

GENES, CONDITIONS, CELLS, TARGETS = 1000, 237, 300, 105


def screen(genes: int, conditions: int, cells: int) -> dict[str, torch.Tensor]:
    """Poisson counts around rates of a gamma distribution."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.rand(genes, generator=generator).exp().square() - 0.9
    return {
        f"Q{q}": torch.poisson(mean.expand(cells, genes), generator=generator).int()
        for q in range(conditions)
    }


def timed(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median seconds of a run, after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    """Time everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--output", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps in a block")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rows = []

    def add(what: str, run: Callable[[], object], per: int, published: int) -> None:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = timed(run, device, arguments.repeats) / per
        memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
        rows.append((what, seconds, published, seconds * published / 3600, memory))
        print(
            f"{what}: {1000 * seconds:.3f} ms, {rows[-1][3]:.2f} hours of {published}", flush=True
        )

    def steps(training: PriorTraining | DriftTraining) -> Callable[[], object]:
        return lambda: [training.step() for _ in range(arguments.steps)]

    counts = screen(GENES, CONDITIONS, CELLS)
    genes = [f"G{i}" for i in range(GENES)]
    eta = rate_scale(torch.cat([*counts.values()]).numpy())
    settings = PriorSettings()
    prior = PriorTraining(counts, genes, eta, settings, seed=1, device=device)
    add("prior, a step", steps(prior), arguments.steps, settings.steps)
    for conditions in (8, 32):
        several = replace(settings, conditions_per_step=conditions)
        prior = PriorTraining(counts, genes, eta, several, seed=1, device=device)
        add(f"prior, a step of {conditions} conditions", steps(prior), arguments.steps,
            settings.steps // conditions)  # fmt: skip
    for how, changed in (
        ("in float32", replace(settings, network_precision="float32")),
        ("compiled", replace(settings, fused=True)),
    ):
        prior = PriorTraining(counts, genes, eta, changed, seed=1, device=device)
        add(f"prior, a step, {how}", steps(prior), arguments.steps, settings.steps)
    del prior

    drift_settings = DriftSettings()
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(CONDITIONS, CELLS, GENES, generator=generator)
    names = [f"T{i}" for i in range(TARGETS)]
    members = [[], *([t] for t in names)]
    members += [[names[i % TARGETS], names[(i + 7) % TARGETS]] for i in range(CONDITIONS)]
    membership = torch.cat([multi_hot([own], names) for own in members[:CONDITIONS]])
    single = replace(drift_settings, network_precision="float32")
    for how, own in ((", in float32", single), ("", drift_settings)):
        drift = Drift(GENES, TARGETS, own).to(device)
        training = DriftTraining(drift, states, membership, seed=1)
        add(f"drift, a step{how}", steps(training), arguments.steps, own.steps)
    transform = StateTransform.fit(states[:3].to(device), states[0].to(device), eta.to(device),
                                   StateSettings())  # fmt: skip
    model = LCD(genes, names, drift, transform, torch.full((GENES,), 0.1, device=device))
    for preset in PRESETS:
        cells = partial(model.sample, names[:2], 1000, seed=1, sampler=PRESETS[preset])
        add(f"sampling 1,000 cells, {preset}", cells, 1, 110)
    table = pd.DataFrame(
        rows, columns=["what", "seconds", "published_number", "hours", "memory_gib"]
    )
    table.insert(0, "device", name)
    table["torch"] = torch.__version__
    table.to_csv(arguments.output, sep="\t", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
