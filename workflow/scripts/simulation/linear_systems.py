"""Linear SDEs with known causal effects, and estimators to compare CLIPR with (Fig. 3)."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from lcd_core.errors import InputError
from lcd_core.estimators import default_ridge, estimate_effects
from lcd_core.responses import initial_responses
from lcd_core.units import LinearUnits

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
STRUCTURES = ("erdos_renyi", "power_law")
MODEL_SIGMA = math.sqrt(2.0)


def erdos_renyi(d: int, links_per_gene: float, rng: np.random.Generator) -> Mask:
    """Independent links with ``links_per_gene`` causes per gene expected.

    Returns the mask (d, d), ``[i, j]`` for a link from gene j to gene i, without self-links. It is
    networkx's ``gnp_random_graph``, from the stream of random numbers of the other draws.
    """
    if not 0 < links_per_gene <= d - 1:
        raise InputError(
            f"a gene of {d} has between 0 and {d - 1} causes", found=f"{links_per_gene} per gene"
        )
    mask = rng.random((d, d)) < links_per_gene / (d - 1)
    np.fill_diagonal(mask, False)
    return mask


def power_law(
    d: int, links_per_gene: int, strength: float, flip_probability: float, rng: np.random.Generator
) -> Mask:
    """Few regulators with many targets: directed preferential attachment.

    Genes are added one by one, each with ``links_per_gene`` distinct causes among those present
    (all, while fewer are). A gene becomes a cause with probability proportional to
    ``targets ** strength + 1``, ``targets`` being how many it has so far (Barabasi and Albert
    1999; strength 1 is theirs, and all that networkx has; above 1 attachment is superlinear). Each
    link is then reversed with ``flip_probability``, which makes feedback loops, and the genes are
    shuffled.

    Returns the mask (d, d), ``[i, j]`` for a link from gene j to gene i, without self-links.
    """
    if not 1 <= links_per_gene < d or not 0 <= flip_probability <= 1 or not strength >= 0:
        raise InputError(
            "the power law needs 1 <= links_per_gene < d, 0 <= flip_probability <= 1 "
            "and strength >= 0",
            found=f"d {d}, links_per_gene {links_per_gene}, flip_probability "
            f"{flip_probability}, strength {strength}",
        )
    targets, causes = attach(d, links_per_gene, strength, rng)
    flip = rng.random(len(causes)) < flip_probability
    targets, causes = np.where(flip, causes, targets), np.where(flip, targets, causes)
    order = rng.permutation(d)
    mask = np.zeros((d, d), dtype=bool)
    mask[order[targets], order[causes]] = True
    return mask


def attach(
    d: int, links_per_gene: int, strength: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Links (new gene, earlier gene) of preferential attachment in the order of arrival."""
    chosen = np.zeros(d)
    new, earlier = [], []
    for gene in range(1, d):
        count = min(links_per_gene, gene)
        weight = chosen[:gene] ** strength + 1.0
        picked = rng.choice(gene, size=count, replace=False, p=weight / weight.sum())
        chosen[picked] += 1
        new.append(np.full(count, gene))
        earlier.append(picked)
    return np.concatenate(new), np.concatenate(earlier)


def _random_sign(values: Matrix, rng: np.random.Generator) -> Matrix:
    signed: Matrix = values * rng.choice([-1.0, 1.0], size=values.shape)
    return signed


