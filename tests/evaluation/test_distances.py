"""Distances between samples against written-out references in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import pdist

from evaluation import distances
from evaluation.distances import energy_distance, maximum_mean_discrepancy, wasserstein1
from tests.evaluation.references import cells, mmd_loops


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (7, 11, 3), (20, 9, 40)])
def test_mmd_equals_the_double_loop(n, m, d, monkeypatch):
    x, y = cells(1, n, d), cells(2, m, d, 0.5)
    expected = mmd_loops(x, y)
    assert maximum_mean_discrepancy(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    monkeypatch.setattr(distances, "BLOCK", 4)  # the last block is a remainder
    assert maximum_mean_discrepancy(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_mmd_is_the_same_by_either_library(monkeypatch):
    x, y = cells(1, 30, 5), cells(2, 40, 5, 0.5)
    expected = maximum_mean_discrepancy(x, y)
    monkeypatch.setattr(distances, "MANY", 0)  # torch
    assert maximum_mean_discrepancy(x, y) == pytest.approx(expected, rel=1e-12)
    assert maximum_mean_discrepancy(x, y) == maximum_mean_discrepancy(x, y)


def test_mmd_of_two_points_by_hand():
    x, y = np.zeros((3, 1)), np.ones((4, 1))
    gammas = np.logspace(-2, 1, 10)
    assert maximum_mean_discrepancy(x, y) == pytest.approx(
        2 - 2 * np.exp(-1 / (2 * gammas**2)).mean(), rel=1e-12
    )


def test_energy_distance_equals_the_double_loop(monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", 4)
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
