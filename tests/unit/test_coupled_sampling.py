"""Coupled sampling against exact Gaussian scores; expected expression against sums and draws."""

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from lcd_core.coupled_sampling import (
    coupled_states,
    expected_expression,
    expected_fractions,
    moved_by_zeros,
)
from lcd_core.drift import Drift, noise_levels
from lcd_core.errors import InputError
from lcd_core.measurement import sample_counts
from lcd_core.sampling import sample_states
from lcd_core.settings import PRESETS, DriftSettings, SamplerSettings

SHIFTS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
VARIANCE = 0.5


class GaussianDrift:
    """Exact noise-convolved score of N(membership @ SHIFTS, VARIANCE I)."""

    embedding = torch.zeros(2, 3)
    output = torch.nn.Linear(1, 3)

    def under(self, membership, copies=1):
        return GaussianConditions((membership @ SHIFTS).repeat_interleave(copies, dim=0))


class GaussianConditions:
    def __init__(self, means):
        self.means, self.alphas = means, noise_levels(DriftSettings()).tolist()

    def scaled(self, x, level):
        alpha = self.alphas[level]
        return -alpha * (x - self.means) / (VARIANCE + alpha**2)

    def move_(self, x, level, factor):
        return x.add_(self.scaled(x, level), alpha=factor)


MEMBERSHIP = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize("sampler", [None, PRESETS["fast"]], ids=["flow", "annealed"])
def test_distributions_are_those_of_the_score_and_differences_are_exact(sampler):
    states = coupled_states(GaussianDrift(), MEMBERSHIP, 4000, seed=1, sampler=sampler).double()
    assert states.shape == (4, 4000, 3)
    expected = (MEMBERSHIP @ SHIFTS).double()
    error = (VARIANCE / 4000) ** 0.5
    assert torch.allclose(states.mean(dim=1), expected, atol=5 * error + 0.01)
    assert states.var(dim=1).numpy() == pytest.approx(VARIANCE, rel=0.13)
    # What the noise does is the same in all conditions: their differences have no error by chance.
    between = states - states[:1]
    assert between.std(dim=1).max() < 1e-5
    assert torch.allclose(between.mean(dim=1), expected, atol=0.02)


def test_the_flow_needs_one_evaluation_at_each_level_and_one_to_begin():
    levels = []

    class CountingConditions(GaussianConditions):
        def scaled(self, x, level):
            levels.append(level)
            return super().scaled(x, level)

    class Counting(GaussianDrift):
        def under(self, membership, copies=1):
            return CountingConditions(super().under(membership, copies).means)

    coupled_states(Counting(), MEMBERSHIP, 2, seed=1)
    assert levels == [29, *reversed(range(30))]


@pytest.mark.parametrize("sampler", [None, SamplerSettings(steps_per_level=2)])
def test_a_condition_does_not_depend_on_what_is_drawn_with_it(sampler):
    drift = Drift(5, 2, DriftSettings(hidden=8, embedding_dimensions=4, time_dimensions=4))
    drift.reset(torch.Generator().manual_seed(3))
    together = coupled_states(drift, MEMBERSHIP, 6, seed=2, sampler=sampler)
    alone = coupled_states(drift, MEMBERSHIP[2:3], 6, seed=2, sampler=sampler)
    assert torch.allclose(together[2], alone[0], atol=1e-5)
    other = coupled_states(drift, MEMBERSHIP[2:3], 6, seed=3, sampler=sampler)
    assert not torch.allclose(other, alone)


def test_annealing_with_shared_noise_draws_what_annealing_draws():
    drift = GaussianDrift()
    settings = SamplerSettings(steps_per_level=2)
    coupled = coupled_states(drift, MEMBERSHIP[3:], 20_000, seed=1, sampler=settings)[0]
    rows = MEMBERSHIP[3:].expand(20_000, -1)
    alone = sample_states(drift, rows, settings, torch.Generator().manual_seed(1))
    assert torch.allclose(coupled.mean(dim=0), alone.mean(dim=0), atol=0.03)
    assert torch.allclose(coupled.var(dim=0), alone.var(dim=0), rtol=0.05)


def test_no_states_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        coupled_states(GaussianDrift(), MEMBERSHIP, 0, seed=1)


def test_expected_expression_is_the_sum_over_counts():
    rates = np.array([1e-4, 0.02, 0.3, 2.0, 50.0, 900.0, 3000.0])
    counts = np.arange(6000)
    scale = 1e4 / rates.sum()
    exact = [(poisson.pmf(counts, r) * np.log1p(scale * counts)).sum() for r in rates]
    found = expected_expression(torch.tensor(rates), torch.zeros(7))
    assert found.numpy() == pytest.approx(exact, rel=1e-5)


def test_expectations_agree_with_drawn_counts():
    generator = torch.Generator().manual_seed(1)
    rate = torch.rand(40, generator=generator) * 12 + 0.1
    pi = torch.rand(40, generator=generator) * 0.3
    cells = sample_counts(rate.expand(200_000, -1), pi, generator).double()
    shares = 1e4 * cells / cells.sum(dim=1, keepdim=True)
    error = shares.log1p().std(dim=0) / 200_000**0.5
    difference = expected_expression(rate, pi) - shares.log1p().mean(dim=0)
    total = float(((1 - pi) * rate).sum())
    assert (difference.abs() <= 5 * error + 2 / total).all()  # totals vary around their mean
    fractions = expected_fractions(rate, pi).numpy()
    assert fractions == pytest.approx(shares.mean(dim=0).numpy(), rel=0.02)


def test_a_cell_without_rates_expresses_nothing():
    nothing = torch.zeros(2, 3)
    assert not expected_expression(nothing, torch.zeros(3)).any()
    assert not expected_fractions(nothing, torch.zeros(3)).any()


def test_how_far_zeros_of_a_dominant_gene_move_totals():
    """And that it tells by how much the means of the others are too low."""
    rate = torch.tensor([[300.0, *[1.0] * 30], [30.0, *[10.0] * 30]])
    pi = torch.tensor([0.1, *[0.0] * 30])
    found = moved_by_zeros(rate, pi)
    np.testing.assert_allclose(found, [0.1 * 300 / 330, *[0.0] * 30], rtol=1e-6)
    generator = torch.Generator().manual_seed(1)
    cells = torch.poisson(rate[:1].expand(20_000, -1), generator=generator).double()
    cells[torch.rand(20_000, generator=generator) < 0.1, 0] = 0.0
    drawn = (1e4 * cells / cells.sum(dim=1, keepdim=True)).log1p().mean(dim=0)[1:].mean()
    bias = drawn - expected_expression(rate[:1], pi)[0, 1:].mean()
    assert 0.05 < float(bias) < 0.15
