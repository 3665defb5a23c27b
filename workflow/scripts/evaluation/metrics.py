"""Metrics between predicted and observed cells of one perturbation.

Cells are rows, genes columns; values are log-normalised expression (counts scaled to 10,000 per
cell over the modelled genes, then ``log1p``). :data:`METRICS` is the one list of what is computed;
:func:`score` computes any of them by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, wasserstein_distance

from lcd_core.errors import InputError

Array = NDArray[np.float64]

LENGTH_SCALES: Array = np.geomspace(0.01, 10, 10)
"""Length scales gamma over which the MMD's kernel is averaged."""

BLOCK = 256
"""Rows of a distance matrix that are held at a time."""

ROUNDING = 1e-9
"""Spread of a vector of expression below which it is constant: what is left is rounding error."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted and observed cells of one perturbation, checked once.

    Parameters
    ----------
    predicted
        Predicted cells, (n, d), log-normalised, n >= 2.
    observed
        Observed cells, (m, d), log-normalised, m >= 2.
    control_mean
        Mean expression of the control cells, (d,).
    training_mean
        Mean over the training perturbations of their mean expression, (d,).
    top_genes
        Indices of the genes with the strongest differential expression, (k,).
    differentially_expressed
        Whether a gene is differentially expressed in the observed cells, (d,) of bool; needed by
        ``de_auroc`` and ``de_ap`` only.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a side has fewer than two cells, or
        ``top_genes`` are not distinct indices of genes.
    """

    predicted: Array
    observed: Array
    control_mean: Array
    training_mean: Array
    top_genes: NDArray[np.int64]
    differentially_expressed: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        observed = _cells(self.observed, "observed cells")
        genes = observed.shape[1]
        checked: dict[str, NDArray[np.generic]] = {
            "predicted": _cells(self.predicted, "predicted cells", genes),
            "observed": observed,
            "control_mean": _per_gene(self.control_mean, "control mean", genes),
            "training_mean": _per_gene(self.training_mean, "training mean", genes),
            "top_genes": _indices(self.top_genes, genes),
        }
        if self.differentially_expressed is not None:
            truth = np.asarray(self.differentially_expressed)
            if truth.dtype != np.bool_ or truth.shape != (genes,):
                raise InputError(
                    "one True or False per gene is needed",
                    where="differentially expressed genes",
                    found=f"type {truth.dtype}, shape {truth.shape}, {genes} genes",
                )
            checked["differentially_expressed"] = truth
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @cached_property
    def predicted_mean(self) -> Array:
        """Mean of the predicted cells, (d,)."""
        return np.asarray(self.predicted.mean(axis=0))

    @cached_property
    def observed_mean(self) -> Array:
        """Mean of the observed cells, (d,)."""
        return np.asarray(self.observed.mean(axis=0))


def _not_finite(values: Array, where: str) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            "values must be finite",
            where=where,
            found=(
                f"{values[tuple(index)]} at {tuple(map(int, index))}" for index in np.argwhere(bad)
            ),
        )


