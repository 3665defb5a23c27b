"""Predict every perturbation by the mean effect of all perturbations seen in training."""

from pipeline.mean_changes import read_mean_changes
from pipeline.predictions import read_test_perturbations, write_shifted_control


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write control cells shifted by the mean effect over training perturbations."""
    known = read_mean_changes(train)
    shifts = dict.fromkeys(read_test_perturbations(test_perturbations), known.mean)
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
