"""Estimators of direct effects against closed forms and independent solvers."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from lcd_core.condition_means import count_means
from lcd_core.dense_rows import centred_ridge, reversible_effects, target_aware_rows
from lcd_core.direct_effects import ESTIMATORS, direct_effects
from lcd_core.errors import InputError
from lcd_core.estimators import estimate_effects
from lcd_core.evidence import Evidence, response_z
from lcd_core.probability_current import averaged_current, probability_current
from lcd_core.settings import EffectSettings
from lcd_core.sparse_rows import adaptive_rows, sparse_rows

SIGMA = 2.0**0.5


def stable(d, seed, density=0.4):
    """A drift matrix whose eigenvalues have real parts of at most -0.5."""
    rng = np.random.default_rng(seed)
    A = np.where(rng.random((d, d)) < density, rng.normal(size=(d, d)), 0.0)
    return A - (np.linalg.eigvals(A).real.max() + 0.5) * np.eye(d)


def exact(A, targets, seed=0, error=1e-3):
    """Evidence of a linear system without any noise, perturbations shifting their targets."""
    d, rng = len(A), np.random.default_rng(seed)
    shifts = np.zeros((d, len(targets)))
    for q, own in enumerate(targets):
        shifts[list(own), q] = rng.uniform(2.0, 4.0, len(own))
    covariance = scipy.linalg.solve_continuous_lyapunov(A, -(SIGMA**2) * np.eye(d))
    changes = -np.linalg.solve(A, shifts)
    return Evidence(
        changes,
        targets,
        initial=shifts,
        limits=changes,
        errors=np.full(changes.shape, error),
        covariance=covariance,
        jacobian=A,
    )


def each(d):
    return [(i,) for i in range(d)]


class TestCentredRidge:
    def test_solves_the_augmented_least_squares(self):
        evidence = exact(stable(6, 1), each(6)[:4])
        centre = np.random.default_rng(2).normal(size=(6, 6))
        found = centred_ridge(replace(evidence, jacobian=centre), 0.1)
        lam = 0.1 * (evidence.limits**2).sum() / 6
        left = np.vstack([evidence.limits.T, np.sqrt(lam) * np.eye(6)])
        right = np.vstack([-evidence.initial.T, np.sqrt(lam) * centre.T])
        expected = np.linalg.lstsq(left, right, rcond=None)[0].T
        np.testing.assert_allclose(found.effects, expected, rtol=1e-9)

    def test_without_a_centre_it_is_clipr(self):
        evidence = exact(stable(5, 3), each(5)[:3])
        found = centred_ridge(replace(evidence, jacobian=np.zeros((5, 5))), 0.2)
        ridge = 0.2 * (evidence.limits**2).sum() / 5
        expected = estimate_effects(evidence.initial, evidence.limits, ridge).effects
        np.testing.assert_allclose(found.effects, expected, rtol=1e-9)

    def test_where_no_perturbation_leads_it_is_the_centre(self):
        evidence = exact(stable(6, 4), each(6)[:2])
        found = centred_ridge(evidence, 0.5)
        unseen = scipy.linalg.null_space(evidence.limits.T)
        np.testing.assert_allclose(found.effects @ unseen, evidence.jacobian @ unseen, atol=1e-10)


class TestTargetAwareRows:
    TARGETS = ((0,), (1,), (3,), (0, 4), (1,), ())

    @pytest.mark.parametrize("weighted", [False, True])
    def test_equals_a_ridge_of_its_own_for_every_row(self, weighted):
        rng = np.random.default_rng(0)
        changes, centre = rng.normal(size=(7, 6)), rng.normal(size=(7, 7))
        errors = rng.uniform(0.5, 2.0, changes.shape)
        scale = rng.uniform(0.5, 2.0, 7)
        evidence = Evidence(changes, self.TARGETS, errors=errors if weighted else None)
        found = target_aware_rows(evidence, centre, 0.3, scale=scale)

        D = changes / scale[:, None]
        if weighted:
            weights = 1.0 / ((errors / scale[:, None]) ** 2).mean(axis=0)
            D = D * np.sqrt(weights / weights.mean())
        lam = 0.3 * (D**2).sum() / 7
        for i in range(7):
            kept = D[:, [q for q, own in enumerate(self.TARGETS) if i not in own]]
            supposed = centre[i] * scale / scale[i]
            row = np.linalg.solve(kept @ kept.T + lam * np.eye(7), lam * supposed)
            np.testing.assert_allclose(found.effects[i], row * scale[i] / scale, rtol=1e-8)
        assert found.resolution.min() >= 0
        assert found.resolution.max() <= 1

    def test_recovers_a_system_that_was_perturbed_everywhere(self):
        A = stable(6, 5)
        evidence = replace(exact(A, each(6)), errors=None)
        centre = reversible_effects(evidence.covariance, SIGMA)
        found = target_aware_rows(evidence, centre, 1e-10).effects
        ratios = found / np.diag(found)[:, None]
        np.testing.assert_allclose(ratios, A / np.diag(A)[:, None], atol=1e-5)

    def test_the_reversible_part_solves_the_lyapunov_equation(self):
        S = exact(stable(5, 6), each(5)).covariance
        A = reversible_effects(S, 1.3)
        np.testing.assert_allclose(A @ S + S @ A.T, -(1.3**2) * np.eye(5), atol=1e-10)
        assert (A == A.T).all()
        with pytest.raises(InputError, match="singular"):
            reversible_effects(np.ones((3, 3)), 1.0)


class TestSparseRows:
    def evidence(self, d=8, k=8, seed=0):
        rng = np.random.default_rng(seed)
        changes = rng.normal(size=(d, k))
        changes[np.arange(k), np.arange(k)] += 3.0
        return Evidence(changes, each(d)[:k], errors=rng.uniform(0.1, 0.4, (d, k)))

    def test_every_row_is_a_lasso_of_scikit_learn(self):
        evidence, strength = self.evidence(), 0.1
        found = sparse_rows(evidence, strength=strength, tolerance=1e-10, iterations=20_000)
        z = np.abs(response_z(evidence))
        d, k = evidence.changes.shape
        for i in range(d):
            others = [j for j in range(d) if j != i]
            kept = [q for q in range(k) if q != i]
            weights = evidence.errors[i, kept] ** -2.0
            weights /= weights.mean()
            X = evidence.changes[np.ix_(others, kept)].T
            y = evidence.changes[i, kept]
            scale = np.sqrt((weights[:, None] * X**2).sum(axis=0))
            scale = scale / np.maximum(z[i, others], 0.3)
            X, y = (
                np.sqrt(weights)[:, None] * X / scale,
                np.sqrt(weights) * y,
            )
            alpha = strength * np.abs(X.T @ y).max() / len(y)
            fit = Lasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(X, y)
            np.testing.assert_allclose(found.effects[i, others], fit.coef_ / scale, atol=2e-5)
        assert (np.diag(found.effects) == 0).all()

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 7), st.floats(-5, 5))
    def test_own_perturbations_do_not_matter_but_for_the_penalty(self, gene, change):
        evidence = self.evidence()
        moved = evidence.changes.copy()
        moved[gene, gene] += change
        first = sparse_rows(evidence, strength=0.1, tolerance=1e-9, iterations=5000)
        second = sparse_rows(replace(evidence, changes=moved), strength=0.1, tolerance=1e-9,
                             iterations=5000)  # fmt: skip
        np.testing.assert_allclose(first.effects[gene], second.effects[gene], atol=1e-6)

    def test_a_start_changes_nothing_but_the_time(self):
        evidence = self.evidence()
        plain = sparse_rows(evidence, strength=0.1, tolerance=1e-10, iterations=20_000)
        start = np.random.default_rng(1).normal(size=(8, 8))
        again = sparse_rows(evidence, strength=0.1, start=start, tolerance=1e-10, iterations=20_000)
        np.testing.assert_allclose(again.effects, plain.effects, atol=1e-7)

    def test_a_gene_that_never_changes_has_no_effects(self):
        evidence = self.evidence()
        still = evidence.changes.copy()
        still[2] = 0.0
        found = sparse_rows(replace(evidence, changes=still), strength=0.05).effects
        assert (found[:, 2] == 0).all()
        assert np.isfinite(found).all()

    def test_a_chain_is_told_from_its_total_effects(self):
        """0 -> 1 -> 2: gene 2 answers to perturbations of 0, through 1 alone."""
        A = -np.eye(3)
        A[1, 0], A[2, 1] = 0.8, 0.8
        found = adaptive_rows(exact(A, each(3)), draws=10, seed=1)
        assert abs(found.score[2, 1]) > 10 * abs(found.score[2, 0])
        assert abs(found.score[1, 0]) > 10 * abs(found.score[0, 1])
        np.testing.assert_allclose(found.effects[[1, 2], [0, 1]], 0.8, rtol=0.1)

    @pytest.mark.parametrize("strength", [0.0, 1.0, -1.0])
    def test_impossible_strengths_are_refused(self, strength):
        with pytest.raises(InputError, match="between 0 and 1"):
            sparse_rows(self.evidence(), strength=strength)


class TestAdaptiveRows:
    def test_same_seed_same_effects_and_shares(self):
        evidence = exact(stable(8, 1), each(8), error=0.1)
        first = adaptive_rows(evidence, draws=5, seed=3)
        again = adaptive_rows(evidence, draws=5, seed=3)
        assert (first.score == again.score).all()
        assert not (adaptive_rows(evidence, draws=5, seed=4).score == first.score).all()
        assert set(np.unique(first.resolution * 5).round(9)) <= set(range(6))
        assert (first.errors >= 0).all()

    def test_without_errors_it_is_the_sparse_rows(self):
        evidence = exact(stable(8, 2), each(8), error=1e-9)
        found = adaptive_rows(evidence, draws=3, seed=1)
        np.testing.assert_allclose(found.effects, sparse_rows(evidence).effects, atol=1e-2)

    def test_pairs_that_no_draw_selects_rank_behind(self):
        found = adaptive_rows(exact(stable(10, 3), each(10), error=0.05), draws=5, seed=1)
        off = ~np.eye(10, dtype=bool)
        always, never = off & (found.resolution == 1), off & (found.resolution == 0)
        assert always.any()
        assert never.any()
        assert np.abs(found.score[never]).max() < np.median(np.abs(found.score[always]))
        assert np.abs(found.score[never]).min() > 0

    def test_a_gene_hardly_seen_loses_influence(self):
        """The same changes, once with large errors of one gene: its edges fall in rank."""
        evidence = exact(stable(10, 4), each(10), error=0.02)
        strongest = np.abs(sparse_rows(evidence).effects).max(axis=1).argmax()
        errors = evidence.errors.copy()
        errors[strongest] = 3.0

        def place(own):
            score = np.abs(adaptive_rows(own, draws=10, seed=1).score)
            np.fill_diagonal(score, 0.0)
            return (score > score[strongest].max()).sum()

        assert place(replace(evidence, errors=errors)) > place(evidence)

    def test_one_draw_has_no_deviation(self):
        with pytest.raises(InputError, match="at least two draws"):
            adaptive_rows(exact(stable(4, 1), each(4)), draws=1, seed=1)


class TestProbabilityCurrent:
    def test_recovers_an_irreversible_system(self):
        A = stable(5, 7)
        evidence = exact(A, each(5), error=1e-4)
        found = probability_current(evidence, penalty=1e-6, iterations=5000)
        np.testing.assert_allclose(found.effects, A, atol=2e-2 * np.abs(A).max())
        reversible = reversible_effects(evidence.covariance, SIGMA)
        assert np.abs(reversible - A).max() > 0.2 * np.abs(A).max()

    def test_targets_are_inferred(self):
        A = stable(6, 8)
        evidence = exact(A, each(6), error=1e-3)
        told = probability_current(evidence, penalty=1e-3, iterations=3000)
        inferred = probability_current(
            replace(evidence, targets=None), penalty=1e-3, iterations=3000
        )
        np.testing.assert_allclose(inferred.effects, told.effects, atol=1e-2)

    def test_a_reversible_system_has_no_current(self):
        B = stable(4, 9)
        A = -(B @ B.T + np.eye(4))
        found = probability_current(exact(A, each(4), error=1e-3), penalty=1e-3)
        np.testing.assert_allclose(found.effects, A, rtol=1e-2, atol=1e-2)

    def test_the_covariance_is_kept_whatever_the_current(self):
        evidence = exact(stable(6, 10), each(6)[:3], error=0.1)
        A = probability_current(evidence).effects
        S = evidence.covariance
        np.testing.assert_allclose(A @ S + S @ A.T, -(SIGMA**2) * np.eye(6), atol=1e-8)

    def test_units_of_genes_are_those_of_the_effects(self):
        evidence = exact(stable(5, 11), each(5), error=0.05)
        unit = np.array([0.2, 1.0, 3.0, 0.7, 2.0])
        scaled = Evidence(
            evidence.changes * unit[:, None],
            evidence.targets,
            errors=evidence.errors * unit[:, None],
            covariance=evidence.covariance * np.outer(unit, unit),
        )
        first, second = probability_current(evidence).effects, probability_current(scaled).effects
        # a drift whose noise is alike in every gene is another system in other units
        S, T = evidence.covariance, scaled.covariance
        np.testing.assert_allclose(first @ S + S @ first.T, second @ T + T @ second.T, atol=1e-8)

    def test_the_average_needs_no_targets(self):
        evidence = replace(exact(stable(5, 12), each(5), error=0.05), targets=None)
        half = averaged_current(evidence, share=0.0).effects
        np.testing.assert_allclose(half, reversible_effects(evidence.covariance, SIGMA))


class TestRegistry:
    def test_settings_offer_every_estimator(self):
        import dataclasses

        (own,) = (f for f in dataclasses.fields(EffectSettings) if f.name == "estimator")
        assert set(own.metadata["choices"]) == set(ESTIMATORS)

    @pytest.mark.parametrize("name", ESTIMATORS)
    def test_every_estimator_answers_alike_and_says_what_it_lacks(self, name):
        evidence = exact(stable(6, 13), each(6)[:4], error=0.05)
        found = direct_effects(name, evidence, draws=3, seed=1)
        assert found.effects.shape == found.resolution.shape == found.ranking.shape == (6, 6)
        assert np.isfinite(found.ranking).all()
        for lacking in ESTIMATORS[name].needs:
            with pytest.raises(InputError, match=lacking):
                direct_effects(name, replace(evidence, **{lacking: None}), draws=3, seed=1)

    def test_an_unknown_estimator_is_refused(self):
        with pytest.raises(InputError, match="no such estimator"):
            direct_effects("oracle", exact(stable(3, 1), each(3)), draws=3, seed=1)


class TestEvidence:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"changes": np.zeros((2, 0))}, "genes x perturbations"),
            ({"errors": np.zeros((3, 2))}, "must be positive"),
            ({"errors": np.ones((2, 2))}, "of shape"),
            ({"covariance": np.full((3, 3), np.nan)}, "not finite"),
            ({"targets": [(0,), (3,)]}, "from 0 to 2"),
            ({"targets": [(0,)]}, "2 sets"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, given, message):
        with pytest.raises(InputError, match=message):
            Evidence(**({"changes": np.ones((3, 2))} | given))

    def test_z_of_repeated_guides_and_of_combinations(self):
        changes = np.array([[2.0, 4.0, 1.0], [3.0, 0.0, 1.0]])
        z = response_z(Evidence(changes, [(0,), (0,), (0, 1)], errors=np.full((2, 3), 2.0)))
        np.testing.assert_allclose(z[:, 0], [(1 + 2) / 2**0.5, (1.5 + 0) / 2**0.5])
        assert (z[:, 1] == 0).all()


def test_few_perturbations_give_finite_effects() -> None:
    """Where the power method ends too early, rows are solved again with a step that is safe."""
    counts = np.random.default_rng(0).poisson(4.0, (32, 4)).astype(float)
    conditions = {"control": [*range(8), *range(24, 32)], "B": range(8, 16), "A": range(16, 24)}
    means = count_means({name: counts[list(rows)] for name, rows in conditions.items()})
    found = adaptive_rows(means.evidence({"A": (2,), "B": (1,)}), draws=30, seed=1)
    assert np.isfinite(found.effects).all()
    assert np.isfinite(found.ranking).all()
