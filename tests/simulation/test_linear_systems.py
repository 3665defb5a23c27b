"""Linear systems with known truth and the estimators CLIPR is compared with."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import simpson
from scipy.linalg import expm

from evaluation.effect_scores import score_effects
from lcd_core.errors import InputError
from simulation.linear_systems import (
    LinearSystem,
    attach,
    clipr_exact_drift,
    differential_expression,
    erdos_renyi,
    linear_cyclic,
    orient,
    pooled_covariance,
    power_law,
    random_linear_system,
    reference_estimates,
    reversible_effects,
)


def small_system(seed, d=8, perturbed=8, sigma=2**0.5):
    return random_linear_system(d, perturbed, "erdos_renyi", seed, links_per_gene=2, sigma=sigma)


def test_erdos_renyi_links_are_as_many_as_expected():
    rng = np.random.default_rng(0)
    masks = [erdos_renyi(50, 10, rng) for _ in range(40)]
    total = sum(int(m.sum()) for m in masks)
    assert not any(np.diag(m).any() for m in masks)
    assert stats.binomtest(total, 40 * 50 * 49, 10 / 49).pvalue > 1e-3


def test_attachment_probabilities_are_those_of_the_definition():
    # One link each: gene 1 must choose gene 0, so gene 2 chooses 0 with 2 ** s odds to 1 ...
    rng = np.random.default_rng(1)
    for strength in (0.0, 1.0, 3.0):
        choices = [attach(3, 1, strength, rng)[1].tolist() for _ in range(1500)]
        assert all(c[0] == 0 for c in choices)
        hits = sum(c[1] == 0 for c in choices)
        weight = (1.0**strength + 1.0, 0.0**strength + 1.0)
        assert stats.binomtest(hits, 1500, weight[0] / sum(weight)).pvalue > 1e-3


def test_attachment_gives_each_new_gene_distinct_causes():
    new, earlier = attach(30, 4, 2.0, np.random.default_rng(2))
    assert (earlier < new).all()
    assert len(set(zip(new.tolist(), earlier.tolist(), strict=True))) == len(new)
    assert np.bincount(new, minlength=30).tolist() == [0, 1, 2, 3] + [4] * 26


def test_power_law_has_few_regulators_and_many_targets():
    mask = power_law(200, 10, 2.0, 0.0, np.random.default_rng(3))
    targets_of_regulator, causes_of_gene = mask.sum(axis=0), mask.sum(axis=1)
    strongest = np.sort(targets_of_regulator)[::-1]
    assert strongest[:20].sum() > 0.9 * mask.sum()
    assert causes_of_gene.max() == 10
    flat = power_law(200, 10, 0.0, 0.0, np.random.default_rng(3))
    assert np.sort(flat.sum(axis=0))[::-1][:20].sum() < 0.5 * flat.sum()


def test_flipping_makes_the_stated_share_of_links_point_back():
    # without flips causes are earlier genes, so no pair of genes is linked both ways
    d, links = 300, 5
    none = power_law(d, links, 2.0, 0.0, np.random.default_rng(4))
    all_flipped = power_law(d, links, 2.0, 1.0, np.random.default_rng(4))
    np.testing.assert_array_equal(none.T, all_flipped)
    some = power_law(d, links, 2.0, 0.1, np.random.default_rng(4))
    flipped = int((some & none.T & ~none).sum())
    assert stats.binomtest(flipped, int(none.sum()), 0.1).pvalue > 1e-3


@pytest.mark.parametrize("structure", ["erdos_renyi", "power_law"])
def test_random_system_follows_its_distributions(structure):
    system = random_linear_system(60, 25, structure, 5)
    d = 60
    eigenvalues = np.linalg.eigvals(system.effects)
    assert eigenvalues.real.max() == pytest.approx(-0.5, abs=1e-9)
    diagonal = np.diag(system.effects)
    np.testing.assert_array_equal(diagonal, diagonal[0])
    links = system.effects[~np.eye(d, dtype=bool)]
    links = links[links != 0]
    assert stats.kstest(np.abs(links), stats.uniform(1, 2).cdf).pvalue > 1e-3
    assert stats.binomtest(int((links > 0).sum()), len(links)).pvalue > 1e-3
    assert np.abs(system.bias).max() <= 3
    assert len(set(system.targets.tolist())) == 25
    assert (np.abs(system.shifts) >= 5).all()
    assert (np.abs(system.shifts) <= 15).all()


def test_systems_of_one_seed_share_everything_but_the_number_perturbed():
    few = random_linear_system(30, 9, "power_law", 6)
    many = random_linear_system(30, 30, "power_law", 6)
    np.testing.assert_array_equal(few.effects, many.effects)
    np.testing.assert_array_equal(few.bias, many.bias)
    np.testing.assert_array_equal(few.targets, many.targets[:9])
    np.testing.assert_array_equal(few.shifts, many.shifts[:9])
    other = random_linear_system(30, 30, "power_law", 7)
    assert not np.array_equal(other.effects, many.effects)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), sigma=st.sampled_from([0.5, 1.0, 2**0.5]))
def test_covariance_solves_the_lyapunov_equation_written_out(seed, sigma):
    d = 4
    system = small_system(seed, d=d, perturbed=2, sigma=sigma)
    # vec(A S + S A^T) = (A x I + I x A) vec(S), a plain linear system of d^2 unknowns
    operator = np.kron(system.effects, np.eye(d)) + np.kron(np.eye(d), system.effects)
    expected = np.linalg.solve(operator, -(sigma**2) * np.eye(d).ravel()).reshape(d, d)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(system.covariance, expected, rtol=0, atol=1e-12 * scale)
    assert np.linalg.eigvalsh(system.covariance).min() > 0


def test_covariance_is_what_the_dynamics_settle_to():
    # S = sigma^2 times the integral of exp(A t) exp(A t)^T, by Simpson's rule on a fine grid
    system = small_system(0, d=3, perturbed=1, sigma=1.3)
    times = np.linspace(0.0, 40.0, 8001)
    step = expm(system.effects * (times[1] - times[0]))
    response = [np.eye(3)]
    for _ in times[1:]:
        response.append(step @ response[-1])
    power = np.stack([r @ r.T for r in response])
    np.testing.assert_allclose(
        system.covariance, 1.3**2 * simpson(power, x=times, axis=0), rtol=1e-6, atol=1e-8
    )


def test_means_are_the_fixed_points():
    system = small_system(1, perturbed=5)
    drift = system.drift()
    membership = torch.cat([torch.zeros(1, 5), torch.eye(5)]).double()
    force = drift(torch.tensor(system.means), membership, 0)
    assert force.abs().max() < 1e-11


def test_samples_have_the_stationary_moments():
    system = small_system(2, perturbed=3)
    samples = system.sample(20_000, seed=3)
    assert samples.shape == (4, 20_000, 8)
    root = np.linalg.cholesky(system.covariance)
    white = np.linalg.solve(root, (samples - system.means[:, None]).reshape(-1, 8).T)
    n = white.shape[1]
    # each whitened mean is N(0, 1/n), and n times the squared norm is chi-square
    assert stats.chi2(8).sf(n * (white.mean(axis=1) ** 2).sum()) > 1e-4
    assert np.abs(np.cov(white) - np.eye(8)).max() < 5 * np.sqrt(2 / n)
    for values in white:
        assert stats.kstest(values, "norm").pvalue > 1e-4


def test_sampling_depends_on_the_seed_alone():
    system = small_system(3)
    first = system.sample(5, seed=1)
    np.testing.assert_array_equal(first, system.sample(5, seed=1))
    assert not np.array_equal(first, system.sample(5, seed=2))
    np.testing.assert_array_equal(system.sample(5, seed=1, dtype=np.float32), first.astype("f4"))


def test_a_model_with_another_diffusion_scale_learns_a_multiple():
    # the same stationary law at sigma = 1 and at sqrt(2): A doubles
    system = small_system(4, sigma=1.0)
    twin = LinearSystem(2 * system.effects, 2 * system.bias, system.targets, 2 * system.shifts)
    np.testing.assert_allclose(twin.covariance, system.covariance, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(twin.means, system.means, rtol=1e-10)


def test_unstable_system_is_refused_with_its_eigenvalue():
    with pytest.raises(InputError, match=r"eigenvalue 0\.25"):
        LinearSystem(np.diag([-1.0, 0.25]), np.zeros(2), np.array([0]), np.array([5.0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targets": np.array([0, 0])}, "share a target"),
        ({"targets": np.array([0, 9])}, "needs one of 2 genes"),
        ({"sigma": 0.0}, "sigma"),
        ({"bias": np.zeros(3)}, "square"),
    ],
)
def test_systems_that_do_not_fit_are_refused(change, words):
    fields = {
        "effects": -np.eye(2),
        "bias": np.zeros(2),
        "targets": np.array([0, 1]),
        "shifts": np.array([5.0, 5.0]),
    }
    with pytest.raises(InputError, match=words):
        LinearSystem(**(fields | change))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((10, 11, "erdos_renyi"), "between 1 and 10"),
        ((10, 5, "small_world"), "unknown structure"),
        ((10, 5, "erdos_renyi"), "causes"),
        ((10, 5, "power_law"), "links_per_gene < d"),
    ],
)
def test_random_systems_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        random_linear_system(*arguments, 0)


def test_true_precision_is_the_effect_matrix_exactly_if_that_is_symmetric():
    rng = np.random.default_rng(8)
    root = rng.normal(size=(6, 6))
    effects = -(root @ root.T + np.eye(6))
    system = LinearSystem(effects, np.ones(6), np.array([0]), np.array([5.0]), sigma=0.7)
    np.testing.assert_allclose(reversible_effects(system.covariance, 0.7), effects, rtol=1e-9)


def test_reversible_effects_solve_the_lyapunov_equation():
    system = small_system(9)
    symmetric = reversible_effects(system.covariance, system.sigma)
    np.testing.assert_allclose(symmetric, symmetric.T, atol=1e-12)
    product = symmetric @ system.covariance
    np.testing.assert_allclose(product + product.T, -2.0 * np.eye(8), atol=1e-10)


def test_pooled_covariance_is_the_weighted_mean_of_covariances():
    samples = small_system(10, perturbed=3).sample(15, seed=0)
    expected = np.mean([np.cov(block.T) for block in samples], axis=0)
    np.testing.assert_allclose(pooled_covariance(samples), expected, rtol=1e-12)
    with pytest.raises(InputError, match="singular"):
        reversible_effects(pooled_covariance(samples[:2, :3]), 1.0)


def test_differential_expression_columns_and_orientation():
    changes = np.array([[1.0, -4.0], [2.0, -5.0], [3.0, 6.0]])
    effects = differential_expression(changes, np.array([2, 0]))
    np.testing.assert_array_equal(effects, [[-4.0, 0, 1], [-5, 0, 2], [6, 0, 3]])
    np.testing.assert_array_equal(orient(effects), [[4.0, 0, 1], [5, 0, 2], [-6, 0, 3]])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_linear_cyclic_recovers_everything_from_exact_moments(seed):
    system = small_system(seed)
    changes = (system.means[1:] - system.means[0]).T
    assume(np.linalg.cond(changes) < 1e4)
    estimate = linear_cyclic(
        changes, system.targets, system.covariance, sigma=system.sigma, ridge=0.0
    )
    error = np.linalg.norm(estimate - system.effects) / np.linalg.norm(system.effects)
    assert error < 1e-8


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), perturbed=st.integers(1, 8))
def test_linear_cyclic_rows_are_ridge_regressions_without_the_own_perturbation(seed, perturbed):
    system = small_system(seed, perturbed=perturbed)
    rng = np.random.default_rng(seed)
    changes = (system.means[1:] - system.means[0]).T + 0.1 * rng.normal(size=(8, perturbed))
    ridge = 0.3
    estimate = linear_cyclic(changes, system.targets, system.covariance, sigma=1.0, ridge=ridge)
    rows = estimate / -np.diag(estimate)[:, None]
    for gene in range(8):
        others = np.delete(np.arange(8), gene)
        used = changes[:, system.targets != gene]
        # ridge regression as least squares with seven more observations, which spares the
        # reference the squared condition number of normal equations
        design = np.vstack([used[others].T, ridge**0.5 * np.eye(7)])
        response = np.concatenate([used[gene], np.zeros(7)])
        expected, *_ = np.linalg.lstsq(design, response)
        np.testing.assert_allclose(rows[gene, others], expected, rtol=1e-8, atol=1e-10)


def test_linear_cyclic_scales_fit_the_lyapunov_equation_best():
    system = small_system(11, perturbed=5)
    changes = (system.means[1:] - system.means[0]).T
    covariance = system.covariance
    estimate = linear_cyclic(changes, system.targets, covariance, sigma=1.3, ridge=0.1)
    rows = estimate / -np.diag(estimate)[:, None]
    columns = []
    for gene in range(8):
        alone = np.zeros((8, 8))
        alone[gene] = rows[gene]
        columns.append((alone @ covariance + (alone @ covariance).T).ravel())
    design = np.column_stack(columns)
    factors, *_ = np.linalg.lstsq(design, -(1.3**2) * np.eye(8).ravel())
    np.testing.assert_allclose(estimate, factors[:, None] * rows, rtol=1e-8)


def test_linear_cyclic_needs_a_ridge_for_dependent_changes():
    changes = np.outer(np.arange(1.0, 5.0), [1.0, 2.0])
    for ridge in (0.0, -1.0):
        with pytest.raises(InputError, match="ridge"):
            linear_cyclic(changes, np.array([0, 1]), np.eye(4), sigma=1.0, ridge=ridge)


def test_reference_estimates_say_what_they_know_and_rank_as_they_must():
    system = random_linear_system(30, 30, "erdos_renyi", 12, links_per_gene=4)
    estimates = {r.name: r for r in reference_estimates(system, system.sample(200, seed=0))}
    assert {n for n, r in estimates.items() if r.knows_targets} == {
        "differential_expression",
        "oriented_differential_expression",
        "linear_cyclic",
    }
    assert {n for n, r in estimates.items() if r.knows_truth} == {
        "true_precision",
        "clipr_exact_drift",
    }
    auroc = {n: score_effects(r.effects, system.effects)["auroc"] for n, r in estimates.items()}
    assert auroc["clipr_exact_drift"] > 0.999
    assert auroc["linear_cyclic"] > auroc["true_precision"] > 0.8
    assert auroc["oriented_differential_expression"] > auroc["differential_expression"]


def test_clipr_of_the_exact_drift_deviates_by_its_ridge_alone():
    system = small_system(13)
    limits = system.means[1:].T
    projector = limits @ limits.T @ np.linalg.inv(limits @ limits.T + np.eye(8) / 80)
    np.testing.assert_allclose(clipr_exact_drift(system), system.effects @ projector, atol=1e-9)
