"""Cells of the held-out perturbations, drawn from the fitted diffusion."""

from pathlib import Path
from typing import Any

import numpy as np

from lcd_core.model import LCD
from lcd_core.sampling import SamplerSettings
from pipeline.devices import choose_device
from pipeline.predictions import write_prediction
from pipeline.screen import read_names, targets_of
from pipeline.seeds import derive_seed


def main(
    *,
    weights: str,
    metadata: str,
    test_perturbations: str,
    prediction: str,
    n_cells: int,
    draws_per_state: int,
    sampler: dict[str, Any],
    seed: int,
    device: str,
) -> None:
    """Draw ``n_cells`` cells per perturbation; each perturbation has a seed of its own, so its
    cells do not depend on which others are predicted."""
    model = LCD.load(Path(weights).parent, choose_device(device))
    names = read_names(test_perturbations)
    counts = [
        model.sample(
            targets_of(q),
            n_cells,
            seed=derive_seed(seed, q),
            sampler=SamplerSettings(**sampler),
            draws_per_state=draws_per_state,
        )
        .cpu()
        .numpy()
        for q in names
    ]
    write_prediction(
        prediction,
        method="lcd",
        perturbations=np.repeat(names, n_cells).tolist(),
        genes=model.genes,
        cell_names=[f"lcd:{q}:{i}" for q in names for i in range(n_cells)],
        counts=np.concatenate(counts) if counts else np.zeros((0, len(model.genes)), np.int32),
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
