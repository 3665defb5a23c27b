"""Solvers of the fixed points of a drift, to which perturbations lead (Eqs. 6, 15)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.settings import LinearisationSettings


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
class FlowSolver:
    """Deterministic flow by the sampling scheme without noise (Eq. 15).

    From the largest noise level down to the final one, ``steps_per_level`` times
    ``s <- s + step_size * alpha^2 f(s; alpha)``. At small alpha the steps are short, so the end
    is near the fixed point of a level at which the flow could still follow, not of the last one;
    along nearly flat directions of a learned drift the two can lie far apart.
    """

    step_size: float = LinearisationSettings.step_size
    steps_per_level: int = LinearisationSettings.steps_per_level

    def __post_init__(self) -> None:
        if not self.step_size > 0 or self.steps_per_level < 1:
            raise InputError(
                "the flow needs step_size > 0 and steps_per_level >= 1", found=str(self)
            )

    def solve(self, problem: FixedPointProblem) -> tuple[Tensor, Tensor]:
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

    def solve(self, problem: FixedPointProblem) -> tuple[Tensor, Tensor]:
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
        problem: FixedPointProblem,
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
