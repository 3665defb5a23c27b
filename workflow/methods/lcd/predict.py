"""Cells of the perturbations to predict, drawn from the fitted diffusion."""

from pathlib import Path

from lcd_core.model import LCD
from lcd_core.sampling import SamplerSettings
from pipeline.devices import choose_device
from pipeline.predictions import prediction_writer, read_test_perturbations
from pipeline.screen import targets_of
from pipeline.seeds import derive_seed
from pipeline.settings import read_settings


def main(
    *,
    model: str,
    test_perturbations: str,
    settings: str,
    prediction: str,
    n_cells: int,
    keep: str,
    seed: int,
    device: str,
) -> None:
    """Draw ``n_cells`` cells per perturbation; each perturbation has a seed of its own, so its
    cells do not depend on which others are predicted."""
    fitted = LCD.load(Path(model).parent, choose_device(device))
    own = read_settings(settings)["sampling"]
    sampler = SamplerSettings(own["step_size"], own["steps_per_level"])
    with prediction_writer(prediction, fitted.genes, keep=keep) as writer:
        for name in read_test_perturbations(test_perturbations):
            counts = fitted.sample(
                targets_of(name),
                n_cells,
                seed=derive_seed(seed, perturbation=name),
                sampler=sampler,
                draws_per_state=own["draws_per_state"],
            )
            writer.add_counts(name, counts.cpu().numpy())


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
