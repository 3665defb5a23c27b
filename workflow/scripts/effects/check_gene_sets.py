"""Check that gene sets name modelled genes, which is known before any fit."""

import logging
from collections.abc import Sequence

import pandas as pd

from pipeline.gene_sets import check_overlap, collection_of, read_gmt
from pipeline.tables import read_tsv, write_tsv


def main(*, genes: str, gene_sets: Sequence[str], table: str) -> None:
    """Write how many of the modelled genes the sets of each file have.

    Parameters
    ----------
    genes
        TSV of the modelled genes.
    gene_sets
        GMT files.
    table
        TSV to write: ``collection`` (file), ``terms``, ``genes`` (in any of its sets),
        ``modelled`` (modelled genes among these).

    Raises
    ------
    InputError
        If a file cannot be read, or has sets of genes by other names.
    """
    paths = [gene_sets] if isinstance(gene_sets, str) else gene_sets
    universe = read_tsv(genes, dtype={"gene": str})["gene"].tolist()
    rows = []
    for path in paths:
        sets = read_gmt(path)
        modelled = check_overlap(sets, universe, str(path))
        logging.info("%s: %d of %d modelled genes", path, modelled, len(universe))
        everything = frozenset().union(*sets.values())
        rows.append((collection_of(path), len(sets), len(everything), modelled))
    write_tsv(pd.DataFrame(rows, columns=["collection", "terms", "genes", "modelled"]), table)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
