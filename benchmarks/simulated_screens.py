"""How far perturbations reach in each kind of simulated screen.

For each kind and seed: the share of pairs (target, gene) with a significant change of mean
log-normalised counts (Mann-Whitney U, Benjamini-Hochberg 0.05 within each perturbation), by the
steps from the target to the gene in the true graph; for unrelated pairs, where no chain of effects
leads from one to the other, also by raw counts. Failed targets are left out:

    python benchmarks/simulated_screens.py
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from simulation.simulator import simulate_screen
from simulation.systems import kinds

STEPS: dict[str, tuple[float, float]] = {
    "direct": (1, 1),
    "two steps": (2, 2),
    "three steps": (3, 3),
    "more": (4, 1000),
    "unrelated": (np.inf, np.inf),
}


def significant(values, perturbations, targets):
    """Whether genes change, targets x genes, from values, cells x genes."""
    control = values[perturbations == "control"]
    p_values = [
        stats.mannwhitneyu(values[perturbations == target], control).pvalue for target in targets
    ]
    return stats.false_discovery_control(p_values, axis=1) < 0.05


def row_of(kind, seed):
    """Shares of significant pairs, with their number, and what the screen looks like."""
    start = time.perf_counter()
    screen = simulate_screen(**kinds()[kind], seed=seed)
    seconds = time.perf_counter() - start
    targets = [target for target in screen.fold_changes if target not in screen.failed]
    places = [screen.genes.index(target) for target in targets]
    control = screen.perturbations == "control"
    changed, changed_raw = (
        significant(values, screen.perturbations, targets)
        for values in (1e4 * screen.counts / screen.library_size[:, None], screen.counts)
    )
    steps = screen.network.distances()[:, places].T
    row = {"kind": kind, "seed": seed}
    for name, (low, high) in STEPS.items():
        pairs = (steps >= low) & (steps <= high)
        row[name] = f"{changed[pairs].mean():.2f} ({pairs.sum()})" if pairs.any() else "none"
    row["unrelated, raw"] = f"{changed_raw[np.isinf(steps)].mean():.2f}"
    means = screen.counts[control].mean(axis=0)
    own = [
        screen.counts[screen.perturbations == target, place].mean() / means[place]
        for target, place in zip(targets, places, strict=True)
    ]
    row["changed genes"] = f"{np.median((changed & (steps > 0)).sum(axis=1)):.0f}"
    row["own change"] = f"{np.median(own):.2f}"
    row["median count"] = f"{np.median(means):.2f}"
    row["largest share"] = f"{means.max() / means.sum():.2f}"
    totals = [screen.library_size[screen.perturbations == target].mean() for target in targets]
    ratios = np.array(totals) / screen.library_size[control].mean()
    row["total counts"] = f"{ratios.min():.2f} to {ratios.max():.2f}"
    row["seconds"] = f"{seconds:.1f}"
    return row


def main():
    """Print one row per kind and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    a = parser.parse_args()
    for number, (kind, seed) in enumerate((kind, seed) for kind in kinds() for seed in a.seeds):
        row = row_of(kind, seed)
        if number == 0:
            print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
        print("| " + " | ".join(map(str, row.values())) + " |", flush=True)


if __name__ == "__main__":
    main()
