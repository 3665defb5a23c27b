"""Distances between two samples of cells.

Cells are rows, genes columns, in float64 and row-major.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LENGTH_SCALES: Array = np.geomspace(0.01, 10, 10)
"""Length scales gamma over which the MMD's kernel is averaged."""

BLOCK = 256
"""Rows of a distance matrix that are held at a time."""

UNDERFLOW = -746.0
"""Exponent below which ``exp`` is zero in double precision."""

MANY = 2_000_000
"""Exponentials for which torch, twice as fast as NumPy, is worth the seconds of its import."""

OfDistances = Callable[[Array], Array]


def _squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances as one matrix product, (n, m)."""
    squared = x @ y.T
    squared *= -2.0
    squared += np.einsum("ij,ij->i", x, x)[:, None]
    squared += np.einsum("ij,ij->i", y, y)
    return np.maximum(squared, 0.0, out=squared)


def _mean_between(x: Array, y: Array, function: OfDistances) -> float:
    """Mean over all pairs of a function of their squared distance."""
    total = 0.0
    for start in range(0, len(x), BLOCK):
        total += float(function(_squared_distances(x[start : start + BLOCK], y)).sum())
    return total / (len(x) * len(y))


def _mean_within(x: Array, function: OfDistances) -> float:
    """Mean over all pairs of two different cells, each pair visited once."""
    total = 0.0
    for start in range(0, len(x), BLOCK):
        rows = x[start : start + BLOCK]
        squared = _squared_distances(rows, x[start:])
        above = np.triu_indices(len(rows), k=1)
        for pairs in (squared[above], np.ascontiguousarray(squared[:, len(rows) :])):
            if pairs.size:
                total += float(function(pairs).sum())
    return total / (len(x) * (len(x) - 1) / 2)


def _exponential(number: int) -> Callable[[Array], object]:
    """Exponential in place, by the library that has computed so many of them sooner.

    The number decides and nothing else: the two differ in last digits, and equal inputs are to
    give equal bits.
    """
    if number < MANY:
        return lambda values: np.exp(values, out=values)
    import torch

    return lambda values: torch.from_numpy(values).exp_()


def maximum_mean_discrepancy(
    predicted: Array, observed: Array, length_scales: Sequence[float] | Array = LENGTH_SCALES
) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, averaged over length scales.

    The kernel is ``exp(-||y - y'||^2 / (2 d gamma^2))`` with d the number of genes, averaged over
    the length scales gamma. Being unbiased, the estimate may be slightly negative for samples of
    the same distribution.

    Parameters
    ----------
    predicted, observed
        Cells, (n, d) and (m, d), float64, at least two of each.
    length_scales
        Those of the kernel, published ones by default.

    References
    ----------
    Lorch et al. 2026, Eq. 20; Gretton et al. 2012.
    """
    x, y = predicted, observed
    scales = [-1 / (2 * x.shape[1] * gamma**2) for gamma in np.asarray(length_scales).tolist()]
    exponential = _exponential(len(scales) * (len(x) + len(y)) ** 2 // 2)

    def kernel(squared: Array) -> Array:
        total, term = np.zeros_like(squared), np.empty_like(squared)
        closest = squared.min()
        for scale in scales:
            if closest * scale > UNDERFLOW:
                exponential(np.multiply(squared, scale, out=term))
                total += term
        total /= len(scales)
        return total

    return _mean_within(x, kernel) + _mean_within(y, kernel) - 2 * _mean_between(x, y, kernel)


def energy_distance(predicted: Array, observed: Array) -> float:
    """Unbiased estimate of the energy distance ``2 E|X - Y| - E|X - X'| - E|Y - Y'|``.

    Parameters
    ----------
    predicted, observed
        Cells, (n, d) and (m, d), float64, at least two of each.

    References
    ----------
    Szekely and Rizzo 2013, with Euclidean distances and means over different cells within a sample.
    """
    x, y = predicted, observed
    return 2 * _mean_between(x, y, np.sqrt) - _mean_within(x, np.sqrt) - _mean_within(y, np.sqrt)


def wasserstein1(predicted: Array, observed: Array) -> float:
    """Mean over genes of the one-dimensional Wasserstein-1 distance, (n, d) against (m, d).

    The area between the quantile functions, which are steps: between ``i / n`` and ``j / m`` both
    are constant, for all genes alike.
    """
    n, m = len(predicted), len(observed)
    steps = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m)
    widths = np.diff(steps, prepend=0) / (n * m)
    x = np.sort(predicted, axis=0)[(steps - 1) // m]
    y = np.sort(observed, axis=0)[(steps - 1) // n]
    return float((widths @ np.abs(x - y)).mean())
