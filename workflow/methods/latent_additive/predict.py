"""The latent additive model: embeddings of targets add up in a latent space."""

import numpy as np
import torch

from methods.latent_additive.model import fit_latent_additive
from pipeline.devices import choose_device
from pipeline.mean_changes import read_mean_changes, seen_targets
from pipeline.predictions import (
    control_rows,
    labels_of,
    read_test_perturbations,
    write_shifted_control,
)
from pipeline.screen import CONTROL, lognorm, targets_of
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
    """Train the model and write control cells, shifted by the mean of the decoded change.

    A target never seen in training has the mean of the learned embeddings.
    """
    known = read_mean_changes(train)
    cells, names = known.cells, read_test_perturbations(test_perturbations)
    targets = seen_targets(known, [])
    expression = torch.from_numpy(lognorm(cells.X))
    control = control_rows(cells, train)
    members = [() if name == CONTROL else targets_of(name) for name in labels_of(cells)]
    model = fit_latent_additive(
        expression,
        torch.from_numpy(control),
        members,
        targets,
        seed=seed,
        device=choose_device(device),
        **read_settings(settings),
    )
    start = expression[control]
    shifts = {
        name: np.asarray(model.change(start, targets_of(name)), dtype=np.float64) for name in names
    }
    write_shifted_control(prediction, cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
