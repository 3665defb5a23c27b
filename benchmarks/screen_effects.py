"""What limits LCD-CLIPR on a simulated screen, where the true graph is known.

For each simulation seed: simulate a screen of singles, fit the priors once, and fit drifts that
differ from the starting settings in one thing at a time. What needs no training (noise level,
ridge) is varied on the first fit. Beside them stand the change of mean states (differential
expression in the coordinates of the model), and the inverse covariance of the states within
conditions. Rows are written as they come; medians over seeds are printed at the end:

    python benchmarks/screen_effects.py --output screen_effects.tsv
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from evaluation.agreement import auroc
from evaluation.effect_scores import score_effects
from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift
from lcd_core.estimators import estimate_effects
from lcd_core.linearisation import nearest_level
from lcd_core.measurement import rate_scale
from lcd_core.prior import fit_priors
from lcd_core.responses import initial_responses, limit_responses
from lcd_core.score_matching import fit_drift
from lcd_core.settings import DriftSettings, PriorSettings, StateSettings
from lcd_core.states import StateTransform
from simulation.linear_systems import reversible_effects
from simulation.simulator import simulate_screen

START = {
    "transform": "identity",
    "scaling": "standard_deviation",
    "shrinkage": 0.0,
    "parameterization": "plain",
    "hidden": 256,
    "embedding_dimensions": 128,
    "steps": 3000,
    "weight_decay": 1.0,
    "level_alpha": 0.3,
    "origin": "control_mean",
    "ridge": None,
}
TRAINED = [
    {"scaling": "covariance"},
    {"transform": "log_rate"},
    {"transform": "log_rate", "scaling": "covariance"},
    {"parameterization": "linear_pull"},
    {"steps": 9000},
    {"hidden": 512, "embedding_dimensions": 512},
    {"weight_decay": 0.3},
]
READ: list[dict[str, Any]] = [{"level_alpha": a} for a in (0.02, 0.067, 0.15, 0.6, 1.0)]
READ += [*({"ridge": r} for r in (0.01, 0.1, 1.0, 10.0)), {"origin": "zero"}]
KS = (20, 50, 100)
COLUMNS = ["seed", "estimator", "change", "auroc", "auroc_present"]
COLUMNS += [f"precision@{k}" for k in KS] + ["base_rate", "unconverged", "loss"]


def scores(effects, truth):
    """AUROC over signs, AUROC of links by magnitude, precision of the strongest."""
    found = score_effects(effects, truth, ks=KS)
    other = ~np.eye(len(truth), dtype=bool)
    present = truth[other] != 0
    own = {"auroc": found["auroc"], "auroc_present": auroc(present, np.abs(effects[other]))}
    own |= {f"precision@{k}": found[f"precision@{k}"] for k in KS}
    return own | {"base_rate": float(present.mean())}


class Screen:
    """A simulated screen of singles and states drawn from its fitted priors."""

    def __init__(self, seed, genes, targets, prior_steps, samples):
        simulated = simulate_screen(genes=genes, targets=targets, doubles=0, seed=seed)
        labels = simulated.perturbations
        self.names = ["control", *sorted(set(labels) - {"control"})]
        self.targets = self.names[1:]
        counts = {q: torch.from_numpy(simulated.counts[labels == q]) for q in self.names}
        self.genes, self.truth = list(simulated.genes), simulated.effects
        self.membership = multi_hot([[], *([q] for q in self.targets)], self.targets)
        settings = PriorSettings(
            steps=prior_steps,
            warmup_steps=200,
            learning_rate=1e-3,
            monte_carlo_states=300,
            temperature=5.0,
        )
        eta = rate_scale(counts["control"].numpy())
        priors, _ = fit_priors(counts, self.genes, eta, settings, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        self.states = torch.stack([priors.sample_states(q, samples, generator) for q in self.names])
        self.eta, self.seed = priors.eta, seed

    def transform(self, own):
        """Fitted map of states to the coordinates of the drift."""
        return StateTransform.fit(
            self.states,
            self.states[0],
            self.eta,
            StateSettings(
                transform=own["transform"], scaling=own["scaling"], shrinkage=own["shrinkage"]
            ),
        )

    def fit(self, own):
        """Drift in double precision, its map of states, and the last loss."""
        transform = self.transform(own)
        settings = DriftSettings(
            hidden=own["hidden"],
            embedding_dimensions=own["embedding_dimensions"],
            parameterization=own["parameterization"],
            steps=own["steps"],
            batch_states=512,
            weight_decay=own["weight_decay"],
        )
        drift = Drift(len(self.genes), len(self.targets), settings)
        states = torch.stack([transform.forward(x) for x in self.states])
        log = fit_drift(drift, states, self.membership, seed=self.seed)
        return drift.double(), transform, log.rows[-1]["loss"]

    def clipr(self, own, fitted):
        """Scores of LCD-CLIPR as read with these settings."""
        drift, transform, loss = fitted
        units = transform.units
        if own["origin"] == "control_mean":
            units = units.seen_from(units.mean)
        level = nearest_level(drift.alphas.tolist(), own["level_alpha"])
        singles = torch.eye(len(self.targets))
        v = initial_responses(drift, singles, units, level=level)
        limits = limit_responses(drift, singles, units, level=level)
        effects = estimate_effects(v, limits.limits, own["ridge"]).effects
        unconverged = int((~limits.converged).sum())
        return scores(effects, self.truth) | {"unconverged": unconverged, "loss": loss}

    def comparators(self, own):
        """Scores of changes of the mean, and of the inverse covariance within conditions."""
        transform = self.transform({**own, "scaling": "standard_deviation"})
        u = torch.stack([transform.forward(x) for x in self.states]).double()
        means = u.mean(dim=1).numpy()
        changes = np.zeros_like(self.truth)
        position = [self.genes.index(q) for q in self.targets]
        changes[:, position] = (means[1:] - means[0]).T
        yield "change_of_means", scores(changes, self.truth)
        covariance = sum(x.T.cov() for x in u).numpy() / len(u)
        yield "inverse_covariance", scores(reversible_effects(covariance, 2**0.5), self.truth)


def rows_of(seed, a):
    """Rows of one simulated screen."""
    screen = Screen(seed, a.genes, a.targets, a.prior_steps, a.samples)
    for name, own in screen.comparators(START):
        yield {"seed": seed, "estimator": name, "change": ""} | own
    first = screen.fit(START)
    for change in [{}, *READ, *TRAINED]:
        own = {**START, **change}
        fitted = screen.fit(own) if change in TRAINED else first
        told = ", ".join(f"{key}={value}" for key, value in change.items())
        yield {"seed": seed, "estimator": "lcd_clipr", "change": told} | screen.clipr(own, fitted)


def main():
    """Write one row per seed and change, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--genes", type=int, default=60)
    parser.add_argument("--targets", type=int, default=60)
    parser.add_argument("--prior-steps", type=int, default=6000)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("screen_effects.tsv"))
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    rows = []
    with a.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", restval="NA")
        writer.writeheader()
        for seed in a.seeds:
            for row in rows_of(seed, a):
                rows.append(row)
                numbers = {k: f"{v:.4g}" for k, v in row.items() if isinstance(v, float)}
                writer.writerow(row | numbers)
                file.flush()
    measured = ["auroc", "auroc_present", *(f"precision@{k}" for k in KS)]
    print(f"{'estimator':20s} {'change':46s}" + "".join(f"{m:>15s}" for m in measured))
    for name, change in dict.fromkeys((row["estimator"], row["change"]) for row in rows):
        own = [row for row in rows if (row["estimator"], row["change"]) == (name, change)]
        medians = [np.median([row[m] for row in own]) for m in measured]
        print(f"{name:20s} {change:46s}" + "".join(f"{m:15.3f}" for m in medians))


if __name__ == "__main__":
    main()
