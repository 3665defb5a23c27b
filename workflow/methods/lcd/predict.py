"""Cells of the held-out perturbations, drawn from the fitted diffusion."""

from typing import Any

import numpy as np

from lcd_core.model import LCD
from lcd_core.settings import SamplerSettings
from pipeline.devices import choose_device
from pipeline.predictions import write_prediction
from pipeline.screen import read_names, targets_of
from pipeline.seeds import derive_seed


def main(
    *,
    model: str,
    test_perturbations: str,
    prediction: str,
    n_cells: int,
    sampler: dict[str, Any],
    seed: int,
    device: str,
) -> None:
    """Draw ``n_cells`` cells per perturbation; each perturbation has a seed of its own, so its
    cells do not depend on which others are predicted."""
    fitted = LCD.load(model, choose_device(device))
    names = read_names(test_perturbations)
    counts = [
        fitted.sample(
            targets_of(q),
            n_cells,
            seed=derive_seed(seed, q),
            sampler=SamplerSettings(**sampler),
        )
        .cpu()
        .numpy()
        for q in names
    ]
    write_prediction(
        prediction,
        method="lcd",
        perturbations=np.repeat(names, n_cells).tolist(),
        genes=fitted.genes,
        cell_names=[f"lcd:{q}:{i}" for q in names for i in range(n_cells)],
        counts=np.concatenate(counts) if counts else np.zeros((0, len(fitted.genes)), np.int32),
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
