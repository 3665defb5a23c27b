"""What is computed between predictions and observations: the one list of metrics.

Adding a metric takes one entry in :data:`METRICS` and a function of its name in
:mod:`evaluation.metrics`; configuration, tables, pages and their order follow from here. Every job
reads the configuration, so this module imports no library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lcd_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Scope = Literal["perturbation", "panel"]


@dataclass(frozen=True)
class Metric:
    """One way to compare predictions with observations.

    Parameters
    ----------
    name
        Key in :data:`METRICS` and in the tables; its function in :mod:`evaluation.metrics` bears
        it too.
    title
        Name for figures.
    direction
        Whether a ``"lower"`` or a ``"higher"`` value is better.
    unit
        Unit of the value.
    reference
        Equation or publication that defines it.
    scope
        Whether a value takes the cells of one ``"perturbation"``, or is about its place in the
        ``"panel"`` of all that a fold predicts.
    needs_cells
        Whether it compares cells; the others know predictions by their mean alone.
    ranks
        Whether methods are ranked by it. Not by non-additivity: the errors of the observed single
        effects are in the prediction's as in the observed one, so that a method that ignores
        them, such as control cells, beats one that is right.
    """

    name: str
    title: str
    direction: Literal["lower", "higher"]
    unit: str
    reference: str
    scope: Scope = "perturbation"
    needs_cells: bool = False
    ranks: bool = True

    @property
    def perfect(self) -> float:
        """Value of a perfect prediction: 0 of errors and distances, 1 of the others."""
        return 0.0 if self.direction == "lower" else 1.0

    def best(self, values: "pd.Series") -> "pd.Index":
        """Labels of the best of some values, all of equal ones."""
        return values.index[values == (values.min() if self.direction == "lower" else values.max())]


_EXPRESSION = "log1p(counts per 10,000)"
_PAPER = "Lorch et al. 2026"
_ENERGY = "Szekely and Rizzo 2013"
_WASSERSTEIN = "mean over genes of the one-dimensional Wasserstein-1 distance"
_CALLING = "absolute predicted change as score, BH-adjusted P < 0.05 as truth"
_ADDITIVE = "what a combination does beyond the sum of its targets' effects, ab - a - b"
_WEIGHTED = "Miller et al. 2025; weights are squared, scaled scores of differential expression"
_RANK = "Wu et al. 2024 (PerturBench), Roohani et al. 2025 (cell-eval)"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "mmd_top_de",
            "MMD (top DE genes)",
            "lower",
            "none",
            f"{_PAPER}, Eq. 20",
            needs_cells=True,
        ),
        Metric(
            "mmd_all",
            "MMD (all genes)",
            "lower",
            "none",
            f"{_PAPER}, Eq. 20",
            needs_cells=True,
        ),
        Metric(
            "rmse_top_de",
            "RMSE of means (top DE genes)",
            "lower",
            _EXPRESSION,
            f"{_PAPER}, Methods",
        ),
        Metric(
            "pearson_mean",
            "Pearson correlation of means",
            "higher",
            "none",
            f"{_PAPER}, Methods",
        ),
        Metric(
            "pearson_delta",
            "Pearson correlation of changes from control",
            "higher",
            "none",
            "Roohani et al. 2024 (GEARS)",
        ),
        Metric(
            "pearson_delta_relative",
            "Pearson correlation of changes from the training mean",
            "higher",
            "none",
            "pearson_delta without the shift that all training perturbations share",
        ),
        Metric(
            "energy_distance_top_de",
            "Energy distance (top DE genes)",
            "lower",
            _EXPRESSION,
            _ENERGY,
            needs_cells=True,
        ),
        Metric(
            "energy_distance_all",
            "Energy distance (all genes)",
            "lower",
            _EXPRESSION,
            _ENERGY,
            needs_cells=True,
        ),
        Metric(
            "wasserstein1_top_de",
            "Wasserstein-1 (top DE genes)",
            "lower",
            _EXPRESSION,
            _WASSERSTEIN,
            needs_cells=True,
        ),
        Metric(
            "wasserstein1_all",
            "Wasserstein-1 (all genes)",
            "lower",
            _EXPRESSION,
            _WASSERSTEIN,
            needs_cells=True,
        ),
        Metric(
            "mmd_pca",
            "MMD (principal components)",
            "lower",
            "none",
            f"{_PAPER}, Eq. 20, on principal components of training cells",
            needs_cells=True,
        ),
        Metric(
            "sd_error_top_de",
            "Error of standard deviations (top DE genes)",
            "lower",
            _EXPRESSION,
            "mean absolute difference of the standard deviations of genes",
            needs_cells=True,
        ),
        Metric(
            "zero_error_top_de",
            "Error of fractions of zeros (top DE genes)",
            "lower",
            "none",
            "mean absolute difference of the shares of cells without a count",
            needs_cells=True,
        ),
        Metric(
            "correlation_error_top_de",
            "Error of correlations (top DE genes)",
            "lower",
            "none",
            "mean absolute difference of Pearson correlations between genes over cells",
            needs_cells=True,
        ),
        Metric(
            "weighted_mse",
            "Weighted MSE of means",
            "lower",
            "log1p(counts per 10,000) squared",
            _WEIGHTED,
        ),
        Metric(
            "weighted_r2_delta",
            "Weighted R2 of changes from the training mean",
            "higher",
            "none",
            _WEIGHTED,
        ),
        Metric(
            "sign_accuracy",
            "Accuracy of signs of DE genes",
            "higher",
            "none",
            "share of genes with BH-adjusted P < 0.05 that are predicted to change as they do",
        ),
        Metric("de_auroc", "AUROC of calling DE genes", "higher", "none", _CALLING),
        Metric("de_ap", "Average precision of calling DE genes", "higher", "none", _CALLING),
        Metric(
            "nonadditivity_pearson",
            "Pearson correlation of non-additivity",
            "higher",
            "none",
            f"{_ADDITIVE}, correlated over genes",
            ranks=False,
        ),
        Metric(
            "nonadditivity_ap",
            "Average precision of non-additive genes",
            "higher",
            "none",
            f"{_ADDITIVE}; absolute predicted value as score, the strongest observed ones as truth",
            ranks=False,
        ),
        Metric(
            "discrimination_l2",
            "Discrimination by Euclidean distance",
            "higher",
            "none",
            _RANK,
            scope="panel",
        ),
        Metric(
            "discrimination_cosine",
            "Discrimination by cosine of changes from control",
            "higher",
            "none",
            _RANK,
            scope="panel",
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


def metrics_of(scope: Scope, names: Sequence[str], *, cells: bool = True) -> list[str]:
    """Names among ``names`` of the metrics of one scope, in the same order.

    Without ``cells``, of a prediction that is a profile, those that need cells are left out.
    """
    check_metric_names(names)
    chosen = [METRICS[name] for name in names]
    return [m.name for m in chosen if m.scope == scope and (cells or not m.needs_cells)]
