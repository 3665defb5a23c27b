"""Control cells shifted by the mean of the single effects (Vinas Torne et al. 2025, Systema)."""

from pipeline.mean_changes import read_mean_changes
from pipeline.predictions import read_test_perturbations, write_shifted_control


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write control cells shifted by the mean effect of each test perturbation's targets.

    A target without a single perturbation in the training cells has the mean effect over training
    perturbations, as for SALT.
    """
    known = read_mean_changes(train)
    names = read_test_perturbations(test_perturbations)
    shifts = {name: known.singles(name).mean(axis=0) for name in names}
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