@dataclass(frozen=True)
class LinearSystem:
    """``dx = (A x + b + c_q) dt + sigma dW`` with a control and k single-target perturbations.

    Attributes
    ----------
    effects
        ``A``, shape (d, d); ``[i, j]`` is the direct effect of gene j on gene i.
    bias
        ``b``, shape (d,).
    targets
        The gene that each perturbation shifts, distinct, shape (k,).
    shifts
        ``[c_q]`` at the target, shape (k,); elsewhere ``c_q`` is zero.
    sigma
        Diffusion scale. A model with diffusion scale s learns ``(s / sigma)^2 A``.

    Raises
    ------
    InputError
        If shapes do not fit, targets repeat, or A is unstable.
    """

    effects: Matrix
    bias: Matrix
    targets: NDArray[np.int64]
    shifts: Matrix
    sigma: float = MODEL_SIGMA

    def __post_init__(self) -> None:
        d = len(self.effects)
        if self.effects.shape != (d, d) or self.bias.shape != (d,):
            raise InputError(
                "A must be square and b have a value per gene",
                found=f"A {self.effects.shape}, b {self.bias.shape}",
            )
        k = len(self.targets)
        if self.shifts.shape != (k,) or not set(self.targets.tolist()) <= set(range(d)):
            raise InputError(
                f"every perturbation needs one of {d} genes and one shift",
                found=f"{k} targets, shifts {self.shifts.shape}",
            )
        if len(set(self.targets.tolist())) < k:
            raise InputError("two perturbations share a target", found=self.targets)
        if not self.sigma > 0:
            raise InputError("sigma must be positive", found=str(self.sigma))
        rightmost = largest_real_eigenvalue(self.effects)
        if not rightmost.real < 0:
            raise InputError(
                "A is unstable, the system has no stationary distribution",
                found=f"eigenvalue {rightmost:.6g}",
                remedy="shift the diagonal until all real parts are negative",
            )

    @property
    def shift_matrix(self) -> Matrix:
        """``c_q`` as columns, shape (d, k)."""
        matrix = np.zeros((len(self.effects), len(self.targets)))
        matrix[self.targets, np.arange(len(self.targets))] = self.shifts
        return matrix

    @cached_property
    def means(self) -> Matrix:
        """Stationary means ``-A^-1 (b + c_q)``, control first, shape (k + 1, d)."""
        forces = np.column_stack([self.bias, self.bias[:, None] + self.shift_matrix])
        means: Matrix = -scipy.linalg.solve(self.effects, forces).T
        return means

    @cached_property
    def covariance(self) -> Matrix:
        """Stationary covariance of every condition: ``A S + S A^T + sigma^2 I = 0``; (d, d)."""
        noise = -(self.sigma**2) * np.eye(len(self.effects))
        covariance: Matrix = scipy.linalg.solve_continuous_lyapunov(self.effects, noise)
        return (covariance + covariance.T) / 2

    def sample(
        self, n: int, seed: int, dtype: type[np.floating] = np.float64
    ) -> NDArray[np.floating]:
        """Exact independent draws from each stationary distribution, control first.

        Parameters
        ----------
        n
            Draws per condition.
        seed
            Seed of all draws.
        dtype
            Of the result; float32 halves the memory of large systems.

        Returns
        -------
        ndarray
            Shape (k + 1, n, d).
        """
        rng = np.random.default_rng(seed)
        root = scipy.linalg.cholesky(self.covariance, lower=True)
        samples = np.empty((len(self.means), n, len(self.effects)), dtype=dtype)
        for q, mean in enumerate(self.means):
            samples[q] = mean + rng.standard_normal((n, len(mean))) @ root.T
        return samples

    def drift(self) -> "LinearDrift":
        """The exact drift of this system, with one target per perturbation."""
        return LinearDrift(self.effects, self.bias, self.shift_matrix.T)


def largest_real_eigenvalue(matrix: Matrix) -> complex:
    """The eigenvalue with the largest real part."""
    eigenvalues = scipy.linalg.eigvals(matrix)
    return complex(eigenvalues[np.argmax(eigenvalues.real)])


def random_linear_system(
    d: int,
    perturbed: int,
    structure: str,
    seed: int,
    *,
    links_per_gene: int = 10,
    strength: float = 2.0,
    flip_probability: float = 0.1,
    sigma: float = MODEL_SIGMA,
) -> LinearSystem:
    """Draw a system of Fig. 3.

    Effects are Unif+-(1, 3) on the links of ``structure``; a constant on the diagonal brings the
    largest real part of the eigenvalues to -0.5. Biases are Unif(-3, 3), shifts Unif+-(5, 15).
    Systems of one seed differ in ``perturbed`` alone: the first of their shared order of targets.

    Parameters
    ----------
    d, perturbed
        Numbers of genes and of perturbed genes, ``1 <= perturbed <= d``.
    structure
        ``"erdos_renyi"`` or ``"power_law"``.
    links_per_gene, strength, flip_probability
        See :func:`erdos_renyi` and :func:`power_law`.
    sigma
        Diffusion scale of the system.
    """
    if not 1 <= perturbed <= d:
        raise InputError(f"between 1 and {d} genes can be perturbed", found=str(perturbed))
    streams = np.random.SeedSequence(seed).spawn(4)
    links, weights, biases, perturbations = (np.random.default_rng(s) for s in streams)
    if structure == "erdos_renyi":
        mask = erdos_renyi(d, links_per_gene, links)
    elif structure == "power_law":
        mask = power_law(d, links_per_gene, strength, flip_probability, links)
    else:
        raise InputError("unknown structure", found=structure, remedy=f"use one of {STRUCTURES}")
    effects = mask * _random_sign(weights.uniform(1.0, 3.0, (d, d)), weights)
    effects -= (largest_real_eigenvalue(effects).real + 0.5) * np.eye(d)
    targets = perturbations.permutation(d)[:perturbed]
    shifts = _random_sign(perturbations.uniform(5.0, 15.0, d), perturbations)[:perturbed]
    return LinearSystem(effects, biases.uniform(-3.0, 3.0, d), targets, shifts, sigma)


