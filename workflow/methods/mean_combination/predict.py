"""Predict every perturbation by the mean effect of the combinations seen in training."""

from lcd_core.errors import InputError
from pipeline.predictions import mean_expression, read_test_perturbations, write_shifted_control
from pipeline.screen import CONTROL, read_screen, targets_of


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write control cells shifted by the mean effect over training combinations."""
    cells = read_screen(train)
    means = mean_expression(cells)
    combinations = [name for name in means.index if len(targets_of(name)) > 1]
    if CONTROL not in means.index or not combinations:
        raise InputError(
            "control cells and at least one combination of targets are needed",
            where=f"{train}, obs['perturbation']",
            found=means.index,
            remedy="leave this method out, or keep combinations in training",
        )
    shift = (means.loc[combinations].mean() - means.loc[CONTROL]).to_numpy()
    shifts = dict.fromkeys(read_test_perturbations(test_perturbations), shift)
    write_shifted_control(prediction, cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
