"""Linear units of the coordinates in which a drift is learned (Theorem 3)."""

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lcd_core.errors import InputError


class LinearUnits:
    """Linear units ``x = m + T s`` of a drift learned in coordinates ``s`` (Theorem 3).

    Parameters
    ----------
    mean
        ``m``, shape (d,), in original units.
    scale
        ``T``: the diagonal, shape (d,), or the whole positive definite matrix, shape (d, d).

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, or ``T`` is not symmetric positive definite.
    """

    def __init__(self, mean: ArrayLike | Tensor, scale: ArrayLike | Tensor) -> None:
        self.mean = torch.as_tensor(mean, dtype=torch.float64).detach().clone()
        self.scale = torch.as_tensor(scale, dtype=torch.float64).detach().clone()
        d = self.mean.shape[0] if self.mean.ndim == 1 else -1
        if self.scale.shape not in {(d,), (d, d)}:
            raise InputError(
                "units need a mean (d,) and a scale (d,) or (d, d)",
                found=f"mean {tuple(self.mean.shape)}, scale {tuple(self.scale.shape)}",
            )
        if not (self.mean.isfinite().all() and self.scale.isfinite().all()):
            raise InputError("mean or scale of the units is not finite")
        if self.scale.ndim == 1:
            bad = torch.nonzero(self.scale <= 0).flatten().tolist()
            if bad:
                raise InputError("scales must be positive", found=(f"gene {i}" for i in bad))
        else:
            self.factor, failed = torch.linalg.cholesky_ex(self.scale)
            if failed or not torch.allclose(self.scale, self.scale.T, rtol=1e-10, atol=0.0):
                raise InputError("the scale matrix T is not symmetric positive definite")

    def seen_from(self, origin: ArrayLike | Tensor) -> "LinearUnits":
        """Units of the same scale in which the state ``origin`` (d,) is zero."""
        return LinearUnits(self.mean - torch.as_tensor(origin, dtype=torch.float64), self.scale)

    @classmethod
    def original(cls, d: int) -> "LinearUnits":
        """Units of a drift that already lives in original units: ``m = 0``, ``T = I``."""
        return cls(torch.zeros(d), torch.ones(d))

    def to_original(self, s: Tensor) -> Tensor:
        """States ``m + T s`` of coordinates (..., d), float64."""
        stretched = s.double() * self.scale if self.scale.ndim == 1 else s.double() @ self.scale
        return self.mean + stretched

    def from_original(self, x: Tensor) -> Tensor:
        """Coordinates ``T^-1 (x - m)`` of states (..., d), float64."""
        return self._unscale(x.double() - self.mean)

    def drift_to_original(self, f: Tensor) -> Tensor:
        """Drift ``T^-1 f_s`` in original units at the same diffusion scale (..., d), float64."""
        return self._unscale(f.double())

    def to(self, device: torch.device) -> "LinearUnits":
        """The same units on another device."""
        moved = object.__new__(LinearUnits)
        moved.__dict__.update({name: t.to(device) for name, t in self.__dict__.items()})
        return moved

    def _unscale(self, rows: Tensor) -> Tensor:
        if self.scale.ndim == 1:
            return rows / self.scale
        flat = rows.reshape(-1, rows.shape[-1])
        return torch.cholesky_solve(flat.T, self.factor).T.reshape(rows.shape)
