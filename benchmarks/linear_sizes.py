"""Linear systems with known causal effects at one size: every estimator, medians over systems.

    PYTHONPATH=.:workflow/scripts python benchmarks/linear_sizes.py --genes 300 --systems 2 \
        --output linear_300.tsv

Runs the scripts of the workflow one after the other, on the accelerator if there is one; the
default run's way to do this is ``analyses: [linear_systems]``. Written after every system.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from linear_systems import fit_linear_drift, make_linear_system, score_linear_system

METRICS = ("auroc", "auroc_present", "average_precision", "sign_agreement", "pearson")


def one_system(
    folder: Path, arguments: argparse.Namespace, structure: str, percent: int, number: int
) -> pd.DataFrame:
    """Make, fit and score one system; its scores with the seconds of the fit and the scores."""
    system, model = str(folder / "system.safetensors"), str(folder / "model.safetensors")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    make_linear_system.main(
        system=system, structure=structure, genes=arguments.genes, percent=percent, number=number,
        links_per_gene=10, strength=2.0, flip_probability=0.1, sigma=math.sqrt(2.0),
        samples_per_condition=200, seed=number, sample_seed=1000 + number,
    )  # fmt: skip
    settings = {
        "parameterization": "plain", "hidden": arguments.hidden, "steps": arguments.steps,
        "embedding_dimensions": arguments.genes, "batch_states": 512, "weight_decay": 0.3,
    }  # fmt: skip
    start = time.perf_counter()
    fit_linear_drift.main(
        system=system, model=model, training_log=str(folder / "log.tsv"), settings=settings,
        scaling=arguments.scaling, seed=number, device=device,
        checkpoint=str(folder / "checkpoint"), checkpoint_interval=1e9, code="",
    )  # fmt: skip
    fitted = time.perf_counter()
    scores = str(folder / "scores.tsv")
    score_linear_system.main(
        system=system, model=model, scores=scores, responses=str(folder / "responses.tsv"),
        effects=str(folder / "effects.safetensors"),
        clipr={"level_alpha": 0.3, "solver": "anderson", "ridge": None}, threshold=0.5,
        top_effects_per_gene=(1,), device=device,
    )  # fmt: skip
    table = pd.read_csv(scores, sep="\t")
    return table.assign(fit_seconds=fitted - start, score_seconds=time.perf_counter() - fitted)


def main() -> None:
    """Score all systems and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--percents", type=int, nargs="+", default=[30, 50, 70, 100])
    parser.add_argument("--structures", nargs="+", default=["erdos_renyi", "power_law"])
    parser.add_argument("--systems", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--scaling", default="covariance")
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    found = []
    for number in range(1, arguments.systems + 1):
        for structure in arguments.structures:
            for percent in arguments.percents:
                with tempfile.TemporaryDirectory() as folder:
                    found.append(one_system(Path(folder), arguments, structure, percent, number))
                own = found[-1]
                seconds = own[["fit_seconds", "score_seconds"]].iloc[0]
                print(f"{structure} {percent}% {number}: {seconds.to_dict()}", flush=True)
                table = pd.concat(found)
                table = table[table["metric"].isin(METRICS)]
                keys = ["structure", "genes", "percent", "estimator", "metric"]
                medians = table.groupby(keys, sort=False).agg(
                    value=("value", "median"), systems=("value", "size"),
                    fit_seconds=("fit_seconds", "median"),
                    score_seconds=("score_seconds", "median"),
                )  # fmt: skip
                medians.reset_index().to_csv(
                    arguments.output, sep="\t", index=False, float_format="%.4g"
                )


if __name__ == "__main__":
    main()
