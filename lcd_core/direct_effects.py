"""Estimators of direct effects that use more than the published one: targets, errors, Jacobian.

All of them read the same :class:`Evidence` and answer with the same :class:`DirectEffects`. Writing
``delta_q`` for what perturbation q does to the stationary state and ``c_q`` for what it adds to the
drift, a linear drift satisfies ``A delta_q = -c_q``, and ``c_q`` is zero at every gene that is not
a target of q: row i of A is orthogonal to the changes that perturbations of *other* genes cause.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import scipy.optimize
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

    def need(self, *names: str) -> None:
        """Raise InputError where one of the attributes is None."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise InputError("this estimator needs more than it was given", found=missing)

    @property
    def hits(self) -> Mask:
        """Whether a perturbation hits a gene, shape (d, k)."""
        self.need("targets")
        mask = np.zeros(self.changes.shape, dtype=bool)
        for q, own in enumerate(self.targets or ()):
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
    details
        Scalars and small arrays about the fit, by name.
    """

    effects: Matrix
    resolution: Matrix
    details: dict[str, object] = field(default_factory=dict)


def centred_ridge(evidence: Evidence, ridge: float) -> DirectEffects:
    """Least squares of ``A L = -V``, drawn to the drift's Jacobian J instead of to zero.

    ``A = (-V L^T + lam J) (L L^T + lam I)^-1`` minimises
    ``||A L + V||^2 + lam ||A - J||^2``. CLIPR as published (Eq. 8) has J = 0, so that with fewer
    perturbations than genes it is zero wherever no perturbation leads. J is what the drift itself
    says there: for a linear system observed without perturbations, the symmetric part
    ``-(sigma^2 / 2) S^-1`` of A. Targets need not be known.

    Parameters
    ----------
    evidence
        With ``initial``, ``limits`` and ``jacobian``.
    ridge
        ``lam > 0``, as a share of the mean squared limit response of a gene summed over
        perturbations, ``trace(L L^T) / d``.
    """
    evidence.need("initial", "limits", "jacobian")
    v, limits, centre = evidence.initial, evidence.limits, evidence.jacobian
    assert v is not None and limits is not None and centre is not None
    lam = _strength(ridge, limits)
    gram = limits @ limits.T
    inverse = _inverse(gram + lam * np.eye(len(gram)))
    effects = (-v @ limits.T + lam * centre) @ inverse
    resolution = np.clip(1.0 - lam * np.diag(inverse), 0.0, 1.0)
    return DirectEffects(effects, np.tile(resolution, (len(gram), 1)))


def reversible_effects(covariance: Matrix, sigma: float) -> Matrix:
    """``-(sigma^2 / 2) S^-1``: the one symmetric A whose stationary covariance is S.

    It is what an exact score of one condition gives as a drift.

    Raises
    ------
    InputError
        If S is singular.
    """
    inverse = -(sigma**2) / 2.0 * _inverse(covariance)
    # exactly symmetric: rounding would otherwise decide which of two directions ranks higher
    return (inverse + inverse.T) / 2.0


def target_aware_rows(
    evidence: Evidence, centre: Matrix, ridge: float, *, scale: Matrix | None = None
) -> DirectEffects:
    """Row i is as orthogonal as it can be to changes by perturbations of other genes.

    Row i minimises ``sum_{q: i is no target of q} (a . delta_q)^2 + lam ||a - c_i||^2``, with
    ``c_i`` a row of the centre: in closed form ``a = lam (D_i D_i^T + lam I)^-1 c_i``, ``D_i``
    the changes without those of gene i's own perturbations. These d systems share one inverse,
    corrected for the few columns that each leaves out (Woodbury). Combinations are equations like
    any other, for all genes but their targets. Without the centre it is the regression of LLC
    (Hyttinen, Eberhardt and Hoyer 2012), which leaves the length of each row open; the centre
    gives it.

    Parameters
    ----------
    evidence
        With ``targets``. Where there are ``errors``, perturbations count by their precision: the
        inverse of the mean squared error of their changes in units of ``scale``, on average 1.
    centre
        What is supposed without data, shape (d, d): the Jacobian, :func:`reversible_effects`, or
        ``-I`` in units of ``scale``.
    ridge
        ``lam > 0``, as a share of ``trace(D D^T) / d``.
    scale
        Unit of each gene, shape (d,): changes are divided by it, effects of j on i multiplied by
        ``scale_i / scale_j`` at the end. Default 1.
    """
    unit = np.ones(len(evidence.changes)) if scale is None else np.asarray(scale, dtype=float)
    changes = evidence.changes / unit[:, None]
    weights = np.ones(changes.shape[1])
    if evidence.errors is not None:
        weights = 1.0 / ((evidence.errors / unit[:, None]) ** 2).mean(axis=0)
        weights /= weights.mean()
    changes = changes * np.sqrt(weights)
    lam = _strength(ridge, changes)
    d = len(changes)
    inverse = _inverse(changes @ changes.T + lam * np.eye(d))
    supposed = centre * unit[None, :] / unit[:, None]
    rows = lam * supposed @ inverse  # row i before its own perturbations are left out
    resolution = np.tile(1.0 - lam * np.diag(inverse), (d, 1))
    hits = evidence.hits
    for i in np.flatnonzero(hits.any(axis=1)):
        own = changes[:, hits[i]]  # (d, few)
        spread = inverse @ own
        middle = np.linalg.solve(np.eye(own.shape[1]) - own.T @ spread, spread.T)
        rows[i] += (rows[i] @ own) @ middle
        resolution[i] -= lam * np.einsum("ja,aj->j", spread, middle)
    effects = rows * unit[:, None] / unit[None, :]
    return DirectEffects(effects, np.clip(resolution, 0.0, 1.0))


def _strength(ridge: float, columns: Matrix) -> float:
    if not (np.isfinite(ridge) and ridge > 0):
        raise InputError("ridge must be a positive number", found=str(ridge))
    size = float((columns**2).sum()) / len(columns)
    return ridge * (size if size > 0 else 1.0)


def _inverse(matrix: Matrix) -> Matrix:
    try:
        factor = scipy.linalg.cho_factor(matrix)
    except scipy.linalg.LinAlgError as error:
        raise InputError(
            "a matrix that must be inverted is singular",
            remedy="raise the ridge, or use more cells than genes",
        ) from error
    inverse: Matrix = scipy.linalg.cho_solve(factor, np.eye(len(matrix)))
    return inverse


def sparse_rows(
    evidence: Evidence,
    *,
    strength: float,
    power: float = 1.0,
    floor: float = 0.3,
    iterations: int = 1000,
    tolerance: float = 1e-6,
) -> DirectEffects:
    """Few causes a gene: regress its changes on those of the other genes, perturbation by one.

    Row i, ``b``, has no entry for i itself and minimises

    ``1/2 sum_{q: i is no target of q} w_iq (delta_iq - b . delta_q)^2 + lam_i sum_j p_ij |b_j|``

    with ``w_iq = 1 / s_iq^2``, the precision of gene i's change (on average 1), the other genes'
    changes scaled to the same weighted length, and ``p_ij = max(|z_ij|, floor)^-power``: a
    penalty by how clearly gene i answers to the perturbations of j (``z_ij = delta_iq / s_iq``,
    combined over them), or 1 where j was never hit. A direct effect without any total effect
    needs a perfect cancellation; the penalty says so softly (an adaptive lasso, Zou 2006, whose
    first estimate is the total effect). All rows at once by FISTA (Beck and Teboulle 2009).

    Parameters
    ----------
    evidence
        With ``targets`` and ``errors``.
    strength
        ``lam_i`` as a share of the smallest strength at which row i is empty.
    power, floor
        Of the penalty.
    iterations, tolerance
        Most iterations, and the largest change of an entry, in units of the largest, at the end.
    """
    evidence.need("targets", "errors")
    assert evidence.errors is not None
    if not 0 < strength < 1:
        raise InputError("the strength must lie between 0 and 1", found=str(strength))
    hits = evidence.hits
    weights = np.where(hits, 0.0, evidence.errors**-2.0)
    mean = weights.sum(axis=1, keepdims=True) / np.maximum((~hits).sum(axis=1, keepdims=True), 1)
    weights = np.divide(weights, mean, out=np.zeros_like(weights), where=mean > 0)
    changes = evidence.changes
    lengths = np.sqrt(weights @ (changes**2).T)  # of gene j's changes as row i sees them
    lengths = np.where(lengths > 0, lengths, np.inf)
    penalty = np.maximum(np.abs(response_z(evidence)), floor) ** -power
    penalty[:, ~hits.any(axis=1)] = 1.0
    scaled = 1.0 / (lengths * penalty)  # features are divided by their length and penalty
    np.fill_diagonal(scaled, 0.0)
    rows = _lasso(changes, weights, scaled, strength, iterations, tolerance)
    return DirectEffects(rows, (rows != 0).astype(np.float64))


def response_z(evidence: Evidence) -> Matrix:
    """How clearly gene i answers to the perturbations of gene j alone; shape (d, d).

    ``delta_iq / s_iq``, summed over the perturbations of j and divided by the square root of
    their number; 0 where j was never perturbed alone.
    """
    evidence.need("targets", "errors")
    assert evidence.errors is not None and evidence.targets is not None
    alone = np.zeros((evidence.changes.shape[1], len(evidence.changes)))
    for q, own in enumerate(evidence.targets):
        if len(own) == 1:
            alone[q, own[0]] = 1.0
    total: Matrix = (evidence.changes / evidence.errors) @ alone
    return total / np.sqrt(np.maximum(alone.sum(axis=0), 1.0))


def _lasso(
    changes: Matrix,
    weights: Matrix,
    scaled: Matrix,
    strength: float,
    iterations: int,
    tolerance: float,
) -> Matrix:
    """Rows of lasso fits that share their features up to weights and scales."""

    def gradient(rows: Matrix) -> Matrix:
        residual = changes - (rows * scaled) @ changes
        return -((weights * residual) @ changes.T) * scaled

    start = gradient(np.zeros_like(scaled))
    lam = strength * np.abs(start).max(axis=1, keepdims=True)
    step = 1.0 / _largest_eigenvalue(changes, weights, scaled)
    rows, ahead, momentum = np.zeros_like(scaled), np.zeros_like(scaled), 1.0
    for _ in range(iterations):
        moved = ahead - step * gradient(ahead)
        new = np.sign(moved) * np.maximum(np.abs(moved) - step * lam, 0.0)
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = new + (momentum - 1.0) / following * (new - rows)
        change = np.abs(new - rows).max()
        rows, momentum = new, following
        if change <= tolerance * np.abs(rows).max():
            break
    return rows * scaled


def _largest_eigenvalue(changes: Matrix, weights: Matrix, scaled: Matrix) -> Matrix:
    """Upper estimates, row by row, of the largest eigenvalue of the curvature; shape (d, 1)."""
    vectors = np.abs(scaled) + np.finfo(np.float64).tiny
    size = np.ones((len(scaled), 1))
    for _ in range(30):
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
        vectors = ((weights * ((vectors * scaled) @ changes)) @ changes.T) * scaled
        size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.maximum(1.05 * size, 1e-300)


def probability_current(
    evidence: Evidence,
    *,
    penalty: float,
    rounding: float,
    rounds: int = 3,
    iterations: int = 500,
) -> DirectEffects:
    """Add to the reversible part of A the probability current that the responses identify.

    A stationary linear diffusion satisfies ``A S + S A^T = -sigma^2 I``, whose solutions are
    ``A = (K - sigma^2/2 I) S^-1`` with K skew. Score matching of one condition gives K = 0; the
    current K shows in the responses alone. Minimises over skew K

    ``1/2 sum_q sum_{i not in t(q)} (A delta_q)_i^2 / s_iq^2
    + lam sum_{i != j} sqrt(A_ij^2 + eps^2)``

    with ``s_iq^2 = nu_q [A0 S A0^T]_ii``, the sampling variance of ``(A delta_q)_i`` under a first
    estimate A0, ``nu_q`` being the mean squared error of q's changes in units of the variances.
    Genes are in units of their standard deviations, and A0 in units of its median diagonal, so
    that neither ``lam`` nor ``eps`` has units. By L-BFGS.

    Parameters
    ----------
    evidence
        With ``covariance`` and ``errors``. Where ``targets`` are None, the target of q is taken to
        be the gene with the largest ``|(A delta_q)_i| / s_iq``, and found anew ``rounds`` times.
    penalty, rounding
        ``lam`` and ``eps``.
    rounds
        Fits with inferred targets.
    iterations
        Most iterations of each fit.
    """
    evidence.need("covariance", "errors")
    assert evidence.covariance is not None and evidence.errors is not None
    unit = np.sqrt(np.diag(evidence.covariance))
    correlation = evidence.covariance / np.outer(unit, unit)
    changes = evidence.changes / unit[:, None]
    noise = ((evidence.errors / unit[:, None]) ** 2).mean(axis=0)
    precision = _inverse(correlation)
    half = evidence.sigma**2 / 2.0
    fit = _Current(changes, precision, noise, penalty, rounding, iterations)
    current = np.zeros_like(correlation)
    if evidence.targets is not None:
        current = fit.solve(evidence.hits, current)
    else:
        for _ in range(rounds):
            strength = np.abs(fit.residuals(current))
            guess = np.zeros(changes.shape, dtype=bool)
            guess[strength.argmax(axis=0), np.arange(changes.shape[1])] = True
            current = fit.solve(guess, current)
    # with unit variances A is (K - I) C^-1 up to sigma^2 / 2 and the units
    effects = half * fit.effects(current) / np.outer(unit, unit)
    return DirectEffects(effects, np.ones_like(effects))


class _Current:
    """The fit of :func:`probability_current` in units of unit variances."""

    def __init__(
        self,
        changes: Matrix,
        precision: Matrix,
        noise: Matrix,
        penalty: float,
        rounding: float,
        iterations: int,
    ) -> None:
        self.precision = precision
        self.moved = precision @ changes  # A delta = (K - I) of it
        self.deviation = np.sqrt(np.outer(np.diag(precision), noise))
        self.unit = float(np.median(np.diag(precision)))
        self.penalty, self.rounding, self.iterations = penalty, rounding, iterations
        self.upper = np.triu_indices(len(precision), 1)

    def effects(self, current: Matrix) -> Matrix:
        """``(K - I) C^-1``."""
        found: Matrix = current @ self.precision - self.precision
        return found

    def residuals(self, current: Matrix) -> Matrix:
        """``A delta`` in standard deviations, (d, k)."""
        found: Matrix = (current @ self.moved - self.moved) / self.deviation
        return found

    def solve(self, hits: Mask, current: Matrix) -> Matrix:
        """The current from a start, (d, d), given which genes perturbations hit."""
        counted = ~hits

        def skew(values: Matrix) -> Matrix:
            matrix = np.zeros_like(self.precision)
            matrix[self.upper] = values
            return matrix - matrix.T

        def objective(values: Matrix) -> tuple[float, Matrix]:
            own = skew(values)
            residuals = self.residuals(own) * counted
            effects = self.effects(own) / self.unit
            size = np.sqrt(effects**2 + self.rounding**2)
            pull = effects / size
            np.fill_diagonal(size, 0.0)
            np.fill_diagonal(pull, 0.0)
            value = 0.5 * float((residuals**2).sum()) + self.penalty * float(size.sum())
            slope = (residuals / self.deviation) @ self.moved.T
            slope += self.penalty / self.unit * (pull @ self.precision)
            return value, (slope - slope.T)[self.upper]

        found = scipy.optimize.minimize(
            objective,
            current[self.upper],
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.iterations, "maxfun": 2 * self.iterations},
        )
        return skew(found.x)
