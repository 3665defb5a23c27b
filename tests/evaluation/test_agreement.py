"""Scores, calls and partitions against their definitions written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score, roc_auc_score

from evaluation.agreement import adjusted_rand_index, auroc, average_precision, macro_f1, pearson
from lcd_core.errors import InputError
from tests.evaluation.references import auroc_pairs, average_precision_thresholds, macro_f1_counts


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


@pytest.mark.filterwarnings("error")
def test_an_empty_class_has_no_curve():
    for truth in (np.zeros(3, dtype=bool), np.ones(3, dtype=bool), np.zeros(0, dtype=bool)):
        assert np.isnan(auroc(truth, np.arange(float(len(truth)))))
    assert np.isnan(average_precision(np.zeros(3, dtype=bool), np.arange(3.0)))
    assert average_precision(np.ones(3, dtype=bool), np.arange(3.0)) == 1.0


calls = st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), min_size=1, max_size=30)


@pytest.mark.filterwarnings("error")
@settings(max_examples=100, deadline=None)
@given(calls, st.sets(st.integers(-1, 1), min_size=1))
def test_f1_counts_calls(pairs, labels):
    true, predicted = np.array(pairs).T
    labels = sorted(labels)
    expected = macro_f1_counts(true, predicted, labels)
    assert macro_f1(true, predicted, labels) == pytest.approx(expected, rel=1e-12)


def test_label_that_never_occurs_counts_zero():
    assert macro_f1(np.array([1, 1]), np.array([1, 1]), (-1, 0, 1)) == pytest.approx(1 / 3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=20))
def test_pearson_is_covariance_over_deviations(pairs):
    x, y = np.array(pairs, dtype=float).T
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(pearson(x, y))
    else:
        covariance = np.mean(x * y) - x.mean() * y.mean()
        assert pearson(x, y) == pytest.approx(covariance / (x.std() * y.std()), abs=1e-9)


def test_what_spreads_by_rounding_alone_is_constant():
    x, y = np.array([1.0, 1.0 + 1e-12, 1.0]), np.array([1.0, 2.0, 3.0])
    assert np.isnan(pearson(x, y, rounding=1e-9))
    assert np.isnan(pearson(y, x, rounding=1e-9))
    assert np.isnan(pearson(np.full(3, 0.1), y))
    assert np.isnan(pearson(y[:1], y[:1]))
    assert pearson(1e-12 * y, y) == pytest.approx(1.0)


def test_adjusted_rand_index_by_hand():
    # 15 pairs of six genes: 3 + 3 are together in the first partition, 1 + 1 + 1 in the second,
    # 1 + 1 in both. Expected 6 * 3 / 15, at most (6 + 3) / 2.
    value = adjusted_rand_index([1, 1, 1, 2, 2, 2], [7, 7, 0, 0, 5, 5])
    assert value == pytest.approx((2 - 1.2) / (4.5 - 1.2))
    # Every pair that is together in one partition is apart in the other: expected 2 * 2 / 6.
    value = adjusted_rand_index([1, 1, 2, 2], [1, 2, 1, 2])
    assert value == pytest.approx((0 - 2 / 3) / (2 - 2 / 3))


labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(labels)
def test_adjusted_rand_index_counts_pairs(pairs_of_labels):
    """Against the four counts of pairs of genes."""
    a, b = np.array(pairs_of_labels).T
    together, apart, only_first, only_second = 0, 0, 0, 0
    for i in range(len(a)):
        for j in range(i):
            in_first, in_second = a[i] == a[j], b[i] == b[j]
            together += in_first and in_second
            apart += not in_first and not in_second
            only_first += in_first and not in_second
            only_second += in_second and not in_first
    below = (together + only_first) * (only_first + apart) + (together + only_second) * (
        only_second + apart
    )
    expected = 2 * (together * apart - only_first * only_second) / below if below else 1.0
    value = adjusted_rand_index(a, b)
    assert value == pytest.approx(expected, abs=1e-12)
    assert value == pytest.approx(adjusted_rand_index(b, a + 10), abs=1e-12)


def test_adjusted_rand_index_of_shuffled_labels_is_zero_on_average():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, 60), rng.integers(0, 6, 60)
    values = [adjusted_rand_index(first, rng.permutation(second)) for _ in range(2000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(2000)


def test_partitions_without_a_choice_are_the_same():
    for partition_ in ([1], [1, 1, 1], [1, 2, 3]):
        assert adjusted_rand_index(partition_, partition_) == 1.0
    assert adjusted_rand_index([1, 1, 1], [1, 2, 3]) == 0.0
    for bad in ([1, 2], [[1, 2, 3]]):
        with pytest.raises(InputError, match="one label"):
            adjusted_rand_index(bad, [1, 2, 3])
    with pytest.raises(InputError, match="one label"):
        adjusted_rand_index([], [])


def test_curves_and_correlation_equal_libraries():
    rng = np.random.default_rng(0)
    truth, values = rng.random(500) < 0.1, np.round(rng.normal(size=500), 1)
    assert auroc(truth, values) == pytest.approx(roc_auc_score(truth, values), rel=1e-12)
    expected = average_precision_score(truth, values)
    assert average_precision(truth, values) == pytest.approx(expected, rel=1e-12)
    for x in (values, 1e-170 * values, 1e170 * values + 1e171):
        y = values + rng.normal(size=500)
        assert pearson(x, y) == pytest.approx(pearsonr(x, y).statistic, rel=1e-9)
    assert pearson(values, 3 * values) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("curve", [auroc, average_precision])
def test_scores_that_are_not_finite_are_refused(curve):
    with pytest.raises(InputError, match="scores must be finite"):
        curve(np.array([True, False]), np.array([1.0, np.nan]))
