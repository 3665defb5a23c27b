"""Published and plain estimators of effects among genes that direct effects are compared with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from lcd_core.dense_rows import reversible_effects
from lcd_core.errors import InputError
from lcd_core.evidence import DirectEffects, Evidence, Matrix, response_z
from simulation.linear_systems import linear_cyclic

INSPRE_SHARE = 0.1
LYAPUNOV_SHARE = 1e-4


@dataclass(frozen=True)
class Comparator:
    """An estimator to compare with.

    Attributes
    ----------
    estimate
        From evidence.
    label
        Its name in figures.
    knows_targets, uses_covariance, works_with_few
        Whether it is told which genes perturbations hit, reads the covariance of states, and says
        something of genes that were not perturbed.
    source
        Where it comes from.
    """

    estimate: Callable[[Evidence], DirectEffects]
    label: str
    knows_targets: bool
    uses_covariance: bool
    works_with_few: bool
    source: str


def plain(effects: Matrix, known: Matrix | None = None) -> DirectEffects:
    """Effects whose resolution is 1, or 1 in the columns that are known."""
    resolution = np.ones_like(effects) if known is None else np.tile(known, (len(effects), 1))
    return DirectEffects(effects, resolution.astype(np.float64))


def own_signs(evidence: Evidence) -> Matrix:
    """What the perturbations of each gene did to itself, by sign; 0 if it was never hit alone."""
    return np.sign(np.diag(response_z(evidence)))


def differential_expression_z(evidence: Evidence) -> DirectEffects:
    """Change of gene i under the perturbation of j over its standard error."""
    z = response_z(evidence)
    return plain(z, (z != 0).any(axis=0))


def oriented_z(evidence: Evidence) -> DirectEffects:
    """The same, signed as an effect of the gene: under a knock-down a fall is a positive one."""
    z = response_z(evidence)
    return plain(z * own_signs(evidence), (z != 0).any(axis=0))


def total_effects(evidence: Evidence) -> DirectEffects:
    """Change of i over change of j under the perturbation of j: per unit of the cause's change.

    Perturbations that did not move their own gene by two standard errors have no effects.
    """
    total, _, known = _total(evidence)
    effects = total * known
    return plain(effects, known)


def _total(evidence: Evidence) -> tuple[Matrix, Matrix, Matrix]:
    """Total effects, their errors at a cause's change as seen, and the causes that have them."""
    targets, errors = evidence.need("targets", "errors")
    d = len(evidence.changes)
    total, error, known = np.eye(d), np.ones((d, d)), np.zeros(d, dtype=bool)
    for q, own in enumerate(targets):
        if len(own) == 1:
            (j,) = own
            change = evidence.changes[j, q]
            if abs(change) > 2.0 * errors[j, q]:
                total[:, j] = evidence.changes[:, q] / change
                error[:, j] = errors[:, q] / abs(change)
                known[j] = True
    return total, error, known


def inverse_covariance(evidence: Evidence) -> DirectEffects:
    """``-(sigma^2 / 2) S^-1``: what co-variation within conditions says."""
    (covariance,) = evidence.need("covariance")
    return plain(reversible_effects(covariance, evidence.sigma))


def llc(evidence: Evidence) -> DirectEffects:
    """Linear model with feedback, see :func:`simulation.linear_systems.linear_cyclic`.

    Of combinations and repeated targets it has no use; the first perturbation of each gene counts.
    """
    targets, covariance = evidence.need("targets", "covariance")
    first: dict[int, int] = {}
    for q, own in enumerate(targets):
        if len(own) == 1:
            first.setdefault(own[0], q)
    if not first:
        raise InputError("LLC needs perturbations of one gene alone")
    changes = evidence.changes[:, list(first.values())]
    genes = np.array(list(first), dtype=np.int64)
    ridge = 1e-3 * float((changes**2).sum()) / len(changes)
    return plain(linear_cyclic(changes, genes, covariance, sigma=evidence.sigma, ridge=ridge))


