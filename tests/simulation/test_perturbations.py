"""Options of simulated screens: each does what it says, and nothing else."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lcd_core.errors import InputError
from pipeline.screen import targets_of
from simulation.module_network import module_network
from simulation.perturbations import draw_conditions, hidden_factor, most_regulated
from simulation.simulator import SimulatedScreen, simulate_screen

SMALL = {
    "genes": 48,
    "targets": 12,
    "doubles": 5,
    "cells_per_condition": 20,
    "control_cells": 200,
    "seed": 4,
}


@pytest.fixture(scope="module")
def plain() -> SimulatedScreen:
    return simulate_screen(**SMALL)


def control(screen: SimulatedScreen) -> np.ndarray:
    return screen.counts[screen.perturbations == "control"]


@pytest.mark.parametrize(
    "option",
    [
        {"network": "modules"},
        {"targets_from": "regulators"},
        {"failed_share": 0.0},
        {"confounding": 0.0},
        {"depth": 1.0},
        {"dominant_gene": None},
    ],
)
def test_an_option_at_its_default_changes_no_bit(plain: SimulatedScreen, option: dict) -> None:
    screen = simulate_screen(**SMALL, **option)
    np.testing.assert_array_equal(screen.counts, plain.counts)
    np.testing.assert_array_equal(screen.factors, plain.factors)


@pytest.mark.parametrize("targets_from", ["regulators", "anywhere"])
def test_targets_are_taken_from_where_they_are_asked_for(targets_from: str) -> None:
    """Drawn from anywhere, all genes are chosen alike: counts of choices are multinomial."""
    rng = np.random.default_rng(0)
    network = module_network(48, rng)
    chosen = Counter(
        target
        for _ in range(400)
        for targets in draw_conditions(network, 6, 15, rng, targets_from=targets_from)
        if len(targets) == 1
        for target in targets
    )
    observed = [chosen[gene] for gene in network.genes]
    assert sum(observed) == 400 * 6
    uniform = stats.chisquare(observed).pvalue
    if targets_from == "anywhere":
        assert uniform > 1e-3
    else:
        assert set(chosen) == set(network.regulators)
        assert uniform < 1e-10


def test_doubles_of_targets_from_anywhere_are_pairs_of_targets() -> None:
    screen = simulate_screen(**SMALL, targets_from="anywhere")
    names = set(screen.perturbations) - {"control"}
    singles = {name for name in names if len(targets_of(name)) == 1}
    doubles = names - singles
    assert len(doubles) == 5
    assert {target for name in doubles for target in targets_of(name)} <= singles
    assert singles == set(screen.fold_changes)


@pytest.mark.parametrize(("share", "number"), [(0.25, 3), (1.0, 12)])
def test_failed_perturbations_leave_their_target_alone(
    plain: SimulatedScreen, share: float, number: int
) -> None:
    """Where a target fails, its factor is that of the plain screen without the fold change."""
    screen = simulate_screen(**SMALL, failed_share=share)
    assert len(screen.failed) == number
    assert screen.failed <= set(screen.fold_changes)
    np.testing.assert_array_equal(screen.perturbations, plain.perturbations)
    expected = plain.factors.copy()
    for target in screen.failed:
        cells = [target in targets_of(name) for name in plain.perturbations]
        expected[screen.genes.index(target), cells] /= plain.fold_changes[target]
    np.testing.assert_allclose(screen.factors, expected, rtol=1e-12)
    for target, fold in screen.fold_changes.items():
        assert fold == (1 if target in screen.failed else plain.fold_changes[target])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(36, 200), st.floats(0.01, 2))
def test_a_hidden_factor_is_one_state_on_a_third_of_the_genes(
    seed: int, genes: int, strength: float
) -> None:
    factors = hidden_factor(genes, 50, strength, np.random.default_rng(seed))
    logs = np.log(factors) + strength**2 / 2
    driven = np.ptp(factors, axis=1) > 0
    assert driven.sum() == round(genes / 3)
    assert np.all(factors[~driven] == 1)
    # all driven genes have the same state, half of them with the other sign
    signs = np.sign(logs[driven] @ logs[driven][0])
    np.testing.assert_allclose(logs[driven], np.outer(signs, logs[driven][0]), atol=1e-9)
    assert abs(signs.sum()) <= 1


def test_a_hidden_factor_has_the_stated_strength_and_mean_one() -> None:
    factors = hidden_factor(60, 200_000, 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(factors.mean(axis=1), 1, atol=0.01)
    spread = np.log(factors).std(axis=1)
    np.testing.assert_allclose(spread[spread > 0], 0.5, rtol=0.01)


def test_confounding_acts_within_all_conditions_and_changes_none(plain: SimulatedScreen) -> None:
    screen = simulate_screen(**SMALL, confounding=0.5)
    logs = np.log(screen.factors / plain.factors)
    driven = logs.std(axis=1) > 1e-9
    assert driven.sum() == 16
    state = logs[driven][0] / logs[driven][0].std()
    groups = [state[screen.perturbations == name] for name in np.unique(screen.perturbations)]
    assert min(group.std() for group in groups) > 0.5
    assert stats.f_oneway(*groups).pvalue > 1e-3

    def strongest(screen: SimulatedScreen) -> float:
        """Mean size of the correlations of driven genes over control cells."""
        correlations = np.corrcoef(np.log1p(control(screen)[:, driven]), rowvar=False)
        return float(np.abs(correlations[np.triu_indices(16, 1)]).mean())

    assert strongest(screen) > strongest(plain) + 0.05


def test_depth_scales_the_counts(plain: SimulatedScreen) -> None:
    screen = simulate_screen(**SMALL, depth=0.1)
    ratio = control(screen).sum() / control(plain).sum()
    np.testing.assert_allclose(ratio, 0.1, rtol=0.05)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_one_gene_dominates_and_responds_to_a_target(share: float) -> None:
    screen = simulate_screen(**SMALL, dominant_gene=share)
    totals = control(screen).sum(axis=0)
    gene = int(totals.argmax())
    np.testing.assert_allclose(totals[gene] / totals.sum(), share, atol=0.03)
    assert screen.genes[gene] not in screen.network.regulators
    assert screen.genes[gene] not in screen.fold_changes
    causes = [screen.genes[cause] for cause in np.flatnonzero(screen.effects[gene])]
    assert set(causes) & set(screen.fold_changes)


def test_the_most_regulated_gene_is_found() -> None:
    network = module_network(60, np.random.default_rng(0))
    effects = np.abs(network.effects())
    target = 3
    gene = most_regulated(network, (network.genes[target],))
    below = effects[len(network.regulators) :, target]
    assert effects[gene, target] == below.max() > 0
    # all genes are targets: regulators are still left out
    everywhere = most_regulated(network, network.genes)
    assert everywhere >= len(network.regulators)
    assert effects[everywhere].max() == effects[len(network.regulators) :].max()


def test_a_dominant_gene_needs_a_target_that_works() -> None:
    with pytest.raises(InputError) as caught:
        simulate_screen(**SMALL, dominant_gene=0.4, failed_share=1.0)
    assert caught.value.where == "simulation.dominant_gene"
    assert caught.value.remedy
