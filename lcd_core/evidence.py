"""What estimators of direct effects start from, and what they answer with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcd_core.errors import InputError

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """What estimators of direct effects start from; d genes, k perturbations.

    Attributes
    ----------
    changes
        ``delta_q``, change of the stationary state from the control's, shape (d, k).
    targets
        Genes that each perturbation hits: none for one that hits no modelled gene, two for a
        combination; k tuples of indices, or None if nothing is known of any.
    initial, limits
        ``v_q`` and ``l_q`` of the drift, seen from the origin (Eqs. 5, 6); shape (d, k).
    errors
        Standard errors of ``changes``, shape (d, k).
    covariance
        Of the states within conditions, shape (d, d).
    jacobian
        Of the control's drift at the origin, in the units of the states; shape (d, d).
    sigma
        Diffusion scale of the drift.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, or an error is not positive.
    """

    changes: Matrix
    targets: Sequence[Sequence[int]] | None = None
    initial: Matrix | None = None
    limits: Matrix | None = None
    errors: Matrix | None = None
    covariance: Matrix | None = None
    jacobian: Matrix | None = None
    sigma: float = 2.0**0.5

    def __post_init__(self) -> None:
        if self.changes.ndim != 2 or 0 in self.changes.shape:
            raise InputError(
                "changes must be genes x perturbations with at least one of each",
                found=f"shape {self.changes.shape}",
            )
        d, k = self.changes.shape
        shapes = {name: (d, k) for name in ("changes", "initial", "limits", "errors")}
        shapes |= {"covariance": (d, d), "jacobian": (d, d)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != shape:
                raise InputError(f"{name} must be of shape {shape}", found=str(values.shape))
            if not np.isfinite(values).all():
                raise InputError(f"{name} has entries that are not finite")
        if self.errors is not None and not (self.errors > 0).all():
            raise InputError("standard errors must be positive", found=str(self.errors.min()))
        if self.targets is not None:
            outside = {i for own in self.targets for i in own if not 0 <= i < d}
            if len(self.targets) != k or outside:
                raise InputError(
                    f"targets must be {k} sets of genes from 0 to {d - 1}",
                    found=f"{len(self.targets)} sets; outside {sorted(outside)}",
                )

    def need(self, *names: str) -> list[Any]:
        """These attributes; InputError where one of them is None."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise InputError("this estimator needs more than it was given", found=missing)
        return [getattr(self, name) for name in names]

    @property
    def hits(self) -> Mask:
        """Whether a perturbation hits a gene, shape (d, k)."""
        (targets,) = self.need("targets")
        mask = np.zeros(self.changes.shape, dtype=bool)
        for q, own in enumerate(targets):
            mask[list(own), q] = True
        return mask


@dataclass(frozen=True)
class DirectEffects:
    """Direct effects and what of them the data have determined.

    Attributes
    ----------
    effects
        ``effects[i, j]`` is the direct effect of gene j on gene i; shape (d, d).
    resolution
        Share of each effect that comes from the responses, the rest being what the estimator
        supposes without them (zero, or a centre); between 0 and 1, shape (d, d). The diagonal of
        the resolution matrix of a linear inverse problem.
    errors
        Standard errors of the effects, shape (d, d), where the estimator has them.
    score
        Signed strength by which effects are ranked, shape (d, d); the effects themselves if None.
    details
        Scalars and small arrays about the fit, by name.
    """

    effects: Matrix
    resolution: Matrix
    errors: Matrix | None = None
    score: Matrix | None = None
    details: dict[str, object] = field(default_factory=dict)

    @property
    def ranking(self) -> Matrix:
        """What effects are ranked by, signed; shape (d, d)."""
        return self.effects if self.score is None else self.score


def response_z(evidence: Evidence) -> Matrix:
    """How clearly gene i answers to the perturbations of gene j alone; shape (d, d).

    ``delta_iq / s_iq``, summed over the perturbations of j and divided by the square root of
    their number; 0 where j was never perturbed alone.
    """
    targets, errors = evidence.need("targets", "errors")
    alone = np.zeros((evidence.changes.shape[1], len(evidence.changes)))
    for q, own in enumerate(targets):
        if len(own) == 1:
            alone[q, own[0]] = 1.0
    z: Matrix = (evidence.changes / errors) @ alone / np.sqrt(np.maximum(alone.sum(axis=0), 1.0))
    return z
