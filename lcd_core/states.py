"""Maps between latent states and the coordinates in which the drift is learned."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.measurement import log_softplus, rates
from lcd_core.settings import StateSettings
from lcd_core.units import LinearUnits

EXPRESSION = "expression"
"""Transform of a model of log-normalised expression, which has no measurement."""


@dataclass(frozen=True)
class StateTransform:
    """``s = T^-1 (u(x) - mean)`` with ``u`` the identity or a monotone function of the rate.

    Transform ``log_rate`` is ``u = log(eta * softplus(x) + pseudocount)``. Genes of low counts
    give states with long tails far below zero, where every x means a rate of zero; in ``u`` those
    tails collapse and the standard deviation measures what can be observed.

    By the scaling, ``T`` is diagonal (standard deviations, as published) or the symmetric square
    root of the whole covariance: then directions in which cells hardly vary are as long as all
    others, and neither vanish below the noise levels nor make the score stiff.

    Attributes
    ----------
    settings
        Transform, pseudocount (a rate, in counts) and scaling.
    mean
        Control mean of ``u``, shape (d,).
    scale
        ``T`` over all training samples: its diagonal, shape (d,), or all of it, shape (d, d).
    eta
        Rate scale, shape (d,).
    ceiling
        Largest ``u`` of each gene among the training samples, shape (d,). Expression does not
        exceed it, and ``log_rate`` is not inverted beyond it: the exponential would turn a small
        overshoot of the sampler into a count that no cell has.
    """

    settings: StateSettings
    mean: Tensor
    scale: Tensor
    eta: Tensor
    ceiling: Tensor

    @classmethod
    def fit(
        cls, states: Tensor, control: Tensor, eta: Tensor, settings: StateSettings
    ) -> "StateTransform":
        """Centre at the control mean and scale by the spread over all samples.

        Parameters
        ----------
        states
            Samples of all training conditions, shape (..., n, d).
        control
            Samples of the control, shape (n, d).
        eta
            Rate scale, shape (d,).
        settings
            See :class:`lcd_core.settings.StateSettings`.

        Raises
        ------
        InputError
            On states that are not finite or do not vary, or a covariance that is singular.
        """
        if not torch.isfinite(states).all():
            raise InputError(
                "states are not finite", found=f"{(~torch.isfinite(states)).sum()} values"
            )
        raw = cls(settings, torch.zeros(()), torch.ones(()), eta, torch.full((), torch.inf))
        mean = raw.forward(control).double().mean(dim=0)
        blocks = states.reshape(-1, *states.shape[-2:])
        whole = settings.scaling == "covariance"
        spread, highest = _spread(map(raw.forward, blocks), mean, whole=whole)
        variance = spread if spread.ndim == 1 else spread.diagonal()
        if (variance <= 0).any():
            raise InputError(
                "states do not vary in some genes",
                found=[str(i) for i in torch.nonzero(variance <= 0).flatten().tolist()],
                remedy="drop genes without variance before fitting",
            )
        scale = covariance_root(spread, settings.shrinkage) if whole else spread.sqrt()
        mean, scale, eta, ceiling = (part.to(states) for part in (mean, scale, eta, highest))
        return cls(settings, mean, scale, eta, ceiling)

    @cached_property
    def units(self) -> LinearUnits:
        """The linear part, ``u = mean + T s``."""
        return LinearUnits(self.mean, self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Model coordinates of states ``x`` (..., d)."""
        u = x if self._is_identity else self._log_rate(x)
        if self.scale.ndim == 2:
            return self.units.from_original(u).to(u)
        return (u - self.mean) / self.scale

    def rate(self, s: Tensor) -> Tensor:
        """Poisson rates of model coordinates ``s`` (..., d)."""
        return self.rate_of(self._unscaled(s))

    def rate_of(self, u: Tensor) -> Tensor:
        """Poisson rates of ``u`` (..., d), the coordinates before centring and scaling.

        Of log-normalised expression, counts per 10,000.
        """
        if self.settings.transform == EXPRESSION:
            return torch.expm1(u.clamp(min=0.0))
        if self._is_identity:
            return rates(u, self.eta)
        return (torch.exp(torch.minimum(u, self.ceiling)) - self.settings.pseudocount).clamp(
            min=0.0
        )

    def expression(self, s: Tensor) -> Tensor:
        """Log-normalised expression of model coordinates ``s`` (..., d), from 0 to the ceiling."""
        return torch.minimum(self._unscaled(s), self.ceiling).clamp(min=0.0)

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> "StateTransform":
        """The same map on another device or in another dtype."""
        parts = (self.mean, self.scale, self.eta, self.ceiling)
        mean, scale, eta, ceiling = (part.to(device=device, dtype=dtype) for part in parts)
        return StateTransform(self.settings, mean, scale, eta, ceiling)

    @property
    def _is_identity(self) -> bool:
        return self.settings.transform in ("identity", EXPRESSION)

    def _log_rate(self, x: Tensor) -> Tensor:
        # logaddexp keeps the pseudocount exact where the rate vanishes
        log_rate = self.eta.log() + log_softplus(x)
        return torch.logaddexp(log_rate, torch.full_like(log_rate, self.settings.pseudocount).log())

    def _unscaled(self, s: Tensor) -> Tensor:
        if self.scale.ndim == 2:
            return self.units.to_original(s).to(s)
        return self.mean + self.scale * s


def _spread(blocks: Iterable[Tensor], centre: Tensor, *, whole: bool) -> tuple[Tensor, Tensor]:
    """Variance (d,), or the whole covariance (d, d), and largest value (d,) of all rows.

    Taken block by block: all states of a large screen at once, in double precision, are too many.
    Variances that vanish in rounding are 0.
    """

    def products(u: Tensor) -> Tensor:
        return u.T @ u if whole else u.square().sum(dim=0)

    rows, total, squares = 0, torch.zeros_like(centre), torch.zeros_like(products(centre[None]))
    highest = torch.full_like(centre, -torch.inf)
    for block in blocks:
        u = block.double() - centre
        rows += len(u)
        total += u.sum(dim=0)
        squares += products(u)
        highest = torch.maximum(highest, u.max(dim=0).values + centre)
    spread = (squares - products(total[None]) / rows) / (rows - 1)
    own, size = (m.diagonal() if whole else m for m in (spread, squares))
    own[own <= 1e-14 * size / rows] = 0.0
    return spread, highest


def covariance_root(covariance: Tensor, shrinkage: float) -> Tensor:
    """Symmetric square root of a covariance (d, d), shrunk towards its diagonal; float64.

    Raises
    ------
    InputError
        If the shrunk covariance is singular.
    """
    matrix = covariance.double()
    matrix = (1 - shrinkage) * matrix + shrinkage * matrix.diagonal().diag()
    values, vectors = torch.linalg.eigh(matrix)
    smallest, largest = float(values[0]), float(values[-1])
    if smallest <= len(matrix) * torch.finfo(torch.float32).eps * largest:
        raise InputError(
            "the covariance of the states is singular, or nearly so",
            found=f"eigenvalues from {smallest:.3g} to {largest:.3g}",
            remedy="raise the shrinkage, or scale by standard deviations",
        )
    root: Tensor = (vectors * values.sqrt()) @ vectors.T
    return (root + root.T) / 2
