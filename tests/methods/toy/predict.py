"""Control cells shifted by a multiple of the sum of the single effects."""

from pipeline.predictions import mean_expression, read_test_perturbations, write_shifted_control
from pipeline.screen import CONTROL, read_screen, targets_of
from pipeline.settings import read_settings


def main(
    *,
    train: str,
    test_perturbations: str,
    settings: str,
    prediction: str,
    n_cells: int,
    keep: str,
    seed: int,
) -> None:
    """Write ``n_cells`` shifted control cells for each test perturbation."""
    factor = read_settings(settings)["factor"]
    cells = read_screen(train)
    means = mean_expression(cells)
    effects = means - means.loc[CONTROL]
    shifts = {
        name: factor * effects.loc[list(targets_of(name))].sum().to_numpy()
        for name in read_test_perturbations(test_perturbations)
    }
    write_shifted_control(prediction, cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
