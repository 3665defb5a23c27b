"""Metrics against written-out references in float64."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import pdist

from evaluation import metrics
from evaluation.metrics import (
    METRICS,
    Comparison,
    auroc,
    average_precision,
    energy_distance,
    maximum_mean_discrepancy,
    score,
    wasserstein1,
)
from lcd_core.errors import InputError


def cells(seed, n, d, shift=0.0):
    """Sparse-looking log-normalised cells with repeated rows."""
    rng = np.random.default_rng(seed)
    return np.log1p(rng.poisson(0.8 + shift, (n, d)) * rng.uniform(1, 8, (n, 1)))


def kernel(x, y):
    d = len(x)
    squared = sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True))
    gammas = [10 ** (-2 + 3 * i / 9) for i in range(10)]
    return sum(np.exp(-squared / (2 * d * g**2)) for g in gammas) / 10


def mmd_loops(x, y):
    """Eq. 20 written out."""
    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (7, 11, 3), (20, 9, 40)])
def test_mmd_equals_the_double_loop(n, m, d, monkeypatch):
    x, y = cells(1, n, d), cells(2, m, d, 0.5)
    expected = mmd_loops(x, y)
    assert maximum_mean_discrepancy(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    monkeypatch.setattr(metrics, "BLOCK", 4)  # the last block is a remainder
    assert maximum_mean_discrepancy(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_mmd_of_two_points_by_hand():
    x, y = np.zeros((3, 1)), np.ones((4, 1))
    gammas = np.logspace(-2, 1, 10)
    assert maximum_mean_discrepancy(x, y) == pytest.approx(
        2 - 2 * np.exp(-1 / (2 * gammas**2)).mean(), rel=1e-12
    )


def test_energy_distance_equals_the_double_loop(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 4)
    x, y = cells(3, 9, 6), cells(4, 13, 6, 1.0)
    between = np.mean([np.linalg.norm(a - b) for a in x for b in y])
    expected = 2 * between - pdist(x).mean() - pdist(y).mean()
    assert energy_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_energy_distance_in_one_dimension_equals_scipy():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 1)), rng.normal(1, 2, (30, 1))
    # SciPy averages the distances within a sample over n^2 pairs, the cell itself included.
    biased = stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    excess = pdist(x).mean() / len(x) + pdist(y).mean() / len(y)
    assert energy_distance(x, y) == pytest.approx(biased - excess, rel=1e-9)


def test_wasserstein_averages_over_genes():
    # Gene 0 moves by 2, gene 1 swaps mass 1/2 by 1, gene 2 stays.
    x = np.array([[0.0, 0.0, 5.0], [1.0, 0.0, 6.0]])
    y = np.array([[2.0, 0.0, 6.0], [3.0, 1.0, 5.0]])
    assert wasserstein1(x, y) == pytest.approx((2 + 0.5 + 0) / 3)
    x, y = cells(6, 17, 4), cells(7, 23, 4, 1.0)
    expected = np.mean([stats.wasserstein_distance(x[:, g], y[:, g]) for g in range(4)])
    assert wasserstein1(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", [maximum_mean_discrepancy, energy_distance, wasserstein1])
@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 8), st.integers(0, 10**6))
def test_distances_are_symmetric_and_ignore_order(distance, n, m, d, seed):
    x, y = cells(seed, n, d), cells(seed + 1, m, d, 1.0)
    rng = np.random.default_rng(seed)
    value = distance(x, y)
    assert distance(y, x) == pytest.approx(value, rel=1e-8, abs=1e-8)
    genes = rng.permutation(d)
    mixed = distance(
        np.ascontiguousarray(rng.permutation(x)[:, genes]),
        np.ascontiguousarray(rng.permutation(y)[:, genes]),
    )
    assert mixed == pytest.approx(value, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("distance", [maximum_mean_discrepancy, energy_distance])
def test_estimates_are_unbiased(distance):
    """Over resamples of one distribution the mean is zero within its standard error."""
    rng = np.random.default_rng(8)
    values = [distance(rng.normal(size=(6, 3)), rng.normal(size=(9, 3))) for _ in range(3000)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    # The estimator that counts the pairs of a cell with itself is off by many standard errors.
    assert error < 0.1 / 9


def test_distances_tell_distributions_apart():
    x, same, other = (
        np.random.default_rng(s).normal(m, 1, (200, 5)) for s, m in [(1, 0.0), (2, 0.0), (3, 0.5)]
    )
    for distance in (maximum_mean_discrepancy, energy_distance, wasserstein1):
        assert distance(x, other) > 3 * abs(distance(x, same))


def auroc_pairs(truth, values):
    pairs = list(itertools.product(values[truth], values[~truth]))
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def average_precision_thresholds(truth, values):
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        called = values >= threshold
        recall = (called & truth).sum() / truth.sum()
        total += (recall - recall_before) * (called & truth).sum() / called.sum()
        recall_before = recall
    return total


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
def test_curves_equal_their_definitions(pairs):
    truth = np.array([label for label, _ in pairs])
    values = np.array([float(value) for _, value in pairs])
    if truth.any():
        expected = average_precision_thresholds(truth, values)
        assert average_precision(truth, values) == pytest.approx(expected, rel=1e-12)
    else:
        assert np.isnan(average_precision(truth, values))
    if truth.any() and not truth.all():
        assert auroc(truth, values) == pytest.approx(auroc_pairs(truth, values), rel=1e-12)
    else:
        assert np.isnan(auroc(truth, values))


def comparison_arrays(d=6):
    rng = np.random.default_rng(11)
    return {
        "predicted_lognorm": cells(12, 15, d),
        "observed_lognorm": cells(13, 12, d, 1.0),
        "control_mean": rng.uniform(0, 2, d),
        "training_mean": rng.uniform(0, 2, d),
        "top_genes": np.array([4, 1, 2]),
        "differentially_expressed": np.arange(d) % 2 == 0,
    }


def test_every_metric_equals_its_definition():
    a = comparison_arrays()
    x, y, top = a["predicted_lognorm"], a["observed_lognorm"], a["top_genes"]
    mx, my = x.mean(0), y.mean(0)
    control, training, truth = a["control_mean"], a["training_mean"], a["differentially_expressed"]
    change = np.abs(mx - control)
    w1 = [stats.wasserstein_distance(x[:, g], y[:, g]) for g in range(6)]

    def energy(u, v):
        between = np.mean([np.linalg.norm(p - q) for p in u for q in v])
        return 2 * between - pdist(u).mean() - pdist(v).mean()

    expected = {
        "mmd_top_de": mmd_loops(x[:, top], y[:, top]),
        "mmd_all": mmd_loops(x, y),
        "rmse_top_de": np.sqrt(np.mean((mx - my)[top] ** 2)),
        "pearson_mean": stats.pearsonr(mx, my).statistic,
        "pearson_delta": stats.pearsonr(mx - control, my - control).statistic,
        "pearson_delta_relative": stats.pearsonr(mx - training, my - training).statistic,
        "energy_distance_top_de": energy(x[:, top], y[:, top]),
        "energy_distance_all": energy(x, y),
        "wasserstein1_top_de": np.mean([w1[g] for g in top]),
        "wasserstein1_all": np.mean(w1),
        "de_auroc": auroc_pairs(truth, change),
        "de_ap": average_precision_thresholds(truth, change),
    }
    assert score(**a, metrics=list(METRICS)) == pytest.approx(expected, rel=1e-9)


def test_registry_is_complete():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.direction in ("lower", "higher")
        assert all((metric.title, metric.unit, metric.reference))


def test_constant_change_has_no_correlation():
    a = comparison_arrays()
    a["predicted_lognorm"] = np.zeros((3, 6))
    assert np.isnan(score(**a, metrics=["pearson_mean"])["pearson_mean"])


def with_nan(values):
    values = values.copy()
    values[(0,) * values.ndim] = np.nan
    return values


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("predicted_lognorm", lambda v: v[:, :5], "5 genes, observed 6"),
        ("predicted_lognorm", lambda v: v[:1], "1 cells"),
        ("observed_lognorm", lambda v: v[:1], "1 cells"),
        ("observed_lognorm", lambda v: v[0], "cells x genes"),
        ("observed_lognorm", with_nan, r"nan at \(0, 0\)"),
        ("predicted_lognorm", lambda v: v / 0.0, "finite"),
        ("control_mean", lambda v: v[:5], "one value per gene"),
        ("training_mean", with_nan, r"training mean: values must be finite"),
        ("top_genes", lambda v: v + 4, "between 0 and 5"),
        ("top_genes", lambda v: np.array([1, 1]), "named twice"),
        ("top_genes", lambda v: np.array([], dtype=int), "gene indices"),
        ("top_genes", lambda v: np.array([True] * 6), "gene indices"),
        ("differentially_expressed", lambda v: v.astype(int), "True or False"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input_is_named(name, change, message):
    a = comparison_arrays()
    a[name] = change(a[name])
    with pytest.raises(InputError, match=message):
        score(**a, metrics=["mmd_all"])


def test_unknown_metrics_and_missing_truth_are_named():
    a = comparison_arrays()
    with pytest.raises(InputError, match="mmd_typo"):
        score(**a, metrics=["mmd_all", "mmd_typo"])
    with pytest.raises(InputError, match="no metric"):
        score(**a, metrics=[])
    a.pop("differentially_expressed")
    with pytest.raises(InputError, match="differential expression"):
        score(**a, metrics=["de_ap"])


def test_comparison_cannot_be_changed():
    a = comparison_arrays()
    comparison = Comparison(
        a["predicted_lognorm"],
        a["observed_lognorm"],
        a["control_mean"],
        a["training_mean"],
        a["top_genes"],
    )
    with pytest.raises(AttributeError):
        comparison.predicted = comparison.observed
