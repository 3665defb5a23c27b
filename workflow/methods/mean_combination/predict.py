"""Predict every perturbation by the mean effect of the combinations seen in training."""

from lcd_core.errors import InputError
from pipeline.mean_changes import read_mean_changes
from pipeline.predictions import read_test_perturbations, write_shifted_control


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write control cells shifted by the mean effect over training combinations."""
    known = read_mean_changes(train)
    if not known.combinations:
        raise InputError(
            "at least one combination of targets is needed",
            where=f"{train}, obs['perturbation']",
            found=known.changes.index,
            remedy="leave this method out, or keep combinations in training",
        )
    shift = known.changes.loc[known.combinations].mean().to_numpy()
    shifts = dict.fromkeys(read_test_perturbations(test_perturbations), shift)
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
