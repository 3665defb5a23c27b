"""Cost of a fit to a linear system: seconds an optimizer step, and so hours a system.

Times a few steps of the drift's training at the sizes of the published grid and of the small one,
on the device at hand:

    python benchmarks/linear_cost.py --threads 2
    python benchmarks/linear_cost.py --device cuda --genes 100 300 1000
"""

import argparse
import time

import torch

from lcd_core.drift import Drift
from lcd_core.score_matching import fit_drift
from lcd_core.settings import DriftSettings

SIZES = {
    "small": {"hidden": 128, "embedding": 0, "batch": 512, "steps": 3000},
    "published": {"hidden": 2048, "embedding": 1024, "batch": 8192, "steps": 50_000},
}
PUBLISHED_STEPS_OF_LARGE = 100_000


def seconds_per_step(genes, size, timed, device):
    """Mean over ``timed`` steps, what a fit of one step takes not counted."""
    states = torch.randn(genes + 1, 200, genes)
    membership = torch.cat([torch.zeros(1, genes), torch.eye(genes)])
    states = states.to(device)

    def run(steps):
        settings = DriftSettings(
            hidden=size["hidden"],
            embedding_dimensions=size["embedding"] or genes,
            steps=steps,
            batch_states=size["batch"],
            log_every=steps,
        )
        drift = Drift(genes, genes, settings).to(device)
        start = time.perf_counter()
        fit_drift(drift, states, membership, seed=1)  # reads the loss: waits for a GPU
        return time.perf_counter() - start

    run(1)  # the first fit of a process starts threads and libraries
    once = run(1)
    return (run(1 + timed) - once) / timed


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genes", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--timed", type=int, default=5, help="steps timed (small: ten times that)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    print(f"{'sizes':12s}{'genes':>7s}{'seconds/step':>14s}{'steps':>9s}{'hours/system':>14s}")
    for name in a.sizes:
        size = SIZES[name]
        for genes in a.genes:
            timed = a.timed * (10 if name == "small" else 1)
            each = seconds_per_step(genes, size, timed, a.device)
            steps = size["steps"]
            if name == "published" and genes >= 1000:
                steps = PUBLISHED_STEPS_OF_LARGE
            print(
                f"{name:12s}{genes:7d}{each:14.4f}{steps:9d}{each * steps / 3600:14.3f}", flush=True
            )


if __name__ == "__main__":
    main()
