"""Modules against networkx, SciPy and trees drawn by hand."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import pdist, squareform

from evaluation.modules import (
    UNASSIGNED,
    correlation_distances,
    cut_into,
    effect_distances,
    leaf_order,
    lone_clusters,
    marker_height,
    module_tree,
    number_at_height,
)
from lcd_core.errors import InputError


def random_effects(d, seed, sparsity=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(d, d)) * (rng.random((d, d)) >= sparsity)


def line_tree(*points):
    """Tree of points on a line."""
    x = np.array(points, dtype=float)
    return module_tree(np.abs(x[:, None] - x))


def cut_at_height(tree, height, min_size):
    return cut_into(tree, number_at_height(tree, height), min_size)


def partition(labels):
    """Clusters as sets, whatever their names."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@pytest.mark.parametrize(("d", "seed", "sparsity"), [(2, 0, 0), (9, 1, 0.7), (25, 2, 0.3)])
def test_distances_equal_networkx(d, seed, sparsity):
    A = random_effects(d, seed, sparsity)
    graph = nx.Graph()
    for i in range(d):
        for j in range(i):
            length = 1 / abs(A[i, j] + 1e-10) + 1 / abs(A[j, i] + 1e-10)
            graph.add_edge(i, j, weight=length)
    expected = np.zeros((d, d))
    for i, lengths in nx.all_pairs_dijkstra_path_length(graph):
        for j, length in lengths.items():
            expected[i, j] = length
    np.testing.assert_allclose(effect_distances(A), expected, rtol=1e-12)


def test_an_indirect_path_can_be_shorter():
    A = np.zeros((3, 3))
    A[0, 1] = A[1, 0] = A[1, 2] = A[2, 1] = 1.0
    A[0, 2] = A[2, 0] = 0.1  # directly 10 + 10, through gene 1 only 2 + 2
    assert effect_distances(A)[0, 2] == pytest.approx(4.0, rel=1e-9)


def average_linkage(distances):
    """Heights and members of the merges, by brute force over all pairs of clusters."""
    clusters = [frozenset([i]) for i in range(len(distances))]
    merges = []
    while len(clusters) > 1:
        height, a, b = min(
            (
                (np.mean([distances[i, j] for i in a for j in b]), a, b)
                for n, a in enumerate(clusters)
                for b in clusters[:n]
            ),
            key=lambda merge: merge[0],
        )
        clusters = [c for c in clusters if c not in (a, b)] + [a | b]
        merges.append((height, a | b))
    return merges


def test_tree_is_average_linkage():
    distances = effect_distances(random_effects(12, 3))
    tree = module_tree(distances)
    members = {i: frozenset([i]) for i in range(12)}
    merges = average_linkage(distances)
    for m, (left, right, height, size) in enumerate(tree):
        members[12 + m] = members[int(left)] | members[int(right)]
        assert members[12 + m] == merges[m][1]
        assert height == pytest.approx(merges[m][0], rel=1e-12)
        assert size == len(members[12 + m])
    assert sorted(leaf_order(tree)) == list(range(12))


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 14), st.integers(0, 10_000), st.data())
def test_markers_share_a_cluster_at_their_height_and_not_below(d, seed, data):
    tree = average(squareform(effect_distances(random_effects(d, seed)), checks=False))
    markers = data.draw(st.lists(st.integers(0, d - 1), min_size=2, max_size=d, unique=True))
    height = marker_height(tree, markers)
    assert height in tree[:, 2]
    assert len(set(cut_at_height(tree, height, 1)[markers])) == 1
    assert len(set(cut_at_height(tree, np.nextafter(height, 0), 1)[markers])) > 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 14), st.integers(0, 10_000), st.floats(0, 20))
def test_cut_at_height_is_scipys_partition(d, seed, height):
    tree = module_tree(effect_distances(random_effects(d, seed)))
    expected = fcluster(tree, height, criterion="distance")
    assert partition(cut_at_height(tree, height, 1)) == partition(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 14), st.integers(0, 10_000), st.data())
def test_cut_into_a_number_undoes_the_last_merges(d, seed, data):
    tree = module_tree(effect_distances(random_effects(d, seed)))
    number = data.draw(st.integers(1, d))
    clusters = {i: frozenset([i]) for i in range(d)}
    for m, (left, right) in enumerate(tree[: d - number, :2].astype(int)):
        clusters[d + m] = clusters.pop(left) | clusters.pop(right)
    assert partition(cut_into(tree, number, 1)) == set(clusters.values())


