"""Genetic interactions of pairs of targets (Norman et al. 2019, as in Lorch et al. 2026).

Changes are differences of mean library-normalised counts from control, over the same genes: of
either target alone, ``a`` and ``b``, and of both, ``ab``. ``ab = c_a a + c_b b`` is fitted by the
Theil-Sen estimator; from the coefficients and from distance correlations come four metrics (Table
S2), and from these the six types of :mod:`evaluation.interaction_types`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.dist_dependence_measures import distance_correlation

Vector = NDArray[np.float64]

MOST_ITERATIONS = 1000
"""Of the spatial median."""


def theil_sen(x: ArrayLike, y: ArrayLike) -> Vector:
    """Theil-Sen coefficients of y on two regressors without intercept, (2,).

    The spatial median of the exact solutions of all pairs of points (Dang et al. 2008);
    scikit-learn's ``TheilSenRegressor`` draws 10,000 or, in Lorch et al. 2026, 100,000 of them
    (570 genes have 162,165). Pairs whose points are linearly dependent have no solution and are
    left out.

    Parameters
    ----------
    x
        Regressors, (n, 2).
    y
        Response, (n,).

    Returns
    -------
    Coefficients; NaN if no pair has a solution.
    """
    points, response = np.asarray(x, np.float64), np.asarray(y, np.float64)
    i, j = np.triu_indices(len(points), k=1)
    first, second = points[i], points[j]
    determinant = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    size = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    solvable = np.abs(determinant) > 1e-12 * size
    if not solvable.any():
        return np.full(2, np.nan)
    own, other, divisor = response[i], response[j], np.where(solvable, determinant, 1.0)
    solutions = np.stack(
        [
            (own * second[:, 1] - other * first[:, 1]) / divisor,
            (other * first[:, 0] - own * second[:, 0]) / divisor,
        ],
        axis=1,
    )[solvable]
    return spatial_median(solutions)


def spatial_median(points: Vector, tolerance: float = 1e-10) -> Vector:
    """Point of least summed distance to the points, (k,).

    Weiszfeld's iteration, with the step of Vardi and Zhang 2000 from a point of the sample; a
    Newton step is taken instead where it leads further down, which is nearly always.
    """
    centre = np.asarray(np.median(points, axis=0))
    scale = max(float(np.abs(centre).max()), 1e-12)

    def cost(own: Vector) -> float:
        return float(np.sqrt(((points - own) ** 2).sum(axis=1)).sum())

    for _ in range(MOST_ITERATIONS):
        from_centre = points - centre
        distance = np.sqrt((from_centre**2).sum(axis=1))
        apart = distance > 1e-14 * scale
        weights = np.divide(1.0, distance, out=np.zeros_like(distance), where=apart)
        if not weights.any():
            return centre
        pull = weights @ from_centre
        moved = centre + pull / weights.sum()
        met = len(points) - np.count_nonzero(apart)
        if met:
            size = float(np.linalg.norm(pull))
            stay = min(1.0, met / size) if size > 0 else 1.0
            moved = (1.0 - stay) * moved + stay * centre
        else:
            cubed = from_centre * (weights**1.5)[:, None]
            curvature = weights.sum() * np.eye(len(centre)) - cubed.T @ cubed
            newton = centre + np.linalg.lstsq(curvature, pull, rcond=None)[0]
            if cost(newton) <= cost(moved):
                moved = newton
        step = float(np.abs(moved - centre).max())
        centre = moved
        if step <= tolerance * scale:
            break
    return centre


@dataclass(frozen=True)
class Interaction:
    """Fit and metrics of one pair (Table S2).

    Attributes
    ----------
    c_a, c_b
        Theil-Sen coefficients of ``ab`` on ``a`` and ``b``.
    magnitude
        ``sqrt(c_a^2 + c_b^2)``.
    similarity
        Distance correlation of ``[a, b]`` with ``ab``.
    fit
        Distance correlation of ``ab`` with ``c_a a + c_b b``.
    equality
        Ratio of the smaller to the larger distance correlation of ``a`` and ``b`` with ``ab``.
    """

    c_a: float
    c_b: float
    magnitude: float
    similarity: float
    fit: float
    equality: float


def measure_interaction(a: ArrayLike, b: ArrayLike, ab: ArrayLike) -> Interaction:
    """Metrics of one pair from its three changes, (d,) each.

    Values that are not defined, such as the correlation with a change that is zero everywhere, are
    NaN.
    """
    first, second, both = (np.asarray(own, np.float64) for own in (a, b, ab))
    singles = np.stack([first, second], axis=1)
    c_a, c_b = theil_sen(singles, both)
    own = [_correlation(single, both) for single in (first, second)]
    return Interaction(
        float(c_a),
        float(c_b),
        float(np.hypot(c_a, c_b)),
        _correlation(singles, both),
        _correlation(both, c_a * first + c_b * second),
        min(own) / max(own) if max(own) > 0 else np.nan,
    )


def _correlation(x: Vector, y: Vector) -> float:
    """Distance correlation (Szekely et al. 2007); NaN for constants and values not finite."""
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return np.nan
    if np.ptp(x, axis=0).max() == 0 or np.ptp(y) == 0:
        return np.nan
    return float(distance_correlation(x, y))
