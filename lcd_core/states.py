"""Maps between latent states and the coordinates in which the drift is learned."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.measurement import log_softplus, rates

TRANSFORMS = ("identity", "log_rate")


@dataclass(frozen=True)
class StateTransform:
    """``s = (u(x) - mean) / scale`` with ``u`` the identity or a monotone function of the rate.

    ``log_rate`` is ``u = log(eta * softplus(x) + pseudocount)``. Genes of low counts give states
    with long tails far below zero, where every x means a rate of zero; in ``u`` those tails
    collapse and the standard deviation measures what can be observed. CLIPR's change of units
    holds for linear maps, so causal effects use the identity.

    Attributes
    ----------
    kind
        ``"identity"`` or ``"log_rate"``.
    mean, scale
        Control mean and standard deviation over all training samples, of ``u``; shape (d,).
    eta
        Rate scale, shape (d,).
    ceiling
        Largest ``u`` of each gene among the training samples, shape (d,). ``log_rate`` is not
        inverted beyond it: the exponential would turn a small overshoot of the sampler into a
        count that no cell has.
    pseudocount
        Rate added inside the logarithm, in counts.
    """

    kind: str
    mean: Tensor
    scale: Tensor
    eta: Tensor
    ceiling: Tensor
    pseudocount: float = 0.1

    @classmethod
    def fit(
        cls,
        states: Tensor,
        control: Tensor,
        eta: Tensor,
        *,
        kind: str = "identity",
        pseudocount: float = 0.1,
    ) -> "StateTransform":
        """Standardise by the control mean and the standard deviation over all samples.

        Parameters
        ----------
        states
            Samples of all training conditions, shape (..., d).
        control
            Samples of the control, shape (n, d).
        eta
            Rate scale, shape (d,).
        """
        if kind not in TRANSFORMS:
            raise InputError(
                "unknown state transform", found=kind, remedy=f"use one of {TRANSFORMS}"
            )
        if not torch.isfinite(states).all():
            raise InputError(
                "states are not finite", found=f"{(~torch.isfinite(states)).sum()} values"
            )
        raw = cls(
            kind, torch.zeros(()), torch.ones(()), eta, torch.full((), torch.inf), pseudocount
        )
        u = raw.forward(states).flatten(end_dim=-2).double()
        scale = u.std(dim=0)
        if (scale == 0).any():
            raise InputError(
                "states do not vary in some genes",
                found=[str(i) for i in torch.nonzero(scale == 0).flatten().tolist()],
                remedy="drop genes without variance before fitting",
            )
        mean = raw.forward(control).double().mean(dim=0)
        highest = u.max(dim=0).values
        mean, scale, eta, ceiling = (part.to(states) for part in (mean, scale, eta, highest))
        return cls(kind, mean, scale, eta, ceiling, pseudocount)

    def forward(self, x: Tensor) -> Tensor:
        """Model coordinates of states ``x`` (..., d)."""
        u = x if self.kind == "identity" else self._log_rate(x)
        return (u - self.mean) / self.scale

    def inverse(self, s: Tensor) -> Tensor:
        """States of model coordinates ``s`` (..., d).

        For ``log_rate``, coordinates below the image of the map (rate zero) give the state with
        the smallest positive rate that the dtype holds.
        """
        u = self.mean + self.scale * s
        if self.kind == "identity":
            return u
        ratio = self.rate(s) / self.eta
        ratio = ratio.clamp(min=torch.finfo(ratio.dtype).tiny)
        small = ratio < 1e-6
        return torch.where(small, ratio.log(), ratio + torch.log(-torch.expm1(-ratio)))

    def rate(self, s: Tensor) -> Tensor:
        """Poisson rates of model coordinates ``s`` (..., d)."""
        u = self.mean + self.scale * s
        if self.kind == "identity":
            return rates(u, self.eta)
        return (torch.exp(torch.minimum(u, self.ceiling)) - self.pseudocount).clamp(min=0.0)

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> "StateTransform":
        """The same map on another device or in another dtype."""
        parts = (self.mean, self.scale, self.eta, self.ceiling)
        mean, scale, eta, ceiling = (part.to(device=device, dtype=dtype) for part in parts)
        return StateTransform(self.kind, mean, scale, eta, ceiling, self.pseudocount)

    def _log_rate(self, x: Tensor) -> Tensor:
        # logaddexp keeps the pseudocount exact where the rate vanishes
        log_rate = self.eta.log() + log_softplus(x)
        return torch.logaddexp(log_rate, torch.full_like(log_rate, self.pseudocount).log())