def test_cut_into_a_number_with_all_distances_equal():
    tree = module_tree(np.ones((6, 6)) - np.eye(6))
    for number in range(1, 7):
        assert len(set(cut_into(tree, number, 1))) == number


def test_clusters_are_numbered_in_leaf_order_and_small_ones_dropped():
    #            0   1   2    3    4     5   6    7    8
    tree = line_tree(0, 100, 0.1, 100.2, 50, 0.3, 100.5, 200, 0.6)
    modules = cut_at_height(tree, 5.0, min_size=3)
    assert partition(modules) == {
        frozenset({0, 2, 5, 8}), frozenset({1, 3, 6}), frozenset({4, 7})
    }  # fmt: skip
    assert modules[4] == modules[7] == UNASSIGNED
    first_seen = [m for m in modules[leaf_order(tree)] if m != UNASSIGNED]
    assert first_seen == sorted(first_seen)
    assert set(first_seen) == {1, 2}
    assert not cut_at_height(tree, 5.0, min_size=5).any()


def test_block_structure_is_recovered():
    rng = np.random.default_rng(4)
    block = np.repeat([0, 1, 2], 10)
    order = rng.permutation(30)
    A = rng.normal(size=(30, 30)) * np.where(block[:, None] == block, 1.0, 0.01)
    modules = cut_into(module_tree(effect_distances(A[np.ix_(order, order)])), 3)
    assert partition(modules) == partition(block[order])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.integers(2, 9), st.integers(0, 10_000))
def test_correlation_distances_equal_scipys(n, d, seed):
    profiles = np.random.default_rng(seed).normal(size=(n, d))
    expected = squareform(pdist(profiles.T, "correlation"))
    np.testing.assert_allclose(correlation_distances(profiles), expected, atol=1e-9)


def test_genes_of_constant_profile_correlate_with_none():
    profiles = np.array([[1.0, 2.0, 5.0, 5.0], [2.0, 4.0, 5.0, 5.0], [3.0, 6.0, 5.0, 5.0]])
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    np.testing.assert_allclose(correlation_distances(profiles), expected, atol=1e-12)


def test_modules_of_co_expression_are_those_of_common_factors():
    rng = np.random.default_rng(2)
    block = rng.permutation(np.repeat([0, 1, 2], 8))
    cells = rng.normal(size=(200, 3))[:, block] + rng.normal(0, 0.3, (200, 24))
    assert partition(cut_into(module_tree(correlation_distances(cells)), 3)) == partition(block)


def test_profiles_that_do_not_correlate_are_refused():
    with pytest.raises(InputError, match="1 rows"):
        correlation_distances(np.ones((1, 3)))
    with pytest.raises(InputError, match="2 values not finite"):
        correlation_distances(np.array([[1.0, np.nan], [2.0, 3.0], [np.inf, 1.0]]))


def test_genes_without_a_cluster_are_alone():
    membership = np.array([0, 2, 1, 0, 2, 0])
    alone = lone_clusters(membership)
    assert partition(alone) == {frozenset({0}), frozenset({3}), frozenset({5}), frozenset({2}),
                                frozenset({1, 4})}  # fmt: skip
    assert membership.tolist() == [0, 2, 1, 0, 2, 0]
    assert len(set(lone_clusters(np.zeros(4, dtype=np.int64)))) == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_effects_are_refused(bad):
    A = random_effects(4, 5)
    A[2, 1] = bad
    with pytest.raises(InputError, match=r"1 non-finite(.|\n)*A\[2, 1\] = -?(nan|inf)"):
        effect_distances(A)


def test_bad_requests_are_refused():
    tree = line_tree(0, 1, 3, 7)
    with pytest.raises(InputError, match="5 clusters of 4 genes"):
        cut_into(tree, 5)
    with pytest.raises(InputError, match="0 clusters of 4 genes"):
        cut_into(tree, 0)
    with pytest.raises(InputError, match="1 markers"):
        marker_height(tree, [2, 2])
    with pytest.raises(InputError, match="min_size"):
        cut_into(tree, 2, 0)
    with pytest.raises(InputError, match=r"shape \(2, 3\)"):
        effect_distances(np.ones((2, 3)))
    with pytest.raises(InputError, match="at least two genes"):
        module_tree(np.zeros((1, 1)))
