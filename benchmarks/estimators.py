"""Estimators of direct effects on simulated screens of several kinds, scored against the truth.

Two steps, since the first is dear and the second is tried again and again:

    export PYTHONPATH=.:workflow/scripts
    python benchmarks/estimators.py fit --kinds modules cascades --seeds 1 2 3 --folder evidence
    python benchmarks/estimators.py score --folder evidence --output estimators.tsv

``fit`` simulates a screen, fits the priors and a drift in two kinds of coordinates, and keeps what
estimators start from, a file per screen. Processes take one screen after the other, each on one
thread; files that are there are left as they are.
"""

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / part) for part in ("", "workflow/scripts")]

from lcd_core.fit import fit_diffusion
from lcd_core.latent_means import latent_means
from lcd_core.linearisation import linearise_model, nearest_level
from lcd_core.measurement import rate_scale
from lcd_core.prior import fit_priors
from lcd_core.settings import DriftSettings, LinearisationSettings, PriorSettings, StateSettings
from lcd_core.streams import stream
from simulation.simulator import simulate_screen
from simulation.systems import kinds

PRIOR = PriorSettings(
    steps=10_000,
    warmup_steps=200,
    learning_rate=0.001,
    monte_carlo_states=300,
    temperature=5,
    log_every=1000,
)
DRIFT = DriftSettings(
    samples=4000, hidden=256, embedding_dimensions=128, steps=4000, batch_states=512, log_every=1000
)
STATES = StateSettings(scaling="covariance")
SAMPLES = 2000


def jacobian(model: Any, level: int) -> Any:
    """Of the control's drift at the mean of the coordinates, in original units (d, d)."""
    drift = model.drift.double()
    membership = torch.zeros(1, len(model.targets), dtype=torch.float64)

    def f(s: torch.Tensor) -> torch.Tensor:
        return drift(s[None], membership, level)[0]

    inner = torch.func.jacrev(f)(torch.zeros(len(model.genes), dtype=torch.float64)).detach()
    units = model.transform.units
    return units.drift_to_original(units.drift_to_original(inner).T).T.numpy()


def evidence_of(kind: str, seed: int, refits: int = 0) -> dict[str, Any]:
    """Whatever estimators may start from; conditions are the control and the singles, in order."""
    screen = simulate_screen(**kinds()[kind], seed=seed)
    genes, labels = list(screen.genes), screen.perturbations
    singles = sorted((q for q in set(labels) if "+" not in q and q != "control"), key=genes.index)
    names = ["control", *singles]
    counts = {q: torch.from_numpy(screen.counts[labels == q]) for q in sorted(set(labels))}
    size = screen.counts.sum(axis=1, keepdims=True)
    found: dict[str, Any] = {
        "truth": screen.effects,
        "targets": np.array([genes.index(q) for q in singles]),
        "cells": np.array([len(counts[q]) for q in names]),
        "count_mean": np.stack([counts[q].double().mean(0).numpy() for q in names]),
        "count_variance": np.stack([counts[q].double().var(0).numpy() for q in names]),
    }
    values = np.log1p(screen.counts / size * np.median(size))
    found["expression_mean"] = np.stack([values[labels == q].mean(0) for q in names])
    found["expression_variance"] = np.stack([values[labels == q].var(0, ddof=1) for q in names])
    found["expression_covariance"] = np.mean([np.cov(values[labels == q].T) for q in names], axis=0)

    eta = rate_scale(counts["control"].numpy())
    priors, _ = fit_priors(counts, genes, eta, PRIOR, seed=seed)
    latent = latent_means(priors, counts, samples=SAMPLES, seed=seed)
    rows = [latent.names.index(q) for q in names]
    found |= {
        "latent_mean": latent.means[rows],
        "latent_error": latent.errors[rows],
        "latent_covariance": latent.covariance,
    }
    sets = {q: () if q == "control" else tuple(q.split("+")) for q in priors.names}
    model, _ = fit_diffusion(priors, sets, STATES, DRIFT, seed=seed)
    settings = LinearisationSettings()
    linear = linearise_model(model, singles, settings)
    found |= {
        "initial": linear.initial,
        "limits": linear.responses.limits,
        "converged": linear.responses.converged,
        "published": linear.estimate.effects,
        "jacobian": jacobian(model, nearest_level(model.drift.alphas.tolist(), settings.level_alpha)),
        "origin": linear.origin,
    }
    states = [priors.sample_states(q, SAMPLES, stream(seed, "state means", q)) for q in names]
    found["state_mean"] = np.stack([own.double().mean(0).numpy() for own in states])
    found["state_covariance"] = np.mean([np.cov(own.T.numpy()) for own in states], axis=0)
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(refits):
        drawn = {q: y[rng.integers(len(y), size=len(y))] for q, y in counts.items()}
        priors, _ = fit_priors(drawn, genes, eta, PRIOR, seed=int(rng.integers(1 << 30)))
        again.append(latent_means(priors, drawn, samples=SAMPLES, seed=seed).means[rows])
    if again:
        found["refitted_latent_mean"] = np.stack(again)
    return found


def work(job: tuple[str, int, str, int]) -> str:
    """Write the evidence of one screen, if it is not there."""
    kind, seed, folder, refits = job
    path = Path(folder) / f"{kind}_{seed}.npz"
    if path.exists():
        return f"{path}: there"
    torch.set_num_threads(1)
    start = time.perf_counter()
    temporary = path.with_suffix(".part.npz")
    np.savez_compressed(temporary, **evidence_of(kind, seed, refits))
    os.replace(temporary, path)
    return f"{path}: {time.perf_counter() - start:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit")
    fit.add_argument("--kinds", nargs="+", choices=list(kinds()), default=list(kinds()))
    fit.add_argument("--seeds", nargs="+", type=int, default=list(range(1, 11)))
    fit.add_argument("--folder", type=Path, required=True)
    fit.add_argument("--processes", type=int, default=2)
    fit.add_argument("--refits", type=int, default=0, help="of cells drawn again, for errors")
    settings = parser.parse_args()
    settings.folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (kind, seed, str(settings.folder), settings.refits)
        for seed in settings.seeds
        for kind in settings.kinds
    ]
    with multiprocessing.get_context("spawn").Pool(settings.processes, maxtasksperchild=1) as pool:
        for line in pool.imap_unordered(work, jobs, chunksize=1):
            print(line, flush=True)


if __name__ == "__main__":
    main()
