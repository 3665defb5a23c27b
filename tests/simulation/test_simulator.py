"""The mechanistic simulator against written-out equations, graph theory and statistics."""

import itertools
from collections import Counter
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lcd_core.errors import InputError
from simulation.cascade_network import cascade_network
from simulation.catalogue import CATALOGUE, SIGNALS
from simulation.dynamics import simulate_levels
from simulation.measurement import mean_counts, measure
from simulation.module_network import module_network
from simulation.network import RegulatoryNetwork
from simulation.simulator import NETWORKS, simulate_rates, simulate_screen
from simulation.wiring import FEWEST_GENES, MOST_GENES

KINDS = st.sampled_from(sorted(NETWORKS))


def written_out_production(network: RegulatoryNetwork, x: np.ndarray) -> np.ndarray:
    """The equations of the module's docstring for one cell, gene by gene in float64."""

    def energy(gene: int, levels: np.ndarray) -> float:
        def bound(j: int) -> float:
            power = levels[j] ** network.hill_exponent[j]
            return power / (power + network.half_saturation[j] ** network.hill_exponent[j])

        return sum(
            w * bound(j)
            for (i, j), w in zip(network.edges, network.weights, strict=True)
            if i == gene
        ) + sum(
            v * bound(j) * bound(k)
            for (i, j, k), v in zip(network.gates, network.gate_weights, strict=True)
            if i == gene
        )

    rates = []
    for gene, occupancy in enumerate(network.occupancy):
        odds = occupancy / (1 - occupancy)
        odds *= np.exp(energy(gene, x) - energy(gene, np.ones_like(x)))
        rates.append(network.decay[gene] * odds / (1 + odds) / occupancy)
    return np.array(rates)


