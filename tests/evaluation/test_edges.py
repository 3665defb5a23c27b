"""Edge validation against statsmodels, SciPy's bootstrap and counting."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import proportion_confint

from evaluation.edges import assemble_columns, implication, strongest_edges, top_count
from lcd_core.errors import InputError


def seeded():
    return np.random.default_rng(11)


def test_strongest_edges_by_hand():
    #             cause 0  1    2
    A = np.array([[9.0, 0.5, -3.0], [2.0, 9.0, 0.0], [-0.5, 1.0, 9.0]])
    edges = strongest_edges(A)
    assert list(zip(*edges, strict=True)) == [
        (2, 0, -3.0), (0, 1, 2.0), (1, 2, 1.0), (0, 2, -0.5), (1, 0, 0.5), (2, 1, 0.0)
    ]  # fmt: skip
    assert [list(column) for column in strongest_edges(A, 2)] == [[2, 0], [0, 1], [-3.0, 2.0]]


def test_only_eligible_edges_of_the_named_causes_are_ranked():
    A = np.array([[5.0, 1.0], [4.0, 7.0], [3.0, 2.0]])
    eligible = np.array([[True, True], [True, True], [True, False]])
    edges = strongest_edges(A, causes=[1, 0], eligible=eligible)  # A[1, 0], A[0, 1] are self-loops
    assert list(zip(*edges, strict=True)) == [(1, 1, 7.0), (0, 0, 5.0), (0, 2, 3.0)]


def test_effects_must_be_finite_where_they_count():
    A = np.array([[1.0, np.nan], [2.0, 1.0]])
    with pytest.raises(InputError, match="effect of 1 on 0"):
        strongest_edges(A)
    eligible = np.array([[True, False], [True, True]])
    assert strongest_edges(A, eligible=eligible).value.tolist() == [2.0]


outcomes = st.lists(st.booleans(), min_size=2, max_size=60).map(lambda v: np.array(v, dtype=bool))


@settings(max_examples=150, deadline=None)
@given(outcomes, st.data())
def test_numbers_equal_statsmodels_and_counts(ranked, data):
    k = data.draw(st.integers(1, len(ranked)))
    result = implication(ranked, k, generator=seeded(), n_resamples=50)
    top = ranked[:k]
    a, n, n_de = int(top.sum()), len(ranked), int(ranked.sum())
    as_many = sum(comb(n_de, x) * comb(n - n_de, k - x) for x in range(a, min(k, n_de) + 1))
    assert result.p_value == pytest.approx(as_many / comb(n, k), rel=1e-9, abs=1e-15)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.array([[a, k - a], [n_de - a, n - k - n_de + a]], dtype=float)
        expected = Table2x2(table, shift_zeros=False).oddsratio
    assert result.odds_ratio == pytest.approx(expected, nan_ok=True)
    low, high = proportion_confint(top.sum(), k, method="wilson")
    assert (result.low, result.high) == pytest.approx((low, high), rel=1e-9, abs=1e-12)
    assert result.probability == top.mean()
    assert result.base_rate == pytest.approx(ranked.mean())
    # from the joint distribution: P(C, DE) / (P(C) P(DE)), and P(C) P(not DE) / P(C, not DE)
    predicted = np.arange(len(ranked)) < k
    joint, missed = (predicted & ranked).mean(), (predicted & ~ranked).mean()
    if ranked.any():
        lift = joint / (predicted.mean() * ranked.mean())
        assert result.lift == pytest.approx(lift, rel=1e-9)
    else:
        assert np.isnan(result.lift)
    if missed:
        conviction = predicted.mean() * (~ranked).mean() / missed
        assert result.conviction == pytest.approx(conviction, rel=1e-9)
    else:
        assert not np.isfinite(result.conviction)


def test_lift_and_conviction_by_hand():
    # 10 edges, 4 of them DE; of the 5 strongest, 3.
    ranked = np.array([1, 1, 0, 1, 0, 0, 0, 1, 0, 0], dtype=bool)
    result = implication(ranked, 5, generator=seeded())
    assert (result.n_edges, result.n_de, result.k, result.n_validated) == (10, 4, 5, 3)
    assert result.lift == pytest.approx(0.6 / 0.4)
    assert result.conviction == pytest.approx(0.6 / 0.4)
    certain = implication(ranked, 2, generator=seeded())
    assert certain.lift == pytest.approx(2.5)
    assert certain.conviction == certain.conviction_high == np.inf


@pytest.mark.parametrize(("a", "k", "n_de", "n"), [(12, 20, 60, 200), (30, 40, 90, 400)])
def test_bootstrap_intervals_equal_scipys_resampling(a, k, n_de, n):
    ranked = np.zeros(n, dtype=bool)
    ranked[:a] = True
    ranked[k : k + n_de - a] = True
    result = implication(ranked, k, generator=seeded(), n_resamples=20_000)

    def interval(statistic):
        return bootstrap(
            (ranked[:k].astype(float), ranked[k:].astype(float)),
            statistic,
            n_resamples=20_000,
            method="percentile",
            rng=np.random.default_rng(5),
        ).confidence_interval

    def base(top, rest, axis):
        return (top.sum(axis=axis) + rest.sum(axis=axis)) / n

    lift = interval(lambda top, rest, axis: top.mean(axis=axis) / base(top, rest, axis))
    with np.errstate(divide="ignore", invalid="ignore"):  # resamples with every edge validated
        conviction = interval(
            lambda top, rest, axis: (1 - base(top, rest, axis)) / (1 - top.mean(axis=axis))
        )
    # Both are percentiles of 20,000 draws of the same distribution: their error is about 1%.
    assert (result.lift_low, result.lift_high) == pytest.approx(tuple(lift), rel=0.03)
    assert (result.conviction_low, result.conviction_high) == pytest.approx(
        tuple(conviction), rel=0.05
    )
    assert result.lift_low < result.lift < result.lift_high


def test_intervals_where_nothing_or_everything_is_expressed():
    none = implication(np.zeros(8, dtype=bool), 3, generator=seeded())
    assert np.isnan([none.lift, none.lift_low, none.lift_high]).all()
    assert none.conviction == none.conviction_low == none.conviction_high == 1.0
    every = implication(np.ones(8, dtype=bool), 8, generator=seeded())
    assert every.lift == every.lift_low == every.lift_high == 1.0
    assert np.isnan(every.conviction)
    assert every.p_value == 1.0


def test_same_seed_same_intervals():
    ranked = np.random.default_rng(0).random(100) < np.linspace(0.9, 0.1, 100)
    first = implication(ranked, 20, generator=seeded())
    assert first == implication(ranked, 20, generator=seeded())
    assert first != implication(ranked, 20, generator=np.random.default_rng(12))


def test_numbers_of_edges():
    assert [top_count(f, 1000) for f in (1e-9, 0.05, 1.0)] == [1, 50, 1000]
    for bad in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(InputError, match="fractions"):
            top_count(bad, 10)
    for k in (0, 4):
        with pytest.raises(InputError, match=f"{k} of 3 edges"):
            implication(np.ones(3, dtype=bool), k, generator=seeded())


def test_columns_come_from_the_model_that_held_the_cause_out():
    rng = np.random.default_rng(1)
    models = {"1": rng.normal(size=(5, 5)), "2": rng.normal(size=(5, 5))}
    columns, causes = assemble_columns(models, {"2": [0], "1": [3, 1]})
    assert causes.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(columns[:, 0], models["2"][:, 0])
    np.testing.assert_array_equal(columns[:, 1], models["1"][:, 1])
    np.testing.assert_array_equal(columns[:, 2], models["1"][:, 3])
    edges = strongest_edges(columns, causes=causes)
    assert len(edges.value) == 3 * 4  # no self-loops


def test_folds_of_held_out_causes_must_agree():
    A = np.ones((3, 3))
    with pytest.raises(InputError, match=r"(?s)more than one fold.*2"):
        assemble_columns({"1": A, "2": A}, {"1": [0, 2], "2": [2]})
    with pytest.raises(InputError, match="needs one effect matrix"):
        assemble_columns({"1": A}, {"1": [0], "2": [1]})
