"""Predict every perturbation as control cells: the floor that a method must beat."""

from pipeline.predictions import control_rows, draw_rows, read_test_perturbations, write_observed
from pipeline.screen import read_screen


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write ``n_cells`` control cells (all if there are fewer) for each test perturbation."""
    cells = read_screen(train)
    control = control_rows(cells, train)
    names = read_test_perturbations(test_perturbations)
    rows = {name: draw_rows(control, n_cells, seed, name) for name in names}
    write_observed(prediction, cells, rows, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
