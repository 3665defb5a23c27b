"""The drift network: one vector field for all conditions and noise levels (Eqs. 12, 14)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from lcd_core.settings import DriftSettings


def noise_levels(settings: DriftSettings) -> Tensor:
    """Noise levels alpha, geometric from smallest to largest, float64, shape (noise_levels,)."""
    smallest, largest = math.log10(settings.alpha_min), math.log10(settings.alpha_max)
    return torch.logspace(smallest, largest, settings.noise_levels, dtype=torch.float64)


def sinusoidal_positions(count: int, dimensions: int) -> Tensor:
    """Sinusoidal position embedding of the indices 0 .. count-1, shape (count, dimensions)."""
    half = dimensions // 2
    frequency = torch.exp(-math.log(10_000.0) * torch.arange(half) / max(1, half - 1))
    angle = torch.arange(count)[:, None] * frequency[None, :]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class _Tanh(torch.autograd.Function):
    """``tanh(x) = 2 sigmoid(2 x) - 1``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.mul(2.0).sigmoid_().mul_(2.0).sub_(1.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors
        own: Tensor = torch.ops.aten.tanh_backward(grad, value)
        return own


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, of single precision on a CPU in half the time of torch's.

    By the logistic function, with an error of at most 1e-7; torch's own in all other cases.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32:
        value: Tensor = _Tanh.apply(x)  # type: ignore[no-untyped-call]
        return value
    return torch.tanh(x)


class Drift(nn.Module):
    """``f(x; q, alpha)`` with perturbations as additive embeddings in both hidden layers.

    ``h`` has two tanh hidden layers of width ``hidden`` and a linear output; its input is
    ``x / sqrt(1 + alpha^2)``. The embedding of a condition, the sum of its targets' embeddings
    (zero for the control), enters each hidden layer before the nonlinearity through a learned
    linear map of its own; an embedding of the index of alpha enters the first.

    - ``plain`` (Eq. 14 as printed): ``alpha f = h``.
    - ``linear_pull`` (the released code): ``alpha f = (x / sqrt(1 + alpha^2) - x) / alpha - h``.

    Parameters
    ----------
    genes, targets
        Numbers of genes (d) and perturbation targets (t).
    settings
        Sizes, parameterization and noise levels.

    Attributes
    ----------
    alphas
        Noise levels in ascending order, shape (levels,).
    """

    alphas: Tensor
    positions: Tensor

    def __init__(self, genes: int, targets: int, settings: DriftSettings) -> None:
        super().__init__()
        self.settings = settings
        hidden, embedding_dimensions = settings.hidden, settings.embedding_dimensions
        time_dimensions = settings.time_dimensions
        self.input = nn.Linear(genes, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, genes)
        self.embedding = nn.Parameter(torch.empty(targets, embedding_dimensions))
        self.embed_first = nn.Linear(embedding_dimensions, hidden, bias=False)
        self.embed_second = nn.Linear(embedding_dimensions, hidden, bias=False)
        self.time = nn.Sequential(
            nn.Linear(time_dimensions, hidden), nn.Tanh(), nn.Linear(hidden, hidden)
        )
        levels = settings.noise_levels
        self.register_buffer("alphas", torch.empty(levels, dtype=torch.float64))
        self.register_buffer("positions", torch.empty(levels, 2 * (time_dimensions // 2)))
        # Without memory there is nothing to fill, and any arithmetic there costs 2 s of imports.
        if not self.alphas.is_meta:
            self.alphas.copy_(noise_levels(settings))
            self.positions.copy_(sinusoidal_positions(levels, time_dimensions))

    def reset(self, generator: torch.Generator) -> None:
        """Draw initial parameters: weights N(0, 1/fan_in), biases zero, embeddings N(0, 0.01^2)."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    weight = torch.randn(module.weight.shape, generator=generator)
                    module.weight.copy_(weight / math.sqrt(module.in_features))
                    if module.bias is not None:
                        module.bias.zero_()
            self.embedding.copy_(0.01 * torch.randn(self.embedding.shape, generator=generator))

    def condition_features(self, membership: Tensor) -> tuple[Tensor, Tensor]:
        """What conditions (q, targets) add to the hidden layers: two tensors (q, hidden).

        The layers' biases are in them: added to a condition, not to each of its states.
        """
        embedding = membership.to(self.embedding) @ self.embedding
        first, second = self.embed_first(embedding), self.embed_second(embedding)
        if self.settings.embedding_layers == "first":
            second = torch.zeros_like(second)
        if self.settings.embedding_layers == "second":
            first = torch.zeros_like(first)
        return first + self.input.bias, second + self.middle.bias

    def level_features(self) -> Tensor:
        """What each noise level adds to the first hidden layer, shape (levels, hidden)."""
        features: Tensor = self.time(self.positions.to(self.embedding))
        return features

    def scaled(
        self, x: Tensor, first: Tensor, second: Tensor, level_features: Tensor, alpha: Tensor
    ) -> Tensor:
        """``alpha * f`` for states (n, d); features (n or 1, hidden), alpha (n or 1, 1)."""
        shrunk = x / torch.sqrt(1.0 + alpha**2)
        z = tanh(torch.addmm(first + level_features, shrunk, self.input.weight.T))
        z = tanh(torch.addmm(second, z, self.middle.weight.T))
        h: Tensor = self.output(z)
        return h if self.settings.parameterization == "plain" else (shrunk - x) / alpha - h

    def under(self, membership: Tensor, *, copies: int = 1) -> "SamplingDrift":
        """The drift under conditions (q, targets) that stay the same, for sampling."""
        return SamplingDrift(self, membership, copies=copies)

    def forward(self, x: Tensor, membership: Tensor, level: int) -> Tensor:
        """Drift ``f`` at states (n, d) under conditions (n or 1, targets) at one noise level."""
        first, second = self.condition_features(membership)
        alpha = self.alphas[level].to(x)
        return self.scaled(x, first, second, self.level_features()[level], alpha) / alpha


class ConditionedDrift:
    """A drift under conditions that stay the same, whose features are computed once.

    Parameters
    ----------
    drift
        The drift.
    membership
        Multi-hot conditions, shape (q, targets).
    """

    def __init__(self, drift: Drift, membership: Tensor) -> None:
        self.drift = drift
        self.first, self.second = drift.condition_features(membership)
        self.levels = drift.level_features()

    def __call__(self, x: Tensor, rows: Tensor, level: int) -> Tensor:
        """Drift ``f`` at states (n, d) under the conditions ``rows`` (n,) at one noise level."""
        alpha = self.drift.alphas[level].to(x)
        first, second = self.first[rows], self.second[rows]
        return self.drift.scaled(x, first, second, self.levels[level], alpha) / alpha


class SamplingDrift:
    """A drift under conditions that stay the same, for the many steps of a sampler.

    What the conditions add is computed once. With ``sigma`` the logistic function,
    ``tanh(u) = 2 sigma(2 u) - 1``: the hidden layers keep ``sigma``, and its factor and offset are
    in the weights around it. No gradients, and the last bits are other than those of
    :meth:`Drift.scaled`.

    Parameters
    ----------
    drift
        The drift; its parameters are copied.
    membership
        Multi-hot conditions, shape (q, targets).
    copies
        Rows that each condition has here, one after the other.
    """

    def __init__(self, drift: Drift, membership: Tensor, *, copies: int = 1) -> None:
        with torch.no_grad():
            first, second = drift.condition_features(membership.to(drift.embedding.device))
            second = second - drift.middle.weight.sum(dim=1)
            self._first = (2.0 * first).repeat_interleave(copies, dim=0)
            self._second = (2.0 * second).repeat_interleave(copies, dim=0)
            self._levels = 2.0 * drift.level_features()
            self._into = 2.0 * drift.input.weight.T
            self._across = 4.0 * drift.middle.weight.T
            self._out = 2.0 * drift.output.weight.T
            self._offset = drift.output.bias - drift.output.weight.sum(dim=1)
        self.alphas: list[float] = drift.alphas.tolist()  # once: a GPU is waited for
        self._pulls = drift.settings.parameterization == "linear_pull"
        self._entering = -1, self._first

    def scaled(self, x: Tensor, level: int) -> Tensor:
        """``alpha f`` at states (n, d), the n-th under the n-th condition, or all under one."""
        with torch.no_grad():
            h = torch.addmm(self._offset, self._hidden(x, level), self._out)
            return x.mul(self._pull(level)).sub_(h) if self._pulls else h

    def move_(self, x: Tensor, level: int, factor: float) -> Tensor:
        """``x <- x + factor alpha f(x)``, in place; conditions as in :meth:`scaled`."""
        with torch.no_grad():
            hidden = self._hidden(x, level)
            keep, sign = 1.0, factor
            if self._pulls:
                keep, sign = 1.0 + factor * self._pull(level), -factor
            return x.addmm_(hidden, self._out, beta=keep, alpha=sign).add_(self._offset, alpha=sign)

    def _shrink(self, level: int) -> float:
        return 1.0 / math.sqrt(1.0 + self.alphas[level] ** 2)

    def _pull(self, level: int) -> float:
        """What ``linear_pull`` multiplies x by, in ``alpha f``."""
        return (self._shrink(level) - 1.0) / self.alphas[level]

    def _hidden(self, x: Tensor, level: int) -> Tensor:
        """The second hidden layer, before factor and offset of its logistic function."""
        if self._entering[0] != level:
            self._entering = level, self._first + self._levels[level]
        shrink = self._shrink(level)
        z = torch.addmm(self._entering[1], x, self._into, alpha=shrink).sigmoid_()
        return torch.addmm(self._second, z, self._across).sigmoid_()