class LinearDrift(nn.Module):
    """``f_q(x) = A x + b + sum of the shifts of q's targets``, the same at every noise level.

    The levels of a learned drift set the steps of the annealed flow. A linear drift has none;
    its ``alphas`` are 30 times the square root of one step that Euler's method takes stably for
    every eigenvalue.

    Parameters
    ----------
    effects, bias
        ``A`` (d, d) and ``b`` (d,).
    shifts
        ``c`` of each target, shape (targets, d).
    """

    def __init__(self, effects: ArrayLike, bias: ArrayLike, shifts: ArrayLike) -> None:
        super().__init__()
        self.effects = _constant(effects)
        self.bias = _constant(bias)
        self.shifts = _constant(shifts)
        eigenvalues = torch.linalg.eigvals(self.effects)
        # |1 + h z| < 1 for Re z < 0 needs h < 2 |Re z| / |z|^2; half of it is the fastest
        step = (eigenvalues.real.abs() / eigenvalues.abs().square()).min()
        self.alphas = step.sqrt().repeat(30)

    def forward(self, x: Tensor, membership: Tensor, level: int) -> Tensor:
        """Drift at states (n, d) under conditions (n, targets); the level has no effect."""
        return x @ self.effects.T + self.bias + membership @ self.shifts


def _constant(values: ArrayLike) -> nn.Parameter:
    return nn.Parameter(torch.tensor(np.asarray(values), dtype=torch.float64), requires_grad=False)


@dataclass(frozen=True)
class ReferenceEstimate:
    """Effects estimated without a learned diffusion, for comparison.

    ``knows_targets`` says whether the method was told which gene each perturbation hits,
    ``knows_truth`` whether it was given quantities of the true system instead of samples.
    """

    name: str
    effects: Matrix
    knows_targets: bool
    knows_truth: bool


def reference_estimates(
    system: LinearSystem, samples: NDArray[np.floating]
) -> list[ReferenceEstimate]:
    """All comparators on one system and its samples (k + 1, n, d), control first."""
    means = samples.mean(axis=1, dtype=np.float64)
    covariance = pooled_covariance(samples)
    changes = (means[1:] - means[0]).T
    targets, sigma = system.targets, system.sigma
    expression = differential_expression(changes, targets)
    cyclic = linear_cyclic(changes, targets, covariance, sigma=sigma)
    return [
        ReferenceEstimate("differential_expression", expression, True, False),
        ReferenceEstimate("oriented_differential_expression", orient(expression), True, False),
        ReferenceEstimate(
            "inverse_pooled_covariance", reversible_effects(covariance, sigma), False, False
        ),
        ReferenceEstimate("linear_cyclic", cyclic, True, False),
        ReferenceEstimate(
            "true_precision", reversible_effects(system.covariance, sigma), False, True
        ),
        ReferenceEstimate("clipr_exact_drift", clipr_exact_drift(system), False, True),
    ]


def pooled_covariance(samples: NDArray[np.floating]) -> Matrix:
    """Covariance within conditions, pooled over them; samples (conditions, n, d) -> (d, d)."""
    conditions, n, d = samples.shape
    total = np.zeros((d, d))
    for block in samples:
        centred = block - block.mean(axis=0, dtype=np.float64)
        total += centred.T @ centred
    covariance: Matrix = total / (conditions * (n - 1))
    return covariance


def differential_expression(changes: Matrix, targets: NDArray[np.int64]) -> Matrix:
    """Plain differential expression as effects (d, d).

    Column j is the change of all means after the perturbation of gene j, zero where no
    perturbation hits it; ``changes`` (d, k) are differences of means from the control.
    """
    effects = np.zeros((len(changes), len(changes)))
    effects[:, targets] = changes
    return effects


