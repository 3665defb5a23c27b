"""How many clusters the tree of the modules is cut into: separation and stability of every cut."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from evaluation.agreement import adjusted_rand_index
from evaluation.modules import UNASSIGNED, Floats, Integers, cut_into, lone_clusters


def separation(distances: Floats, modules: Integers) -> float:
    """Mean silhouette of the modules over all genes (Rousseeuw 1987).

    The silhouette of a gene of a module compares its mean distance from the genes of its own
    module with that from the nearest other one; genes of no module are no neighbours, and count as
    0. So neither a few outliers, which stand far from everything, nor a few tight modules, which
    leave most genes aside, make a good cut.

    Parameters
    ----------
    distances
        Distances between genes, shape (d, d).
    modules
        Module of every gene, shape (d,), :data:`evaluation.modules.UNASSIGNED` for none.

    Returns
    -------
    From -1 to 1; NaN with fewer than two modules, or where every module is a single gene.
    """
    members = np.flatnonzero(modules != UNASSIGNED)
    number = len(np.unique(modules[members]))
    if not 2 <= number < len(members):
        return float("nan")
    from sklearn.metrics import silhouette_samples  # takes most of a second to import

    own = distances[np.ix_(members, members)]
    silhouettes = silhouette_samples(own, modules[members], metric="precomputed")
    return float(silhouettes.sum() / len(modules))


def stability(cuts: Sequence[Integers]) -> float:
    """Mean adjusted Rand index of all pairs of cuts; genes of no module are clusters of their own.

    A pair of which one cut has no module agrees in nothing, and counts as 0. NaN with a single cut.
    """
    if len(cuts) < 2:
        return float("nan")
    return float(
        np.mean(
            [
                adjusted_rand_index(lone_clusters(a), lone_clusters(b))
                if a.any() and b.any()
                else 0
                for a, b in combinations(cuts, 2)
            ]
        )
    )


def score_numbers(
    tree: Floats, distances: Floats, seed_trees: Sequence[Floats], min_size: int
) -> pd.DataFrame:
    """Separation and stability of the modules that every number of clusters gives.

    Parameters
    ----------
    tree
        Linkage matrix of the ensemble, shape (d - 1, 4).
    distances
        Distances that it was made from, shape (d, d).
    seed_trees
        Trees of the same genes by single training seeds.
    min_size
        Clusters of fewer genes are no modules.

    Returns
    -------
    A row per number of clusters, 1 to d: ``clusters``; ``height`` of the cut, in the unit of the
    distances; ``modules`` and ``genes`` in them; ``silhouette``, :func:`separation`;
    ``stability`` between the seeds' trees cut into the same number of clusters, NaN with fewer
    than two; ``score``, the silhouette, times the stability where there is one, either counted as
    0 below 0. All three are NaN with fewer than two modules.
    """
    d = len(tree) + 1
    rows = []
    last, silhouette = np.empty(0, dtype=np.int64), float("nan")
    for number in range(1, d + 1):
        modules = cut_into(tree, number, min_size)
        if not np.array_equal(modules, last):  # many cuts only divide what is too small anyway
            last, silhouette = modules, separation(distances, modules)
        stable = float("nan")
        if np.isfinite(silhouette):
            stable = stability([cut_into(own, number, min_size) for own in seed_trees])
        height = tree[d - number - 1, 2] if number < d else 0.0
        members = np.count_nonzero(modules != UNASSIGNED)
        rows.append((number, height, modules.max(), members, silhouette, stable))
    columns = ["clusters", "height", "modules", "genes", "silhouette", "stability"]
    table = pd.DataFrame(rows, columns=columns)
    of_seeds = table["stability"].clip(lower=0) if len(seed_trees) > 1 else 1.0
    return table.assign(score=table["silhouette"].clip(lower=0) * of_seeds)


def best_number(scores: pd.DataFrame) -> int | None:
    """Smallest number of clusters with the highest score, or None where no score is above 0."""
    if not (scores["score"] > 0).any():
        return None
    return int(scores.loc[scores["score"].idxmax(), "clusters"])
