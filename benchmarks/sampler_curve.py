"""Quality of the annealed sampler against the number of drift evaluations.

For a fitted model, cells of the held-out perturbations are drawn with several step sizes and
lengths, and compared with cells of a long run at a small step (median MMD over perturbations, all
genes), and with the observed held-out cells (top 20 DE genes). Run after a workflow run:

    python benchmarks/sampler_curve.py results/default/folds/1
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from evaluation.distances import maximum_mean_discrepancy
from lcd_core.conditions import multi_hot
from lcd_core.model import LCD
from lcd_core.sampling import sample_states
from lcd_core.settings import SamplerSettings
from pipeline.screen import counts_by_condition, lognorm, read_names, read_screen, targets_of
from pipeline.tables import read_tsv

SETTINGS = [
    (1.0, 1), (1.0, 2), (1.0, 5), (1.0, 10), (1.0, 20), (1.0, 50),
    (0.5, 10), (0.5, 20), (0.1, 20), (0.1, 100), (0.01, 100), (0.01, 500),
]  # fmt: skip
REFERENCE = (0.1, 500)


def draw(model, names, cells, setting, seed):
    """Log-normalised cells of every perturbation, in one batch; and the seconds it took."""
    membership = multi_hot([targets_of(q) for q in names], model.targets)
    generator = torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    rows = membership.repeat_interleave(cells, dim=0)
    states = sample_states(model.drift, rows, SamplerSettings(*setting), generator)
    seconds = time.perf_counter() - start
    counts = model.measure(states, seed=seed).numpy()
    return {q: lognorm(counts[i * cells : (i + 1) * cells]) for i, q in enumerate(names)}, seconds


def main():
    """Print one line per setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fold", type=Path)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = LCD.load(arguments.fold / "lcd" / "default" / "model" / "model.safetensors")
    names = read_names(arguments.fold / "data" / "test_perturbations.txt")
    observed = counts_by_condition(read_screen(arguments.fold / "data" / "test.h5ad"))
    tests = read_tsv(arguments.fold / "data" / "test_differential_expression.tsv")
    tests = tests[tests["rank"] <= 20]
    top = {q: [model.genes.index(g) for g in t["gene"]] for q, t in tests.groupby("perturbation")}
    reference, seconds = draw(model, names, arguments.cells, REFERENCE, seed=1)
    print(f"reference: step size {REFERENCE[0]}, {30 * REFERENCE[1]} evaluations, {seconds:.0f} s")
    print(
        "step_size\tsteps_per_level\tevaluations\tseconds\tmmd_to_reference\tmmd_to_observed_top_de"
    )
    for setting in [*SETTINGS, REFERENCE]:
        cells, seconds = draw(model, names, arguments.cells, setting, seed=2)
        to_reference = [
            maximum_mean_discrepancy(cells[q].astype(float), reference[q].astype(float))
            for q in names
        ]
        to_observed = [
            maximum_mean_discrepancy(
                cells[q][:, top[q]].astype(float), lognorm(observed[q])[:, top[q]].astype(float)
            )
            for q in names
        ]
        evaluations = setting[1] * len(model.drift.alphas)
        print(
            f"{setting[0]:g}\t{setting[1]}\t{evaluations}\t{seconds:.1f}\t"
            f"{np.median(to_reference):.5f}\t{np.median(to_observed):.5f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