def inspre(
    evidence: Evidence, *, share: float = INSPRE_SHARE, iterations: int = 300
) -> DirectEffects:
    """Sparse approximate inverse of the matrix of total effects (inspre).

    ``min 1/2 sum W o (R - U)^2 + lam ||offdiag V||_1`` over ``V U = I``; the effects are
    ``G = I - V / diag(V)`` by rows. R are total effects per unit of the cause's own change, of
    the genes that were perturbed and moved alone, W the precisions of its entries over their
    median, at most 10.
    By ADMM over the constraint with step ``rho = 10``: U and V in turn are ridge least squares
    and a proximal gradient step. ``lam`` is ``share`` of the largest off-diagonal entry of
    ``R^-1``. Brown et al. 2023, Large-scale causal discovery using interventional data.
    """
    total, error, known = _total(evidence)
    d, own = len(total), np.flatnonzero(known)
    effects = np.zeros((d, d))
    if len(own) < 2:
        return plain(effects, known)
    R = total[np.ix_(own, own)]
    weight = error[np.ix_(own, own)] ** -2.0
    weight = np.minimum(weight / np.median(weight), 10.0)
    n, eye, rho = len(own), np.eye(len(own)), 10.0
    largest = float(np.abs(R).max())
    if largest > 1e150:
        raise InputError("inspre squares total effects: too large", found=f"{largest:.3g}")
    V = np.linalg.solve(R.T @ R + 1e-2 * np.trace(R.T @ R) / n * eye, R.T)
    lam = share * np.abs(V - np.diag(np.diag(V))).max()
    U, dual = R.copy(), np.zeros((n, n))
    diagonal_of_gram = np.diag_indices(n)
    for _ in range(iterations):
        # columns of U separate: (W_j + rho V^T V) u = W_j r + rho V^T (I - dual)_j
        gram = np.asfortranarray(rho * V.T @ V)
        right = weight * R + rho * V.T @ (eye - dual)
        for j in range(n):
            # LAPACK itself: what scipy.linalg does around it takes as long for so small systems
            own_gram = gram.copy(order="F")
            own_gram[diagonal_of_gram] += weight[:, j]
            _, U[:, j], failed = scipy.linalg.lapack.dposv(own_gram, right[:, j], overwrite_a=True)
            if failed:
                raise InputError("inspre did not converge: a system is not positive definite")
        step = 1.0 / (rho * np.linalg.norm(U, 2) ** 2)
        for _ in range(10):
            V = V - step * rho * (V @ U - eye + dual) @ U.T
            shrunk = np.sign(V) * np.maximum(np.abs(V) - step * lam, 0.0)
            V = np.where(eye > 0, V, shrunk)
        dual = dual + V @ U - eye
    diagonal = np.diag(V)
    diagonal = np.where(np.abs(diagonal) > 1e-8, diagonal, 1.0)
    effects[np.ix_(own, own)] = eye - V / diagonal[:, None]
    np.fill_diagonal(effects, 0.0)
    return plain(effects, known)


def lyapunov_lasso(
    evidence: Evidence, *, share: float = LYAPUNOV_SHARE, iterations: int = 3000
) -> DirectEffects:
    """Sparse drift whose stationary covariance is S, from the covariance alone.

    ``min 1/2 ||A S + S A^T + sigma^2 I||^2 + lam ||offdiag A||_1`` by FISTA, in units of unit
    variances; ``lam`` is ``share`` of the largest gradient at ``A = -(sigma^2 / 2) diag(S)^-1``.
    Dettling, Drton and Kolar 2024, On the lasso for graphical continuous Lyapunov models.
    """
    (covariance,) = evidence.need("covariance")
    unit = np.sqrt(np.diag(covariance))
    S = covariance / np.outer(unit, unit)
    d = len(S)
    noise = evidence.sigma**2 * np.diag(unit**-2.0)
    off = ~np.eye(d, dtype=bool)

    def gradient(A: Matrix) -> Matrix:
        residual = A @ S + S @ A.T + noise
        slope: Matrix = 2.0 * residual @ S
        return slope

    A = np.diag(np.diag(-noise) / 2.0)
    lam = share * np.abs(gradient(A)[off]).max()
    step = 1.0 / (4.0 * scipy.linalg.norm(S, 2) ** 2)
    ahead, momentum = A, 1.0
    for _ in range(iterations):
        moved = ahead - step * gradient(ahead)
        new = np.where(off, np.sign(moved) * np.maximum(np.abs(moved) - step * lam, 0.0), moved)
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = new + (momentum - 1.0) / following * (new - A)
        A, momentum = new, following
    return plain(A * unit[:, None] / unit[None, :])


COMPARATORS: dict[str, Comparator] = {
    "differential_expression_z": Comparator(
        differential_expression_z, "differential expression", True, False, False, "z of means"
    ),
    "oriented_z": Comparator(
        oriented_z, "differential expression, oriented", True, False, False, "z of means"
    ),
    "total_effects": Comparator(
        total_effects, "total effects", True, False, False, "ratios of changes"
    ),
    "inspre": Comparator(inspre, "inspre", True, False, False, "Brown et al. 2023"),
    "llc": Comparator(llc, "linear cyclic model", True, True, True, "Hyttinen et al. 2012"),
    "inverse_covariance": Comparator(
        inverse_covariance, "inverse covariance", False, True, True, "-S^-1"
    ),
    "lyapunov_lasso": Comparator(
        lyapunov_lasso, "Lyapunov lasso", False, True, True, "Dettling et al. 2024"
    ),
}
"""Name -> comparator."""
