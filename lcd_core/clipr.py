"""CLIPR: causal linearization of a drift through its perturbation responses (Theorem 1)."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.units import LinearUnits

Matrix = NDArray[np.float64]


class PerturbedDrift(Protocol):
    """A drift that can be evaluated under perturbations, neural or analytic.

    Called with states (n, d), a multi-hot ``membership`` (n, targets) and the index of a noise
    level (0 is the smallest), it returns the drift (n, d).
    """

    @property
    def alphas(self) -> Tensor:
        """Noise levels, ascending, shape (levels,)."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Parameters, at least one; the first tells dtype and device."""

    def __call__(self, x: Tensor, membership: Tensor, level: int) -> Tensor:
        """Drift (n, d)."""


@dataclass(frozen=True)
class FlowSolver:
    """Deterministic flow by the sampling scheme without noise (Eq. 15).

    From the largest noise level down to the final one, ``steps_per_level`` times
    ``s <- s + step_size * alpha^2 f(s; alpha)``. At small alpha the steps are short, so the end
    is near the fixed point of a level at which the flow could still follow, not of the last one;
    along nearly flat directions of a learned drift the two can lie far apart.
    """

    step_size: float = 1.0
    steps_per_level: int = 20

    def __post_init__(self) -> None:
        if not self.step_size > 0 or self.steps_per_level < 1:
            raise InputError(
                "the flow needs step_size > 0 and steps_per_level >= 1", found=str(self)
            )

    def solve(self, problem: "FixedPointProblem") -> tuple[Tensor, Tensor]:
        """Final states (k, d) and numbers of drift evaluations (k,)."""
        s = problem.start
        levels = range(len(problem.alphas) - 1, problem.level - 1, -1)
        rows = torch.arange(len(s), device=s.device)
        for level in levels:
            step = self.step_size * problem.alphas[level] ** 2
            for _ in range(self.steps_per_level):
                s = s + step * problem.drift(s, rows, level)
        return s, torch.full((len(s),), len(levels) * self.steps_per_level)


