"""Separation and stability of cuts, by hand, against scikit-learn and on planted modules."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from evaluation.module_numbers import best_number, score_numbers, separation, stability
from evaluation.modules import cut_into, effect_distances, module_tree, number_at_height


def on_a_line(*points):
    x = np.array(points, dtype=float)
    return np.abs(x[:, None] - x)


def planted(sizes, seed, alone=0):
    """Effects within blocks of these sizes, and genes alone."""
    rng = np.random.default_rng(seed)
    block = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), -1 - np.arange(alone)])
    d = len(block)
    strong = rng.uniform(0.5, 1, (d, d)) * rng.choice([-1, 1], (d, d))
    return np.where(block[:, None] == block, strong, rng.normal(0, 0.01, (d, d))), block


def scores_of(A, seeds=(), min_size=5):
    distances = effect_distances(A)
    trees = [module_tree(effect_distances(own)) for own in seeds]
    return score_numbers(module_tree(distances), distances, trees, min_size)


def test_separation_by_hand():
    distances = on_a_line(0, 1, 10, 12, 100)
    modules = np.array([1, 1, 2, 2, 0])
    # a: 1, 1, 2, 2; b: 11, 10, 9.5, 11.5; the gene of no module counts 0
    expected = (10 / 11 + 9 / 10 + 7.5 / 9.5 + 9.5 / 11.5 + 0) / 5
    assert separation(distances, modules) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 15), st.integers(0, 10_000))
def test_without_lone_genes_separation_is_the_silhouette_score(d, seed):
    rng = np.random.default_rng(seed)
    distances = on_a_line(*rng.normal(size=d))
    modules = rng.permutation(np.arange(d) % 3 + 1)
    expected = silhouette_score(distances, modules, metric="precomputed")
    assert separation(distances, modules) == pytest.approx(expected)


@pytest.mark.parametrize("modules", [[0, 0, 0], [1, 1, 0], [1, 2, 0]])
def test_separation_needs_two_modules_and_a_neighbour(modules):
    assert np.isnan(separation(on_a_line(0, 1, 2), np.array(modules)))


def test_stability_is_the_mean_over_pairs():
    a, b = np.array([1, 1, 2, 2]), np.array([2, 2, 1, 1])
    other, none = np.array([1, 2, 1, 2]), np.zeros(4, dtype=np.int64)
    assert stability([a, b]) == 1
    assert stability([a, other]) == pytest.approx(-0.5)  # (0 - 2/3) / (2 - 2/3)
    assert stability([a, b, other]) == pytest.approx(0)
    assert stability([none, none]) == 0
    assert stability([a, none]) == 0
    assert np.isnan(stability([a]))


@pytest.mark.parametrize("n_seeds", [0, 1, 3])
def test_planted_modules_are_chosen(n_seeds):
    A, block = planted((8, 12, 9), seed=0, alone=4)
    seeds = [planted((8, 12, 9), seed=1 + own, alone=4)[0] for own in range(n_seeds)]
    scores = scores_of(A, seeds)
    modules = cut_into(module_tree(effect_distances(A)), best_number(scores))
    assert pd.crosstab(modules, np.maximum(block, -1)).astype(bool).to_numpy().sum() == 4
    assert modules.max() == 3
    assert scores["stability"].notna().any() == (n_seeds > 1)


def test_stability_decides_between_equally_separate_cuts():
    table = pd.DataFrame({"clusters": [1, 2, 3, 4], "score": [np.nan, 0.1, 0.3, 0.3]})
    assert best_number(table) == 3
    assert best_number(table.assign(score=[np.nan, 0.0, 0.0, np.nan])) is None
    A, _ = planted((8, 8, 8), seed=3)
    alike, unlike = (scores_of(A, [A, own]) for own in (A, planted((12, 12), seed=4)[0]))
    three = alike["clusters"] == 3
    assert alike.loc[three, "stability"].item() == 1
    assert unlike.loc[three, "score"].item() < alike.loc[three, "score"].item()
    np.testing.assert_allclose(alike["score"], alike["silhouette"].clip(lower=0), rtol=1e-12)


def test_counts_and_heights_are_those_of_the_cuts():
    A, _ = planted((6, 7), seed=5, alone=3)
    tree = module_tree(effect_distances(A))
    scores = scores_of(A)
    assert scores["clusters"].tolist() == list(range(1, 17))
    for row in scores.itertuples():
        modules = cut_into(tree, row.clusters)
        assert (row.modules, row.genes) == (modules.max(), (modules > 0).sum())
        assert number_at_height(tree, row.height) == row.clusters
    assert scores["silhouette"].notna().equals(scores["modules"] >= 2)


def test_a_panel_too_small_for_two_modules_has_none():
    assert best_number(scores_of(planted((5, 4), seed=6)[0])) is None
