"""SALT: control cells shifted by the sum of the single effects (Gaudelet et al. 2024)."""

import logging

from lcd_core.errors import InputError
from pipeline.predictions import mean_expression, read_test_perturbations, write_shifted_control
from pipeline.screen import CONTROL, read_screen, targets_of


def main(
    *, train: str, test_perturbations: str, prediction: str, n_cells: int, keep: str, seed: int
) -> None:
    """Write control cells shifted by the additive effect of each test perturbation's targets.

    An effect is the change of mean log-normalised expression from control. A target without a
    single perturbation in the training cells has the mean effect over training perturbations.
    """
    cells = read_screen(train)
    means = mean_expression(cells)
    if CONTROL not in means.index or len(means) < 2:
        raise InputError(
            "control cells and at least one perturbation are needed",
            where=f"{train}, obs['perturbation']",
            found=means.index,
        )
    effects = means.drop(index=CONTROL) - means.loc[CONTROL]
    mean_effect = effects.mean().to_numpy()
    shifts = {}
    for name in read_test_perturbations(test_perturbations):
        missing = [target for target in targets_of(name) if target not in effects.index]
        if missing:
            logging.info("%s: mean effect for %s, not measured alone", name, ", ".join(missing))
        known = [target for target in targets_of(name) if target in effects.index]
        shifts[name] = effects.loc[known].sum().to_numpy() + len(missing) * mean_effect
    write_shifted_control(prediction, cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
