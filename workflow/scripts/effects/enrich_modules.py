"""Name modules by the gene sets over-represented in them."""

import logging
from collections.abc import Sequence

from pipeline.gene_sets import enrich, read_gene_sets, strongest_terms
from pipeline.tables import read_tsv, write_tsv


def main(
    *,
    membership: str,
    gene_sets: Sequence[str],
    table: str,
    top_table: str,
    alpha: float,
    top: int,
) -> None:
    """Write the tests of all modules and terms, and each module's strongest terms.

    Parameters
    ----------
    membership
        TSV of every modelled gene and its module (``NA`` for none); the genes are the universe.
    gene_sets
        GMT files.
    table
        TSV of all tests: ``module``, ``collection`` (file), ``term``, ``module_size``,
        ``term_size``, ``overlap``, ``odds_ratio``, ``p_value``, ``p_adjusted``, ``genes``.
    top_table
        TSV of the same columns: terms with adjusted P below ``alpha``, the ``top`` of each
        module by odds ratio.
    alpha
        False discovery rate.
    top
        Terms kept per module.
    """
    paths = [gene_sets] if isinstance(gene_sets, str) else gene_sets
    genes = read_tsv(membership, dtype={"gene": str, "module": "Int64"})
    universe = genes["gene"].tolist()
    sets = read_gene_sets(paths, universe)
    modules = {
        int(module): own["gene"].tolist()
        for module, own in genes.dropna(subset="module").groupby("module")
    }
    if not modules:
        logging.warning("%s: there are no modules to enrich", membership)
    tests = enrich(modules, sets, universe)
    strongest = strongest_terms(tests, alpha=alpha, top=top)
    logging.info(
        "%d of %d modules have enriched terms among %d (adjusted P < %g)",
        strongest["module"].nunique(),
        len(modules),
        len(sets),
        alpha,
    )
    write_tsv(tests, table)
    write_tsv(strongest, top_table)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
