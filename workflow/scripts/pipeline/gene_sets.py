"""Gene sets from GMT files, and their over-representation in modules.

``scipy.stats`` is imported where it is used: every start of Snakemake reads this module.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from lcd_core.errors import InputError, shown
from pipeline.tables import read_text

GMT = "give a GMT file: one set a line, name, description and genes, separated by tabs"
Term = tuple[str, str]  # collection (name of the file) and name of the set


def read_gmt(path: str | Path) -> dict[str, frozenset[str]]:
    """Read a GMT file: one set a line, tab-separated name, description and genes.

    Windows line ends, a byte-order mark, empty fields and genes named twice in a set are read as
    meant; unlike gseapy's reader, no line is dropped in silence.

    Raises
    ------
    InputError
        If a line is no gene set, a name is used twice, or the file is missing, empty or no text.
    """
    sets: dict[str, frozenset[str]] = {}
    lines = read_text(path, "the file of gene sets", f"{path}", GMT).split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        genes = frozenset(gene for gene in rest[1:] if gene)
        if not name or not genes:
            raise InputError(
                "a line is no gene set",
                where=f"{path}, line {number}",
                found=line[:80],
                remedy=GMT,
            )
        if name in sets:
            raise InputError(
                "a gene set is named twice",
                where=f"{path}, line {number}",
                found=name[:80],
                remedy="rename or remove one of the two",
            )
        sets[name] = genes
    if not sets:
        raise InputError("the file has no gene sets", where=f"{path}", remedy=GMT)
    return sets


def collection_of(path: str | Path) -> str:
    """Name of a file's gene sets in tables."""
    return Path(path).name.removesuffix(".gmt")


def check_overlap(sets: Mapping[str, frozenset[str]], universe: Sequence[str], where: str) -> int:
    """Return how many of the universe's genes are in any set; refuse sets of other identifiers.

    Genes are compared as they are written. Should most genes that agree when case is ignored be
    written differently, the sets are refused rather than matched in part.
    """
    genes = frozenset().union(*sets.values())
    exact = genes.intersection(universe)
    folded = {gene.casefold() for gene in genes}
    in_other_case = [gene for gene in universe if gene not in exact and gene.casefold() in folded]
    if exact and len(exact) >= len(in_other_case):
        return len(exact)
    if in_other_case:
        what = f"{len(in_other_case)} genes agree with the gene sets only when case is ignored"
        remedy = "write the symbols alike in the screen and in the GMT file"
        universe = in_other_case
        genes = frozenset(g for g in genes if g.casefold() in {u.casefold() for u in universe})
    elif all(gene.isdigit() for gene in genes):
        what = "the gene sets hold Entrez identifiers, the screen does not"
        remedy = "use the file with symbols (MSigDB: *.symbols.gmt in place of *.entrez.gmt)"
    else:
        what = "no modelled gene is in any gene set"
        remedy = "use gene sets of the same species and kind of identifier as the screen"
    raise InputError(
        what,
        where=where,
        found=f"modelled genes {shown(sorted(universe), 5)}; gene sets {shown(sorted(genes), 5)}",
        remedy=remedy,
    )


def read_gene_sets(
    paths: Iterable[str | Path], universe: Sequence[str]
) -> dict[Term, frozenset[str]]:
    """Read GMT files as (collection, term) -> genes, each file checked against the universe."""
    gene_sets: dict[Term, frozenset[str]] = {}
    collections: set[str] = set()
    for path in paths:
        sets = read_gmt(path)
        check_overlap(sets, universe, str(path))
        collection = collection_of(path)
        if collection in collections:
            raise InputError(
                "two gene set files have the same name",
                where="enrichment.gene_sets",
                found=f"{path}",
                remedy="rename one of them",
            )
        collections.add(collection)
        gene_sets.update({(collection, term): genes for term, genes in sets.items()})
    if not gene_sets:
        raise InputError(
            "no gene set files are given",
            where="enrichment.gene_sets",
            remedy="name at least one GMT file",
        )
    return gene_sets


def enrich(
    modules: Mapping[int, Sequence[str]],
    gene_sets: Mapping[Term, frozenset[str]],
    universe: Sequence[str],
) -> pd.DataFrame:
    """Test every gene set for over-representation in every module.

    One-sided Fisher's exact test with the modelled genes as universe; Benjamini-Hochberg over all
    modules and all sets together, those without overlap included, even without any modelled gene.

    Parameters
    ----------
    modules
        Genes of each module, all in the universe.
    gene_sets
        Genes by collection and term.
    universe
        The modelled genes.

    Returns
    -------
    One row per module and term, in the given order: sizes within the universe, overlap, sample
    odds ratio (infinite where all of the module or all of the term is in the overlap), P,
    adjusted P, and the overlapping genes joined by ``;``.
    """
    from scipy.stats import false_discovery_control, hypergeom

    position = {gene: i for i, gene in enumerate(universe)}
    in_term = _membership(list(gene_sets.values()), position)
    in_module = _membership(list(modules.values()), position)
    k = (in_module @ in_term.T).toarray().ravel()
    n, K = (np.asarray(m.sum(axis=1)).ravel() for m in (in_module, in_term))
    n, K = np.repeat(n, len(K)), np.tile(K, len(n))
    N = len(universe)

    # Few distinct tables occur among modules x terms.
    distinct, back = np.unique(np.stack([k, K, n]), axis=1, return_inverse=True)
    p_value = np.clip(hypergeom.sf(distinct[0] - 1, N, distinct[1], distinct[2]), 0, 1)[back]
    with np.errstate(divide="ignore", invalid="ignore"):
        odds_ratio = k * (N - K - n + k) / ((n - k) * (K - k)).astype(float)
    pairs = [(module, term) for module in modules for term in gene_sets]
    shared = [""] * len(pairs)
    for row in np.flatnonzero(k):
        module, term = pairs[row]
        shared[row] = ";".join(sorted(gene_sets[term].intersection(modules[module])))
    table = pd.DataFrame(
        [(module, *term) for module, term in pairs], columns=["module", "collection", "term"]
    )
    return table.assign(
        module_size=n,
        term_size=K,
        overlap=k,
        odds_ratio=odds_ratio,
        p_value=p_value,
        p_adjusted=false_discovery_control(p_value) if len(p_value) else p_value,
        genes=shared,
    )


def strongest_terms(table: pd.DataFrame, *, alpha: float, top: int) -> pd.DataFrame:
    """Return each module's ``top`` significant terms by odds ratio; ties by P, then name."""
    significant = table[table["p_adjusted"] < alpha].sort_values(
        ["module", "odds_ratio", "p_value", "collection", "term"],
        ascending=[True, False, True, True, True],
    )
    return significant.groupby("module", sort=False).head(top).reset_index(drop=True)


def _membership(sets: Sequence[Iterable[str]], position: Mapping[str, int]) -> sparse.csr_matrix:
    """Sets x universe, one where the gene is in the set."""
    columns = [[position[gene] for gene in genes if gene in position] for genes in sets]
    rows = np.repeat(np.arange(len(sets)), [len(own) for own in columns])
    flat = np.array([i for own in columns for i in own], dtype=np.int64)
    return sparse.csr_matrix(
        (np.ones(len(flat), dtype=np.int64), (rows, flat)), shape=(len(sets), len(position))
    )
