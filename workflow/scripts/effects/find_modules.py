"""Find gene modules: graph distances of the effects, average-linkage tree, cut."""

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.modules import (
    UNASSIGNED,
    cut_at_height,
    cut_into,
    effect_distances,
    leaf_order,
    marker_height,
    module_tree,
)
from lcd_core.errors import InputError
from pipeline.effects import read_effects, square_effects
from pipeline.tables import write_tsv


def main(
    *,
    effects: str,
    tree: str,
    order: str,
    membership: str,
    cut: str,
    markers: Sequence[str],
    height: float | None,
    number: int | None,
    min_size: int,
) -> None:
    """Write tree, leaf order and membership of the modules.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects).
    tree
        TSV, one merge a row in order of height: ``node`` (the genes are nodes 0, 1, ... in the
        order of the effect matrix, merges follow), ``left`` and ``right`` (nodes merged),
        ``height``, ``size`` (genes).
    order
        TSV, one gene a row in the tree's leaf order: ``position``, ``gene``, ``module``.
    membership
        TSV, one gene a row in the order of the effect matrix: ``gene``, ``module`` (1, 2, ... in
        leaf order; ``NA`` where the gene's cluster is below ``min_size``).
    cut
        ``markers``: the lowest height that puts the markers present into one cluster;
        ``height``: the given height; ``number``: the given number of clusters.
    markers
        Names of genes, or patterns such as ``RPL*``.
    height
        Height of the cut, in inverse units of the effects.
    number
        Number of clusters before small ones are dropped.
    min_size
        Clusters of fewer genes are dropped.
    """
    matrix = read_effects(effects)
    genes = matrix.var_names.to_numpy(dtype=str)
    merges = module_tree(effect_distances(square_effects(matrix, effects)))

    if cut == "markers":
        chosen = find_markers(genes, markers, effects)
        height = marker_height(merges, chosen)
        logging.info("%d markers present are one cluster at height %g", len(chosen), height)
        modules = cut_at_height(merges, height, min_size)
    elif cut == "height":
        modules = cut_at_height(merges, float(_given(height, "height")), min_size)
    elif cut == "number":
        modules = cut_into(merges, int(_given(number, "number")), min_size)
    else:
        raise InputError(
            "unknown way to cut the tree", found=cut, remedy="use markers, height or number"
        )
    logging.info("%d modules hold %d of %d genes", modules.max(), (modules > 0).sum(), len(modules))

    labels = pd.array(modules, dtype="Int64")
    labels[modules == UNASSIGNED] = pd.NA
    leaves = leaf_order(merges)
    write_tsv(_merge_table(merges), tree)
    write_tsv(
        pd.DataFrame(
            {"position": np.arange(len(genes)), "gene": genes[leaves], "module": labels[leaves]}
        ),
        order,
    )
    write_tsv(pd.DataFrame({"gene": genes, "module": labels}), membership)


def find_markers(genes: NDArray[np.str_], patterns: Sequence[str], where: str) -> NDArray[np.intp]:
    """Indices of the genes that match any of the patterns, case-sensitively."""
    found = np.flatnonzero(
        [any(fnmatchcase(gene, pattern) for pattern in patterns) for gene in genes]
    )
    if len(found) < 2:
        raise InputError(
            f"{len(found)} of the modelled genes are in the marker set "
            f"{', '.join(patterns) or '(empty)'}; a cut by markers needs two",
            where=where,
            found=genes,
            remedy="name markers among the modelled genes, or cut by height or by number",
        )
    return found


def _given(value: float | None, name: str) -> float:
    if value is None:
        raise InputError(f"a cut by {name} needs the setting {name!r}")
    return value


def _merge_table(merges: NDArray[np.float64]) -> pd.DataFrame:
    n_genes = len(merges) + 1
    return pd.DataFrame(
        {
            "node": np.arange(n_genes, n_genes + len(merges)),
            "left": merges[:, 0].astype(int),
            "right": merges[:, 1].astype(int),
            "height": merges[:, 2],
            "size": merges[:, 3].astype(int),
        }
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
