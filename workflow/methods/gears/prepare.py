"""What GEARS is given: training cells, and a graph of genes that share terms."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.gene_sets import read_gmt
from pipeline.screen import read_screen, target_genes
from pipeline.third_party import write_inputs

LEAST_SIMILARITY = 0.1
"""Jaccard index of terms above which GEARS joins two genes."""
BLOCK = 1000  # genes whose similarities are computed at once


def main(
    *, train: str, test_perturbations: str, gene_sets: str | list[str], inputs: str, dropped: str
) -> None:
    """Write what GEARS trains on and predicts, and the graph of targets and modelled genes.

    Parameters
    ----------
    train, test_perturbations
        Files of the fold.
    gene_sets
        GMT files; the terms of a gene are the sets that have it.
    inputs, dropped
        Files to write.
    """
    gene_sets = [gene_sets] if isinstance(gene_sets, str) else list(gene_sets)
    if not gene_sets:
        raise InputError(
            "GEARS needs gene sets, by which targets are similar",
            where="methods.gears.gene_sets",
            found="none, and none in enrichment.gene_sets",
            remedy="name GMT files; downloads/msigdb/2024.1.Hs/c5.go.bp.gmt is fetched from MSigDB",
        )
    terms: dict[str, set[str]] = {}
    for path in gene_sets:
        for term, genes in read_gmt(path).items():
            for gene in genes:
                terms.setdefault(gene, set()).add(f"{path}:{term}")
    genes_of = target_genes(read_screen(train))

    def terms_of(name: str) -> set[str]:
        own = genes_of.get(name, (name,))
        return set().union(*(terms.get(gene, set()) for gene in own))

    def refusal(target: str) -> str | None:
        return None if terms_of(target) else f"{target} is in no gene set"

    def graph(targets: Sequence[str], genes: Sequence[str]) -> tuple[np.ndarray, ...]:
        nodes = list(dict.fromkeys([*targets, *genes]))
        known = {node: own for node in nodes if (own := terms_of(node))}
        return np.array(list(known)), *similar(known)

    write_inputs(
        inputs,
        dropped,
        train=train,
        test_perturbations=test_perturbations,
        refusal=refusal,
        tool="GEARS",
        remedy="name gene sets with the screen's names of genes in methods.gears.gene_sets: "
        f"now {', '.join(gene_sets)}",
        total="median",  # as its authors do it; its loss, a fourth power, depends on the scale
        graph=graph,
    )


def similar(terms: Mapping[str, set[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of genes with a Jaccard index of terms above the least, each with itself too.

    Parameters
    ----------
    terms
        Terms of each gene, at least one.

    Returns
    -------
    Indices of either gene, and the index.
    """
    number = {term: i for i, term in enumerate(sorted(set().union(*terms.values())))}
    rows = np.repeat(np.arange(len(terms)), [len(own) for own in terms.values()])
    columns = np.array([number[term] for own in terms.values() for term in sorted(own)])
    has = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(terms), len(number)))
    size = np.asarray(has.sum(axis=1)).ravel()
    found = []
    for start in range(0, len(terms), BLOCK):
        shared = (has[start : start + BLOCK] @ has.T).tocoo()
        first = shared.row + start
        index = shared.data / (size[first] + size[shared.col] - shared.data)
        kept = index > LEAST_SIMILARITY
        found.append(np.stack([first[kept], shared.col[kept], index[kept]]))
    source, target, importance = np.concatenate(found, axis=1)
    return source.astype(np.int64), target.astype(np.int64), importance


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
