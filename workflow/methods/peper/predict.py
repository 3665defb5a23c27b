"""PEPER: control cells shifted by the additive effect and a learned correction."""

import logging

import numpy as np
import torch

from methods.peper.correction import Correction, fit_correction
from pipeline.devices import choose_device
from pipeline.mean_changes import additive, read_mean_changes
from pipeline.predictions import write_shifted_control
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
    device: str,
) -> None:
    """Train the correction on training combinations and write shifted control cells.

    A perturbation of one target has no correction. Without combinations in training there is
    nothing to learn from, and the prediction is that of SALT, with a warning.
    """
    known = read_mean_changes(train)
    shifts = additive(known, test_perturbations)
    if known.combinations:
        model = fit_correction(
            [known.singles(name) for name in known.combinations],
            known.changes.loc[known.combinations].to_numpy(),
            seed=seed,
            device=choose_device(device),
            **read_settings(settings),
        )
        for name in shifts:
            if len(targets_of(name)) > 1:
                shifts[name] = shifts[name] + corrected(model, known.singles(name))
    else:
        logging.warning("no combinations in training: no correction, as in SALT")
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


def corrected(model: Correction, singles: np.ndarray) -> np.ndarray:
    """Correction of one combination, (d,), from its single effects, (targets, d)."""
    weight = next(model.parameters())
    with torch.no_grad():
        own = model(torch.as_tensor(singles, dtype=weight.dtype, device=weight.device)[None])
    return np.asarray(own[0].cpu().numpy(), dtype=np.float64)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
