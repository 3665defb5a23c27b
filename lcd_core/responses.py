"""Responses of a drift to perturbations: where it sets out to, and where it leads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcd_core.drift import ConditionedDrift, Drift
from lcd_core.errors import InputError
from lcd_core.settings import LinearisationSettings
from lcd_core.solvers import AndersonSolver, FixedPointProblem, FlowSolver
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


def control_jacobian(
    drift: PerturbedDrift, targets: int, units: LinearUnits, *, level: int = 0
) -> Matrix:
    """Jacobian of the unperturbed drift at the zero of the original units; shape (d, d).

    In original units, ``T^-1 J_s T^-1`` for a Jacobian ``J_s`` in learned coordinates. For a
    drift that is linear it is A itself.

    Parameters
    ----------
    drift, units, level
        As for :func:`initial_responses`.
    targets
        Number of targets that the drift knows.
    """
    control = units.mean.new_zeros(1, targets)
    start, _, evaluate = _prepare(drift, control, units, level)
    # Row i is the gradient of output i at a copy of its own; torch.func imports for 2 s.
    d = start.shape[1]
    states = start[:1].detach().repeat(d, 1).requires_grad_()
    rows = torch.zeros(d, dtype=torch.int64, device=start.device)
    (inner,) = torch.autograd.grad(evaluate(states, rows, level).diagonal().sum(), states)
    local = units.to(start.device)
    left = local.drift_to_original(inner.T)  # rows are columns of T^-1 J_s
    return local.drift_to_original(left.T).cpu().numpy()


def limit_responses(
    drift: PerturbedDrift,
    membership: Tensor,
    units: LinearUnits,
    *,
    level: int = 0,
    solver: FlowSolver | AndersonSolver | None = None,
    tolerance: float = LinearisationSettings.tolerance,
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


@torch.no_grad()
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

    if isinstance(drift, Drift):
        return start, alphas, ConditionedDrift(drift, conditions)

    def evaluate(s: Tensor, rows: Tensor, at: int) -> Tensor:
        return drift(s, conditions[rows], at)

    return start, alphas, evaluate
