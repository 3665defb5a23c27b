"""What TF32 in the networks' products does to fits, emulated on a CPU.

    python benchmarks/tf32_quality.py results/default/folds/1 --output tf32_quality.tsv

Fits of the default configuration to the training cells of a fold, with `network_precision` float32
and tf32 and everything else the same, among others the random numbers. Processors that have no
TF32 multiply in float32 whatever is set, so factors are cut off as a GPU does at most, see
`benchmarks/suite/tf32.py`. A row has what a fit and its predictions of the held-out combinations
come to; the seeds tell how much fits differ without any change.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "workflow"))

from benchmarks.suite.folds import Fold
from benchmarks.suite.tf32 import EmulatedTf32
from lcd_core.conditions import CONTROL
from lcd_core.fit import fit_diffusion
from lcd_core.prior import fit_priors, scale_of
from lcd_core.settings import DriftSettings, PriorSettings, StateSettings
from methods.lcd.method import FAST


def row_of(fold: Fold, precision: str, seed: int, cells: int) -> dict[str, Any]:
    """Fit with one precision and seed, predict, and compare with the observed cells."""
    prior_settings = PriorSettings(**FAST["prior"], network_precision=precision)
    drift_settings = DriftSettings(**FAST["drift"], network_precision=precision)
    eta = scale_of(fold.counts[CONTROL].numpy(), prior_settings)
    with EmulatedTf32() if precision == "tf32" else nullcontext() as emulated:
        priors, log = fit_priors(fold.counts, fold.genes, eta, prior_settings, seed=seed)
        model, drift_log = fit_diffusion(
            priors, fold.sets, StateSettings(), drift_settings, seed=seed
        )
    found = [fold.scores(model, q, cells, seed) for q in fold.held_out]
    return {
        "seed": seed,
        "precision": precision,
        "products": "" if emulated is None else dict(emulated.seen),
        "evidence": log.rows[-1]["evidence"],
        "drift_loss": drift_log.rows[-1]["loss"],
        **pd.DataFrame(found).median().to_dict(),
    }


def main() -> None:
    """Fit, print a line each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("fold", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    rows, fold = [], Fold(arguments.fold)
    for seed in arguments.seeds:
        for precision in ("float32", "tf32"):
            rows.append(row_of(fold, precision, seed, arguments.cells))
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(arguments.output, sep="\t", index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