@dataclass(frozen=True)
class AndersonSolver:
    """Fixed point of the final level by annealed, safeguarded Anderson acceleration.

    Follows the fixed point down the noise levels like the flow, which keeps its choice among
    several fixed points, but with ``iterations_per_level`` accelerated iterations at every
    ``stride``-th level, and iterates at the final level until the tolerance is met.

    Each perturbation has its own least-squares problem over the last ``window`` differences
    (Walker and Ni 2011, type II), all solved as one batch. A step that is not finite or lets the
    residual grow more than ``growth`` times is undone; the history is then dropped and a shorter
    step along the drift taken instead, no shorter than the flow's, ``alpha^2``.
    """

    window: int = 10
    stride: int = 3
    iterations_per_level: int = 4
    max_iterations: int = 300
    growth: float = 2.0

    def __post_init__(self) -> None:
        counts = (self.window, self.stride, self.iterations_per_level, self.max_iterations)
        if min(counts) < 1 or not self.growth >= 1:
            raise InputError("the solver's counts and growth must be at least 1", found=str(self))

    def solve(self, problem: "FixedPointProblem") -> tuple[Tensor, Tensor]:
        """Final states (k, d) and numbers of drift evaluations (k,)."""
        s = problem.start
        top = len(problem.alphas) - 1
        mixing = torch.full((len(s), 1), problem.alphas[top] ** 2, dtype=s.dtype, device=s.device)
        evaluations = torch.zeros(len(s), dtype=torch.int64)
        for level in [*range(top, problem.level, -self.stride), problem.level]:
            final = level == problem.level
            iterations = self.max_iterations if final else self.iterations_per_level
            s, mixing, used = self._accelerate(problem, s, mixing, level, iterations)
            evaluations += used.cpu()
        return s, evaluations

    def _accelerate(
        self,
        problem: "FixedPointProblem",
        s: Tensor,
        mixing: Tensor,
        level: int,
        iterations: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        k, d = s.shape
        shortest = problem.alphas[level] ** 2
        s, mixing = s.clone(), mixing.clone()
        f = problem.drift(s, torch.arange(k, device=s.device), level)
        residual = problem.norm(f)
        used = torch.ones(k, dtype=torch.int64, device=s.device)
        ds = s.new_zeros(k, self.window, d)
        df = s.new_zeros(k, self.window, d)
        lost = ~residual.isfinite()
        for iteration in range(iterations):
            rows = torch.nonzero((residual > problem.target) & ~lost).flatten()
            if len(rows) == 0:
                break
            weights = _least_squares(df[rows], f[rows])  # (rows, 1, window)
            beta = mixing[rows]
            step = beta * f[rows] - (weights @ (ds[rows] + beta[:, :, None] * df[rows])).squeeze(1)
            new_s = s[rows] + step
            new_f = problem.drift(new_s, rows, level)
            new_residual = problem.norm(new_f)
            used[rows] += 1
            # with an empty history and the flow's own step there is nothing shorter to try
            last_resort = (weights == 0).all(dim=2) & (beta <= shortest)
            finite = new_residual.isfinite()
            taken = finite & ((new_residual <= self.growth * residual[rows]) | last_resort[:, 0])
            lost[rows[last_resort[:, 0] & ~finite]] = True

            kept, undone = rows[taken], rows[~taken]
            slot = iteration % self.window
            ds[kept, slot] = step[taken]
            df[kept, slot] = new_f[taken] - f[kept]
            s[kept], f[kept], residual[kept] = new_s[taken], new_f[taken], new_residual[taken]
            mixing[kept] = _secant_step(ds[kept, slot], df[kept, slot], mixing[kept], shortest)
            ds[undone], df[undone] = 0.0, 0.0
            mixing[undone] = (mixing[undone] / 4.0).clamp(min=shortest)
        return s, mixing, used


@dataclass(frozen=True)
class FixedPointProblem:
    """What a solver needs: where to start, the drift, and when a perturbation is done.

    ``drift(s, rows, level)`` evaluates the perturbations ``rows`` at states (rows, d);
    ``norm(f)`` is the length of a drift in original units, and ``target`` (k,) the length at
    which a perturbation counts as converged.
    """

    start: Tensor
    drift: Callable[[Tensor, Tensor, int], Tensor]
    norm: Callable[[Tensor], Tensor]
    target: Tensor
    alphas: list[float]
    level: int


@dataclass(frozen=True)
class LimitResponses:
    """Limit responses of k perturbations and how well they converged.

    Attributes
    ----------
    limits
        ``l_q`` in original units, shape (d, k).
    residual
        ``||f_q(l_q)||`` in original units, shape (k,).
    relative_residual
        The same relative to ``||v_q||``, shape (k,).
    converged
        Whether the relative residual is at most ``tolerance``, shape (k,).
    evaluations
        Drift evaluations spent on each perturbation, shape (k,).
    """

    limits: Matrix
    residual: Matrix
    relative_residual: Matrix
    converged: NDArray[np.bool_]
    evaluations: NDArray[np.int64]
    tolerance: float


def initial_responses(
    drift: PerturbedDrift, membership: Tensor, units: LinearUnits, *, level: int = 0
) -> Matrix:
    """Initial perturbation responses ``v_q = f_q(0)`` in original units (Eqs. 5, 16).

    The zero is that of the original units, ``x = 0``, because the linear system whose matrix is
    sought, ``f_q(x) = A x + b + c_q``, satisfies ``v_q = b + c_q = -A l_q`` at that point alone.
    The zero of standardised coordinates is the state ``m``, where a linear drift equals
    ``A m + b + c_q`` instead. In learned coordinates the point is ``-T^-1 m``.

    Parameters
    ----------
    drift
        Any drift that can be evaluated under perturbations.
    membership
        Multi-hot perturbations, shape (k, targets).
    units
        Original units of the drift's coordinates.
    level
        Index of the noise level at which the drift is read, 0 being the smallest.

    Returns
    -------
    ndarray
        ``V``, shape (d, k), float64: ``T^-1 f_s(-T^-1 m)`` per column.

    Raises
    ------
    InputError
        Without perturbations or with a level that the drift does not have.
    """
    start, _, evaluate = _prepare(drift, membership, units, level)
    with torch.no_grad():
        f = evaluate(start, torch.arange(len(start), device=start.device), level)
        v = units.to(start.device).drift_to_original(f)
    return v.T.cpu().numpy()


def limit_responses(
    drift: PerturbedDrift,
    membership: Tensor,
    units: LinearUnits,
    *,
    level: int = 0,
    solver: FlowSolver | AndersonSolver | None = None,
    tolerance: float = 1e-3,
) -> LimitResponses:
    """Limit perturbation responses ``l_q``, ``f_q(l_q) = 0``, in original units (Eqs. 6, 15, 16).

    The search starts at the state zero of the original units, ``s = -T^-1 m``, the same point at
    which the initial response is read: both responses then belong to one trajectory of the
    system that is linearised. With noise levels up to ten standard deviations the choice has no
    effect that annealing would not remove.

    Parameters
    ----------
    drift, membership, units
        As for :func:`initial_responses`.
    level
        Index of the noise level at which the search ends and convergence is judged.
    solver
        :class:`AndersonSolver` (default) or :class:`FlowSolver`, the paper's flow.
    tolerance
        A perturbation is converged if ``||f_q(l_q)|| <= tolerance * ||v_q||``, in original units.

    Raises
    ------
    InputError
        Without perturbations, with a level that the drift does not have, or a tolerance <= 0.
    """
    if not tolerance > 0:
        raise InputError("tolerance must be positive", found=str(tolerance))
    start, alphas, evaluate = _prepare(drift, membership, units, level)
    local = units.to(start.device)
    everyone = torch.arange(len(start), device=start.device)

    def norm(f: Tensor) -> Tensor:
        size: Tensor = torch.linalg.vector_norm(local.drift_to_original(f), dim=1)
        return size

    with torch.no_grad():
        force = norm(evaluate(start, everyone, level))
        problem = FixedPointProblem(start, evaluate, norm, tolerance * force, alphas, level)
        s, evaluations = (solver or AndersonSolver()).solve(problem)
        residual = norm(evaluate(s, everyone, level))
        limits = local.to_original(s)
    size = residual.cpu().numpy()
    relative = size / np.maximum(force.cpu().numpy(), np.finfo(np.float64).tiny)
    return LimitResponses(
        limits=limits.T.cpu().numpy(),
        residual=size,
        relative_residual=relative,
        converged=relative <= tolerance,
        evaluations=evaluations.numpy() + 2,
        tolerance=tolerance,
    )


@dataclass(frozen=True)
class EffectEstimate:
    """Direct causal effects with what they were solved from.

    Attributes
    ----------
    effects
        ``effects[i, j]`` is the direct effect of gene j on gene i; shape (d, d), or
        (ridges, d, d) for several ridges.
    ridge
        The ridge or ridges used.
    rank
        Numerical rank of ``L``.
    full_rank
        Whether the rank is min(d, k). A matrix of all effects is identified if the rank is d.
    """

    effects: Matrix
    ridge: float | tuple[float, ...]
    rank: int
    full_rank: bool


def default_ridge(d: int) -> float:
    """The paper's rule for the strength of regularisation, ``1 / (10 d)``."""
    return 1.0 / (10.0 * d)


def estimate_effects(
    initial: ArrayLike, limits: ArrayLike, ridge: float | Sequence[float] | None = None
) -> EffectEstimate:
    """CLIPR effects ``A = -V L^T (L L^T + ridge I)^-1`` (Eqs. 7, 8).

    Parameters
    ----------
    initial, limits
        Responses ``V`` and ``L`` in original units, one column per perturbation, shape (d, k).
    ridge
        Regularisation, one value or several; 0 gives the solution of least squares and minimum
        norm, ``-V L^+``. Default ``1 / (10 d)``.

    Raises
    ------
    InputError
        If ``V`` and ``L`` differ in shape, are empty or not finite, or a ridge is negative.

    Warns
    -----
    RuntimeWarning
        If ``L`` is singular, that is of a rank below min(d, k), and a ridge is 0.
    """
    v, responses = _response_matrix(initial, "V"), _response_matrix(limits, "L")
    if v.shape != responses.shape:
        raise InputError("V and L differ in shape", found=f"V {v.shape}, L {responses.shape}")
    if ridge is None:
        ridge = default_ridge(len(v))
    ridges = [ridge] if isinstance(ridge, (int, float)) else list(ridge)
    rank = _rank(scipy.linalg.svdvals(responses), responses.shape)
    if rank < min(responses.shape) and 0 in ridges:
        warnings.warn(
            f"the limit responses L {responses.shape} have rank {rank}: without a ridge some "
            "combinations of effects are set to zero, the solution of minimum norm",
            RuntimeWarning,
            stacklevel=2,
        )
    effects = [-v @ regularised_pseudoinverse(responses, value) for value in ridges]
    single = isinstance(ridge, (int, float))
    return EffectEstimate(
        effects=effects[0] if single else np.stack(effects),
        ridge=float(ridges[0]) if single else tuple(float(value) for value in ridges),
        rank=rank,
        full_rank=rank == min(responses.shape),
    )


def regularised_pseudoinverse(limits: ArrayLike, ridge: float) -> Matrix:
    """``L^T (L L^T + ridge I)^-1``, shape (k, d); the pseudoinverse ``L^+`` for ridge 0.

    A Cholesky solve of the smaller of the d x d and the k x k system, which are equal by
    ``L^T (L L^T + ridge I)^-1 = (L^T L + ridge I)^-1 L^T``. A ridge that vanishes in the rounding
    of ``L L^T`` cannot be solved that way and goes through the singular values.
    """
    matrix = _response_matrix(limits, "L")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InputError("ridge must be a nonnegative number", found=str(ridge))
    d, k = matrix.shape
    wide = k >= d
    gram = matrix @ matrix.T if wide else matrix.T @ matrix
    if ridge <= len(gram) * np.finfo(np.float64).eps * np.trace(gram):
        return _filtered_pseudoinverse(matrix, ridge)
    gram[np.diag_indices_from(gram)] += ridge
    factor = scipy.linalg.cho_factor(gram, overwrite_a=True)
    solution: Matrix = scipy.linalg.cho_solve(factor, matrix if wide else matrix.T)
    return solution.T if wide else solution


def implied_bias_and_shifts(
    effects: Matrix, control_limit: ArrayLike, limits: ArrayLike
) -> tuple[Matrix, Matrix]:
    """Bias ``b = -A l_f`` and shifts ``c_q = A l_f - A l_q`` implied by the effects (Corollary 2).

    Parameters
    ----------
    effects
        ``A``, shape (d, d).
    control_limit
        Limit response of the unperturbed drift, shape (d,).
    limits
        Limit responses, shape (d, k).

    Returns
    -------
    tuple of ndarray
        ``b`` (d,) and ``C`` (d, k), one column per perturbation.
    """
    bias = -effects @ np.asarray(control_limit, dtype=np.float64)
    shifts = -bias[:, None] - effects @ _response_matrix(limits, "L")
    return bias, shifts


def _prepare(
    drift: PerturbedDrift, membership: Tensor, units: LinearUnits, level: int
) -> tuple[Tensor, list[float], Callable[[Tensor, Tensor, int], Tensor]]:
    if membership.ndim != 2 or len(membership) == 0:
        raise InputError(
            "responses need at least one perturbation",
            found=f"membership of shape {tuple(membership.shape)}",
        )
    alphas = [float(alpha) for alpha in drift.alphas]
    if not 0 <= level < len(alphas):
        raise InputError(
            "the drift has no such noise level", found=f"{level}; levels 0 to {len(alphas) - 1}"
        )
    place = next(iter(drift.parameters()))
    conditions = membership.to(place)
    zero = units.from_original(torch.zeros(len(membership), len(units.mean)))
    start = zero.to(place)

    def evaluate(s: Tensor, rows: Tensor, at: int) -> Tensor:
        return drift(s, conditions[rows], at)

    return start, alphas, evaluate


def _least_squares(df: Tensor, f: Tensor) -> Tensor:
    """Weights (n, 1, m) that bring ``sum_j w_j df_j`` closest to ``f``; 0 for empty slots."""
    df64, f64 = df.double(), f.double()
    length = df64.norm(dim=2, keepdim=True)  # (n, m, 1)
    length = torch.where(length > 0, length, 1.0)
    unit = df64 / length
    gram = unit @ unit.transpose(1, 2)
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    gram = gram + 10.0 * torch.finfo(df.dtype).eps * identity
    weights: Tensor = torch.linalg.solve(gram, unit @ f64[:, :, None]) / length
    return weights.transpose(1, 2).to(df.dtype)


def _secant_step(ds: Tensor, df: Tensor, mixing: Tensor, shortest: float) -> Tensor:
    """Step along the drift that the last secant pair suggests (Barzilai and Borwein 1988)."""
    step = -(ds * df).sum(dim=1, keepdim=True) / df.square().sum(dim=1, keepdim=True)
    return torch.where(step > 0, step, mixing).clamp(min=shortest)


def _response_matrix(values: ArrayLike, name: str) -> Matrix:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(
            f"{name} must be genes x perturbations with at least one perturbation",
            found=f"shape {matrix.shape}",
        )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if len(bad):
        raise InputError(
            f"{name} has entries that are not finite",
            found=(f"perturbation {q}" for q in bad),
            remedy="leave out the perturbations whose drift did not converge",
        )
    return matrix


def _rank(singular_values: Matrix, shape: tuple[int, ...]) -> int:
    cutoff = singular_values.max() * max(shape) * np.finfo(np.float64).eps
    return int((singular_values > cutoff).sum())


def _filtered_pseudoinverse(matrix: Matrix, ridge: float) -> Matrix:
    left, singular_values, right = scipy.linalg.svd(matrix, full_matrices=False)
    rank = _rank(singular_values, matrix.shape)
    kept = singular_values[:rank]
    inverse: Matrix = (right[:rank].T * (kept / (kept**2 + ridge))) @ left[:, :rank].T
    return inverse
