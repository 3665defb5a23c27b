"""Scores of effect matrices against definitions written out and hand counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.effect_scores import score_effects
from lcd_core.errors import InputError
from tests.evaluation.references import auroc_pairs, macro_f1_counts

SIGNS = [-1, 0, 1]


def random_pair(seed, d=12, rounded=False):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(d, d)) * (rng.random((d, d)) < 0.5)
    estimate = truth + rng.normal(size=(d, d))
    return (np.round(estimate, 1) if rounded else estimate), truth


def off_diagonal(matrix):
    return matrix[~np.eye(len(matrix), dtype=bool)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rounded=st.booleans())
def test_auroc_of_each_pair_agrees_with_counted_pairs(seed, rounded):
    estimate, truth = random_pair(seed, rounded=rounded)
    scores = score_effects(estimate, truth)
    value, label = off_diagonal(estimate), np.sign(off_diagonal(truth))
    pairs = {
        "auroc_positive_negative": (value, 1, -1),
        "auroc_positive_absent": (value, 1, 0),
        "auroc_negative_absent": (-value, -1, 0),
    }
    expected = {}
    for name, (confidence, first, second) in pairs.items():
        of_pair = (label == first) | (label == second)
        expected[name] = auroc_pairs(label[of_pair] == first, confidence[of_pair])
        assert scores[name] == pytest.approx(expected[name], rel=1e-12)
    assert scores["auroc"] == pytest.approx(np.mean(list(expected.values())), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 132))
def test_f1_and_correlation_agree_with_counts(seed, k):
    estimate, truth = random_pair(seed)
    scores = score_effects(estimate, truth, threshold=0.5, ks=[k])
    value, true = off_diagonal(estimate), off_diagonal(truth)
    label = np.sign(true)
    called = np.where(value > 0.5, 1, np.where(value < -0.5, -1, 0))
    assert scores["f1"] == pytest.approx(macro_f1_counts(label, called, SIGNS))
    top = sorted(range(len(value)), key=lambda i: -abs(value[i]))[:k]
    strongest = np.zeros(len(value))
    strongest[top] = np.sign(value[top])
    assert scores[f"f1@{k}"] == pytest.approx(macro_f1_counts(label, strongest, SIGNS))
    among = macro_f1_counts(label[top], called[top], sorted({*label[top], *called[top]}))
    assert scores[f"f1_among@{k}"] == pytest.approx(among)
    assert scores[f"precision@{k}"] == pytest.approx(np.mean(true[top] != 0))
    if np.ptp(true[top]) > 0:
        expected = np.corrcoef(value[top], true[top])[0, 1]
        assert scores[f"pearson@{k}"] == pytest.approx(expected)


def test_hand_counted_example():
    truth = np.array([[9.0, 2.0, 0.0], [-1.0, 9.0, 0.0], [0.0, 3.0, 9.0]])
    estimate = np.array([[0.0, 1.0, 0.2], [-0.7, 0.0, 0.6], [0.1, -2.0, 0.0]])
    scores = score_effects(estimate, truth, ks=[2, 3])
    # positive 1.0, -2.0; negative -0.7; absent 0.2, 0.6, 0.1
    assert scores["auroc_positive_negative"] == pytest.approx(1 / 2)
    assert scores["auroc_positive_absent"] == pytest.approx(3 / 6)
    assert scores["auroc_negative_absent"] == pytest.approx(1.0)
    # called: +1, 0, -1, +1, 0, -1 against +1, 0, -1, 0, 0, +1
    assert scores["f1"] == pytest.approx(np.mean([2 * 1 / 4, 2 * 1 / 3, 2 * 2 / 5]))
    # strongest two: -2.0 (true +3) and 1.0 (true +2)
    assert scores["precision@2"] == 1.0
    assert scores["pearson@2"] == pytest.approx(-1.0)
    assert scores["f1_among@2"] == pytest.approx(np.mean([2 * 1 / 3, 0.0]))
    assert scores["precision@3"] == 1.0


def test_truth_scores_perfectly_and_its_negative_is_the_mirror():
    _, truth = random_pair(0)
    links = int((off_diagonal(truth) != 0).sum())
    perfect = score_effects(truth, truth, threshold=0.0, ks=[links])
    for name in ("auroc", "f1", f"f1@{links}", f"pearson@{links}", f"precision@{links}"):
        assert perfect[name] == pytest.approx(1.0)
    assert score_effects(-truth, truth)["auroc"] == pytest.approx(0.0)


def test_diagonal_has_no_influence():
    estimate, truth = random_pair(1)
    before = score_effects(estimate, truth, ks=[5])
    np.fill_diagonal(estimate, 1e6)
    np.fill_diagonal(truth, -7.0)
    assert score_effects(estimate, truth, ks=[5]) == before


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.2, 0.9))
def test_chosen_pairs_are_scored_alone(seed, share):
    estimate, truth = random_pair(seed, rounded=True)
    chosen = np.random.default_rng(seed + 1).random(truth.shape) < share
    chosen[0, 1] = True
    scored = chosen & ~np.eye(len(truth), dtype=bool)
    k = max(1, int(scored.sum()) // 3)
    scores = score_effects(estimate, truth, ks=[k], pairs=chosen)
    value, true = estimate[scored], truth[scored]
    label = np.sign(true)
    of_pair = label != -1
    if 0 < (label == 1).sum() < of_pair.sum():
        expected = auroc_pairs(label[of_pair] == 1, value[of_pair])
        assert scores["auroc_positive_absent"] == pytest.approx(expected, rel=1e-12)
    called = np.where(value > 0.5, 1, np.where(value < -0.5, -1, 0))
    assert scores["f1"] == pytest.approx(macro_f1_counts(label, called, SIGNS))
    top = np.argsort(-np.abs(value), kind="stable")[:k]
    assert scores[f"precision@{k}"] == pytest.approx(np.mean(true[top] != 0))


def test_pairs_by_hand():
    truth = np.array([[9.0, 2.0, 0.0], [-1.0, 9.0, 0.0], [0.0, 3.0, 9.0]])
    estimate = np.array([[0.0, 1.0, 0.2], [-0.7, 0.0, 0.6], [0.1, -2.0, 0.0]])
    # causes 0 and 2: positive none; negative -0.7; absent 0.2, 0.6, 0.1
    scores = score_effects(estimate, truth, ks=[2], pairs=[[1, 0, 1], [1, 0, 1], [1, 0, 1]])
    assert scores["auroc_negative_absent"] == 1.0
    assert np.isnan(scores["auroc_positive_absent"])
    assert scores["precision@2"] == 0.5
    every = score_effects(estimate, truth, ks=[2], pairs=np.ones((3, 3)))
    assert every == score_effects(estimate, truth, ks=[2])


def test_an_empty_class_gives_nan_and_not_a_score():
    truth = np.ones((4, 4))
    scores = score_effects(np.random.default_rng(0).normal(size=(4, 4)), truth)
    assert np.isnan(scores["auroc"])


@pytest.mark.parametrize(
    ("estimate", "truth", "options", "words"),
    [
        (np.zeros((3, 2)), np.zeros((3, 2)), {}, "square"),
        (np.zeros((3, 3)), np.zeros((4, 4)), {}, "equal size"),
        (np.full((3, 3), np.nan), np.zeros((3, 3)), {}, "estimate is not finite"),
        (np.zeros((3, 3)), np.zeros((3, 3)), {"threshold": -1.0}, "negative"),
        (np.zeros((3, 3)), np.zeros((3, 3)), {"ks": [7]}, "k must lie between 1 and 6"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"pairs": np.ones((2, 1))}, "size of the effects"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"pairs": np.eye(2)}, "no pair of different genes"),
        (
            np.zeros((2, 2)),
            np.zeros((2, 2)),
            {"pairs": [[0, 1], [0, 0]], "ks": [2]},
            "k must lie between 1 and 1",
        ),
    ],
)
def test_bad_input_is_refused(estimate, truth, options, words):
    with pytest.raises(InputError, match=words):
        score_effects(estimate, truth, **options)
