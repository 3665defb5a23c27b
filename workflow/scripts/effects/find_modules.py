"""Find gene modules: distances between genes, average-linkage tree, cut."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.module_numbers import best_number, score_numbers
from evaluation.modules import (
    UNASSIGNED,
    Integers,
    cut_into,
    leaf_order,
    marker_height,
    module_tree,
    number_at_height,
)
from lcd_core.errors import InputError
from pipeline.effects import module_distances, read_effects
from pipeline.module_markers import require_markers
from pipeline.tables import write_tsv


def main(
    *,
    effects: str,
    seed_effects: Sequence[str],
    tree: str,
    order: str,
    membership: str,
    numbers: str,
    distance: str,
    cut: str,
    markers: Sequence[str],
    height: float | None,
    number: int | None,
    min_size: int,
) -> None:
    """Write tree, leaf order and membership of the modules, and what every cut would give.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects).
    seed_effects
        Effect matrices of the single training seeds that it is the mean of.
    tree
        TSV, one merge a row in order of height: ``node`` (the genes are nodes 0, 1, ... in the
        order of the effect matrix, merges follow), ``left`` and ``right`` (nodes merged),
        ``height``, ``size`` (genes).
    order
        TSV, one gene a row in the tree's leaf order: ``position``, ``gene``, ``module``.
    membership
        TSV, one gene a row in the order of the effect matrix: ``gene``, ``module`` (1, 2, ... in
        leaf order; ``NA`` where the gene's cluster is below ``min_size``).
    numbers
        TSV, one number of clusters a row: the columns of
        :func:`evaluation.module_numbers.score_numbers`, and ``chosen``.
    distance
        Of genes: ``changes`` or ``effects``, see :func:`pipeline.effects.module_distances`.
    cut
        ``auto``: the number of clusters of the highest score in ``numbers``, which is the mean
        silhouette of the modules over all genes, times the agreement of the trees of single
        seeds where there are several; the smallest of equals, and no modules where no score is
        above 0. ``markers``: the lowest height that puts the markers present into one cluster;
        ``height``: the given height; ``number``: the given number of clusters; ``none``: no
        modules.
    markers
        Names of genes, or patterns such as ``RPL*``.
    height
        Height of the cut, in units of the distance.
    number
        Number of clusters before small ones are dropped.
    min_size
        Clusters of fewer genes are dropped.
    """
    matrix = read_effects(effects)
    genes = matrix.var_names.to_numpy(dtype=str)
    distances = module_distances(matrix, distance, effects)
    merges = module_tree(distances)
    paths = [seed_effects] if isinstance(seed_effects, str) else seed_effects
    seed_trees = [_seed_tree(path, genes, distance) for path in paths]
    if len(seed_trees) > 1 and all(np.array_equal(own, seed_trees[0]) for own in seed_trees):
        logging.info("all seeds have the same tree, whose stability over seeds says nothing")
        seed_trees = seed_trees[:1]
    scores = score_numbers(merges, distances, seed_trees, min_size)

    chosen: int | None
    if cut == "auto":
        chosen = best_number(scores)
    elif cut == "markers":
        height = marker_height(merges, require_markers(genes, markers, effects))
        logging.info("the markers are one cluster at height %g", height)
        chosen = number_at_height(merges, height)
    elif cut == "height":
        chosen = number_at_height(merges, float(_given(height, "height")))
    elif cut == "number":
        chosen = int(_given(number, "number"))
    elif cut == "none":
        chosen = None
    else:
        raise InputError(
            "unknown way to cut the tree",
            found=cut,
            remedy="use auto, markers, height, number or none",
        )
    modules = _modules(merges, chosen, min_size)

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
    write_tsv(scores.assign(chosen=scores["clusters"] == chosen), numbers)


def _seed_tree(path: str, genes: NDArray[np.str_], distance: str) -> NDArray[np.float64]:
    """Tree of the effects of a single seed."""
    own = read_effects(path)
    if own.var_names.tolist() != genes.tolist():
        raise InputError(
            "the effects of a training seed are those of other genes",
            where=f"{path}, var_names",
            found=sorted(set(own.var_names).symmetric_difference(genes)) or "another order",
            remedy="give the effects that the mean was taken of",
        )
    return module_tree(module_distances(own, distance, path))


def _modules(merges: NDArray[np.float64], number: int | None, min_size: int) -> Integers:
    """Modules of the tree cut into a number of clusters, or none."""
    if number is None:
        logging.info("no modules")
        return np.full(len(merges) + 1, UNASSIGNED, dtype=np.int64)
    modules = cut_into(merges, number, min_size)
    logging.info(
        "%d clusters: %d modules hold %d of %d genes",
        number, modules.max(), (modules > 0).sum(), len(modules),
    )  # fmt: skip
    return modules


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
