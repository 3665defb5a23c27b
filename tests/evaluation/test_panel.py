"""Metrics over the panel against exact arithmetic, and what must hold of any ranks."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.comparison import Panel
from evaluation.metrics import score_panel
from lcd_core.errors import InputError
from tests.evaluation.references import discrimination_loops

BOTH = ["discrimination_l2", "discrimination_cosine"]
both = pytest.mark.parametrize("metric", BOTH)
numbers = st.integers(-3, 3).map(float)  # small whole numbers: many ties, and exact arithmetic


@st.composite
def panels(draw, least=2):
    """Predicted and observed means of up to 7 candidates, some of them predicted."""
    n, d = draw(st.integers(least, 7)), draw(st.integers(1, 4))
    own = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    predicted, candidates, control = (
        draw(arrays(float, shape, elements=numbers)) for shape in ((len(own), d), (n, d), (d,))
    )
    return panel_of(predicted, own, candidates, control)


def panel_of(predicted, own, candidates, control):
    names = [f"P{i}" for i in range(len(candidates))]
    chosen = [names[i] for i in own]
    return Panel(chosen, predicted, names, candidates, control, np.zeros(len(control)))


def value_of(metric, panel):
    return score_panel(panel, [metric])[metric]


def squared_distance(x, y):
    return sum(Fraction(a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True))


def opposite_of_cosine(x, y):
    """A number that falls as the cosine rises, for one x: the signed square of x.y / |y|."""
    product = Fraction(sum(a * b for a, b in zip(x.tolist(), y.tolist(), strict=True)))
    return -product * abs(product) / (squared_distance(y, 0 * y) or 1)


@settings(max_examples=200, deadline=None)
@given(panels())
def test_ranks_equal_exact_arithmetic(panel):
    own = [panel.candidate_names.index(name) for name in panel.perturbations]
    control = panel.control_mean
    euclidean = discrimination_loops(panel.predicted, own, panel.candidates, squared_distance)
    cosine = discrimination_loops(
        panel.predicted - control, own, panel.candidates - control, opposite_of_cosine
    )
    assert value_of("discrimination_l2", panel) == pytest.approx(euclidean)
    assert value_of("discrimination_cosine", panel) == pytest.approx(cosine)


def test_ranks_by_hand():
    #                  A          B           C          D
    candidates = [[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [4.0, 4.0]]
    panel = panel_of([[1.0, 1.0], [-1.0, 1.0]], [0, 2], candidates, np.zeros(2))
    # To (1, 1): A 1, B 1.41, C 4.12, D 4.24. To (-1, 1): A 2.24, B 1.41, C 2.24, D 5.83.
    assert value_of("discrimination_l2", panel) == pytest.approx([1.0, 1 - 1.5 / 3])
    # Cosines with (1, 1): 0.71, 0.71, -0.71, 1. With (-1, 1): -0.71, 0.71, 0.71, 0.
    assert value_of("discrimination_cosine", panel) == pytest.approx([1 - 1.5 / 3, 1 - 0.5 / 3])


def test_cosine_is_that_of_changes_from_control():
    control = np.array([5.0, 5.0])
    candidates = control + np.eye(2)
    panel = panel_of(control + np.array([[10.0, 1.0]]), [0], candidates, control)
    assert value_of("discrimination_cosine", panel) == [1.0]
    assert value_of("discrimination_l2", panel) == [1.0]
    panel = panel_of(control + np.array([[0.0, 1e-12]]), [0], candidates, control)
    assert value_of("discrimination_cosine", panel) == [0.5]  # no change but rounding error


@both
@settings(max_examples=50, deadline=None)
@given(panel=panels(), seed=st.integers(0, 1000))
def test_values_are_shares_and_know_no_order(metric, panel, seed):
    values = value_of(metric, panel)
    assert ((values >= 0) & (values <= 1)).all()
    rng = np.random.default_rng(seed)
    rows, order, genes = (
        rng.permutation(n) for n in (len(panel.predicted), *panel.candidates.shape)
    )
    mixed = Panel(
        [panel.perturbations[i] for i in rows],
        panel.predicted[rows][:, genes],
        [panel.candidate_names[i] for i in order],
        panel.candidates[order][:, genes],
        panel.control_mean[genes],
        panel.training_mean[genes],
    )
    assert value_of(metric, mixed) == pytest.approx(values[rows])


@both
@settings(max_examples=50, deadline=None)
@given(panel=panels())
def test_a_prediction_that_is_the_same_for_all_is_worth_chance(metric, panel):
    everything = range(len(panel.candidates))
    same = np.repeat(panel.predicted[:1], len(panel.candidates), axis=0)
    values = value_of(metric, panel_of(same, everything, panel.candidates, panel.control_mean))
    assert values.mean() == pytest.approx(0.5)


@settings(max_examples=50, deadline=None)
@given(panels())
def test_the_truth_is_its_own_nearest(panel):
    distinct = np.unique(panel.candidates, axis=0)
    assume(len(distinct) > 1)
    perfect = panel_of(distinct, range(len(distinct)), distinct, panel.control_mean)
    assert value_of("discrimination_l2", perfect) == pytest.approx(np.ones(len(distinct)))


@both
@settings(max_examples=50, deadline=None)
@given(panel=panels())
def test_a_second_candidate_like_the_true_one_counts_half(metric, panel):
    n = len(panel.candidates)
    twin = panel.candidates[panel.own[:1]]
    candidates = np.concatenate([panel.candidates, twin])
    own = panel.own[:1]
    before = value_of(metric, panel)[0]
    after = value_of(metric, panel_of(panel.predicted[:1], own, candidates, panel.control_mean))[0]
    assert (1 - after) * n == pytest.approx((1 - before) * (n - 1) + 0.5)


@settings(max_examples=50, deadline=None)
@given(panels(), st.integers(-20, 20), st.floats(0.5, 100))
def test_shifts_and_sizes_that_do_not_count(panel, shift, factor):
    moved = panel_of(
        panel.predicted + shift, panel.own, panel.candidates + shift, panel.control_mean + shift
    )
    for metric in BOTH:
        assert value_of(metric, moved) == pytest.approx(value_of(metric, panel))
    changes = panel.predicted - panel.control_mean
    longer = panel_of(
        panel.control_mean + factor * changes, panel.own, panel.candidates, panel.control_mean
    )
    metric = "discrimination_cosine"
    assert value_of(metric, longer) == pytest.approx(value_of(metric, panel))


@both
def test_one_candidate_cannot_be_told_apart(metric):
    panel = panel_of(np.ones((1, 2)), [0], np.ones((1, 2)), np.zeros(2))
    assert np.isnan(value_of(metric, panel)).all()


def test_observed_means_are_those_of_the_predicted():
    candidates = np.arange(6.0).reshape(3, 2)
    panel = panel_of(np.zeros((2, 2)), [2, 0], candidates, np.zeros(2))
    assert panel.observed.tolist() == [[4.0, 5.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"perturbations": ["A", "A"]}, r"perturbations: a name is repeated(.|\n)*A"),
        ({"candidate_names": ["A", "B", "B"]}, r"candidate_names: a name is repeated(.|\n)*B"),
        ({"perturbations": ["A", "X"]}, r"among the measured ones(.|\n)*X"),
        ({"perturbations": [], "predicted": np.zeros((0, 2))}, "at least one"),
        ({"predicted": np.zeros((3, 2))}, r"predicted(.|\n)*shape \(3, 2\)"),
        ({"candidates": np.zeros((3, 1))}, r"candidates(.|\n)*shape \(3, 1\)"),
        ({"training_mean": np.zeros(3)}, r"training_mean(.|\n)*shape \(3,\)"),
        ({"candidates": np.full((3, 2), math.nan)}, "candidates: values must be finite"),
    ],
)
def test_bad_panels_are_named(change, message):
    panel = {
        "perturbations": ["A", "B"],
        "predicted": np.zeros((2, 2)),
        "candidate_names": ["A", "B", "C"],
        "candidates": np.zeros((3, 2)),
        "control_mean": np.zeros(2),
        "training_mean": np.zeros(2),
    }
    with pytest.raises(InputError, match=message):
        Panel(**(panel | change))


def test_metrics_over_one_perturbation_are_refused():
    panel = panel_of(np.zeros((1, 2)), [0], np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(InputError, match="mmd_all"):
        score_panel(panel, ["discrimination_l2", "mmd_all"])
    assert score_panel(panel, []) == {}
