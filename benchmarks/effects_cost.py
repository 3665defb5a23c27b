"""Time and memory of every estimator of direct effects, as genes and perturbations grow.

    PYTHONPATH=.:workflow/scripts python benchmarks/effects_cost.py --genes 100 300 1000

A sparse stable linear system of d genes, each perturbed once, its changes and covariance with the
noise of 200 samples per condition. Each estimator runs in a process of its own, whose peak memory
is its own too; seconds are of the estimate alone.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lcd_core.direct_effects import ESTIMATORS, direct_effects
from lcd_core.evidence import Evidence

CELLS = 200
LINKS = 4  # causes a gene


def system(genes: int, seed: int) -> Evidence:
    """Exact responses of a sparse linear system, and what a sample of them looks like."""
    rng = np.random.default_rng(seed)
    effects = np.zeros((genes, genes))
    for i in range(genes):
        causes = rng.choice(genes, size=LINKS, replace=False)
        effects[i, causes] = rng.choice([-1.0, 1.0], LINKS) * rng.uniform(0.2, 0.6, LINKS)
    np.fill_diagonal(effects, 0.0)
    effects -= (np.linalg.eigvals(effects).real.max() + 0.5) * np.eye(genes)
    covariance = lyapunov(effects)
    changes = np.linalg.solve(-effects, 3.0 * np.eye(genes))
    errors = np.sqrt(2.0 * np.diag(covariance) / CELLS)[:, None] * np.ones((1, genes))
    changes = changes + errors * rng.standard_normal(changes.shape)
    return Evidence(
        changes,
        [(i,) for i in range(genes)],
        errors=errors,
        covariance=covariance,
        initial=3.0 * np.eye(genes),
        limits=changes,
        jacobian=effects,
    )


def lyapunov(effects: np.ndarray) -> np.ndarray:
    """Stationary covariance of ``dx = A x dt + sqrt(2) dW``."""
    from scipy.linalg import solve_continuous_lyapunov

    solved: np.ndarray = solve_continuous_lyapunov(effects, -2.0 * np.eye(len(effects)))
    return (solved + solved.T) / 2.0


def measure(name: str, genes: int, draws: int, threads: int) -> tuple[float, float]:
    """Seconds of one estimate, and peak memory of the process in GiB."""
    torch.set_num_threads(threads)
    evidence = system(genes, 1)
    start = time.perf_counter()
    direct_effects(name, evidence, draws=draws, seed=1)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", nargs="+", type=int, default=[100, 300, 1000])
    parser.add_argument("--estimators", nargs="+", choices=list(ESTIMATORS), default=None)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    settings = parser.parse_args()
    print("estimator\tgenes\tseconds\tpeak_gib", flush=True)
    for genes in settings.genes:
        for name in settings.estimators or ESTIMATORS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measure, (name, genes, settings.draws, settings.threads))
            print(f"{name}\t{genes}\t{found[0]:.1f}\t{found[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
