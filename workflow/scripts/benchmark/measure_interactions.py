"""Genetic interactions of the held-out pairs of a fold, observed and as each method predicts."""

import logging
from dataclasses import asdict

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.interactions import measure_interaction
from lcd_core.errors import InputError
from pipeline.predictions import labels_of, read_prediction
from pipeline.screen import CONTROL, lognorm, read_names, read_screen, targets_of
from pipeline.tables import write_tsv

OBSERVED = "observed"
COLUMNS = [
    "fold", "method", "perturbation", "n_cells", "n_genes",
    "c_a", "c_b", "magnitude", "similarity", "fit", "equality",
]  # fmt: skip
Vector = NDArray[np.float64]


def main(
    *,
    train: str,
    test: str,
    test_perturbations: str,
    predictions: list[str],
    interactions: str,
    methods: list[str],
    values: list[str | None],
    fold: str,
    min_count: float,
    scale: str,
) -> None:
    """Write one row per pair and source: ``observed``, and each method.

    Changes of the targets alone are those of the training cells, for all sources; of the
    interpolated duplicate, which halves are made into when metrics are computed, there is no row.
    Predicted log-normalised expression is taken back to counts per 10,000; a profile, which has no
    cells, says nothing about mean counts, and its method is left out.

    Parameters
    ----------
    train, test, test_perturbations
        Files of the fold.
    predictions, methods, values
        Predictions of the fold, the names of their methods, and what their ``X`` holds (None: what
        the file says).
    interactions
        TSV to write; no rows where there is no pair of two targets both measured alone.
    fold
        Its name, for the table.
    min_count
        Least mean count of a gene over the training cells.
    scale
        ``none``, or ``control_sd``: changes in units of a gene's standard deviation over control.
    """
    trained, observed = read_screen(train), read_screen(test)
    genes = trained.var_names
    kept = np.asarray(trained.X.mean(axis=0)).ravel() >= min_count
    known = set(labels_of(trained))
    pairs = [
        name
        for name in read_names(test_perturbations)
        if len(targets_of(name)) == 2 and set(targets_of(name)) <= known
    ]
    rows: list[dict[str, object]] = []
    if pairs and kept.sum() < 3:
        raise InputError(
            "fewer than three genes have enough counts to measure interactions",
            where="interactions.min_count",
            found=f"{min_count}; {kept.sum()} genes of {train}",
            remedy="lower it, or set interactions.measure to false",
        )
    if pairs:
        control = cells_of(trained, CONTROL)[:, kept]
        unit = np.ones(control.shape[1])
        if scale == "control_sd":
            deviation = control.std(axis=0, ddof=1)
            unit = np.where(deviation > 0, deviation, np.inf)  # no say for a constant gene
        origin = control.mean(axis=0)

        def change(cells: Vector) -> Vector:
            return np.asarray((cells[:, kept].mean(axis=0) - origin) / unit)

        singles = {
            target: change(cells_of(trained, target))
            for name in pairs
            for target in targets_of(name)
        }

        def add(source: str, name: str, cells: Vector) -> None:
            a, b = (singles[target] for target in targets_of(name))
            own = {"fold": fold, "method": source, "perturbation": name, "n_cells": len(cells)}
            found = asdict(measure_interaction(a, b, change(cells)))
            rows.append(own | {"n_genes": int(kept.sum())} | found)

        for name in pairs:
            add(OBSERVED, name, cells_of(observed[:, genes], name))
        for method, path, kind in zip(methods, predictions, values, strict=True):
            predicted = read_prediction(path, genes, pairs, kind)
            if not predicted.has_cells:
                logging.warning("%s: profiles alone, no interactions", method)
                continue
            if predicted.drawn_to_mean:  # the observed cells, until halves of them are compared
                continue
            for name in predicted.predicted(pairs):
                add(method, name, counts_of(predicted.lognorm(predicted.rows(name))))
            logging.info("%s: %d pairs", method, len(pairs))
    write_tsv(pd.DataFrame(rows, columns=COLUMNS), interactions)


def cells_of(cells: ad.AnnData, name: str) -> Vector:
    """Normalised counts of the cells of one perturbation, (n, d)."""
    return counts_of(lognorm(cells.X[labels_of(cells) == name]))


def counts_of(expression: NDArray[np.float32]) -> Vector:
    """Counts per 10,000 of log-normalised expression."""
    return np.expm1(expression.astype(np.float64))


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
