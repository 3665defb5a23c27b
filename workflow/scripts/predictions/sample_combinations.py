"""Cells of combinations that are asked for, drawn from the first fit."""

from collections.abc import Sequence

from lcd_core.model import LCD
from lcd_core.settings import PRESETS
from pipeline.combinations import FLOW, combination
from pipeline.devices import choose_device
from pipeline.predictions import Values, prediction_writer
from pipeline.screen import SEPARATOR
from pipeline.seeds import derive_seed
from pipeline.tables import read_tsv


def main(
    *,
    combinations: str,
    model: str,
    cells: str,
    named: Sequence[str],
    n_cells: int,
    sampler: str,
    seed: int,
    device: str,
) -> None:
    """Write ``n_cells`` cells of each, as a prediction of the benchmark.

    The annealed sampler draws them, since cells need no random numbers in common: with the preset
    of the profiles, or, where these follow the probability flow, the default one.

    Parameters
    ----------
    combinations
        The panel, which holds all of them.
    model
        The fit.
    cells
        h5ad to write.
    named
        Combinations as the configuration writes them.
    """
    fitted = LCD.load(model, choose_device(device))
    there = set(read_tsv(combinations, dtype={"perturbation": str})["perturbation"])
    settings = PRESETS["default" if sampler == FLOW else sampler]
    values: Values = "counts" if fitted.has_measurement else "lognorm"
    with prediction_writer(cells, fitted.genes, keep="cells", values=values) as writer:
        for own in map(combination, named):
            name = SEPARATOR.join(own)
            assert name in there, "the panel holds all of which cells are asked for"
            drawn = fitted.sample(
                own, n_cells, seed=derive_seed(seed, perturbation=name), sampler=settings
            )
            writer.add_generated(name, drawn.cpu().numpy())


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
