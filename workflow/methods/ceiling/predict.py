"""The noise ceiling: the held-out cells themselves, of which the evaluation compares halves."""

import numpy as np

from lcd_core.errors import InputError
from pipeline.predictions import labels_of, prediction_writer, read_test_perturbations
from pipeline.screen import read_screen


def main(*, train: str, test: str, test_perturbations: str, prediction: str, keep: str) -> None:
    """Write the held-out cells of each test perturbation."""
    write_held_out(train, test, test_perturbations, prediction, keep)


def write_held_out(
    train: str,
    test: str,
    test_perturbations: str,
    prediction: str,
    keep: str,
    *,
    drawn_to_mean: bool = False,
) -> None:
    """Write the held-out cells of each test perturbation.

    They keep their names, by which the evaluation never compares a cell with itself: of each half
    that it compares with, the other half is the prediction.
    """
    genes = read_screen(train).var_names
    cells = read_screen(test)
    if not cells.var_names.equals(genes):
        raise InputError("genes differ from those of the training cells", where=test)
    labels = labels_of(cells)
    with prediction_writer(prediction, genes, keep=keep, drawn_to_mean=drawn_to_mean) as writer:
        for name in read_test_perturbations(test_perturbations):
            rows = np.flatnonzero(labels == name)
            if len(rows) < 4:
                raise InputError(
                    "halves of two cells each need at least four cells",
                    where=f"{test}, obs['perturbation']",
                    found=f"{name}: {len(rows)} cells",
                    remedy="raise the least number of cells per perturbation",
                )
            writer.add(name, cells.X[rows], cells.obs_names[rows])


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
