"""The kinds of screens on which estimators are judged are plausible, and tell them apart."""

import time

import numpy as np
import pytest
from scipy import stats

from simulation.dynamics import simulate_levels
from simulation.simulator import SimulatedScreen, simulate_screen
from simulation.systems import kinds


@pytest.fixture(scope="module", params=sorted(kinds()))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def screen(kind: str) -> SimulatedScreen:
    """A screen of the kind, which takes a second or two of one core."""
    start = time.process_time()
    simulated = simulate_screen(**kinds()[kind], seed=1)
    assert time.process_time() - start < 10
    return simulated


def cells(screen: SimulatedScreen, perturbation: str) -> np.ndarray:
    return screen.counts[screen.perturbations == perturbation]


def significant(
    screen: SimulatedScreen, *, normalised: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Changes of each gene under each working target, and the steps from the target to the gene.

    Welch tests of logarithms, Benjamini-Hochberg 0.05 within each perturbation; perturbed genes
    themselves have 0 steps.
    """
    scale = 1e4 / screen.library_size[:, None] if normalised else 1
    logs = np.log1p(scale * screen.counts)
    reference = logs[screen.perturbations == "control"]
    targets = [target for target in screen.fold_changes if target not in screen.failed]
    p_values = [
        stats.ttest_ind(logs[screen.perturbations == target], reference, equal_var=False).pvalue
        for target in targets
    ]
    steps = screen.network.distances()[:, [screen.genes.index(target) for target in targets]].T
    return stats.false_discovery_control(p_values, axis=1) < 0.05, steps


def test_no_cell_and_no_gene_is_empty(screen: SimulatedScreen) -> None:
    assert screen.library_size.min() > 0
    assert screen.counts.sum(axis=0).min() > 0
    assert np.all(np.isfinite(screen.effects))


def test_working_perturbations_change_their_own_gene_plausibly(
    screen: SimulatedScreen, kind: str
) -> None:
    """Activation 2- to 25-fold, knock-down to less than 40 %; failed ones by chance alone."""
    for target in screen.fold_changes:
        gene = screen.genes.index(target)
        own, reference = cells(screen, target)[:, gene], cells(screen, "control")[:, gene]
        change = own.mean() / reference.mean()
        if target in screen.failed:
            assert stats.ttest_ind(own, reference, equal_var=False).pvalue > 1e-4
        elif kind == "knockdown":
            assert change < 0.4, target
        else:
            assert 2 < change < 25, target


def test_direct_links_respond_most_and_unrelated_pairs_least(screen: SimulatedScreen) -> None:
    changed, steps = significant(screen)
    direct, second, unrelated = (changed[steps == n].mean() for n in (1, 2, np.inf))
    assert direct > second > unrelated
    assert direct > 0.5
    assert unrelated < 0.25


def test_unrelated_pairs_respond_in_shares_of_counts_alone(screen: SimulatedScreen) -> None:
    """The true graph leaves no effect out: of raw counts, few tests err."""
    changed, steps = significant(screen, normalised=False)
    assert changed[np.isinf(steps)].mean() < 0.02
    assert changed[steps == 1].mean() > 0.5


def test_cells_have_settled(kind: str) -> None:
    """The two halves of a run agree, gene by gene, in each condition and over all of them.

    Differences of the same cells; of 60 standard normal deviates one exceeds 4.5 once in 2,500.
    """
    small = {**kinds()[kind], "cells_per_condition": 30, "control_cells": 100}
    screen = simulate_screen(**small, seed=2)
    rng = np.random.default_rng(0)

    def z_scores(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.array(
            [
                stats.ttest_rel(
                    second[:, screen.perturbations == name],
                    first[:, screen.perturbations == name],
                    axis=1,
                ).statistic
                for name in np.unique(screen.perturbations)
            ]
        )

    early = simulate_levels(screen.network, screen.factors, rng, duration=1.0)
    first = simulate_levels(screen.network, screen.factors, rng, initial=early, duration=9.0)
    second = simulate_levels(screen.network, screen.factors, rng, initial=first, duration=10.0)
    settled, moving = z_scores(first, second), z_scores(early, second)
    assert settled.std() < 1.1
    assert np.abs(settled.sum(axis=0)).max() < 4.5 * np.sqrt(len(settled))
    assert moving.std() > 1.1  # the same statistic notices an early stop


def test_most_responses_of_cascades_are_indirect() -> None:
    changed, steps = significant(simulate_screen(**kinds()["cascades"], seed=1))
    assert changed[np.isin(steps, (2, 3))].sum() > changed[steps == 1].sum()


def test_low_counts_are_low() -> None:
    screen = simulate_screen(**kinds()["low_counts"], seed=1)
    assert 0.1 < np.median(cells(screen, "control").mean(axis=0)) < 1


def test_a_dominant_gene_moves_the_shares_of_unrelated_genes() -> None:
    """Its own perturbation changes no other gene; normalised to 10,000, most seem to fall."""

    def seemingly_changed(kind: str, gene: str) -> float:
        screen = simulate_screen(**kinds()[kind], seed=1)
        changed, _ = significant(screen)
        place = [target for target in screen.fold_changes if target not in screen.failed]
        return float(changed[place.index(gene)].mean())

    screen = simulate_screen(**kinds()["dominant"], seed=1)
    gene = int(cells(screen, "control").sum(axis=0).argmax())
    assert not screen.effects[:, gene].any()
    assert seemingly_changed("dominant", screen.genes[gene]) > 0.5
    assert seemingly_changed("modules", screen.genes[gene]) < 0.1
