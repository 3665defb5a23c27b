"""The metrics of :mod:`evaluation.registry`: for each a function of its name.

A metric over one perturbation takes a :class:`Comparison` and returns its value; one over the
panel takes a :class:`Panel` and returns a value for each predicted perturbation, (P,). NaN stands
where a metric is not defined. :func:`score` and :func:`score_panel` compute them by name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from evaluation.agreement import auroc, average_precision, pearson
from evaluation.comparison import Array, Comparison, Panel, Profile
from evaluation.distances import energy_distance, maximum_mean_discrepancy, wasserstein1
from evaluation.registry import METRICS, Scope, check_metric_names
from lcd_core.errors import InputError

ROUNDING = 1e-9
"""Differences of mean expression, or of its cosines, below it are rounding error."""


def mmd_top_de(c: Comparison) -> float:
    return maximum_mean_discrepancy(*c.top_cells)


def mmd_all(c: Comparison) -> float:
    return maximum_mean_discrepancy(c.predicted_cells, c.observed)


def rmse_top_de(c: Comparison) -> float:
    error = (c.predicted_mean - c.observed_mean)[c.top_genes]
    return float(np.sqrt(np.mean(error**2)))


def pearson_mean(c: Comparison) -> float:
    return pearson(c.predicted_mean, c.observed_mean, rounding=ROUNDING)


def pearson_delta(c: Comparison) -> float:
    return _pearson_from(c.control_mean, c)


def pearson_delta_relative(c: Comparison) -> float:
    return _pearson_from(c.training_mean, c)


def _pearson_from(origin: Array, c: Comparison) -> float:
    """Correlate the predicted and observed means as changes from an origin."""
    return pearson(c.predicted_mean - origin, c.observed_mean - origin, rounding=ROUNDING)


def energy_distance_top_de(c: Comparison) -> float:
    return energy_distance(*c.top_cells)


def energy_distance_all(c: Comparison) -> float:
    return energy_distance(c.predicted_cells, c.observed)


def wasserstein1_top_de(c: Comparison) -> float:
    return wasserstein1(*c.top_cells)


def wasserstein1_all(c: Comparison) -> float:
    return wasserstein1(c.predicted_cells, c.observed)


def mmd_pca(c: Comparison) -> float:
    if c.components is None:
        raise _missing("mmd_pca", "principal components")
    return maximum_mean_discrepancy(c.predicted_cells @ c.components, c.observed @ c.components)


def sd_error_top_de(c: Comparison) -> float:
    predicted, observed = (cells.std(axis=0, ddof=1) for cells in c.top_cells)
    return float(np.abs(predicted - observed).mean())


def zero_error_top_de(c: Comparison) -> float:
    predicted, observed = ((cells == 0).mean(axis=0) for cells in c.top_cells)
    return float(np.abs(predicted - observed).mean())


def correlation_error_top_de(c: Comparison) -> float:
    """A gene that does not vary on one side is taken to correlate with no other there."""
    if len(c.top_genes) < 2:
        return float("nan")
    upper = np.triu_indices(len(c.top_genes), k=1)
    predicted, observed = (_correlations(cells)[upper] for cells in c.top_cells)
    return float(np.abs(predicted - observed).mean())


def _correlations(cells: Array) -> Array:
    centred = cells - cells.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > ROUNDING)
    return np.asarray(unit.T @ unit)


def weighted_mse(c: Comparison) -> float:
    weights = _weights(c)
    return float(weights @ (c.predicted_mean - c.observed_mean) ** 2)


def weighted_r2_delta(c: Comparison) -> float:
    """NaN where the observed change is the same for all genes that count."""
    weights = _weights(c)
    observed = c.observed_mean - c.training_mean
    spread = weights @ (observed - weights @ observed) ** 2
    return float(1 - weighted_mse(c) / spread) if spread > ROUNDING**2 else float("nan")


def _weights(c: Comparison) -> Array:
    """``minmax(|DE score|)^2`` (Miller et al. 2025), summing to 1; all equal if the scores are."""
    if c.de_score is None:
        raise _missing("weighted metrics", "scores of differential expression")
    score = np.abs(c.de_score)
    weights = (score - score.min()) ** 2
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else np.full(len(score), 1 / len(score)))


def sign_accuracy(c: Comparison) -> float:
    called, _ = _calling(c)
    if not called.any():
        return float("nan")
    predicted, observed = (
        np.sign(mean - c.control_mean)[called] for mean in (c.predicted_mean, c.observed_mean)
    )
    return float((predicted == observed).mean())


def _missing(name: str, what: str) -> InputError:
    return InputError(
        f"{name} cannot be computed", where=what, remedy="give them, or leave these metrics out"
    )


def de_auroc(c: Comparison) -> float:
    return auroc(*_calling(c))


def de_ap(c: Comparison) -> float:
    return average_precision(*_calling(c))


def _calling(c: Comparison) -> tuple[NDArray[np.bool_], Array]:
    """Truth and score of calling genes by their absolute predicted change from control."""
    if c.differentially_expressed is None:
        raise InputError(
            "de_auroc and de_ap need the observed differential expression",
            where="differentially expressed genes",
            remedy="leave these metrics out, or give the genes",
        )
    return c.differentially_expressed, np.abs(c.predicted_mean - c.control_mean)


def nonadditivity_pearson(c: Comparison) -> float:
    if c.additive_mean is None:
        return float("nan")
    return _pearson_from(c.additive_mean, c)


def nonadditivity_ap(c: Comparison) -> float:
    """Truth: as many genes as the ``top_de`` metrics compare, of the largest deviation."""
    if c.additive_mean is None:
        return float("nan")
    observed = np.abs(c.observed_mean - c.additive_mean)
    strongest = np.zeros(len(observed), dtype=bool)
    strongest[np.argsort(-observed, kind="stable")[: len(c.top_genes)]] = True
    return average_precision(strongest, np.abs(c.predicted_mean - c.additive_mean))


def discrimination_l2(panel: Panel) -> Array:
    return _discrimination(cdist(panel.predicted, panel.candidates), panel)


def discrimination_cosine(panel: Panel) -> Array:
    """A change of nothing has no direction: its cosine is 0 with every other."""
    predicted, candidates = (
        _directions(means - panel.control_mean) for means in (panel.predicted, panel.candidates)
    )
    return _discrimination(-(predicted @ candidates.T), panel)


def _directions(changes: Array) -> Array:
    """Changes scaled to length 1, (n, d); zero where there is none but rounding error."""
    length = np.linalg.norm(changes, axis=1, keepdims=True)
    return np.divide(changes, length, out=np.zeros_like(changes), where=length > ROUNDING)


def _discrimination(distances: Array, panel: Panel) -> Array:
    """Place of the true perturbation among n candidates: ``1 - (rank - 1) / (n - 1)``, (P,).

    Ranks are by the distance (P, n) of the prediction to the candidates, ties counted half. 1: no
    candidate is closer than the true one; 0: all are; 0.5 expected of a prediction that knows
    nothing. NaN with one candidate. cell-eval divides by n instead, ranks among the predicted
    perturbations alone, and leaves out the targeted gene.
    """
    n = distances.shape[1]
    if n == 1:
        return np.full(len(distances), np.nan)
    beyond = distances - distances[np.arange(len(distances)), panel.own][:, None]
    closer = (beyond < -ROUNDING).sum(axis=1)
    equal = (np.abs(beyond) <= ROUNDING).sum(axis=1) - 1  # but for itself
    return np.asarray(1 - (closer + equal / 2) / (n - 1))


def function_of(name: str) -> Callable[[Any], Any]:
    """Return the function of a metric, which bears its name."""
    function: Callable[[Any], Any] = globals()[name]
    return function


def score(
    predicted_lognorm: ArrayLike | Profile,
    observed_lognorm: ArrayLike,
    control_mean: ArrayLike,
    training_mean: ArrayLike,
    top_genes: ArrayLike,
    metrics: Sequence[str],
    **more: ArrayLike | None,
) -> dict[str, float]:
    """Compute metrics over one perturbation by name, between prediction and observed cells.

    Parameters
    ----------
    predicted_lognorm, observed_lognorm
        Cells, (n, d) and (m, d), log-normalised; or a :class:`Profile` of the predicted ones.
    control_mean, training_mean, top_genes, more
        As in :class:`Comparison`.
    metrics
        Names of metrics over one perturbation, see :func:`evaluation.registry.metrics_of`.

    Returns
    -------
    dict
        Value by name, in the order asked for; NaN where a metric is not defined.

    Raises
    ------
    InputError
        If a name is unknown or of another scope, the arrays are not comparable, or a metric needs
        cells of a profile.
    """
    check_metric_names(metrics)
    _check_scope(metrics, "perturbation")
    comparison = Comparison(
        predicted_lognorm
        if isinstance(predicted_lognorm, Profile)
        else np.asarray(predicted_lognorm),
        np.asarray(observed_lognorm),
        np.asarray(control_mean),
        np.asarray(training_mean),
        np.asarray(top_genes),
        **{name: None if own is None else np.asarray(own) for name, own in more.items()},
    )
    return {name: float(function_of(name)(comparison)) for name in metrics}


def score_panel(panel: Panel, metrics: Sequence[str]) -> dict[str, Array]:
    """Compute metrics over the panel by name.

    Returns
    -------
    dict
        Values by name, (P,) in the order of the panel's perturbations; NaN where a metric is not
        defined.

    Raises
    ------
    InputError
        If a name is unknown or of another scope.
    """
    _check_scope(metrics, "panel")
    return {name: function_of(name)(panel) for name in metrics}


def _check_scope(names: Sequence[str], scope: Scope) -> None:
    others = [name for name in names if name not in METRICS or METRICS[name].scope != scope]
    if others:
        raise InputError(
            f"metrics with the scope {scope!r} are computed here, and these are not",
            where="metrics",
            found=others,
        )
