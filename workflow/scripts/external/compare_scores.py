"""Scores of evaluators made elsewhere beside our own of the same cells."""

import logging
from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from evaluation.distances import maximum_mean_discrepancy
from evaluation.metrics import score
from lcd_core.errors import shown
from pipeline.exports import CONTROL_LABEL, LABELS
from pipeline.tables import write_tsv

COLUMNS = ["evaluator", "fold", "method", "perturbation", "score", "theirs", "ours", "difference"]
CELL_EVAL = {"mse": "mse", "pearson_delta": "pearson_delta"}
SCPERTEVAL = {
    "mse": "mse",
    "pearson_ctrl": "pearson_delta",
    "energy_distance_top_k={genes}": "energy_distance",
    "unbiased_mmd_median_top_k={genes}": "mmd_median",
}
"""Name of a score -> ours of the same definition."""


def main(
    *,
    observed_cells: Sequence[str],
    predicted_cells: Sequence[str],
    scores: Sequence[str],
    evaluators: Sequence[str],
    methods: Sequence[str],
    folds: Sequence[str],
    agreement: str,
) -> None:
    """Write one row per perturbation and score that both compute.

    Parameters
    ----------
    observed_cells, predicted_cells
        Exported cells.
    scores
        Tables of the evaluators, as they write them.
    evaluators, methods, folds
        What each of these is of.
    agreement
        TSV to write.
    """
    rows = []
    computed: dict[tuple[str, str], pd.DataFrame] = {}
    for k, path in enumerate(scores):
        own = (observed_cells[k], predicted_cells[k])
        if own not in computed:
            computed[own] = our_scores(*own)
        ours = computed[own]
        theirs, names = read_scores(path, evaluators[k], int(ours.attrs["genes"]))
        missing = [n for n in ours.index if n not in theirs.index] if len(theirs) else []
        if missing:
            logging.warning("%s: no scores of %s", path, shown(missing))
        theirs = theirs.reindex(index=ours.index, columns=list(names)) if len(theirs) else theirs
        for perturbation in theirs.index:
            for name, known_as in names.items():
                a = float(theirs.loc[perturbation, name])
                b = float(ours.loc[perturbation, known_as])
                rows.append((evaluators[k], folds[k], methods[k], perturbation, name, a, b, a - b))
    write_tsv(pd.DataFrame(rows, columns=COLUMNS), agreement)


def read_scores(path: str, evaluator: str, genes: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Table of perturbations x scores, and the scores that have a counterpart."""
    # a perturbation may be called 7 or NA
    table = pd.read_csv(
        path,
        dtype={"perturbation": str, "protocol": str},
        keep_default_na=False,
        na_values={name: ["", "nan", "NaN", "NA", "null"] for name in ("score", *CELL_EVAL)},
    )
    if evaluator == "cell_eval":
        return table.set_index("perturbation"), CELL_EVAL
    wide = table.pivot(index="perturbation", columns="protocol", values="score")
    return wide, {name.format(genes=genes): own for name, own in SCPERTEVAL.items()}


def our_scores(observed_cells: str, predicted_cells: str) -> pd.DataFrame:
    """Mean squared error of means, Pearson correlation of changes, energy distance, and MMD."""
    observed, predicted = ad.read_h5ad(observed_cells), ad.read_h5ad(predicted_cells)

    def cells(of: ad.AnnData, name: str) -> NDArray[np.float64]:
        return of.X[(of.obs[LABELS] == name).to_numpy()].toarray().astype(np.float64)

    control = cells(observed, CONTROL_LABEL).mean(axis=0)
    every = np.arange(observed.n_vars)
    rows = {}
    for name in [n for n in observed.obs[LABELS].cat.categories if n != CONTROL_LABEL]:
        a, b = cells(predicted, name), cells(observed, name)
        wanted = ["rmse_top_de", "pearson_delta", "energy_distance_all"]
        found = score(a, b, control, control, every, wanted)
        rows[name] = {
            "mse": found["rmse_top_de"] ** 2,
            "pearson_delta": found["pearson_delta"],
            "energy_distance": found["energy_distance_all"],
            "mmd_median": maximum_mean_discrepancy(a, b, [median_scale(a, b)]),
        }
    table = pd.DataFrame(rows).T
    table.attrs["genes"] = observed.n_vars
    return table


def median_scale(predicted: NDArray[np.float64], observed: NDArray[np.float64]) -> float:
    """Length scale of our kernel that has the median distance of all cells as bandwidth.

    Our kernel, ``exp(-||y - y'||^2 / (2 d gamma^2))``, averages over ten fixed scales instead.
    """
    pooled = np.vstack([predicted, observed])
    return float(np.median(pdist(pooled)) / np.sqrt(pooled.shape[1]))


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
