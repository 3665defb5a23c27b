"""Means of conditions, their standard errors, and the Jacobian of the control's drift."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

from lcd_core.condition_means import ConditionMeans, count_means, latent_means, shift_error
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.prior import GeneratorLayout, ImplicitPriors
from lcd_core.responses import control_jacobian, initial_responses
from lcd_core.settings import DriftSettings, PriorSettings
from lcd_core.units import LinearUnits
from simulation.linear_systems import LinearDrift


def log_evidence(counts, rate, pi, delta):
    """``log mean_s p(y_n | mu_s e^delta)`` of one gene, counts (n,) and rates (M,)."""
    p = (1 - pi) * poisson.pmf(counts[:, None], rate * np.exp(delta)) + pi * (counts[:, None] == 0)
    return np.log(p.mean(axis=1))


def error_of(counts, rate, pi=0.0, pseudocount=0.5):
    """Standard error of one gene, counts (n,) and rates (M,)."""
    given = (torch.as_tensor(own)[:, None] for own in (counts, np.asarray(rate, dtype=float)))
    (found,) = shift_error(*given, torch.tensor([pi], dtype=torch.float64), pseudocount)
    return found


class TestShiftError:
    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(0, 2**32 - 1), st.floats(0.0, 0.8), st.floats(0.05, 5.0), st.floats(0.1, 1.5)
    )
    def test_it_is_the_curvature_of_the_evidence(self, seed, pi, pseudocount, spread):
        rng = np.random.default_rng(seed)
        rate = np.exp(rng.normal(0.5, spread, 30))
        counts = rng.poisson(rng.choice(rate, 50)) * (rng.random(50) >= pi)
        h = 1e-5
        score = log_evidence(counts, rate, pi, h) - log_evidence(counts, rate, pi, -h)
        ends = [np.log(rate * np.exp(own) + pseudocount).mean() for own in (h, -h)]
        expected = (ends[0] - ends[1]) / np.sqrt((score**2).sum())  # both by 2 h
        assert error_of(counts, rate, pi, pseudocount) == pytest.approx(expected, rel=1e-5)

    def test_of_one_state_it_is_the_closed_form(self):
        """All states at mu: the score of a cell is ``y - mu``, of a zero the Poisson's share."""
        counts, mu, pi = np.array([0, 0, 1, 5]), 2.0, 0.3
        share = 0.7 * np.exp(-2) / (0.3 + 0.7 * np.exp(-2))
        information = 2 * (share * 2) ** 2 + (1 - 2) ** 2 + (5 - 2) ** 2
        expected = 2.0 / 2.5 / information**0.5
        assert error_of(counts, np.full(7, mu), pi) == pytest.approx(expected, rel=1e-12)
        plain = 2.0 / 2.5 / ((counts - mu) ** 2).sum() ** 0.5
        assert error_of(counts, np.full(7, mu)) == pytest.approx(plain, rel=1e-12)

    def test_genes_are_taken_one_by_one(self):
        rng = np.random.default_rng(0)
        counts, rate = rng.poisson(2, (40, 3)), rng.gamma(2, 1, (20, 3))
        pi = np.array([0.0, 0.2, 0.6])
        found = shift_error(*(torch.as_tensor(own) for own in (counts, rate, pi)), 0.5)
        expected = [error_of(counts[:, g], rate[:, g], pi[g]) for g in range(3)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_four_times_the_cells_halve_it(self):
        rng = np.random.default_rng(1)
        counts, rate = rng.poisson(3, 30), rng.gamma(3, 1, 20)
        assert error_of(np.tile(counts, 4), rate, 0.1) == pytest.approx(
            error_of(counts, rate, 0.1) / 2, rel=1e-12
        )

    def test_it_is_the_deviation_of_the_best_shift(self):
        """Refits of the shift to 200 screens of 300 cells: their deviation is known to 5 %."""
        rng = np.random.default_rng(2)
        rate, pi, pseudocount, n = np.array([0.5, 2.0, 6.0]), 0.2, 0.5, 300
        moved, told = [], []
        for _ in range(200):
            counts = rng.poisson(rng.choice(rate, n)) * (rng.random(n) >= pi)
            found = minimize_scalar(
                lambda delta, y=counts: -log_evidence(y, rate, pi, delta).sum(),
                bounds=(-1, 1),
                method="bounded",
            )
            moved.append(np.log(rate * np.exp(found.x) + pseudocount).mean())
            told.append(error_of(counts, rate, pi, pseudocount))
        assert np.mean(told) == pytest.approx(np.std(moved, ddof=1), rel=0.2)  # four deviations

    def test_a_gene_never_seen_has_a_finite_error(self):
        assert np.isfinite(error_of(np.zeros(20, dtype=int), np.full(5, 1e-8)))


class TestCountMeans:
    def test_errors_are_those_of_a_bootstrap(self):
        """1,000 cells know a variance to 4-6 %, 2,000 resamples its root to 1.6 %."""
        rng = np.random.default_rng(3)
        n, own = 1000, rng.poisson([0.5, 3.0, 20.0], (1000, 3)).astype(float)
        found = count_means({"control": own}, pseudocount=0.5)
        means = rng.multinomial(n, np.full(n, 1 / n), 2000) @ own / n
        resampled = np.log(means + 0.5)
        np.testing.assert_allclose(found.errors[0], resampled.std(axis=0, ddof=1), rtol=0.08)
        # the truth is as near as its error says
        off = (found.means[0] - np.log(np.array([0.5, 3.0, 20.0]) + 0.5)) / found.errors[0]
        assert np.abs(off).max() < 3

    def test_errors_of_overdispersed_counts_are_larger_than_poisson_ones(self):
        rng = np.random.default_rng(4)
        own = rng.poisson(rng.gamma(1.0, 5.0, (500, 1))).astype(float)
        found = count_means({"control": own}, pseudocount=0.5)
        expected = own.std(ddof=1) / 500**0.5 / (own.mean() + 0.5)
        assert found.errors[0, 0] == pytest.approx(expected, rel=1e-12)
        assert found.errors[0, 0] > 2 * (own.mean() / 500) ** 0.5 / (own.mean() + 0.5)

    def test_a_gene_never_seen_has_the_error_of_half_a_count(self):
        found = count_means({"control": np.zeros((10, 2))}, pseudocount=0.2)
        np.testing.assert_allclose(found.means, np.log(0.2))
        np.testing.assert_allclose(found.errors, (0.5 / 10 / 10) ** 0.5 / 0.2)

    def test_conditions_count_alike_in_the_covariance(self):
        few = np.array([[0.0, 1.0], [1.0, 0.0]])
        many = np.tile(np.array([[0.0, 0.0], [1.0, 1.0]]), (50, 1))
        found = count_means({"control": few, "A": many}, pseudocount=1.0)
        step = np.log(2) ** 2  # of log(y + 1) between counts of 0 and 1
        variance, other = step / 2, step / 4 * 100 / 99
        np.testing.assert_allclose(
            found.covariance,
            [[variance + other, other - variance], [other - variance, variance + other]]
            / np.array(2.0),
        )
        assert found.names == ["control", "A"]

    def test_one_gene_is_enough_and_one_cell_is_not(self):
        assert count_means({"control": np.ones((3, 1))}).covariance.shape == (1, 1)
        with pytest.raises(InputError, match=r"(?s)two cells.*B"):
            count_means({"control": np.ones((2, 2)), "B": np.ones((1, 2))})


class TestEvidence:
    MEANS = ConditionMeans(
        ["A", "control", "drug", "B"],
        np.array([[1.0, 2.0], [0.5, 1.0], [9.0, 9.0], [0.0, 3.0]]),
        np.array([[0.3, 0.6], [0.4, 0.8], [0.1, 0.1], [1.0, 1.5]]),
        np.array([[1.0, 0.2], [0.2, 2.0]]),
    )

    def test_changes_are_from_the_control_with_both_errors(self):
        evidence = self.MEANS.evidence({"B": [1], "A": (0,)})
        np.testing.assert_allclose(evidence.changes, [[-0.5, 0.5], [2.0, 1.0]])
        # 3-4-5 triangles: 0.3, 0.4 and 0.6, 0.8 of A, 1.5, 0.8 -> 1.7 of B
        np.testing.assert_allclose(evidence.errors, [[1.16**0.5, 0.5], [1.7, 1.0]])
        assert evidence.targets == [(1,), (0,)]
        assert evidence.covariance is self.MEANS.covariance

    def test_perturbations_without_modelled_targets_stay_out(self):
        evidence = self.MEANS.evidence({"A": (0,)})
        assert evidence.changes.shape == (2, 1)
        assert np.abs(evidence.changes).max() < 2  # of A; the drug would change by 8

    def test_a_missing_control_or_perturbation_is_named(self):
        renamed = replace(self.MEANS, names=["A", "unperturbed", "drug", "B"])
        with pytest.raises(InputError, match="control"):
            renamed.evidence({"A": (0,)})
        with pytest.raises(InputError, match="C"):
            self.MEANS.evidence({"A": (0,), "C": (1,)})
        with pytest.raises(InputError, match="no perturbation of a modelled gene"):
            self.MEANS.evidence({})


class TestLatentMeans:
    def priors(self, spread=0.0):
        """States ``bias + spread * noise`` of two conditions: all other parameters are 0."""
        own = PriorSettings(latent_dimensions=2, hidden=3, output_hidden=3)
        layout = GeneratorLayout(own, 2)
        flat = torch.zeros(2, layout.total)
        views = layout.views(flat)
        views["input.weight"].copy_(torch.eye(2))
        views["output.weight"].copy_(spread * torch.eye(2))
        views["output.bias"][:, 0] = torch.tensor([[1.0, -1.0], [2.0, 0.0]])
        logit_pi, eta = torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 3.0])
        return ImplicitPriors(["control", "A"], ["A", "B"], own, flat, logit_pi, eta, seed=1)

    def counts(self):
        rng = np.random.default_rng(5)
        return {name: torch.from_numpy(rng.poisson(2, (30, 2))) for name in ("control", "A")}

    def test_of_point_masses_they_are_exact(self):
        counts = self.counts()
        found = latent_means(self.priors(), counts, samples=4, pseudocount=0.5, seed=1)
        rate = np.log1p(np.exp([[1.0, -1.0], [2.0, 0.0]])) * [1.0, 3.0]
        np.testing.assert_allclose(found.means, np.log(rate + 0.5), rtol=1e-6)
        np.testing.assert_allclose(found.covariance, 0.0, atol=1e-12)
        pi = 1 / (1 + np.exp([1.0, 2.0]))
        for q, name in enumerate(("control", "A")):
            expected = [error_of(counts[name][:, g].numpy(), rate[q, [g]], pi[g]) for g in (0, 1)]
            np.testing.assert_allclose(found.errors[q], expected, rtol=1e-5)

    def test_of_gaussian_states_they_are_the_integrals(self):
        n = 20_000
        found = latent_means(self.priors(0.5), self.counts(), samples=n, pseudocount=0.5, seed=2)
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        weights = weights / weights.sum()
        x = np.array([[1.0, -1.0], [2.0, 0.0]])[..., None] + 0.5 * nodes
        u = np.log(np.log1p(np.exp(x)) * np.array([[1.0], [3.0]]) + 0.5)
        mean = (u * weights).sum(axis=-1)
        variance = ((u - mean[..., None]) ** 2 * weights).sum(axis=-1)
        assert (np.abs(found.means - mean) < 4 * np.sqrt(variance / n)).all()
        # relative deviation of a variance sqrt(2 / n) = 1 %, of a correlation 1 / sqrt(n) = 0.7 %
        np.testing.assert_allclose(np.diag(found.covariance), variance.mean(axis=0), rtol=0.04)
        correlation = found.covariance[0, 1] / np.sqrt(np.diag(found.covariance)).prod()
        assert abs(correlation) < 0.03

    def test_same_seed_same_means(self):
        first, again, other = (
            latent_means(self.priors(0.5), self.counts(), samples=20, seed=seed).means
            for seed in (1, 1, 2)
        )
        assert (first == again).all()
        assert (first != other).all()

    def test_missing_counts_and_single_samples_are_refused(self):
        counts = self.counts()
        with pytest.raises(InputError, match="two samples"):
            latent_means(self.priors(), counts, samples=1, seed=1)
        del counts["A"]
        with pytest.raises(InputError, match=r"(?s)no counts.*A"):
            latent_means(self.priors(), counts, samples=2, seed=1)


