"""SALT: control cells shifted by the sum of the single effects (Gaudelet et al. 2024)."""

from pipeline.mean_changes import additive, read_mean_changes
from pipeline.predictions import write_shifted_control


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write control cells shifted by the additive effect of each test perturbation's targets.

    An effect is the change of mean log-normalised expression from control. A target without a
    single perturbation in the training cells has the mean effect over training perturbations.
    """
    known = read_mean_changes(train)
    shifts = additive(known, test_perturbations)
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
