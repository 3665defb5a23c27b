"""Predict every perturbation as random cells of all training perturbations."""

import numpy as np

from lcd_core.errors import InputError
from pipeline.predictions import draw_rows, labels_of, read_test_perturbations, write_observed
from pipeline.screen import CONTROL, read_screen


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write ``n_cells`` perturbed training cells (all if fewer) for each test perturbation."""
    cells = read_screen(train)
    perturbed = np.flatnonzero(labels_of(cells) != CONTROL)
    if perturbed.size == 0:
        raise InputError("there are no perturbed cells", where=f"{train}, obs['perturbation']")
    names = read_test_perturbations(test_perturbations)
    rows = {name: draw_rows(perturbed, n_cells, seed, name) for name in names}
    write_observed(prediction, cells, rows, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
