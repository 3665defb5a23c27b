"""Estimators of direct effects that use more than the published one: targets, errors, Jacobian.

All of them read the same :class:`lcd_core.evidence.Evidence` and answer with the same
:class:`lcd_core.evidence.DirectEffects`. Writing ``delta_q`` for what perturbation q does to the
stationary state and ``c_q`` for what it adds to the drift, a linear drift satisfies
``A delta_q = -c_q``, and ``c_q`` is zero at every gene that is no target of q: row i of A is
orthogonal to the changes that perturbations of *other* genes cause.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lcd_core.dense_rows import centred_ridge, reversible_effects, target_aware_rows
from lcd_core.errors import InputError
from lcd_core.estimators import estimate_effects
from lcd_core.evidence import DirectEffects, Evidence
from lcd_core.probability_current import averaged_current, probability_current
from lcd_core.sparse_rows import adaptive_rows, sparse_rows

JACOBIAN_RIDGE = 0.01
ROWS_RIDGE = 0.01


@dataclass(frozen=True)
class Estimator:
    """An estimator of direct effects.

    Attributes
    ----------
    estimate
        From evidence, the number of redrawings, and a seed.
    label
        Its name in figures.
    needs
        Attributes of the evidence that it reads.
    knows_targets, uses_covariance
        Whether it is told which genes perturbations hit, and reads the covariance of states.
    """

    estimate: Callable[[Evidence, int, int], DirectEffects]
    label: str
    needs: tuple[str, ...]
    knows_targets: bool
    uses_covariance: bool


def published(evidence: Evidence) -> DirectEffects:
    """CLIPR as published: :func:`lcd_core.estimators.estimate_effects`."""
    initial, limits = evidence.need("initial", "limits")
    found = estimate_effects(initial, limits)
    gram = limits @ limits.T
    d = len(gram)
    kept = np.clip(np.diag(np.linalg.solve(gram + found.ridge * np.eye(d), gram)), 0.0, 1.0)
    return DirectEffects(found.effects, np.tile(kept, (d, 1)), details={"ridge": found.ridge})


def told_rows(evidence: Evidence) -> DirectEffects:
    """:func:`target_aware_rows` centred on ``-(sigma^2 / 2) S^-1``."""
    (covariance,) = evidence.need("covariance")
    centre = reversible_effects(covariance, evidence.sigma)
    return target_aware_rows(evidence, centre, ROWS_RIDGE)


ESTIMATORS: dict[str, Estimator] = {
    "clipr": Estimator(
        lambda evidence, draws, seed: published(evidence),
        "CLIPR (published)",
        ("initial", "limits"),
        False,
        False,
    ),
    "centred_ridge": Estimator(
        lambda evidence, draws, seed: centred_ridge(evidence, JACOBIAN_RIDGE),
        "CLIPR centred on the Jacobian",
        ("initial", "limits", "jacobian"),
        False,
        False,
    ),
    "averaged_current": Estimator(
        lambda evidence, draws, seed: averaged_current(evidence),
        "probability current, averaged",
        ("covariance", "errors"),
        True,
        True,
    ),
    "probability_current": Estimator(
        lambda evidence, draws, seed: probability_current(evidence),
        "probability current",
        ("covariance", "errors"),
        True,
        True,
    ),
    "target_aware_rows": Estimator(
        lambda evidence, draws, seed: told_rows(evidence),
        "rows told the targets",
        ("targets", "covariance"),
        True,
        True,
    ),
    "sparse_rows": Estimator(
        lambda evidence, draws, seed: sparse_rows(evidence),
        "sparse rows",
        ("targets", "errors"),
        True,
        False,
    ),
    "adaptive_rows": Estimator(
        lambda evidence, draws, seed: adaptive_rows(evidence, draws=draws, seed=seed),
        "sparse rows, averaged",
        ("targets", "errors", "covariance"),
        True,
        True,
    ),
}
"""Name -> estimator. Most settings were chosen on systems that are not in any table."""


def direct_effects(name: str, evidence: Evidence, *, draws: int, seed: int) -> DirectEffects:
    """Estimate direct effects; ``draws`` and ``seed`` as in :func:`adaptive_rows`.

    Raises
    ------
    InputError
        If there is no such estimator, or the evidence lacks what it needs.
    """
    if name not in ESTIMATORS:
        raise InputError("there is no such estimator", found=name, remedy=f"one of {[*ESTIMATORS]}")
    evidence.need(*ESTIMATORS[name].needs)
    return ESTIMATORS[name].estimate(evidence, draws, seed)
