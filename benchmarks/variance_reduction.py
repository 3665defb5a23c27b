"""Noise of less variance, and means of iterates: whether fits are better at the same length.

    python benchmarks/variance_reduction.py results/default/folds/[123] --output FILE

Fits of the default configuration to the training cells of folds, each change alone, with the same
seeds and batches:

- noise of the generators in pairs of either sign, or a scrambled Sobol sequence;
- the mean of the parameters over the last fifth of the steps, of priors or of the drift, and an
  exponential moving average of the drift's.

A control variate is not among them: generators are differentiated along their noise, and there
what is linear in the noise, whose mean is known, is what pairs of either sign cancel. For each
change the seconds of the fit that it concerns, medians over held-out combinations, folds and
seeds, and the median of the paired differences from no change with a 95% bootstrap interval.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "workflow"))

from benchmarks.suite.folds import Fold
from lcd_core import fit as fitting
from lcd_core.conditions import CONTROL
from lcd_core.fit import fit_diffusion
from lcd_core.prior import PriorTraining, scale_of
from lcd_core.score_matching import DriftTraining
from lcd_core.settings import DriftSettings, PriorSettings, StateSettings
from lcd_core.training import TrainingLog, train
from methods.lcd.method import FAST

LAST = 0.2
"""Share of the steps over which iterates are averaged."""
DECAY = 0.998
"""Of the exponential moving average; of 2,000 steps the last 500 make up two thirds."""


class Antithetic(PriorTraining):
    """Noise in pairs of either sign."""

    def _draw_noise(self, number: int) -> Tensor:
        own = self.settings
        shape = (number, own.monte_carlo_states // 2, own.latent_dimensions)
        half = torch.randn(shape, generator=self.noise, device=self.device)
        return torch.cat([half, -half], dim=1)


class QuasiRandom(PriorTraining):
    """Noise from a Sobol sequence, scrambled anew in every step."""

    def _draw_noise(self, number: int) -> Tensor:
        own = self.settings
        seed = int(torch.randint(2**31, (), generator=self.noise))
        sequence = torch.quasirandom.SobolEngine(own.latent_dimensions, scramble=True, seed=seed)
        uniform = sequence.draw(number * own.monte_carlo_states).clamp(1e-6, 1 - 1e-6)
        normal = torch.erfinv(2 * uniform - 1) * 2**0.5
        return normal.reshape(number, own.monte_carlo_states, -1)


class Mean:
    """Mean of tensors over the last steps, or their exponential moving average."""

    def __init__(self, tensors: list[Tensor], steps: int, decay: float | None = None) -> None:
        self.tensors, self.decay, self.steps = tensors, decay, steps
        self.first, self.seen = steps - int(LAST * steps), 0
        self.means = [torch.zeros_like(own) for own in tensors]

    @torch.no_grad()
    def add(self, done: int) -> None:
        """Take in the tensors after so many steps; after the last they become their mean."""
        if self.decay is None and done <= self.first:
            return
        self.seen += 1
        weight = 1.0 / self.seen
        if self.decay is not None:
            weight = (1.0 - self.decay) / (1.0 - self.decay**self.seen)
        for mean, own in zip(self.means, self.tensors, strict=True):
            mean.lerp_(own, weight)
        if done == self.steps:
            for mean, own in zip(self.means, self.tensors, strict=True):
                own.copy_(mean)


class MeanPrior(PriorTraining):
    """Priors of the mean parameters."""

    def step(self) -> Tensor:
        """A step, and the mean so far."""
        if self.done == 0:
            self.mean = Mean([self.parameters, self.logit_pi], self.steps)
        report = super().step()
        self.mean.add(self.done)
        return report


class MeanDrift(DriftTraining):
    """A drift of the mean parameters."""

    decay: float | None = None

    def step(self) -> Tensor:
        """A step, and the mean so far."""
        if self.done == 0:
            self.mean = Mean(list(self.drift.parameters()), self.steps, self.decay)
        report = super().step()
        self.mean.add(self.done)
        return report


class MovingDrift(MeanDrift):
    """A drift of the moving average."""

    decay = DECAY


CHANGES: dict[str, tuple[type[PriorTraining], type[DriftTraining]]] = {
    "none": (PriorTraining, DriftTraining),
    "noise of either sign": (Antithetic, DriftTraining),
    "Sobol noise": (QuasiRandom, DriftTraining),
    "mean of iterates, priors": (MeanPrior, DriftTraining),
    "mean of iterates, drift": (PriorTraining, MeanDrift),
    "moving average, drift": (PriorTraining, MovingDrift),
}


def drift_trained_by(kind: type[DriftTraining]) -> Callable[..., TrainingLog]:
    """What stands in for :func:`lcd_core.score_matching.fit_drift`."""

    def fit_drift(drift: Any, states: Any, membership: Any, *, seed: int, **_: Any) -> TrainingLog:
        return train(kind(drift, states, membership, seed=seed))

    return fit_drift


def rows_of(fold: Fold, seed: int, cells: int) -> Iterator[dict[str, Any]]:
    """A row per change and held-out combination."""
    prior_settings, drift_settings = PriorSettings(**FAST["prior"]), DriftSettings(**FAST["drift"])
    eta = scale_of(fold.counts[CONTROL].numpy(), prior_settings)
    for change, (prior_kind, drift_kind) in CHANGES.items():
        start = time.process_time()
        training = prior_kind(fold.counts, fold.genes, eta, prior_settings, seed=seed, device="cpu")
        log = train(training)
        middle = time.process_time()
        fitting.fit_drift = drift_trained_by(drift_kind)  # type: ignore[assignment]
        model, _ = fit_diffusion(
            training.priors(), fold.sets, StateSettings(), drift_settings, seed=seed
        )
        end = time.process_time()
        for q in fold.held_out:
            yield {
                "fold": fold.name,
                "seed": seed,
                "perturbation": q,
                "change": change,
                "prior_seconds": middle - start,
                "drift_seconds": end - middle,
                "evidence": log.rows[-1]["evidence"],
                **fold.scores(model, q, cells, seed),
            }


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """Medians of every change, and of the paired differences from none with their intervals."""
    generator = np.random.default_rng(0)
    wide = table.set_index(["change", "fold", "seed", "perturbation"])
    rows = []
    for change in CHANGES:
        own = wide.loc[change]
        row: dict[str, Any] = {"change": change, **own.median().to_dict()}
        for metric in ("mmd_top_de", "mmd_all", "energy_distance_top_de", "rmse_top_de"):
            differences = (own[metric] - wide.loc["none"][metric]).to_numpy()
            drawn = generator.choice(differences, (10_000, len(differences)))
            low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
            row |= {
                f"{metric}_difference": np.median(differences),
                f"{metric}_low": low,
                f"{metric}_high": high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Fit everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folds", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    rows: list[dict[str, Any]] = []
    for folder in arguments.folds:
        fold = Fold(folder)
        for seed in arguments.seeds:
            rows += rows_of(fold, seed, arguments.cells)
            print(f"{folder}, seed {seed}: done", flush=True)
    table = compared(pd.DataFrame(rows))
    table.to_csv(arguments.output, sep="\t", index=False, float_format="%.4g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
