"""The probability current that the responses add to a reversible diffusion."""

import numpy as np
import scipy.optimize

from lcd_core.dense_rows import inverse, reversible_effects, target_aware_rows
from lcd_core.evidence import DirectEffects, Evidence, Mask, Matrix

PENALTY = 3.0
ROUNDING = 0.01
SHARE = 0.3
RIDGE = 0.01


def averaged_current(evidence: Evidence, *, share: float = SHARE) -> DirectEffects:
    """``share`` of the probability current, the rest of an estimate that errs differently.

    The rest is :func:`lcd_core.dense_rows.target_aware_rows` centred on ``-(sigma^2 / 2) S^-1``
    where targets are known, and that centre itself where they are not. With few perturbations the
    sparse current sets to zero what the centre has right, and the other way round.
    """
    current = probability_current(evidence)
    (covariance,) = evidence.need("covariance")
    rest = reversible_effects(covariance, evidence.sigma)
    if evidence.targets is not None:
        rest = target_aware_rows(evidence, rest, RIDGE).effects
    return DirectEffects(share * current.effects + (1.0 - share) * rest, current.resolution)


def probability_current(
    evidence: Evidence,
    *,
    penalty: float = PENALTY,
    rounding: float = ROUNDING,
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
    covariance, errors = evidence.need("covariance", "errors")
    unit = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(unit, unit)
    changes = evidence.changes / unit[:, None]
    noise = ((errors / unit[:, None]) ** 2).mean(axis=0)
    precision = inverse(correlation)
    half = evidence.sigma**2 / 2.0
    fit = _Current(changes, precision, half / unit**2, noise, penalty, rounding, iterations)
    current = np.zeros_like(correlation)
    if evidence.targets is not None:
        current = fit.solve(evidence.hits, current)
    else:
        for _ in range(rounds):
            strength = np.abs(fit.residuals(current))
            guess = np.zeros(changes.shape, dtype=bool)
            guess[strength.argmax(axis=0), np.arange(changes.shape[1])] = True
            current = fit.solve(guess, current)
    effects = fit.effects(current) * unit[:, None] / unit[None, :]
    return DirectEffects(effects, np.ones_like(effects))


class _Current:
    """The fit of :func:`probability_current` in units of unit variances."""

    def __init__(
        self,
        changes: Matrix,
        precision: Matrix,
        diffusion: Matrix,
        noise: Matrix,
        penalty: float,
        rounding: float,
        iterations: int,
    ) -> None:
        self.precision = precision
        self.reversible = -diffusion[:, None] * precision
        self.moved = precision @ changes
        self.still = self.reversible @ changes  # A delta without a current
        variance = diffusion**2 * np.diag(precision)  # of A x, diag(A0 C A0^T)
        self.deviation = np.sqrt(np.outer(variance, noise))
        self.unit = float(np.median(-np.diag(self.reversible)))
        self.penalty, self.rounding, self.iterations = penalty, rounding, iterations
        self.upper = np.triu_indices(len(precision), 1)

    def effects(self, current: Matrix) -> Matrix:
        """``(K - N) C^-1``, N the diagonal of half the squared diffusion scales."""
        found: Matrix = current @ self.precision + self.reversible
        return found

    def residuals(self, current: Matrix) -> Matrix:
        """``A delta`` in standard deviations, (d, k)."""
        found: Matrix = (current @ self.moved + self.still) / self.deviation
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
