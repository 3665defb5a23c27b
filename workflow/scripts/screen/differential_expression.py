"""Test every gene of a screen under every perturbation against control, once for all folds."""

import logging

from pipeline.differential_expression import differential_expression
from pipeline.screen import read_screen, write_h5ad


def main(*, screen: str, tests: str, n_threads: int) -> None:
    """Write the tests, perturbations x genes; see ``pipeline.differential_expression``.

    Parameters
    ----------
    screen
        The filtered screen (h5ad) with control cells.
    tests
        h5ad to write.
    n_threads
        Threads of the tests.
    """
    found = differential_expression(read_screen(screen), n_threads=n_threads)
    logging.info("%d perturbations, %d genes", *found.shape)
    write_h5ad(found, tests)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
