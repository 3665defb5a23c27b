"""CLIPR: responses, units, estimator, and exact recovery in linear systems."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import root

from lcd_core.drift import Drift, noise_levels
from lcd_core.errors import InputError
from lcd_core.estimators import (
    default_ridge,
    estimate_effects,
    implied_bias_and_shifts,
    regularised_pseudoinverse,
)
from lcd_core.responses import initial_responses, limit_responses
from lcd_core.settings import DriftSettings
from lcd_core.solvers import AndersonSolver, FlowSolver
from lcd_core.units import LinearUnits
from simulation.linear_systems import LinearDrift, random_linear_system

SEEDS = st.integers(0, 10_000)


def stable_matrix(rng, d):
    """A nonsymmetric A whose eigenvalues have real parts of at most -0.5."""
    matrix = rng.normal(size=(d, d))
    return matrix - (np.linalg.eigvals(matrix).real.max() + 0.5) * np.eye(d)


def positive_definite(rng, d):
    orthogonal, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return (orthogonal * rng.uniform(0.5, 2.0, d)) @ orthogonal.T


def relative_error(estimate, truth):
    return np.linalg.norm(estimate - truth) / np.linalg.norm(truth)


class GaussianScores(torch.nn.Module):
    """Exact scores of N(mean_q, S) smoothed with every noise level: has levels, converges."""

    def __init__(self, covariance, means, alphas=None):
        super().__init__()
        self.covariance = torch.nn.Parameter(torch.tensor(covariance), requires_grad=False)
        self.means = torch.tensor(means)
        self.alphas = noise_levels(DriftSettings()) if alphas is None else alphas

    def forward(self, x, membership, level):
        smoothed = self.covariance + self.alphas[level] ** 2 * torch.eye(x.shape[1]).double()
        return -torch.linalg.solve(smoothed, (x - membership @ self.means).T).T


class DoubleWell(torch.nn.Module):
    """Scores of a smoothed mixture of N(-1.5, 0.01) and N(1, 0.01), weights w and 1 - w, per gene.

    A start at zero lies in the well of +1; annealing moves to the well of more mass.
    """

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight).double(), requires_grad=False)
        self.alphas = noise_levels(DriftSettings())

    def forward(self, x, membership, level):
        variance = 0.01 + self.alphas[level] ** 2
        low = self.weight.log() - (x + 1.5) ** 2 / (2 * variance)
        high = (1 - self.weight).log() - (x - 1.0) ** 2 / (2 * variance)
        share = torch.sigmoid(low - high)
        return -(share * (x + 1.5) + (1 - share) * (x - 1.0)) / variance


# --- the estimator -------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, d=st.integers(2, 12), extra=st.integers(0, 4))
def test_effects_bias_and_shifts_of_linear_systems_are_recovered_exactly(seed, d, extra):
    rng = np.random.default_rng(seed)
    a, b, c = stable_matrix(rng, d), rng.normal(size=d), 10 * rng.normal(size=(d, d + extra))
    initial = b[:, None] + c
    limits, control = -np.linalg.solve(a, initial), -np.linalg.solve(a, b)
    assume(np.linalg.cond(limits) < 1e5)
    estimate = estimate_effects(initial, limits, ridge=0)
    assert relative_error(estimate.effects, a) < 1e-8
    assert estimate.rank == d
    assert estimate.full_rank
    bias, shifts = implied_bias_and_shifts(estimate.effects, control, limits)
    assert relative_error(bias, b) < 1e-8
    assert relative_error(shifts, c) < 1e-8


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, d=st.integers(1, 12), k=st.integers(1, 12), ridge=st.floats(1e-6, 10.0))
def test_ridge_solution_agrees_with_the_normal_equations(seed, d, k, ridge):
    rng = np.random.default_rng(seed)
    v, responses = rng.normal(size=(d, k)), rng.normal(size=(d, k))
    # ||A L + V||^2 + ridge ||A||^2 as least squares for the rows of A, with d more observations
    design = np.vstack([responses.T, ridge**0.5 * np.eye(d)])
    expected = np.linalg.lstsq(design, np.vstack([-v.T, np.zeros((d, d))]))[0].T
    estimate = estimate_effects(v, responses, ridge)
    np.testing.assert_allclose(estimate.effects, expected, rtol=1e-7, atol=1e-8)
    gram = responses @ responses.T + ridge * np.eye(d)
    np.testing.assert_allclose(estimate.effects @ gram, -v @ responses.T, rtol=1e-7, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, d=st.integers(2, 12), k=st.integers(1, 11))
def test_without_ridge_the_solution_is_least_squares_of_minimum_norm(seed, d, k):
    assume(k < d)
    rng = np.random.default_rng(seed)
    v, responses = rng.normal(size=(d, k)), rng.normal(size=(d, k))
    estimate = estimate_effects(v, responses, 0.0)
    expected = np.linalg.lstsq(responses.T, -v.T)[0].T
    np.testing.assert_allclose(estimate.effects, expected, rtol=1e-8, atol=1e-10)
    assert estimate.rank == k
    # any other exact solution adds rows orthogonal to the responses, and is longer
    other = rng.normal(size=(d, d))
    other -= other @ responses @ np.linalg.pinv(responses)
    np.testing.assert_allclose((estimate.effects + other) @ responses, -v, atol=1e-8)
    assert np.linalg.norm(estimate.effects + other) > np.linalg.norm(estimate.effects)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_regularised_pseudoinverse_tends_to_the_pseudoinverse(shape):
    matrix = np.random.default_rng(1).normal(size=shape)
    exact = np.linalg.pinv(matrix)
    np.testing.assert_allclose(regularised_pseudoinverse(matrix, 0.0), exact, atol=1e-12)
    # a ridge lost in rounding takes the same road as none
    np.testing.assert_allclose(regularised_pseudoinverse(matrix, 1e-20), exact, atol=1e-12)
    direct = matrix.T @ np.linalg.inv(matrix @ matrix.T + 0.1 * np.eye(shape[0]))
    np.testing.assert_allclose(regularised_pseudoinverse(matrix, 0.1), direct, atol=1e-12)


def test_default_ridge_follows_the_rule_of_the_paper():
    assert [default_ridge(d) for d in (100, 1000)] == pytest.approx([1e-3, 1e-4])
    v, responses = np.random.default_rng(2).normal(size=(2, 4, 6))
    estimate = estimate_effects(v, responses)
    assert estimate.ridge == pytest.approx(1 / 40)


def test_singular_limits_are_flagged_and_warned_about():
    rng = np.random.default_rng(3)
    responses = rng.normal(size=(5, 2)) @ rng.normal(size=(2, 5))
    v = rng.normal(size=(5, 5))
    with pytest.warns(RuntimeWarning, match="rank 2"):
        estimate = estimate_effects(v, responses, 0.0)
    assert (estimate.rank, estimate.full_rank) == (2, False)
    np.testing.assert_allclose(estimate.effects, -v @ np.linalg.pinv(responses), atol=1e-9)
    assert not estimate_effects(v, responses, 1e-2).full_rank


def test_all_zero_limits_give_no_effects():
    with pytest.warns(RuntimeWarning, match="rank 0"):
        estimate = estimate_effects(np.ones((3, 2)), np.zeros((3, 2)), 0.0)
    np.testing.assert_array_equal(estimate.effects, 0.0)


@pytest.mark.parametrize(
    ("v", "responses", "ridge", "words"),
    [
        (np.zeros((3, 0)), np.zeros((3, 0)), 1.0, "at least one perturbation"),
        (np.zeros((3, 2)), np.zeros((3, 1)), 1.0, "differ in shape"),
        (np.ones((3, 2)), np.ones((3, 2)), -1e-3, "nonnegative"),
        (np.ones((3, 2)), np.ones((3, 2)), np.nan, "nonnegative"),
        (np.ones((3, 2)), np.array([[1.0, np.nan]] * 3), 1.0, "(?s)L has entries.*perturbation 1"),
        (np.array([[np.inf, 1.0]] * 3), np.ones((3, 2)), 1.0, "(?s)V has entries.*perturbation 0"),
    ],
)
def test_bad_responses_are_refused(v, responses, ridge, words):
    with pytest.raises(InputError, match=words):
        estimate_effects(v, responses, ridge)


# --- units ---------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, whole=st.booleans())
def test_responses_in_other_units_are_those_of_the_transformed_drift(seed, whole):
    rng = np.random.default_rng(seed)
    d, k = 5, 6
    a, b, c = stable_matrix(rng, d), rng.normal(size=d), rng.normal(size=(k, d))
    mean = rng.normal(size=d)
    scale = positive_definite(rng, d) if whole else rng.uniform(0.5, 2.0, d)
    inverse = np.linalg.inv(scale if whole else np.diag(scale))
    units = LinearUnits(mean, scale)
    drift = LinearDrift(a, b, c)
    membership = torch.eye(k)
    # Theorem 3 written out: f_x(x) = T^-1 f_s(T^-1 (x - m)) is linear in x too
    a_x = inverse @ a @ inverse
    forces = (inverse @ (b + c).T) - (a_x @ mean)[:, None]
    initial = initial_responses(drift, membership, units)
    np.testing.assert_allclose(initial, forces, rtol=1e-9, atol=1e-10)
    limits = limit_responses(drift, membership, units, tolerance=1e-11)
    assert limits.converged.all()
    np.testing.assert_allclose(limits.limits, -np.linalg.solve(a_x, forces), rtol=1e-7, atol=1e-7)
    assume(np.linalg.cond(limits.limits) < 1e4)
    effects = estimate_effects(initial, limits.limits, 0.0).effects
    assert relative_error(effects, a_x) < 1e-6


@given(SEEDS, st.integers(2, 8))
@settings(max_examples=25, deadline=None)
def test_a_linear_drift_has_the_same_effects_wherever_it_is_read(seed, d):
    rng = np.random.default_rng(seed)
    effects = stable_matrix(rng, d)
    drift = LinearDrift(effects, rng.normal(size=d), 5 * rng.normal(size=(d, d)))
    units = LinearUnits.original(d).seen_from(3 * rng.normal(size=d))
    membership = torch.eye(d, dtype=torch.float64)
    initial = initial_responses(drift, membership, units)
    responses = limit_responses(drift, membership, units, tolerance=1e-12)
    assume(np.linalg.cond(responses.limits) < 1e4)
    assert relative_error(estimate_effects(initial, responses.limits, 0.0).effects, effects) < 1e-6


def test_units_seen_from_a_state_call_it_zero():
    units = LinearUnits([1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]]).seen_from([3.0, -1.0])
    shifted = units.to_original(units.from_original(torch.zeros(1, 2)))
    torch.testing.assert_close(shifted, torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(
        units.to_original(torch.zeros(1, 2)), torch.tensor([[-2.0, 3.0]], dtype=torch.float64)
    )


def test_units_invert_and_a_diagonal_equals_its_matrix():
    rng = np.random.default_rng(4)
    mean, scale = rng.normal(size=4), rng.uniform(0.5, 2, 4)
    x = torch.tensor(rng.normal(size=(3, 4)))
    diagonal, whole = LinearUnits(mean, scale), LinearUnits(mean, np.diag(scale))
    for units in (diagonal, whole, LinearUnits(mean, positive_definite(rng, 4))):
        torch.testing.assert_close(units.to_original(units.from_original(x)), x)
    torch.testing.assert_close(diagonal.to_original(x), whole.to_original(x))
    torch.testing.assert_close(diagonal.drift_to_original(x), whole.drift_to_original(x))
    torch.testing.assert_close(LinearUnits.original(4).to_original(x), x)


@pytest.mark.parametrize(
    ("mean", "scale", "words"),
    [
        (np.zeros(2), np.ones(3), "need a mean"),
        (np.zeros(2), np.array([1.0, 0.0]), "(?s)positive.*gene 1"),
        (np.zeros(2), np.array([1.0, np.nan]), "not finite"),
        (np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
    ],
)
def test_units_that_cannot_be_are_refused(mean, scale, words):
    with pytest.raises(InputError, match=words):
        LinearUnits(mean, scale)


# --- responses -----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [FlowSolver(steps_per_level=100), AndersonSolver()])
@pytest.mark.parametrize("structure", ["erdos_renyi", "power_law"])
def test_both_solvers_find_the_means_of_linear_systems(solver, structure):
    system = random_linear_system(20, 12, structure, 3, links_per_gene=4)
    limits = limit_responses(
        system.drift(), torch.eye(12), LinearUnits.original(20), solver=solver, tolerance=1e-10
    )
    assert limits.converged.all()
    np.testing.assert_allclose(limits.limits, system.means[1:].T, rtol=1e-7, atol=1e-7)


def test_from_drift_to_exact_effects_end_to_end():
    system = random_linear_system(20, 20, "erdos_renyi", 5, links_per_gene=4)
    drift, units = system.drift(), LinearUnits.original(20)
    membership = torch.cat([torch.zeros(1, 20), torch.eye(20)])
    responses = limit_responses(drift, membership, units, tolerance=1e-12)
    limits = responses.limits[:, 1:]
    initial = initial_responses(drift, membership[1:], units)
    effects = estimate_effects(initial, limits, 0.0).effects
    assert relative_error(effects, system.effects) < 1e-8
    bias, shifts = implied_bias_and_shifts(effects, responses.limits[:, 0], limits)
    assert relative_error(bias, system.bias) < 1e-8
    assert relative_error(shifts, system.shift_matrix) < 1e-8


def gaussian_scores(seed, d=12, k=5):
    rng = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(d, d)))
    covariance = (orthogonal * np.geomspace(0.05, 5.0, d)) @ orthogonal.T
    return GaussianScores(covariance, rng.normal(size=(k, d)) + 0.5)


def test_anderson_lands_on_the_flow_s_limits_with_far_fewer_evaluations():
    drift, units = gaussian_scores(0), LinearUnits.original(12)
    flow = limit_responses(drift, torch.eye(5).double(), units, solver=FlowSolver())
    fast = limit_responses(drift, torch.eye(5).double(), units, tolerance=1e-8)
    assert fast.converged.all()
    np.testing.assert_allclose(fast.limits, drift.means.T, atol=1e-6)
    np.testing.assert_allclose(fast.limits, flow.limits, atol=1e-2)
    assert (flow.evaluations == 602).all()
    assert fast.evaluations.max() < 100


@pytest.mark.parametrize(("weight", "well"), [(0.9, -1.5), (0.1, 1.0)])
def test_both_solvers_choose_the_same_of_several_fixed_points(weight, well):
    drift, units = DoubleWell([weight, weight, weight]), LinearUnits.original(3)
    for solver in (FlowSolver(), AndersonSolver()):
        limits = limit_responses(drift, torch.zeros(2, 1), units, solver=solver)
        np.testing.assert_allclose(limits.limits, well, atol=1e-2)


def test_flow_is_the_recursion_written_out():
    drift = gaussian_scores(1, d=3, k=2)
    units = LinearUnits(np.array([0.5, -1.0, 2.0]), np.array([2.0, 1.0, 0.5]))
    settings_of_flow = FlowSolver(step_size=0.3, steps_per_level=2)
    found = limit_responses(drift, torch.eye(2).double(), units, level=7, solver=settings_of_flow)
    covariance, means = drift.covariance.numpy(), drift.means.numpy()
    s = np.tile(-np.array([0.25, -1.0, 4.0]), (2, 1))
    alphas = np.geomspace(0.01, 10, 30)
    for alpha in alphas[:6:-1]:
        for _ in range(2):
            precision = np.linalg.inv(covariance + alpha**2 * np.eye(3))
            s = s - 0.3 * alpha**2 * (s - means) @ precision
    np.testing.assert_allclose(
        found.limits.T, units.mean.numpy() + units.scale.numpy() * s, rtol=1e-10
    )
    precision = np.linalg.inv(covariance + alphas[7] ** 2 * np.eye(3))
    force = (s - means) @ precision / np.array([2.0, 1.0, 0.5])
    np.testing.assert_allclose(found.residual, np.linalg.norm(force, axis=1), rtol=1e-9)
    initial = initial_responses(drift, torch.eye(2).double(), units, level=7)
    np.testing.assert_allclose(
        found.relative_residual, found.residual / np.linalg.norm(initial, axis=0), rtol=1e-10
    )


def test_a_drift_that_does_not_converge_is_flagged_and_the_others_are_not():
    # the second perturbation swaps a rotation for the attraction: no limit but its centre
    class Mixed(LinearDrift):
        def forward(self, x, membership, level):
            runaway = torch.ones_like(x) * (1.0 + x.square().sum(dim=1, keepdim=True))
            return torch.where(
                membership[:, 1:] > 0, runaway, super().forward(x, membership, level)
            )

    drift = Mixed(-np.eye(3), np.ones(3), np.eye(2, 3))
    for solver in (FlowSolver(), AndersonSolver(max_iterations=30)):
        limits = limit_responses(drift, torch.eye(2), LinearUnits.original(3), solver=solver)
        assert limits.converged.tolist() == [True, False]
        np.testing.assert_allclose(limits.limits[:, 0], [2.0, 1.0, 1.0], atol=1e-3)
        kept = limits.limits[:, limits.converged]
        assert estimate_effects(np.ones((3, 1)), kept, 0.1).effects.shape == (3, 3)


def test_a_start_at_the_fixed_point_counts_as_converged():
    drift = LinearDrift(-np.eye(2), np.zeros(2), np.zeros((1, 2)))
    limits = limit_responses(drift, torch.zeros(1, 1), LinearUnits.original(2))
    assert limits.converged.all()
    np.testing.assert_array_equal(limits.limits, 0.0)


def test_anderson_solves_nonlinear_fixed_points_like_scipy():
    rng = np.random.default_rng(6)
    a, weights = stable_matrix(rng, 6), rng.normal(size=(6, 6))

    class Saturating(LinearDrift):
        def forward(self, x, membership, level):
            bent = torch.tanh(x @ torch.tensor(weights).T)
            return super().forward(x, membership, level) + bent

    drift = Saturating(a - 5 * np.eye(6), rng.normal(size=6), rng.normal(size=(4, 6)))
    limits = limit_responses(drift, torch.eye(4), LinearUnits.original(6), tolerance=1e-11)
    assert limits.converged.all()
    shifts = drift.shifts.numpy()
    for q in range(4):

        def force(x, q=q):
            linear = drift.effects.numpy() @ x + drift.bias.numpy() + shifts[q]
            return linear + np.tanh(weights @ x)

        reference = root(force, np.zeros(6), tol=1e-13)
        np.testing.assert_allclose(limits.limits[:, q], reference.x, atol=1e-8)


def test_network_in_single_precision_gives_double_precision_responses():
    drift = Drift(4, 3, DriftSettings(hidden=8, embedding_dimensions=5))
    drift.reset(torch.Generator().manual_seed(0))
    units = LinearUnits(np.full(4, 0.5), np.full(4, 2.0))
    membership = torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    initial = initial_responses(drift, membership, units, level=4)
    assert initial.dtype == np.float64
    with torch.no_grad():
        expected = drift(torch.full((2, 4), -0.25), membership, 4).double().numpy().T / 2.0
    np.testing.assert_allclose(initial, expected, rtol=1e-6)


def test_bad_searches_are_refused():
    drift, units = LinearDrift(-np.eye(2), np.zeros(2), np.eye(2)), LinearUnits.original(2)
    with pytest.raises(InputError, match="at least one perturbation"):
        initial_responses(drift, torch.zeros(0, 2), units)
    for level in (-1, 30):
        with pytest.raises(InputError, match="no such noise level"):
            limit_responses(drift, torch.eye(2), units, level=level)
    with pytest.raises(InputError, match="tolerance"):
        limit_responses(drift, torch.eye(2), units, tolerance=0.0)
    with pytest.raises(InputError, match="step_size"):
        FlowSolver(step_size=0.0)
    with pytest.raises(InputError, match="at least 1"):
        AndersonSolver(window=0)
