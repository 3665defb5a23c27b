"""Test every gene under every perturbation of a screen against control."""

import logging

from pipeline.differential_expression import differential_expression
from pipeline.screen import read_screen
from pipeline.tables import write_tsv


def main(*, screen: str, table: str, n_threads: int = 1) -> None:
    """Write one row per perturbation and gene; columns as in ``pipeline.differential_expression``.

    Parameters
    ----------
    screen
        Canonical screen with control cells (h5ad).
    table
        TSV to write.
    n_threads
        Threads of the test.
    """
    tests = differential_expression(read_screen(screen), n_threads=n_threads)
    significant = int((tests["p_adjusted"] < 0.05).sum())
    logging.info(
        "%d perturbations: %d of %d genes differ from control (adjusted P < 0.05)",
        tests["perturbation"].nunique(),
        significant,
        len(tests),
    )
    write_tsv(tests, table)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
