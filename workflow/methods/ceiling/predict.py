"""The noise ceiling: half of the observed cells predict the other half."""

import numpy as np

from lcd_core.errors import InputError
from pipeline.predictions import (
    draw_rows,
    labels_of,
    prediction_writer,
    read_test_perturbations,
)
from pipeline.screen import read_screen


def main(
    *,
    train: str,
    test: str,
    test_perturbations: str,
    prediction: str,
    n_cells: int,
    keep: str,
    seed: int,
) -> None:
    """Write half of the held-out cells of each test perturbation, at most ``n_cells``.

    They keep their names, by which the evaluation leaves them out of what it compares with.
    """
    genes = read_screen(train).var_names
    cells = read_screen(test)
    if not cells.var_names.equals(genes):
        raise InputError("genes differ from those of the training cells", where=test)
    labels = labels_of(cells)
    with prediction_writer(prediction, genes, keep=keep) as writer:
        for name in read_test_perturbations(test_perturbations):
            rows = np.flatnonzero(labels == name)
            if len(rows) < 4:
                raise InputError(
                    "halves of two cells each need at least four cells",
                    where=f"{test}, obs['perturbation']",
                    found=f"{name}: {len(rows)} cells",
                    remedy="raise the least number of cells per perturbation",
                )
            half = draw_rows(rows, min(n_cells, len(rows) // 2), seed, name)
            writer.add(name, cells.X[half], cells.obs_names[half])


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
