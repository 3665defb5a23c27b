"""CLIPR from a drift to effects, with every exclusion on record (Theorem 1)."""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcd_core.conditions import CONTROL, multi_hot
from lcd_core.errors import InputError, shown
from lcd_core.estimators import EffectEstimate, estimate_effects, implied_bias_and_shifts
from lcd_core.model import LCD
from lcd_core.responses import (
    LimitResponses,
    PerturbedDrift,
    control_jacobian,
    initial_responses,
    limit_responses,
)
from lcd_core.settings import LinearisationSettings
from lcd_core.solvers import AndersonSolver, FlowSolver
from lcd_core.units import LinearUnits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Linearisation:
    """Causal linearisation of a drift, control first wherever there is a row per condition.

    Attributes
    ----------
    names
        The control and the k perturbations.
    origin
        State at which the drift is linearised, (d,).
    initial
        ``v`` of the control and the perturbations at the origin, (d, k + 1).
    responses
        Their limits measured from the origin, likewise (d, k + 1), and how well they converged.
    used
        Whether a condition entered the estimate, (k + 1,); never the control.
    estimate
        The effects.
    jacobian
        Of the control's drift at the origin, in original units, (d, d).
    bias, shifts
        Implied ``b`` (d,) and ``c_q`` of the used perturbations (d, used).
    alpha
        Noise level at which the drift was read.
    """

    names: list[str]
    origin: NDArray[np.float64]
    initial: NDArray[np.float64]
    responses: LimitResponses
    used: NDArray[np.bool_]
    estimate: EffectEstimate
    jacobian: NDArray[np.float64]
    bias: NDArray[np.float64]
    shifts: NDArray[np.float64]
    alpha: float

    def table(self) -> dict[str, Any]:
        """Columns with a row per condition: sizes of responses, convergence, whether used."""
        return {
            "perturbation": self.names,
            "initial_norm": np.linalg.norm(self.initial, axis=0),
            "limit_norm": np.linalg.norm(self.responses.limits, axis=0),
            "residual": self.responses.residual,
            "relative_residual": self.responses.relative_residual,
            "converged": self.responses.converged,
            "evaluations": self.responses.evaluations,
            "used": self.used,
        }


def linearise_model(
    model: LCD, targets: Sequence[str], settings: LinearisationSettings
) -> Linearisation:
    """Effects among the genes of a fitted model, from perturbations of single targets.

    The drift is read in double precision: residuals are then its own instead of the arithmetic's,
    at little cost beside the training. An embedding with fewer dimensions than there are
    perturbations is warned about: responses then have hardly more directions than the embedding,
    and in the others effects are noise; on linear systems they are no better than chance.

    Parameters
    ----------
    model
        The fitted model; it is left as it is.
    targets
        Targets whose perturbations are used, k of those that the model knows.
    settings
        See :class:`lcd_core.settings.LinearisationSettings`.

    Raises
    ------
    InputError
        As :func:`linearise`, and on a target that the model does not know.
    """
    dimensions = model.drift.embedding.shape[1]
    if dimensions < len(targets):
        logger.warning(
            "the embedding of targets has %d dimensions for %d perturbations: effects are not "
            "resolved; raise embedding_dimensions of the drift to at least %d",
            dimensions,
            len(targets),
            len(targets),
        )
    membership = multi_hot([[target] for target in targets], model.targets)
    units = model.transform.to("cpu").units
    return linearise(copy.deepcopy(model.drift).double(), membership, units, targets, settings)


def linearise(
    drift: PerturbedDrift,
    membership: Tensor,
    units: LinearUnits,
    names: Sequence[str],
    settings: LinearisationSettings,
) -> Linearisation:
    """Estimate effects from the responses of a control and k single-target perturbations.

    Parameters
    ----------
    drift, units
        As for :func:`lcd_core.responses.initial_responses`.
    membership
        Multi-hot perturbations, (k, targets).
    names
        Names of the k perturbations.
    settings
        Its ``origin`` is a state x0: a linear system satisfies ``v_q = f_q(x0) = -A (l_q - x0)``
        wherever it is read, a learned drift does so best amid the data. ``control_mean`` is the
        mean of the units, zero in learned coordinates.

    Raises
    ------
    InputError
        Without perturbations, if none is left after those that did not converge were excluded, or
        if a limit that was to be used is not finite.
    """
    level = nearest_level([float(alpha) for alpha in drift.alphas], settings.level_alpha)
    conditions = membership.new_zeros(len(membership) + 1, membership.shape[1])
    conditions[1:] = membership
    names = [CONTROL, *names]
    mean = units.mean
    origin = mean if settings.origin == "control_mean" else torch.zeros_like(mean)
    units = units.seen_from(origin)
    initial = initial_responses(drift, conditions, units, level=level)
    responses = limit_responses(
        drift,
        conditions,
        units,
        level=level,
        solver=_solver(settings),
        tolerance=settings.tolerance,
    )
    used = _choose(names, responses, exclude_unconverged=settings.exclude_unconverged)
    limits = responses.limits
    estimate = estimate_effects(initial[:, used], limits[:, used], settings.ridge)
    here, shifts = implied_bias_and_shifts(estimate.effects, limits[:, 0], limits[:, used])
    zero = origin.cpu().numpy()
    # what is implied at the origin is A origin + b
    bias = here - estimate.effects @ zero
    jacobian = control_jacobian(drift, membership.shape[1], units, level=level)
    alpha = float(drift.alphas[level])
    return Linearisation(
        names, zero, initial, responses, used, estimate, jacobian, bias, shifts, alpha
    )


def nearest_level(alphas: Sequence[float], alpha: float) -> int:
    """Index of the noise level nearest to ``alpha`` by ratio."""
    return int(np.argmin([abs(math.log(own / alpha)) for own in alphas]))


def _solver(settings: LinearisationSettings) -> FlowSolver | AndersonSolver:
    if settings.solver == "flow":
        return FlowSolver(settings.step_size, settings.steps_per_level)
    return AndersonSolver()


def _choose(
    names: Sequence[str], responses: LimitResponses, *, exclude_unconverged: bool
) -> NDArray[np.bool_]:
    """Which conditions enter the estimate; those that did not converge are named in the log."""
    used = np.ones(len(names), dtype=bool)
    used[0] = False
    if len(names) == 1:
        raise InputError("CLIPR needs at least one perturbation", found="the control alone")
    lost = ~responses.converged
    if lost.any():
        logger.warning(
            "%d of %d conditions did not converge to %g of their initial response%s: %s",
            lost.sum(),
            len(names),
            responses.tolerance,
            " and are left out" if exclude_unconverged else "",
            shown(_picked(names, lost)),
        )
    if exclude_unconverged:
        used &= ~lost
        if not used.any():
            raise InputError(
                "no perturbation is left, none of them converged",
                where="clipr.exclude_unconverged",
                found=_picked(names, lost),
                remedy="train the drift for longer, or raise clipr.tolerance or clipr.level_alpha",
            )
    broken = used & ~np.isfinite(responses.limits).all(axis=0)
    if broken.any():
        raise InputError(
            "the limit responses of some perturbations are not finite",
            found=_picked(names, broken),
            remedy="train the drift for longer, or set clipr.exclude_unconverged: true",
        )
    return used


def _picked(names: Sequence[str], mask: NDArray[np.bool_]) -> list[str]:
    return [name for name, own in zip(names, mask, strict=True) if own]
