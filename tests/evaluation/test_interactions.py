"""Genetic interactions against independent computations, and planted types."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import TheilSenRegressor

from evaluation.interaction_types import MEASURES, TYPES, calibrated, types_of
from evaluation.interactions import measure_interaction, spatial_median, theil_sen

PUBLISHED = {
    "suppression": 0.97,
    "synergy": 1.34,
    "epistasis": 0.37,
    "redundancy": 0.92,
    "neomorphism": 0.86,
}


def distance_correlation_by_hand(x, y):
    """Szekely et al. 2007, written out."""
    x, y = (np.asarray(own, float).reshape(len(own), -1) for own in (x, y))

    def centred(z):
        distance = np.sqrt(((z[:, None] - z[None]) ** 2).sum(axis=2))
        return (
            distance
            - distance.mean(axis=0)[None]
            - distance.mean(axis=1)[:, None]
            + distance.mean()
        )

    a, b = centred(x), centred(y)
    return np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))


@given(st.integers(0, 200), st.integers(5, 30))
def test_theil_sen_is_scikit_learns_over_all_pairs(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    y = x @ [0.8, -0.4] + rng.standard_t(2, size=n)
    reference = TheilSenRegressor(
        fit_intercept=False, max_subpopulation=1e6, max_iter=100_000, tol=1e-10, random_state=0
    ).fit(x, y)
    pairs = itertools.combinations(range(n), 2)
    solutions = np.array([np.linalg.solve(x[list(pair)], y[list(pair)]) for pair in pairs])

    def cost(centre):
        return np.linalg.norm(solutions - centre, axis=1).sum()

    assert cost(theil_sen(x, y)) <= cost(reference.coef_) * (1 + 1e-9)
    np.testing.assert_allclose(theil_sen(x, y), reference.coef_, atol=1e-6, rtol=1e-6)


def test_theil_sen_shrugs_off_a_third_of_outliers():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    y = x @ [1.1, 0.3]
    y[:15] += 50 * rng.normal(size=15)
    np.testing.assert_allclose(theil_sen(x, y), [1.1, 0.3], atol=0.05)


@pytest.mark.parametrize("x", [np.zeros((4, 2)), np.outer(np.arange(4), [1.0, 2.0])])
def test_dependent_regressors_have_no_coefficients(x):
    assert np.isnan(theil_sen(x, np.arange(4.0))).all()


@given(st.integers(0, 200))
def test_the_spatial_median_has_the_least_summed_distance(seed):
    points = np.random.default_rng(seed).normal(size=(11, 2))

    def cost(centre):
        return np.linalg.norm(points - centre, axis=1).sum()

    best = min(
        [minimize(cost, points.mean(axis=0), method="Nelder-Mead",
                  options={"xatol": 1e-10, "fatol": 1e-12}).fun, *map(cost, points)]
    )  # fmt: skip
    assert cost(spatial_median(points)) <= best + 1e-6


def test_the_median_may_be_a_point_of_the_sample():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(spatial_median(points), 0, atol=1e-12)


@given(st.integers(0, 100))
def test_metrics_against_their_definitions(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 25))
    ab = 0.7 * a + 0.5 * b + 0.4 * rng.normal(size=25)
    found = measure_interaction(a, b, ab)
    assert found.magnitude == pytest.approx(np.hypot(found.c_a, found.c_b))
    similarity = distance_correlation_by_hand(np.stack([a, b], axis=1), ab)
    assert found.similarity == pytest.approx(similarity)
    fit = distance_correlation_by_hand(ab, found.c_a * a + found.c_b * b)
    assert found.fit == pytest.approx(fit)
    own = [distance_correlation_by_hand(single, ab) for single in (a, b)]
    assert found.equality == pytest.approx(min(own) / max(own))


def test_nothing_is_claimed_of_a_change_of_nothing():
    found = measure_interaction(np.zeros(5), np.arange(5.0), np.arange(5.0))
    assert np.isnan([found.magnitude, found.fit]).all()
    table = pd.DataFrame([vars(found)])
    assert not types_of(table, PUBLISHED).drop(columns="redundancy").any(axis=None)


def planted(kind, rng):
    """Changes of a pair of one type, with a little noise."""
    a, b = rng.normal(size=(2, 300))
    both = {
        "suppression": 0.3 * a + 0.3 * b,
        "additivity": 0.8 * a + 0.8 * b,
        "synergy": 1.5 * a + 1.5 * b,
        "epistasis": 1.1 * a,
        "redundancy": 0.7 * a + 0.7 * b,
        "neomorphism": 0.7 * a + 0.7 * b + 2.0 * rng.standard_t(3, size=300),
    }[kind]
    if kind == "redundancy":  # the singles do the same, and both no more than one
        b = a + 0.05 * rng.normal(size=300)
        both = 0.5 * a + 0.5 * b
    return a, b, both + 0.02 * rng.normal(size=300)


@pytest.mark.parametrize("kind", TYPES)
def test_planted_interactions_are_of_their_type(kind):
    rng = np.random.default_rng(3)
    pairs = [measure_interaction(*planted(kind, rng)) for _ in range(5)]
    found = types_of(pd.DataFrame([vars(pair) for pair in pairs]), PUBLISHED)
    assert found[kind].all()
    exclusive = {"suppression", "additivity", "synergy"}
    if kind in exclusive:
        others = [*(exclusive - {kind}), "neomorphism", "epistasis", "redundancy"]
        assert not found[others].any(axis=None)


def test_types_are_those_of_table_s3():
    rows = pd.DataFrame(
        [
            (0.96, 0.5, 0.9, 0.5), (0.97, 0.93, 0.9, 0.5), (1.34, 0.5, 0.85, 0.5),
            (1.35, 0.92, 0.86, 0.36), (np.nan, np.nan, np.nan, np.nan),
        ],
        columns=["magnitude", "similarity", "fit", "equality"],
    )  # fmt: skip
    found = types_of(rows, PUBLISHED)
    assert [[t for t in TYPES if row[t]] for row in found.to_dict("records")] == [
        ["suppression"],
        ["additivity", "redundancy"],
        ["additivity", "neomorphism"],
        ["synergy", "epistasis"],
        [],
    ]


class TestCalibration:
    def measures(self):
        names = [f"p{i:03}" for i in range(100)]
        values = np.tile(np.linspace(0.0, 1.98, 100)[:, None], (1, len(MEASURES)))
        return pd.DataFrame(values, index=names, columns=list(MEASURES))

    def test_thresholds_are_quantiles_of_the_annotated_pairs(self):
        measures = self.measures()
        annotations = {
            "suppression": measures.index[10:31],  # magnitudes 0.2 to 0.6
            "synergy": measures.index[60:81],  # 1.2 to 1.6
            "epistasis": measures.index[:4],  # too few
            "neomorphism": ["not measured"] * 9,
        }
        found = calibrated(measures, annotations, PUBLISHED)
        assert found.loc["suppression", "threshold"] == pytest.approx(0.58)
        assert found.loc["synergy", "threshold"] == pytest.approx(1.22)
        assert found["annotated"].to_dict() == {
            "suppression": 21, "synergy": 21, "epistasis": 4, "redundancy": 0, "neomorphism": 0,
        }  # fmt: skip
        kept = ["epistasis", "redundancy", "neomorphism"]
        assert found.loc[kept, "threshold"].to_dict() == {name: PUBLISHED[name] for name in kept}
        assert set(found.loc[kept, "source"]) == {"configuration"}

    def test_annotations_that_leave_nothing_additive_do_not_count(self):
        measures = self.measures()
        annotations = {"suppression": measures.index[60:81], "synergy": measures.index[10:31]}
        found = calibrated(measures, annotations, PUBLISHED)
        assert found.loc[["suppression", "synergy"], "threshold"].tolist() == [0.97, 1.34]
        assert set(found["source"]) == {"configuration"}
