"""Quality of the annealed sampler against the number of drift evaluations.

For fitted models, cells of the held-out perturbations are drawn with several schemes, step sizes
and lengths, and compared with cells of a long run (all genes; and the widths of states), and with
the observed held-out cells (top 20 DE genes). Medians over perturbations, folds and seeds. Run
after a workflow run:

    python benchmarks/sampler_curve.py results/default/folds/[123] --output sampler_curve.tsv
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from evaluation.distances import maximum_mean_discrepancy
from lcd_core.conditions import multi_hot
from lcd_core.model import LCD
from lcd_core.sampling import sample_states
from lcd_core.settings import EULER_MARUYAMA, LEIMKUHLER_MATTHEWS, SamplerSettings
from pipeline.screen import counts_by_condition, lognorm, read_names, read_screen, targets_of
from pipeline.tables import read_tsv

EULER = [(1.0, 1), (1.0, 2), (1.0, 5), (1.0, 10), (1.0, 20), (1.8, 5), (1.8, 10),
         (0.5, 10), (0.1, 100), (0.01, 500)]  # fmt: skip
SECOND_ORDER = [(1.0, 5), (1.0, 10), (1.5, 5), (1.5, 10), (1.8, 2), (1.8, 5), (1.8, 10), (1.9, 5)]
SETTINGS = [
    *(SamplerSettings(*own, scheme=EULER_MARUYAMA) for own in EULER),
    *(SamplerSettings(*own, scheme=LEIMKUHLER_MATTHEWS) for own in SECOND_ORDER),
]
REFERENCE = SamplerSettings(0.3, 200, scheme=LEIMKUHLER_MATTHEWS)
LONG = 100
"""Steps per level from which on one seed has to do."""


def draw(
    model: LCD, names: list[str], cells: int, setting: SamplerSettings, seed: int
) -> tuple[torch.Tensor, list[Any], float]:
    """States and log-normalised cells of every perturbation, and the seconds it took."""
    membership = multi_hot([targets_of(q) for q in names], model.targets)
    generator = torch.Generator().manual_seed(seed)
    start = time.process_time()
    rows = membership.repeat_interleave(cells, dim=0)
    states = sample_states(model.drift, rows, setting, generator)
    seconds = time.process_time() - start
    counts = model.measure(states, seed=seed).numpy()
    own = [lognorm(part).astype(float) for part in np.split(counts, len(names))]
    return states.reshape(len(names), cells, -1), own, seconds


def rows_of(fold: Path, cells: int, seeds: int) -> Iterator[dict[str, Any]]:
    """A row per setting, seed and held-out perturbation."""
    model = LCD.load(fold / "lcd" / "default" / "model" / "model.safetensors")
    names = read_names(fold / "data" / "test_perturbations.txt")
    observed = counts_by_condition(read_screen(fold / "data" / "test.h5ad"))
    tests = read_tsv(fold / "data" / "test_differential_expression.tsv")
    tests = tests[tests["rank"] <= 20]
    top = {q: [model.genes.index(g) for g in t["gene"]] for q, t in tests.groupby("perturbation")}
    long_states, long_cells, _ = draw(model, names, cells, REFERENCE, seed=99)
    for setting in tqdm(SETTINGS, desc=str(fold)):
        for seed in range(1, 2 if setting.steps_per_level >= LONG else 1 + seeds):
            states, drawn, seconds = draw(model, names, cells, setting, seed)
            for i, q in enumerate(names):
                own, other = drawn[i][:, top[q]], lognorm(observed[q])[:, top[q]].astype(float)
                yield {
                    "scheme": setting.scheme,
                    "step_size": setting.step_size,
                    "steps_per_level": setting.steps_per_level,
                    "evaluations": setting.steps_per_level * len(model.drift.alphas),
                    "seconds": seconds,
                    "mmd_to_long_run": maximum_mean_discrepancy(drawn[i], long_cells[i]),
                    "widths_to_long_run": float(
                        states[i].std(dim=0).mean() / long_states[i].std(dim=0).mean()
                    ),
                    "mmd_to_observed_top_de": maximum_mean_discrepancy(own, other),
                    "rmse_to_observed_top_de": float(
                        np.sqrt(np.mean((own.mean(axis=0) - other.mean(axis=0)) ** 2))
                    ),
                }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folds", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    rows = [r for fold in arguments.folds for r in rows_of(fold, arguments.cells, arguments.seeds)]
    keys = ["scheme", "step_size", "steps_per_level", "evaluations"]
    table = pd.DataFrame(rows).groupby(keys, sort=False).median().reset_index()
    table.to_csv(arguments.output, sep="\t", index=False, float_format="%.5g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
