"""Comparators of direct effects against closed forms and independent solvers."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from scipy.optimize import minimize

from evaluation.comparators import (
    COMPARATORS,
    differential_expression_z,
    inspre,
    inverse_covariance,
    llc,
    lyapunov_lasso,
    oriented_z,
    total_effects,
)
from lcd_core.errors import InputError
from lcd_core.evidence import Evidence

SIGMA = 2.0**0.5


def chain():
    """0 -> 1 -> 2; a unit more of 0 gives 0.8 of 1, a unit more of 1 gives 0.5 of 2."""
    A = -np.eye(3)
    A[1, 0], A[2, 1] = 0.8, 0.5
    return A


def stable(d, seed):
    """A sparse drift matrix whose eigenvalues have real parts of at most -0.5."""
    rng = np.random.default_rng(seed)
    A = np.where(rng.random((d, d)) < 0.4, rng.normal(size=(d, d)), 0.0)
    return A - (np.linalg.eigvals(A).real.max() + 0.5) * np.eye(d)


def exact(A, targets, shifts=None, error=1e-3):
    """Evidence of a linear system without noise, shifts (k,) of the targets."""
    shifts = np.ones(len(targets)) if shifts is None else np.asarray(shifts, dtype=float)
    C = np.zeros((len(A), len(targets)))
    for q, own in enumerate(targets):
        C[list(own), q] = shifts[q]
    changes = -np.linalg.solve(A, C)
    covariance = scipy.linalg.solve_continuous_lyapunov(A, -(SIGMA**2) * np.eye(len(A)))
    return Evidence(
        changes, targets, errors=np.full(changes.shape, error), covariance=covariance
    )  # fmt: skip


def each(d):
    return [(i,) for i in range(d)]


def per_unit(A):
    """Direct effects per unit of the cause, of rows that pull themselves back at rate 1."""
    G = -A / np.diag(A)[:, None]
    np.fill_diagonal(G, 0.0)
    return G


class TestZ:
    CHANGES = np.array([[-2.0, 1.0, 3.0], [-1.0, 4.0, 0.5], [4.0, -2.0, 1.0]])

    def evidence(self):
        errors = np.array([[0.5, 1.0, 1.0], [0.5, 2.0, 1.0], [2.0, 0.5, 1.0]])
        return Evidence(self.CHANGES, [(0,), (1,), (0, 1)], errors=errors)

    def test_change_over_error_by_cause(self):
        found = differential_expression_z(self.evidence())
        np.testing.assert_allclose(found.effects, [[-4, 1, 0], [-2, 2, 0], [2, -4, 0]])
        assert found.resolution.tolist() == [[1, 1, 0]] * 3

    def test_oriented_by_what_the_perturbation_did_to_its_target(self):
        """Gene 0 was knocked down and gene 1 fell: a positive effect."""
        found = oriented_z(self.evidence())
        np.testing.assert_allclose(found.effects, [[4, 1, 0], [2, 2, 0], [-2, -4, 0]])
        assert found.resolution.tolist() == [[1, 1, 0]] * 3

    def test_orientation_does_not_depend_on_the_perturbation(self):
        up, down = (exact(stable(5, 1), each(5), shifts=own * np.ones(5)) for own in (1, -1))
        np.testing.assert_allclose(oriented_z(up).effects, oriented_z(down).effects)
        first, second = (differential_expression_z(own).effects for own in (up, down))
        np.testing.assert_allclose(first, -second)


class TestTotalEffects:
    def test_of_a_chain(self):
        """0.8 of 0 on 1, 0.5 of 1 on 2, and 0.4 of 0 on 2, whatever the perturbations."""
        expected = [[1, 0, 0], [0.8, 1, 0], [0.4, 0.5, 1]]
        for shifts in ([1, 1, 1], [-3, 0.2, 10]):
            found = total_effects(exact(chain(), each(3), shifts))
            np.testing.assert_allclose(found.effects, expected, atol=1e-12)
            assert (found.resolution == 1).all()

    def test_with_feedback_they_are_ratios_of_the_inverse(self):
        A = stable(6, 2)
        inverse = np.linalg.inv(A)
        found = total_effects(exact(A, each(6), [1, -2, 3, -4, 5, -6]))
        np.testing.assert_allclose(found.effects, inverse / np.diag(inverse), atol=1e-9)

    def test_causes_that_did_not_move_have_none(self):
        evidence = exact(chain(), [(0,), (1,), (0, 2)], [1, 0.5, 1])
        errors = evidence.errors.copy()
        errors[1, 1] = 0.26  # of a change of 0.5
        found = total_effects(replace(evidence, errors=errors))
        assert (found.effects[:, 1:] == 0).all()
        np.testing.assert_allclose(found.effects[:, 0], [1, 0.8, 0.4])
        assert found.resolution.tolist() == [[1, 0, 0]] * 3
        errors[1, 1] = 0.24
        assert total_effects(replace(evidence, errors=errors)).effects[2, 1] == pytest.approx(0.5)


def best_inverse(R, weight, share):
    """inspre by a quasi-Newton method over V alone, in which ``U = V^-1``.

    V is split into its positive and negative parts, which are bounded below by 0.
    """
    n, off = len(R), ~np.eye(len(R), dtype=bool)
    start = np.linalg.solve(R.T @ R + 1e-2 * np.trace(R.T @ R) / n * np.eye(n), R.T)
    lam = share * np.abs(start[off]).max()

    def objective(parts):
        positive, negative = parts.reshape(2, n, n)
        U = np.linalg.inv(positive - negative)
        slope = -U.T @ (weight * (U - R)) @ U.T
        value = 0.5 * (weight * (U - R) ** 2).sum() + lam * (positive + negative)[off].sum()
        return value, np.concatenate([(slope + lam * off).ravel(), (lam * off - slope).ravel()])

    V = np.linalg.inv(R)
    parts = np.concatenate([np.maximum(V, 0).ravel(), np.maximum(-V, 0).ravel()])
    found = minimize(
        objective,
        parts,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(parts),
        options={"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-10},
    )
    positive, negative = found.x.reshape(2, n, n)
    V = positive - negative
    G = -V / np.diag(V)[:, None]
    np.fill_diagonal(G, 0.0)
    return G


class TestInspre:
    def test_exact_on_a_chain_with_the_orientation(self):
        """``R^-1`` has -0.8 at (1, 0) and -0.5 at (2, 1): 0 acts on 1, not 1 on 0."""
        found = inspre(exact(chain(), each(3)), share=1e-8)
        np.testing.assert_allclose(
            found.effects, [[0, 0, 0], [0.8, 0, 0], [0, 0.5, 0]], atol=1e-6
        )  # fmt: skip
        assert (found.resolution == 1).all()

    def test_by_default_the_indirect_effect_is_all_but_gone(self):
        evidence = exact(chain(), each(3), [-1, 1.2, -1.1])
        found = inspre(evidence).effects
        assert total_effects(evidence).effects[2, 0] == pytest.approx(0.4)
        assert abs(found[2, 0]) < 0.02
        assert 0.7 < found[1, 0] < 0.8
        assert 0.4 < found[2, 1] < 0.5

    @pytest.mark.parametrize("seed", [0, 1, 3])
    def test_exact_with_feedback(self, seed):
        A = stable(5, seed)
        found = inspre(exact(A, each(5)), share=1e-8, iterations=3000).effects
        np.testing.assert_allclose(found, per_unit(A), atol=1e-3)

    @pytest.mark.parametrize("share", [0.01, 0.1])
    @pytest.mark.parametrize("seed", [0, 3])
    def test_minimises_what_it_says(self, seed, share):
        """Weights of equal errors are the squared changes of the causes, at most ten medians."""
        evidence = exact(stable(5, seed), each(5), [1, -2, 0.5, 30, 1])
        own = np.diag(evidence.changes)
        weight = np.tile(np.minimum(own**2 / np.median(own**2), 10.0), (5, 1))
        expected = best_inverse(evidence.changes / own, weight, share)
        found = inspre(evidence, share=share, iterations=3000).effects
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_genes_that_were_not_perturbed_are_left_out(self):
        found = inspre(exact(chain(), each(3)[:2]), share=1e-8)
        np.testing.assert_allclose(found.effects, [[0, 0, 0], [0.8, 0, 0], [0, 0, 0]], atol=1e-6)
        assert found.resolution.tolist() == [[1, 1, 0]] * 3
        assert (inspre(exact(chain(), each(3)[:1])).effects == 0).all()

    def test_changes_too_large_to_be_squared_are_refused(self):
        evidence = exact(chain(), each(3))
        off = ~np.eye(3, dtype=bool)
        huge = replace(evidence, changes=np.where(off, 1e200, evidence.changes))
        with pytest.raises(InputError, match="inspre squares total effects"):
            inspre(huge)

    def test_a_guide_that_failed_beside_one_that_worked_changes_nothing(self):
        evidence = exact(stable(5, 3), each(5), [1, 2, 3, 4, 5])
        failed = np.full((5, 1), 1e-6)  # far below the errors
        more = replace(
            evidence,
            changes=np.hstack([evidence.changes, failed]),
            errors=np.hstack([evidence.errors, evidence.errors[:, :1]]),
            targets=[*evidence.targets, (2,)],
        )
        np.testing.assert_allclose(inspre(more).effects, inspre(evidence).effects, rtol=1e-12)


class TestLlc:
    @pytest.mark.parametrize("seed", [0, 1, 3])
    def test_recovers_a_system_whose_genes_were_all_perturbed(self, seed):
        """The ridge is a thousandth of the mean squared change, and so is about its bias."""
        A = stable(5, seed)
        found = llc(exact(A, each(5), [1, -2, 3, 2, -1])).effects
        np.testing.assert_allclose(found, A, atol=0.02 * np.abs(A).max())

    def test_of_combinations_and_repeated_targets_it_has_no_use(self):
        evidence = exact(stable(5, 4), [(3,), (0,), (1,)], [1, 2, 3])
        more = exact(stable(5, 4), [(0, 2), (3,), (0,), (3,), (1,), ()], [5, 1, 2, 9, 3, 0])
        np.testing.assert_allclose(llc(more).effects, llc(evidence).effects, rtol=1e-9)

    def test_without_single_targets_it_is_refused(self):
        with pytest.raises(InputError, match="one gene alone"):
            llc(exact(chain(), [(0, 1), (1, 2)]))


class TestInverseCovariance:
    def test_recovers_a_reversible_system(self):
        B = stable(5, 5)
        A = -(B @ B.T + np.eye(5))
        np.testing.assert_allclose(inverse_covariance(exact(A, each(5))).effects, A, atol=1e-9)


class TestLyapunovLasso:
    @staticmethod
    def standardised(evidence, effects, share):
        """Effects, gradient and penalty in units of unit variances, by differences."""
        S = evidence.covariance
        unit = np.sqrt(np.diag(S))
        S, noise = S / np.outer(unit, unit), SIGMA**2 * np.diag(unit**-2.0)

        def loss(A):
            return 0.5 * ((A @ S + S @ A.T + noise) ** 2).sum()

        def gradient(A):
            slope = np.empty_like(A)
            for at in np.ndindex(A.shape):
                step = np.zeros_like(A)
                step[at] = 0.5  # differences are exact: the loss is quadratic
                slope[at] = loss(A + step) - loss(A - step)
            return slope

        A = effects / unit[:, None] * unit
        off = ~np.eye(len(A), dtype=bool)
        lam = share * np.abs(gradient(-noise / 2.0)[off]).max()
        return A, gradient(A), lam, off

    @pytest.mark.parametrize("share", [0.1, 0.5])
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_no_direction_leads_down(self, seed, share):
        """Conditions of Karush, Kuhn and Tucker, which suffice: the problem is convex."""
        evidence = exact(stable(5, seed), each(5))
        found = lyapunov_lasso(evidence, share=share).effects
        A, slope, lam, off = self.standardised(evidence, found, share)
        chosen, zero = off & (A != 0), off & (A == 0)
        assert chosen.any()
        assert zero.any()
        np.testing.assert_allclose(slope[chosen], -lam * np.sign(A[chosen]), atol=1e-3 * lam)
        assert np.abs(slope[zero]).max() <= lam * (1 + 1e-3)
        np.testing.assert_allclose(np.diag(slope), 0.0, atol=1e-3 * lam)

    def test_by_default_its_covariance_is_the_one_given(self):
        evidence = exact(stable(5, 3), each(5))
        A, S = lyapunov_lasso(evidence).effects, evidence.covariance
        np.testing.assert_allclose(A @ S + S @ A.T, -(SIGMA**2) * np.eye(5), atol=5e-3)

    def test_genes_without_covariance_do_not_act(self):
        """Equation by gene: ``2 A_ii S_ii = -sigma^2``."""
        evidence = replace(exact(chain(), each(3)), covariance=np.diag([0.5, 1.0, 4.0]))
        np.testing.assert_allclose(
            lyapunov_lasso(evidence).effects, np.diag([-2.0, -1.0, -0.25]), atol=1e-12
        )


class TestRegistry:
    def evidence(self):
        return exact(stable(6, 6), [(4,), (0,), (2,), (1,)], [1, -2, 3, -1], error=0.01)

    @pytest.mark.parametrize("name", COMPARATORS)
    def test_what_it_says_of_targets_and_covariance_holds(self, name):
        own, evidence = COMPARATORS[name], self.evidence()
        found = own.estimate(evidence)
        assert found.effects.shape == found.resolution.shape == (6, 6)
        assert np.isfinite(found.effects).all()
        for uses, attribute in (
            (own.knows_targets, "targets"),
            (own.uses_covariance, "covariance"),
        ):
            without = replace(evidence, **{attribute: None})
            if uses:
                with pytest.raises(InputError, match=attribute):
                    own.estimate(without)
            else:
                np.testing.assert_array_equal(own.estimate(without).effects, found.effects)

    @pytest.mark.parametrize("name", COMPARATORS)
    def test_what_it_says_of_genes_never_perturbed_holds(self, name):
        found = COMPARATORS[name].estimate(self.evidence())
        off = ~np.eye(6, dtype=bool)
        never, perturbed = np.array([3, 5]), np.array([0, 1, 2, 4])
        assert (found.effects[:, perturbed][off[:, perturbed]] != 0).any()
        assert (found.resolution[:, perturbed] == 1).all()
        if COMPARATORS[name].works_with_few:
            assert (found.effects[:, never][off[:, never]] != 0).any()
        else:
            assert (found.effects[:, never] == 0).all()
            assert (found.resolution[:, never] == 0).all()
