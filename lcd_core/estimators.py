"""Estimators of direct causal effects from the responses to perturbations (Theorem 1)."""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from lcd_core.errors import InputError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class EffectEstimate:
    """Direct causal effects with what they were solved from.

    Attributes
    ----------
    effects
        ``effects[i, j]`` is the direct effect of gene j on gene i; shape (d, d).
    ridge
        The ridge used.
    rank
        Numerical rank of ``L``.
    full_rank
        Whether the rank is min(d, k). A matrix of all effects is identified if the rank is d.
    """

    effects: Matrix
    ridge: float
    rank: int
    full_rank: bool


def default_ridge(d: int) -> float:
    """The paper's rule for the strength of regularisation, ``1 / (10 d)``."""
    return 1.0 / (10.0 * d)


def estimate_effects(
    initial: ArrayLike, limits: ArrayLike, ridge: float | None = None
) -> EffectEstimate:
    """CLIPR effects ``A = -V L^T (L L^T + ridge I)^-1`` (Eqs. 7, 8).

    Parameters
    ----------
    initial, limits
        Responses ``V`` and ``L`` in original units, one column per perturbation, shape (d, k).
    ridge
        Regularisation; 0 gives the solution of least squares and minimum norm, ``-V L^+``. Default
        ``1 / (10 d)``.

    Raises
    ------
    InputError
        If ``V`` and ``L`` differ in shape, are empty or not finite, or the ridge is negative.

    Warns
    -----
    RuntimeWarning
        If ``L`` is singular, that is of a rank below min(d, k), and the ridge is 0.
    """
    v, responses = _response_matrix(initial, "V"), _response_matrix(limits, "L")
    if v.shape != responses.shape:
        raise InputError("V and L differ in shape", found=f"V {v.shape}, L {responses.shape}")
    if ridge is None:
        ridge = default_ridge(len(v))
    rank = _rank(scipy.linalg.svdvals(responses), responses.shape)
    if rank < min(responses.shape) and ridge == 0:
        warnings.warn(
            f"the limit responses L {responses.shape} have rank {rank}: without a ridge some "
            "combinations of effects are set to zero, the solution of minimum norm",
            RuntimeWarning,
            stacklevel=2,
        )
    return EffectEstimate(
        effects=-v @ regularised_pseudoinverse(responses, ridge),
        ridge=float(ridge),
        rank=rank,
        full_rank=rank == min(responses.shape),
    )


def regularised_pseudoinverse(limits: ArrayLike, ridge: float) -> Matrix:
    """``L^T (L L^T + ridge I)^-1``, shape (k, d); the pseudoinverse ``L^+`` for ridge 0.

    A Cholesky solve of the smaller of the d x d and the k x k system, which are equal by
    ``L^T (L L^T + ridge I)^-1 = (L^T L + ridge I)^-1 L^T``. A ridge that vanishes in the rounding
    of ``L L^T`` cannot be solved that way and goes through the singular values.
    """
    matrix = _response_matrix(limits, "L")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InputError("ridge must be a nonnegative number", found=str(ridge))
    d, k = matrix.shape
    wide = k >= d
    gram = matrix @ matrix.T if wide else matrix.T @ matrix
    if ridge <= len(gram) * np.finfo(np.float64).eps * np.trace(gram):
        return _filtered_pseudoinverse(matrix, ridge)
    gram[np.diag_indices_from(gram)] += ridge
    factor = scipy.linalg.cho_factor(gram, overwrite_a=True)
    solution: Matrix = scipy.linalg.cho_solve(factor, matrix if wide else matrix.T)
    return solution.T if wide else solution


def implied_bias_and_shifts(
    effects: Matrix, control_limit: ArrayLike, limits: ArrayLike
) -> tuple[Matrix, Matrix]:
    """Bias ``b = -A l_f`` and shifts ``c_q = A l_f - A l_q`` implied by the effects (Corollary 2).

    Parameters
    ----------
    effects
        ``A``, shape (d, d).
    control_limit
        Limit response of the unperturbed drift, shape (d,).
    limits
        Limit responses, shape (d, k).

    Returns
    -------
    tuple of ndarray
        ``b`` (d,) and ``C`` (d, k), one column per perturbation.
    """
    bias = -effects @ np.asarray(control_limit, dtype=np.float64)
    shifts = -bias[:, None] - effects @ _response_matrix(limits, "L")
    return bias, shifts


def _response_matrix(values: ArrayLike, name: str) -> Matrix:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(
            f"{name} must be genes x perturbations with at least one perturbation",
            found=f"shape {matrix.shape}",
        )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if len(bad):
        raise InputError(
            f"{name} has entries that are not finite",
            found=(f"perturbation {q}" for q in bad),
            remedy="leave out the perturbations whose drift did not converge",
        )
    return matrix


def _rank(singular_values: Matrix, shape: tuple[int, ...]) -> int:
    cutoff = singular_values.max() * max(shape) * np.finfo(np.float64).eps
    return int((singular_values > cutoff).sum())


def _filtered_pseudoinverse(matrix: Matrix, ridge: float) -> Matrix:
    left, singular_values, right = scipy.linalg.svd(matrix, full_matrices=False)
    rank = _rank(singular_values, matrix.shape)
    kept = singular_values[:rank]
    inverse: Matrix = (right[:rank].T * (kept / (kept**2 + ridge))) @ left[:, :rank].T
    return inverse