class TestControlJacobian:
    def test_of_a_linear_drift_it_is_its_matrix(self):
        """With ``x = m + T s`` the drift of s is ``T (A (m + T s) + b)``."""
        rng = np.random.default_rng(6)
        A, b, m, half = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4), np.eye(4)
        half = half + 0.3 * rng.normal(size=(4, 4))
        for scale in (half @ half.T, np.array([0.5, 1.0, 2.0, 3.0])):
            T = np.diag(scale) if scale.ndim == 1 else scale
            drift = LinearDrift(T @ A @ T, T @ (A @ m + b), rng.normal(size=(2, 4)))
            found = control_jacobian(drift, 2, LinearUnits(m, scale))
            np.testing.assert_allclose(found, A, atol=1e-10)

    @pytest.mark.parametrize("parameterization", ["plain", "linear_pull"])
    def test_of_a_network_it_is_the_difference_quotient_at_zero(self, parameterization):
        own = DriftSettings(hidden=8, embedding_dimensions=5, parameterization=parameterization)
        drift = Drift(3, 2, own)
        drift.reset(torch.Generator().manual_seed(0))
        drift.double()
        units = LinearUnits(
            np.array([0.5, -1.0, 2.0]),
            np.array([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 0.5]]),
        )

        def force(x):
            return initial_responses(drift, torch.zeros(1, 2), units.seen_from(x), level=5)[:, 0]

        h = 1e-5
        steps = h * np.eye(3)
        expected = np.stack([force(step) - force(-step) for step in steps], axis=1) / (2 * h)
        found = control_jacobian(drift, 2, units, level=5)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
        assert np.abs(found - control_jacobian(drift, 2, units, level=9)).max() > 1e-3

    def test_it_is_that_of_no_perturbation(self):
        class Bent(LinearDrift):
            def forward(self, x, membership, level):
                return (1 + membership.sum(dim=1, keepdim=True)) * x @ self.effects.T

        A = np.array([[-1.0, 0.5], [0.0, -2.0]])
        drift = Bent(A, np.zeros(2), np.zeros((3, 2)))
        np.testing.assert_allclose(control_jacobian(drift, 3, LinearUnits.original(2)), A)

    def test_levels_that_are_not_there_are_refused(self):
        drift = LinearDrift(-np.eye(2), np.zeros(2), np.eye(2))
        with pytest.raises(InputError, match="no such noise level"):
            control_jacobian(drift, 2, LinearUnits.original(2), level=30)
