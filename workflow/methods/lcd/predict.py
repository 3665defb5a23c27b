"""Cells of the perturbations to predict, drawn from the fitted diffusion."""

from lcd_core.model import LCD
from methods.lcd.sampling import sampler_of
from pipeline.devices import choose_device
from pipeline.predictions import Values, prediction_writer, read_test_perturbations
from pipeline.screen import targets_of
from pipeline.seeds import derive_seed


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
    fitted = LCD.load(model, choose_device(device))
    sampler = sampler_of(settings)
    values: Values = "counts" if fitted.has_measurement else "lognorm"
    with prediction_writer(prediction, fitted.genes, keep=keep, values=values) as writer:
        for name in read_test_perturbations(test_perturbations):
            own_seed = derive_seed(seed, perturbation=name)
            cells = fitted.sample(targets_of(name), n_cells, seed=own_seed, sampler=sampler)
            writer.add_generated(name, cells.cpu().numpy())


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
