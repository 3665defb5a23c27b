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
    """Write the held-out cells as ``a x + (1 - a) m``, log-normalised.

    m is the mean over training perturbations of their mean expression, ``1 - a`` the share of
    differentially expressed genes of the perturbation. Cells keep their names, by which the
    evaluation never compares a cell with itself.
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
            values = (1 - share) * lognorm(cells.X[rows]) + share * mean
            writer.add(name, values.astype(np.float32), cells.obs_names[rows])


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
