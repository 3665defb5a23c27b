"""Ridge estimators of direct effects that are drawn to a centre instead of to zero."""

import numpy as np
import scipy.linalg

from lcd_core.errors import InputError
from lcd_core.evidence import DirectEffects, Evidence, Matrix


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
    v, limits, centre = evidence.need("initial", "limits", "jacobian")
    lam = _strength(ridge, limits)
    gram = limits @ limits.T
    solved = inverse(gram + lam * np.eye(len(gram)))
    effects = (-v @ limits.T + lam * centre) @ solved
    resolution = np.clip(1.0 - lam * np.diag(solved), 0.0, 1.0)
    return DirectEffects(effects, np.tile(resolution, (len(gram), 1)))


def reversible_effects(covariance: Matrix, sigma: float) -> Matrix:
    """``-(sigma^2 / 2) S^-1``: the one symmetric A whose stationary covariance is S.

    It is what an exact score of one condition gives as a drift.

    Raises
    ------
    InputError
        If S is singular.
    """
    effects = -(sigma**2) / 2.0 * inverse(covariance)
    # exactly symmetric: rounding would otherwise decide which of two directions ranks higher
    return (effects + effects.T) / 2.0


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
    solved = inverse(changes @ changes.T + lam * np.eye(d))
    supposed = centre * unit[None, :] / unit[:, None]
    rows = lam * supposed @ solved  # row i before its own perturbations are left out
    resolution = np.tile(1.0 - lam * np.diag(solved), (d, 1))
    hits = evidence.hits
    for i in np.flatnonzero(hits.any(axis=1)):
        own = changes[:, hits[i]]  # (d, few)
        spread = solved @ own
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


def inverse(matrix: Matrix) -> Matrix:
    """Inverse of a positive definite matrix; InputError if it is singular."""
    try:
        factor = scipy.linalg.cho_factor(matrix)
    except scipy.linalg.LinAlgError as error:
        raise InputError(
            "a matrix that must be inverted is singular",
            remedy="raise the ridge, or use more cells than genes",
        ) from error
    found: Matrix = scipy.linalg.cho_solve(factor, np.eye(len(matrix)))
    return found
