"""Agreement of scores, calls and partitions with the truth.

Where a value is not defined, such as with an empty class, it is NaN. Every job of the evaluation
computes areas and correlations, few the rest: those are written out in NumPy, since scikit-learn
and ``scipy.stats`` take longer to import than most jobs to compute, and tested against these; the
rest is scikit-learn's, imported where it is used.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcd_core.errors import InputError

Vector = NDArray[np.float64]
Labels = NDArray[np.int64]


def auroc(truth: NDArray[np.bool_], score: Vector) -> float:
    """Probability that a positive scores above a negative: the area under the ROC curve.

    Ties count half. ``truth`` and ``score`` are (n,); NaN unless both classes occur.
    """
    if truth.all() or not truth.any():
        return float("nan")
    all_, positives = _by_score(truth, score)
    negatives = all_ - positives
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def average_precision(truth: NDArray[np.bool_], score: Vector) -> float:
    """Sum over distinct thresholds of precision times gain in recall; NaN without a positive."""
    if not truth.any():
        return float("nan")
    all_, positives = (own[::-1] for own in _by_score(truth, score))
    precision = np.cumsum(positives) / np.cumsum(all_)
    return float(precision @ positives / positives.sum())


def _by_score(truth: NDArray[np.bool_], score: Vector) -> tuple[Vector, Vector]:
    """Numbers of all and of positives with each distinct score, in ascending order."""
    if not np.isfinite(score).all():
        raise InputError("scores must be finite", found=score[~np.isfinite(score)])
    _, place, all_ = np.unique(score, return_inverse=True, return_counts=True)
    positives = np.bincount(place, weights=truth, minlength=len(all_))
    return all_.astype(np.float64), positives.astype(np.float64)


def macro_f1(true: Labels, predicted: Labels, labels: Sequence[int]) -> float:
    """Mean F1 over ``labels``; a label that neither occurs nor is predicted counts 0."""
    # 2 TP / (2 TP + FP + FN): twice the hits over all that are true or predicted
    own = [(true == label, predicted == label) for label in labels]
    sizes = [int(a.sum() + b.sum()) for a, b in own]
    f1 = [2.0 * (a & b).sum() / n if n else 0.0 for (a, b), n in zip(own, sizes, strict=True)]
    return float(np.mean(f1))


def pearson(x: Vector, y: Vector, *, rounding: float = 0.0) -> float:
    """Pearson correlation of two vectors, (n,); NaN where one of them is constant.

    A vector is constant if it spreads by no more than ``rounding``, in its own units.
    """
    if len(x) < 2 or min(np.ptp(x), np.ptp(y)) <= rounding:
        return float("nan")
    a, b = x - np.mean(x), y - np.mean(y)
    # scaled first, so that no square leaves the range of a double
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    value = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(value, -1.0, 1.0))


def adjusted_rand_index(first: ArrayLike, second: ArrayLike) -> float:
    """Agreement of two partitions of the same genes, corrected for chance.

    The number of pairs of genes that are together in both partitions, less its expectation when
    the sizes of the clusters are kept and the genes shuffled, over the largest such difference
    that the sizes of the clusters allow (Hubert and Arabie 1985).

    Parameters
    ----------
    first, second
        Cluster of every gene, shape (n,). Labels are names only; the genes without a cluster are
        one like any other, see :func:`evaluation.modules.lone_clusters`.

    Returns
    -------
    1 where the partitions are the same, 0 expected of unrelated ones; negative below that.

    Raises
    ------
    InputError
        If the partitions are empty or not of the same genes.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise InputError(
            "partitions to compare need one label for each of the same genes",
            found=f"shapes {a.shape} and {b.shape}",
        )
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(a, b))
