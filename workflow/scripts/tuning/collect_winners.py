"""The settings that tuning chose, one row per method."""

from collections.abc import Sequence

import pandas as pd

from pipeline.tables import read_tsv, write_tsv


def main(*, rankings: Sequence[str], winners: str) -> None:
    """Write the first row of each ranking.

    Parameters
    ----------
    rankings
        Ranked points of each method.
    winners
        TSV to write.
    """
    best = [read_tsv(path, dtype=str).head(1) for path in rankings]
    write_tsv(pd.concat(best, ignore_index=True), winners)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
