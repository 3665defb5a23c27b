"""Differential expression of the held-out cells against control, for evaluation only."""

import anndata as ad

from lcd_core.errors import InputError
from pipeline.differential_expression import differential_expression, ranked
from pipeline.predictions import control_rows
from pipeline.screen import read_screen
from pipeline.tables import write_tsv


def main(*, train: str, test: str, table: str) -> None:
    """Write one row per held-out perturbation and gene; control is that of the training cells."""
    trained, held_out = read_screen(train), read_screen(test)
    if not held_out.var_names.equals(trained.var_names):
        raise InputError("genes differ from those of the training cells", where=test)
    cells = ad.concat([trained[control_rows(trained, train)], held_out])
    write_tsv(ranked(differential_expression(cells)), table)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
