"""The interpolated duplicate (Miller et al. 2025), a reference by which metrics are calibrated."""

import numpy as np

from benchmark.compute_metrics import SIGNIFICANT, read_tests
from lcd_core.errors import InputError
from pipeline.predictions import (
    labels_of,
    mean_expression,
    prediction_writer,
    read_test_perturbations,
)
from pipeline.screen import CONTROL, lognorm, read_screen


def main(
    *,
    train: str,
    test: str,
    test_perturbations: str,
    test_differential_expression: str,
    prediction: str,
    keep: str,
) -> None:
    """Write the held-out cells, shifted so that their mean becomes ``a x + (1 - a) m``.

    x is their mean log-normalised expression, m the mean over training perturbations of theirs,
    ``1 - a`` the share of differentially expressed genes of the perturbation. To interpolate every
    cell would shrink the spread of the cells too, which is no duplicate's. Values end at 0. Cells
    keep their names, by which the evaluation never compares a cell with itself.
    """
    trained, cells = read_screen(train), read_screen(test)
    genes = trained.var_names
    if not cells.var_names.equals(genes):
        raise InputError("genes differ from those of the training cells", where=test)
    labels, names = labels_of(cells), read_test_perturbations(test_perturbations)
    tests = read_tests(test_differential_expression, genes, names)
    mean = mean_expression(trained).drop(index=CONTROL).mean().to_numpy()
    with prediction_writer(prediction, genes, keep=keep, values="lognorm") as writer:
        for name in names:
            rows = np.flatnonzero(labels == name)
            share = float((tests[name]["p_adjusted"] < SIGNIFICANT).mean())
            values = lognorm(cells.X[rows]).astype(np.float64)
            values = np.maximum(values + share * (mean - values.mean(axis=0)), 0)
            writer.add(name, values.astype(np.float32), cells.obs_names[rows])


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