def orient(effects: Matrix) -> Matrix:
    """Columns signed by what the perturbation did to its own target.

    Where some perturbations raise their target and others lower it, plain changes say nothing
    about the sign of an effect.
    """
    signs = np.where(np.diag(effects) < 0, -1.0, 1.0)
    oriented: Matrix = effects * signs
    return oriented


def reversible_effects(covariance: Matrix, sigma: float) -> Matrix:
    """``-(sigma^2 / 2) S^-1``: the one symmetric A whose stationary covariance is S.

    It is what an exact score of one condition gives as a drift. Raises InputError if S is
    singular.
    """
    try:
        factor = scipy.linalg.cho_factor(covariance)
    except scipy.linalg.LinAlgError as error:
        raise InputError(
            "the pooled covariance is singular", remedy="use more samples than genes"
        ) from error
    inverse: Matrix = scipy.linalg.cho_solve(factor, np.eye(len(covariance)))
    return -(sigma**2) / 2.0 * inverse


def linear_cyclic(
    changes: Matrix,
    targets: NDArray[np.int64],
    covariance: Matrix,
    *,
    sigma: float,
    ridge: float | None = None,
) -> Matrix:
    """Linear model with feedback, estimated from known single targets.

    A shift of gene j moves the mean by ``A delta_q = -c_q``, so every row of A is orthogonal to
    the changes that perturbations of *other* genes cause. Regressing gene i on all others over
    those perturbations therefore gives its row up to a factor, as in LLC (Hyttinen, Eberhardt and
    Hoyer 2012), which stops there with ``A_ii = -1``: means alone cannot tell a row from its
    multiples. The factors are those that best fit ``A S + S A^T + sigma^2 I = 0``, which is linear
    in them. With fewer than d targets rows are not identified; ridge regression then chooses the
    smallest.

    Writing ``D = [delta_q]`` and ``K = (D^T D + ridge I)^-1``, the d regressions share one
    singular value decomposition: leaving out column q = q(i) changes the gram matrix by a term of
    rank one, and row i is proportional to
    ``K_qq (I - D K D^T) e_i + (D K)_iq (D K) e_q`` (first term alone if i is not perturbed).

    Parameters
    ----------
    changes
        ``delta_q``, change of the mean from the control, shape (d, k).
    targets
        Gene that each perturbation shifts, shape (k,).
    covariance
        Stationary covariance, shape (d, d).
    sigma
        Diffusion scale.
    ridge
        Strength of the ridge in each regression, in squared units of the changes; CLIPR's rule,
        ``1 / (10 d)``, if none is given.

    Raises
    ------
    InputError
        If the ridge is negative, or 0 with linearly dependent changes.
    """
    if ridge is None:
        ridge = default_ridge(len(changes))
    left, singular_values, right = scipy.linalg.svd(changes, full_matrices=False)
    dependent = singular_values[-1] <= singular_values[0] * max(changes.shape) * 1e-15
    if ridge < 0 or (ridge == 0 and (dependent or changes.shape[1] > len(changes))):
        raise InputError(
            "the regressions need a positive ridge where changes are linearly dependent",
            found=f"ridge {ridge}, smallest singular value {singular_values[-1]:.3g}",
        )
    power = singular_values**2 + ridge
    complement = np.eye(len(changes)) - (left * (singular_values**2 / power)) @ left.T
    dual = (left * (singular_values / power)) @ right  # D K, (d, k)
    own = (right**2 / power[:, None]).sum(axis=0)  # K_qq
    rows = complement.copy()
    rows[targets] = own[:, None] * complement[targets]
    rows[targets] += dual[targets, np.arange(len(targets))][:, None] * dual.T
    rows /= -np.diag(rows)[:, None]
    flux = rows @ covariance  # row i of A S is factor_i times this
    normal = flux * flux.T + np.diag((flux**2).sum(axis=1))
    factors = scipy.linalg.solve(normal, -(sigma**2) * np.diag(flux), assume_a="sym")
    effects: Matrix = factors[:, None] * rows
    return effects


def clipr_exact_drift(system: LinearSystem) -> Matrix:
    """CLIPR on the exact drift: what the estimator and its ridge alone cost.

    The limit responses are the stationary means, the fixed points of a linear drift.
    """
    membership = torch.eye(len(system.targets), dtype=torch.float64)
    units = LinearUnits.original(len(system.effects))
    initial = initial_responses(system.drift(), membership, units)
    return estimate_effects(initial, system.means[1:].T).effects
