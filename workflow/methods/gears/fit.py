"""Train GEARS in its own environment."""

from collections.abc import Sequence
from pathlib import Path

import methods.gears.tool as tool
from lcd_core.atomic import atomic
from pipeline.settings import read_settings
from pipeline.tools import run_module


def main(
    *,
    inputs: str,
    settings: str,
    environment: str | Sequence[str],
    outputs: str,
    n_cells: int,
    seed: int,
    device: str,
) -> None:
    """Run ``tool.py`` with the settings of the method."""
    with atomic(outputs) as temporary:
        run_module(
            tool.__file__,
            environment,
            inputs=str(Path(inputs).absolute()),
            outputs=str(temporary.absolute()),
            n_cells=n_cells,
            seed=seed,
            device=device,
            **read_settings(settings),
        )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