def _cells(values: ArrayLike, where: str, genes: int | None = None) -> Array:
    cells = np.ascontiguousarray(values, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[1] == 0:
        raise InputError(
            "a matrix of cells x genes is needed", where=where, found=f"shape {cells.shape}"
        )
    if genes is not None and cells.shape[1] != genes:
        raise InputError(
            "predicted and observed cells must have the same genes",
            where=where,
            found=f"{cells.shape[1]} genes, observed {genes}",
        )
    if len(cells) < 2:
        raise InputError(
            "a distribution cannot be compared with fewer than two cells",
            where=where,
            found=f"{len(cells)} cells",
            remedy="raise the number of cells",
        )
    _not_finite(cells, where)
    return cells


def _per_gene(values: ArrayLike, where: str, genes: int) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (genes,):
        raise InputError(
            "one value per gene is needed",
            where=where,
            found=f"shape {vector.shape}, {genes} genes",
        )
    _not_finite(vector, where)
    return vector


def _indices(values: ArrayLike, genes: int) -> NDArray[np.int64]:
    indices = np.asarray(values)
    if indices.ndim != 1 or indices.size == 0 or not np.issubdtype(indices.dtype, np.integer):
        raise InputError(
            "a list of gene indices is needed",
            where="top genes",
            found=f"type {indices.dtype}, shape {indices.shape}",
        )
    outside = indices[(indices < 0) | (indices >= genes)]
    if outside.size:
        raise InputError(
            f"indices must be between 0 and {genes - 1}", where="top genes", found=outside
        )
    distinct, times = np.unique(indices, return_counts=True)
    if (times > 1).any():
        raise InputError("a gene is named twice", where="top genes", found=distinct[times > 1])
    return indices.astype(np.int64)


def _squared_distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distances as one matrix product, (n, m)."""
    products = x @ y.T
    return ((x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * products).clamp_(min=0)


OfDistances = Callable[[torch.Tensor], torch.Tensor]


def _mean_between(x: torch.Tensor, y: torch.Tensor, function: OfDistances) -> float:
    """Mean over all pairs of a function of their squared distance."""
    total = 0.0
    for start in range(0, len(x), BLOCK):
        total += function(_squared_distances(x[start : start + BLOCK], y)).sum().item()
    return total / (len(x) * len(y))


def _mean_within(x: torch.Tensor, function: OfDistances) -> float:
    """Mean over all pairs of two different cells, each pair visited once."""
    total = 0.0
    for start in range(0, len(x), BLOCK):
        rows = x[start : start + BLOCK]
        values = function(_squared_distances(rows, x[start:]))
        own, later = values[:, : len(rows)], values[:, len(rows) :]
        total += own.triu(diagonal=1).sum().item() + later.sum().item()
    return total / (len(x) * (len(x) - 1) / 2)


def maximum_mean_discrepancy(predicted: Array, observed: Array) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, averaged over length scales.

    The kernel is ``exp(-||y - y'||^2 / (2 d gamma^2))`` with d the number of genes, averaged over
    :data:`LENGTH_SCALES`. Being unbiased, the estimate may be slightly negative for samples of the
    same distribution.

    Parameters
    ----------
    predicted, observed
        Cells, (n, d) and (m, d), float64, at least two of each.

    References
    ----------
    Lorch et al. 2026, Eq. 20; Gretton et al. 2012.
    """
    x, y = torch.from_numpy(predicted), torch.from_numpy(observed)
    scales = [-1 / (2 * x.shape[1] * gamma**2) for gamma in LENGTH_SCALES.tolist()]

    def kernel(squared: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(squared)
        for scale in scales:
            total += (squared * scale).exp_()
        return total / len(scales)

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
    x, y = torch.from_numpy(predicted), torch.from_numpy(observed)
    between = _mean_between(x, y, torch.sqrt)
    return 2 * between - _mean_within(x, torch.sqrt) - _mean_within(y, torch.sqrt)


def wasserstein1(predicted: Array, observed: Array) -> float:
    """Mean over genes of the one-dimensional Wasserstein-1 distance, (n, d) against (m, d)."""
    return float(
        np.mean([wasserstein_distance(x, y) for x, y in zip(predicted.T, observed.T, strict=True)])
    )


def pearson(x: Array, y: Array) -> float:
    """Pearson correlation of two vectors; NaN where one of them is constant."""
    x, y = x - x.mean(), y - y.mean()
    x_norm, y_norm = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    if min(x_norm, y_norm) < ROUNDING:
        return float("nan")
    return float(np.clip(x @ y / (x_norm * y_norm), -1, 1))


def auroc(truth: NDArray[np.bool_], score: Array) -> float:
    """Area under the ROC curve, ties counted half; NaN unless both classes occur."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    ranks = float(rankdata(score)[truth].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(truth: NDArray[np.bool_], score: Array) -> float:
    """Sum over distinct thresholds of precision times gain in recall; NaN without a positive."""
    positives = int(truth.sum())
    if positives == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # end of each run of ties
    precision = hits[last] / (last + 1)
    return float(np.sum(precision * np.diff(hits[last], prepend=0)) / positives)


def _top(function: Callable[[Array, Array], float]) -> Callable[[Comparison], float]:
    """Apply a distance between samples to the top differentially expressed genes."""

    def on_top_genes(c: Comparison) -> float:
        # Fancy indexing of columns is not row-major, which would change the sums' last digits.
        predicted = np.ascontiguousarray(c.predicted[:, c.top_genes])
        return function(predicted, np.ascontiguousarray(c.observed[:, c.top_genes]))

    return on_top_genes


def _all(function: Callable[[Array, Array], float]) -> Callable[[Comparison], float]:
    """Apply a distance between samples to all genes."""
    return lambda c: function(c.predicted, c.observed)


def _rmse_of_means(predicted: Array, observed: Array) -> float:
    return float(np.sqrt(np.mean((predicted.mean(axis=0) - observed.mean(axis=0)) ** 2)))


def _pearson_from(origin: Callable[[Comparison], Array]) -> Callable[[Comparison], float]:
    """Correlate the predicted and observed means as changes from an origin."""
    return lambda c: pearson(c.predicted_mean - origin(c), c.observed_mean - origin(c))


def _calling(curve: Callable[[NDArray[np.bool_], Array], float]) -> Callable[[Comparison], float]:
    """Score differential expression called by the absolute predicted change from control."""

    def called(c: Comparison) -> float:
        if c.differentially_expressed is None:
            raise InputError(
                "de_auroc and de_ap need the observed differential expression",
                where="differentially expressed genes",
                remedy="leave these metrics out, or give the genes",
            )
        return curve(c.differentially_expressed, np.abs(c.predicted_mean - c.control_mean))

    return called


@dataclass(frozen=True)
class Metric:
    """One way to compare predicted with observed cells.

    Parameters
    ----------
    name
        Key in :data:`METRICS` and in the tables.
    title
        Name for figures.
    direction
        Whether a ``"lower"`` or a ``"higher"`` value is better.
    unit
        Unit of the value.
    reference
        Equation or publication that defines it.
    function
        Computes the value; NaN where it is not defined.
    """

    name: str
    title: str
    direction: Literal["lower", "higher"]
    unit: str
    reference: str
    function: Callable[[Comparison], float]


_EXPRESSION = "log1p(counts per 10,000)"
_PAPER = "Lorch et al. 2026"
_ENERGY = "Szekely and Rizzo 2013"
_WASSERSTEIN = "mean over genes of the one-dimensional Wasserstein-1 distance"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "mmd_top_de",
            "MMD (top DE genes)",
            "lower",
            "none",
            f"{_PAPER}, Eq. 20",
            _top(maximum_mean_discrepancy),
        ),
        Metric(
            "mmd_all",
            "MMD (all genes)",
            "lower",
            "none",
            f"{_PAPER}, Eq. 20",
            _all(maximum_mean_discrepancy),
        ),
        Metric(
            "rmse_top_de",
            "RMSE of means (top DE genes)",
            "lower",
            _EXPRESSION,
            f"{_PAPER}, Methods",
            _top(_rmse_of_means),
        ),
        Metric(
            "pearson_mean",
            "Pearson correlation of means",
            "higher",
            "none",
            f"{_PAPER}, Methods",
            lambda c: pearson(c.predicted_mean, c.observed_mean),
        ),
        Metric(
            "pearson_delta",
            "Pearson correlation of changes from control",
            "higher",
            "none",
            "Roohani et al. 2024 (GEARS)",
            _pearson_from(lambda c: c.control_mean),
        ),
        Metric(
            "pearson_delta_relative",
            "Pearson correlation of changes from the training mean",
            "higher",
            "none",
            "pearson_delta without the shift that all training perturbations share",
            _pearson_from(lambda c: c.training_mean),
        ),
        Metric(
            "energy_distance_top_de",
            "Energy distance (top DE genes)",
            "lower",
            _EXPRESSION,
            _ENERGY,
            _top(energy_distance),
        ),
        Metric(
            "energy_distance_all",
            "Energy distance (all genes)",
            "lower",
            _EXPRESSION,
            _ENERGY,
            _all(energy_distance),
        ),
        Metric(
            "wasserstein1_top_de",
            "Wasserstein-1 (top DE genes)",
            "lower",
            _EXPRESSION,
            _WASSERSTEIN,
            _top(wasserstein1),
        ),
        Metric(
            "wasserstein1_all",
            "Wasserstein-1 (all genes)",
            "lower",
            _EXPRESSION,
            _WASSERSTEIN,
            _all(wasserstein1),
        ),
        Metric(
            "de_auroc",
            "AUROC of calling DE genes",
            "higher",
            "none",
            "absolute predicted change as score, BH-adjusted P < 0.05 as truth",
            _calling(auroc),
        ),
        Metric(
            "de_ap",
            "Average precision of calling DE genes",
            "higher",
            "none",
            "absolute predicted change as score, BH-adjusted P < 0.05 as truth",
            _calling(average_precision),
        ),
    )
}


def check_metric_names(names: Sequence[str]) -> None:
    """Raise :class:`InputError` for an empty list or a name that :data:`METRICS` does not hold."""
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise InputError(
            "unknown metrics" if unknown else "no metric is named",
            where="metrics",
            found=unknown,
            remedy=f"choose from: {', '.join(METRICS)}",
        )


def score(
    predicted_lognorm: ArrayLike,
    observed_lognorm: ArrayLike,
    control_mean: ArrayLike,
    training_mean: ArrayLike,
    top_genes: ArrayLike,
    metrics: Sequence[str],
    differentially_expressed: ArrayLike | None = None,
) -> dict[str, float]:
    """Compute metrics by name between predicted and observed cells.

    Parameters
    ----------
    predicted_lognorm, observed_lognorm
        Cells, (n, d) and (m, d), log-normalised.
    control_mean, training_mean, top_genes, differentially_expressed
        As in :class:`Comparison`.
    metrics
        Names in :data:`METRICS`.

    Returns
    -------
    dict
        Value by name, in the order asked for; NaN where a metric is not defined.

    Raises
    ------
    InputError
        If a name is unknown or the arrays are not comparable.
    """
    check_metric_names(metrics)
    comparison = Comparison(
        np.asarray(predicted_lognorm),
        np.asarray(observed_lognorm),
        np.asarray(control_mean),
        np.asarray(training_mean),
        np.asarray(top_genes),
        None if differentially_expressed is None else np.asarray(differentially_expressed),
    )
    return {name: METRICS[name].function(comparison) for name in metrics}