def standard_errors_apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Difference of the means of genes x cells in units of its standard error."""
    error = np.sqrt(
        first.var(axis=1, ddof=1) / first.shape[1] + second.var(axis=1, ddof=1) / second.shape[1]
    )
    return (first.mean(axis=1) - second.mean(axis=1)) / error


@pytest.fixture(scope="module")
def network() -> RegulatoryNetwork:
    return module_network(60, np.random.default_rng(3))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.integers(FEWEST_GENES, 60), KINDS)
def test_production_equals_the_written_out_equations(seed: int, genes: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    network = NETWORKS[kind](genes, rng)
    levels = rng.lognormal(0, 1.5, (genes, 2))
    for cell in range(2):
        np.testing.assert_allclose(
            network.production(levels)[:, cell],
            written_out_production(network, levels[:, cell]),
            rtol=1e-10,
        )


def test_unperturbed_steady_state_is_one(network: RegulatoryNetwork) -> None:
    np.testing.assert_allclose(network.production(np.ones((60, 1)))[:, 0], network.decay)


def test_effects_are_the_elasticities_at_the_steady_state(network: RegulatoryNetwork) -> None:
    step = 1e-5
    up, down = np.ones((60, 60)) + step * np.eye(60), np.ones((60, 60)) - step * np.eye(60)
    numerical = (np.log(network.production(up)) - np.log(network.production(down))) / (2 * step)
    np.testing.assert_allclose(network.effects(), numerical, atol=1e-8)
    assert set(zip(*np.nonzero(network.effects()), strict=True)) == set(map(tuple, network.edges))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), KINDS)
def test_signs_of_effects_hold_at_every_level(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    network = NETWORKS[kind](40, rng)
    signs = np.sign(network.effects())
    levels = np.repeat(rng.lognormal(0, 1, (40, 1)), 40, axis=1)
    moved = network.production(levels * np.exp(1e-4 * np.eye(40)))
    slopes = (np.log(moved) - np.log(network.production(levels))) / 1e-4
    assert np.all(slopes[signs == 0] == 0)
    clear = np.abs(slopes) > 1e-7
    np.testing.assert_array_equal(np.sign(slopes)[clear], signs[clear])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([36, 60, 80, 200]), KINDS)
def test_cycles_exist_and_are_negative(seed: int, genes: int, kind: str) -> None:
    effects = NETWORKS[kind](genes, np.random.default_rng(seed)).effects()
    graph = nx.DiGraph((int(j), int(i)) for i, j in zip(*np.nonzero(effects), strict=True))
    cycles = list(nx.simple_cycles(graph))
    assert cycles
    for cycle in cycles:
        assert np.prod([effects[b, a] for a, b in itertools.pairwise([*cycle, cycle[0]])]) < 0


@pytest.mark.parametrize("kind", sorted(NETWORKS))
@pytest.mark.parametrize("genes", [FEWEST_GENES, 60, 81, 200, MOST_GENES])
def test_genes_are_regulators_and_disjoint_modules(genes: int, kind: str) -> None:
    network = NETWORKS[kind](genes, np.random.default_rng(0))
    members = [gene for module in network.modules.values() for gene in module]
    assert [*network.regulators, *members] == list(network.genes)
    assert max(Counter(network.genes).values()) == 1
    assert len(network.genes) == genes
    assert min(map(len, network.modules.values())) >= 8
    assert all(gene.startswith(("RPL", "RPS")) for gene in network.modules["RIBOSOME"])
    edges = set(map(tuple, network.edges))
    assert len(edges) == len(network.edges) < 0.15 * genes**2
    assert {edge for i, j, k in network.gates for edge in ((i, j), (i, k))} <= edges


def test_catalogue_has_no_symbol_twice() -> None:
    symbols = " ".join(f"{factors} {genes}" for factors, genes in CATALOGUE.values()).split()
    assert max(Counter([*symbols, *SIGNALS.values()]).values()) == 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([36, 60, 81]), KINDS)
def test_distances_are_those_of_the_graph(seed: int, genes: int, kind: str) -> None:
    network = NETWORKS[kind](genes, np.random.default_rng(seed))
    graph = nx.DiGraph((int(j), int(i)) for i, j in network.edges)
    graph.add_nodes_from(range(genes))
    expected = np.full((genes, genes), np.inf)
    for cause, lengths in nx.all_pairs_shortest_path_length(graph):
        for effect, steps in lengths.items():
            expected[effect, cause] = steps
    np.testing.assert_array_equal(network.distances(), expected)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([36, 60, 120, 250]))
def test_cascades_act_mostly_through_other_genes(seed: int, genes: int) -> None:
    """Few links, more pairs two or three steps apart, and causes that are no regulators."""
    network = cascade_network(genes, np.random.default_rng(seed))
    steps = network.distances()
    assert genes < (steps == 1).sum() < 3 * genes
    assert np.isin(steps, (2, 3)).sum() > 1.2 * (steps == 1).sum()
    below = set(network.edges[:, 1].tolist()) - set(range(len(network.regulators)))
    # relays are 35%, and of few genes chance leaves some of these without any below
    assert 0.1 < len(below) / (genes - len(network.regulators)) < 0.5
    # all genes but the signals have causes
    assert len(set(network.edges[:, 0].tolist())) == genes - len(network.modules)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_modules_of_cascades_are_what_is_below_their_chain(seed: int) -> None:
    network = cascade_network(60, np.random.default_rng(seed))
    steps = network.distances()
    for chain, members in enumerate(network.modules.values()):
        signal, first, last = range(3 * chain, 3 * chain + 3)
        assert steps[first, signal] == steps[last, first] == 1
        below = steps[[network.genes.index(gene) for gene in members], last]
        assert set(below.tolist()) <= {1, 2}


def test_longer_runs_and_other_starts_end_in_the_same_distribution() -> None:
    """Stationary at the end, whatever the start: nothing is frozen or still on its way.

    The largest of 3 x 60 standard normal deviates exceeds 4.5 once in 800 times.
    """
    rng = np.random.default_rng(5)
    network = module_network(60, rng)
    factors = np.ones((60, 1500))
    factors[::3] = 4.0  # a strong perturbation of many genes at once
    once = simulate_levels(network, factors, rng)
    twice = simulate_levels(network, factors, rng, duration=40)
    low = simulate_levels(network, factors, rng, initial=np.full_like(factors, 0.05))
    high = simulate_levels(network, factors, rng, initial=np.full_like(factors, 10.0))
    for other in (twice, low, high):
        assert np.abs(standard_errors_apart(once, other)).max() < 4.5
        quantiles = np.abs(
            np.quantile(once, [0.1, 0.9], axis=1) / np.quantile(other, [0.1, 0.9], 1) - 1
        )
        assert np.median(quantiles) < 0.05


def test_an_early_stop_is_noticed_by_the_same_statistic() -> None:
    rng = np.random.default_rng(5)
    network = module_network(60, rng)
    factors = np.ones((60, 1500))
    factors[::3] = 4.0
    early = simulate_levels(network, factors, rng, duration=2)
    late = simulate_levels(network, factors, rng)
    assert np.abs(standard_errors_apart(early, late)).max() > 10


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("regulation_strength", [1.0, 1.5])
def test_without_noise_levels_solve_the_steady_state_equations(
    seed: int, regulation_strength: float
) -> None:
    rng = np.random.default_rng(seed)
    network = module_network(60, rng, regulation_strength=regulation_strength)
    factors = np.ones((60, 20))
    factors[range(10), range(10)] = 8.0
    factors[range(10), range(10, 20)] = 1 / 8
    levels = simulate_levels(network, factors, rng, intrinsic_noise=0.0, duration=60)
    levels = levels.astype(np.float64)
    np.testing.assert_allclose(
        network.production(levels) * factors, network.decay[:, None] * levels, rtol=2e-3, atol=2e-3
    )


def test_zero_weights_give_independent_genes_of_the_stated_noise() -> None:
    rng = np.random.default_rng(1)
    network = module_network(36, rng, regulation_strength=0.0)
    assert not network.effects().any()
    levels = simulate_levels(network, np.ones((36, 4000)), rng, intrinsic_noise=0.2, step=0.05)
    correlations = np.corrcoef(levels)[np.triu_indices(36, 1)]
    # Fisher's z of independent genes is standard normal: neither spread nor extremes exceed that
    z = np.arctanh(correlations) * np.sqrt(4000 - 3)
    assert 0.85 < z.std() < 1.15
    assert np.abs(z).max() < 4.5
    # Euler-Maruyama inflates the variance of dx = g(1 - x)dt by 1 / (1 - g step / 2)
    expected = 0.2 / np.sqrt(1 - network.decay * 0.05 / 2)
    np.testing.assert_allclose(levels.std(axis=1), expected, rtol=0.06)
    np.testing.assert_allclose(levels.mean(axis=1), 1, atol=4.5 * 0.21 / np.sqrt(4000))


def test_correlated_genes_are_noticed_by_the_same_statistic(network: RegulatoryNetwork) -> None:
    levels = simulate_levels(network, np.ones((60, 2000)), np.random.default_rng(0))
    z = np.arctanh(np.corrcoef(levels)[np.triu_indices(60, 1)]) * np.sqrt(2000 - 3)
    assert z.std() > 2


def test_measurement_has_the_stated_mean_and_overdispersion() -> None:
    rng = np.random.default_rng(0)
    mean_counts = np.array([0.5, 2.0, 10.0])
    counts = measure(np.ones((3, 200_000)), mean_counts, rng, library_noise=0.3, dropout=0.0)
    assert counts.dtype == np.int32
    np.testing.assert_allclose(counts.mean(axis=0), mean_counts, rtol=0.01)
    expected = mean_counts + mean_counts**2 * (np.exp(0.09) - 1)  # Poisson of a lognormal
    np.testing.assert_allclose(counts.var(axis=0), expected, rtol=0.03)


def test_depth_scales_the_mean_counts(network: RegulatoryNetwork) -> None:
    deep, shallow = (
        mean_counts(network, np.random.default_rng(0), depth=depth) for depth in (1.0, 0.1)
    )
    np.testing.assert_allclose(shallow, deep / 10)


def test_dropout_adds_zeros_beyond_poisson_and_keeps_the_mean() -> None:
    counts = measure(
        np.ones((40, 20_000)),
        np.full(40, 8.0),
        np.random.default_rng(0),
        library_noise=0.0,
        dropout=0.2,
    )
    zeros = (counts == 0).mean(axis=0)
    assert np.all((zeros > 0.08) & (zeros < 0.32))  # half to one and a half times 0.2
    np.testing.assert_allclose(zeros.mean(), 0.2, atol=0.04)
    np.testing.assert_allclose(counts.mean(axis=0), 8.0, rtol=0.03)


@pytest.mark.parametrize(("kind", "direction"), [("activation", 1), ("knockdown", -1)])
def test_perturbations_move_their_target(kind: str, direction: int) -> None:
    screen = simulate_screen(genes=60, kind=kind, seed=2, doubles=0, control_cells=400)
    control = screen.perturbations == "control"
    for target in np.unique(screen.perturbations[~control]):
        gene = screen.genes.index(target)
        counts = screen.counts[:, gene]
        alternative = "greater" if direction > 0 else "less"
        test = stats.mannwhitneyu(
            counts[screen.perturbations == target], counts[control], alternative=alternative
        )
        assert test.pvalue < 1e-6, target


def test_screen_has_the_conditions_asked_for() -> None:
    screen = simulate_screen(
        genes=60, targets=6, doubles=15, cells_per_condition=3, control_cells=5, seed=0
    )
    cells = Counter(screen.perturbations.tolist())
    singles = {name for name in cells if "+" not in name} - {"control"}
    doubles = {name for name in cells if "+" in name}
    assert cells.pop("control") == 5
    assert set(cells.values()) == {3}
    assert len(singles) == 6
    assert singles <= set(screen.network.regulators)
    assert doubles == {"+".join(pair) for pair in itertools.combinations(sorted(singles), 2)}
    assert screen.counts.shape == (5 + 3 * 21, 60)
    np.testing.assert_array_equal(screen.library_size, screen.counts.sum(axis=1))


def test_all_genes_can_be_perturbed() -> None:
    screen = simulate_screen(
        genes=40, targets=40, doubles=0, cells_per_condition=2, control_cells=2, seed=0
    )
    assert set(screen.perturbations) == {"control", *screen.genes}


def test_doubles_are_pairs_of_regulators_as_long_as_there_are_any() -> None:
    few, many = (
        simulate_screen(
            genes=40, targets=10, doubles=doubles, cells_per_condition=2, control_cells=2, seed=0
        )
        for doubles in (15, 16)
    )
    regulators = set(few.network.regulators)
    assert len(regulators) == 6  # 15 pairs
    pairs = [set(name.split("+")) for name in np.unique(few.perturbations) if "+" in name]
    assert len(pairs) == 15
    assert all(pair <= regulators for pair in pairs)
    others = [set(name.split("+")) for name in np.unique(many.perturbations) if "+" in name]
    assert len(others) == 16
    assert not all(pair <= regulators for pair in others)


def test_more_targets_than_regulators_keep_all_regulators() -> None:
    screen = simulate_screen(
        genes=60, targets=20, doubles=0, cells_per_condition=2, control_cells=2, seed=0
    )
    assert set(screen.network.regulators) < set(screen.perturbations)


def test_same_seed_same_bytes_and_other_seed_other_bytes() -> None:
    def run(seed: int) -> bytes:
        screen = simulate_screen(
            genes=40, targets=4, doubles=2, cells_per_condition=40, control_cells=40, seed=seed
        )
        return screen.counts.tobytes() + screen.effects.tobytes() + screen.perturbations.tobytes()

    assert run(7) == run(7)
    assert run(7) != run(8)


@pytest.fixture(scope="module")
def default_screen():
    return simulate_screen(seed=0)


def test_counts_look_like_highly_variable_genes(default_screen) -> None:
    control = default_screen.counts[default_screen.perturbations == "control"]
    means = control.mean(axis=0)
    assert 0.15 < means.min() < 0.5
    assert 15 < means.max() < 35
    assert 250 < np.median(control.sum(axis=1)) < 800
    assert np.all(control.var(axis=0, ddof=1) > means)
    assert default_screen.counts.sum(axis=0).min() > 0
    assert default_screen.library_size.min() > 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fold", [8.0, 1 / 8])
def test_ribosomal_genes_respond_together(seed: int, fold: float) -> None:
    """Singles shift the genes of the module alike, unlike the genes of other modules."""
    rng = np.random.default_rng(seed)
    network = module_network(80, rng)
    n_regulators = len(network.regulators)
    factors = np.ones((80, n_regulators + 1))
    factors[range(n_regulators), range(n_regulators)] = fold
    profiles = np.log(simulate_levels(network, factors, rng, intrinsic_noise=0.0))
    correlations = np.corrcoef(profiles)
    inside = np.array([gene.startswith(("RPL", "RPS")) for gene in network.genes])
    outside = ~inside
    outside[:n_regulators] = False
    among = correlations[np.ix_(inside, inside)][np.triu_indices(inside.sum(), 1)]
    assert among.mean() > 0.5
    assert among.mean() > np.abs(correlations[np.ix_(inside, outside)]).mean() + 0.2


def test_doubles_deviate_from_additivity_through_interactions() -> None:
    """Without noise, log levels of doubles are far from the sum of the singles' changes."""
    network = module_network(80, np.random.default_rng(0))
    regulators = range(len(network.regulators))
    pairs = list(itertools.combinations(regulators, 2))
    sets: list[tuple[int, ...]] = [(), *((gene,) for gene in regulators), *pairs]
    factors = np.ones((80, len(sets)))
    for column, targets in enumerate(sets):
        factors[list(targets), column] = 8.0

    def deviations(network: RegulatoryNetwork) -> np.ndarray:
        levels = simulate_levels(network, factors, np.random.default_rng(0), intrinsic_noise=0.0)
        change = np.log(levels).T
        change = {targets: change[column] for column, targets in enumerate(sets)}
        return np.array(
            [
                np.linalg.norm(change[pair] - change[pair[:1]] - change[pair[1:]])
                / np.linalg.norm(change[pair])
                for pair in pairs
            ]
        )

    assert np.mean(deviations(network) > 0.3) > 0.25
    # where promoters are far from saturation and nothing interacts, direct effects add up
    direct = network.edges[:, 0] >= len(network.regulators)
    direct &= network.edges[:, 1] < len(network.regulators)
    additive = replace(
        network,
        edges=network.edges[direct],
        weights=network.weights[direct],
        gates=network.gates[:0],
        gate_weights=network.gate_weights[:0],
        occupancy=np.full(80, 1e-6),
    )
    assert deviations(additive).max() < 0.01


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("genes", {"genes": FEWEST_GENES - 1}),
        ("genes", {"genes": MOST_GENES + 1}),
        ("targets", {"targets": 61}),
        ("targets", {"targets": 0}),
        ("doubles", {"targets": 4, "doubles": 7}),
        ("doubles", {"doubles": -1}),
        ("cells_per_condition", {"cells_per_condition": 0}),
        ("control_cells", {"control_cells": 0}),
        ("kind", {"kind": "knockout"}),
        ("network", {"network": "random"}),
        ("targets_from", {"targets_from": "nowhere"}),
        ("failed_share", {"failed_share": 1.1}),
        ("confounding", {"confounding": -0.5}),
        ("depth", {"depth": 0.0}),
        ("dominant_gene", {"dominant_gene": 1.0}),
        ("dominant_gene", {"dominant_gene": 0.0}),
        ("regulation_strength", {"regulation_strength": -1.0}),
        ("regulation_strength", {"regulation_strength": 2.0}),
        ("interaction_strength", {"interaction_strength": 1.5}),
        ("perturbation_strength", {"perturbation_strength": 0.5}),
        ("perturbation_strength", {"perturbation_strength": float("nan")}),
        ("intrinsic_noise", {"intrinsic_noise": -0.1}),
        ("dropout", {"dropout": 1.0}),
    ],
)
def test_impossible_settings_are_refused(field: str, values: dict) -> None:
    with pytest.raises(InputError) as caught:
        simulate_screen(**{"genes": 60, "seed": 0, **values})
    assert caught.value.where == f"simulation.{field}"
    assert caught.value.found == str(values[field])
    assert caught.value.remedy


def test_further_cells_are_those_of_the_screen() -> None:
    screen = simulate_screen(targets=3, doubles=2, cells_per_condition=400, seed=3)
    singles = {name: own for name in screen.fold_changes for own in [(name,)]}
    pairs = {name: tuple(name.split("+")) for name in set(screen.perturbations) if "+" in name}
    for name, targets in {"control": (), **singles, **pairs}.items():
        drawn = screen.counts[screen.perturbations == name]
        rates = simulate_rates(screen, targets, 400, seed=7)
        expected = (rates * (1 - screen.lost)).mean(axis=0)
        error = np.sqrt(drawn.var(axis=0) / len(drawn) + rates.var(axis=0) / 400)
        assert (np.abs(drawn.mean(axis=0) - expected) < 5 * error).all(), name
