"""Control cells shifted by a weighted sum of the single effects, fitted to combinations."""

import logging

from methods.fitted_additive.coefficients import fit_coefficients
from pipeline.mean_changes import read_mean_changes
from pipeline.predictions import read_test_perturbations, write_shifted_control
from pipeline.screen import targets_of
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
    """Write control cells shifted by the fitted effect of each test perturbation's targets.

    Without combinations in training there is nothing to fit: all coefficients are 1, as in SALT.
    A perturbation of one target is its single effect.
    """
    known = read_mean_changes(train)
    shared, own = fit_coefficients(known, read_settings(settings)["shrinkage"])
    if not known.combinations:
        logging.warning("no combinations in training: all coefficients are 1, as in SALT")
    shifts = {}
    for name in read_test_perturbations(test_perturbations):
        targets, singles = targets_of(name), known.singles(name)
        weights = [own.get(target, shared) for target in targets]
        shifts[name] = singles[0] if len(targets) == 1 else weights @ singles
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
