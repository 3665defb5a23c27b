"""Export a fold's prediction and its held-out cells for evaluators made elsewhere."""

import logging

from lcd_core.errors import InputError
from pipeline.exports import write_export
from pipeline.predictions import labels_of, read_prediction, read_test_perturbations
from pipeline.screen import CONTROL, lognorm, read_screen


def main(
    *,
    train: str,
    test: str,
    test_perturbations: str,
    prediction: str,
    observed_cells: str,
    predicted_cells: str,
    values: str | None,
) -> None:
    """Write both files, each with the control cells of training.

    Parameters
    ----------
    train, test, test_perturbations
        Files of the fold.
    prediction, values
        The prediction, and what its ``X`` holds (None: what the file says).
    observed_cells, predicted_cells
        Files to write; perturbations that are not predicted are in neither.
    """
    trained, observed = read_screen(train), read_screen(test)
    genes = trained.var_names
    wanted = read_test_perturbations(test_perturbations)
    predicted = read_prediction(prediction, genes, wanted, values)
    if not predicted.has_cells:
        raise InputError(
            "profiles have no cells to export",
            where=prediction,
            remedy="set prediction.keep to cells, or leave evaluation.external empty",
        )
    names = predicted.predicted(wanted)
    control = (CONTROL, lognorm(trained.X[labels_of(trained) == CONTROL]))
    matrix, labels = observed[:, genes].X, labels_of(observed)
    write_export(
        observed_cells, genes, [control, *((n, lognorm(matrix[labels == n])) for n in names)]
    )
    write_export(
        predicted_cells,
        genes,
        [control, *((n, predicted.lognorm(predicted.rows(n))) for n in names)],
    )
    logging.info("%d perturbations, %d genes", len(names), len(genes))


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
