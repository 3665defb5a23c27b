"""Few causes a gene: adaptive lasso rows, told the targets, averaged over errors."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lcd_core.dense_rows import target_aware_rows
from lcd_core.errors import InputError
from lcd_core.evidence import DirectEffects, Evidence, Matrix, response_z
from lcd_core.streams import numpy_stream

STRENGTH = 0.02
FLOOR = 0.3
OFFSET = 0.05
BEHIND = 0.01
RIDGE = 5.0


def adaptive_rows(evidence: Evidence, *, draws: int, seed: int) -> DirectEffects:
    """Sparse rows, averaged over what the changes could have been, the dense ones behind them.

    :func:`sparse_rows` of ``draws`` redrawings of the changes, ``delta_iq + s_iq N(0, 1)``: a
    parametric bootstrap over their errors. An effect is the mean over draws, ``errors`` their
    standard deviation, ``resolution`` the share of draws in which the effect is not zero
    (stability selection, Meinshausen and Buehlmann 2010). Effects are ranked by
    ``score = m / (sd + 0.05 max|m|) ``: an effect that hangs on one draw falls behind one that is
    there in all of them, so that genes hardly seen, whose changes have large errors, lose
    influence without any threshold. Pairs that no draw selects keep a small multiple (at most
    0.01 of the strongest score) of the ridge rows centred on ``-I`` in units of standard
    deviations: they rank behind all others, in an order better than chance.

    Parameters
    ----------
    evidence
        With ``targets``, ``errors`` and ``covariance``.
    draws
        Redrawings, at least 2.
    seed
        Seed of the redrawings.
    """
    errors, _ = evidence.need("errors", "covariance")
    if draws < 2:
        raise InputError("a standard deviation needs at least two draws", found=str(draws))
    rng = numpy_stream(seed, "changes")
    start, vectors = _solve(evidence, tolerance=1e-4)
    total, squares, chosen = np.zeros_like(start), np.zeros_like(start), np.zeros_like(start)
    for _ in range(draws):
        changes = evidence.changes + errors * rng.standard_normal(errors.shape)
        redrawn = replace(evidence, changes=changes)
        # single precision, a coarser end: far below what one draw differs from the next by
        rows, vectors = _solve(
            redrawn, start=start, tolerance=1e-3, precision=torch.float32, vectors=vectors
        )
        total += rows
        squares += rows**2
        chosen += rows != 0
    mean = total / draws
    deviation = np.sqrt(np.maximum(squares / draws - mean**2, 0.0) * draws / (draws - 1))
    off = ~np.eye(len(mean), dtype=bool)
    strongest = np.abs(mean[off]).max(initial=0.0)
    score = mean / (deviation + OFFSET * strongest) if strongest > 0 else mean
    dense = dense_behind(evidence) * off
    size = np.abs(dense).max(initial=0.0)
    if size > 0:
        score = score + BEHIND * (np.abs(score).max() or 1.0) / size * dense
    return DirectEffects(mean, chosen / draws, deviation, score, {"draws": draws})


def dense_behind(evidence: Evidence) -> Matrix:
    """Target-aware rows centred on ``-I`` in units of standard deviations within conditions."""
    (covariance,) = evidence.need("covariance")
    unit = np.sqrt(np.diag(covariance))
    plain = replace(evidence, errors=None)
    rows = target_aware_rows(plain, -np.eye(len(unit)), RIDGE, scale=unit).effects
    # in units of standard deviations, in which effects of different genes compare
    compared: Matrix = rows * unit[None, :] / unit[:, None]
    return compared


def sparse_rows(
    evidence: Evidence,
    *,
    strength: float = STRENGTH,
    floor: float = FLOOR,
    start: Matrix | None = None,
    iterations: int = 1000,
    tolerance: float = 1e-4,
) -> DirectEffects:
    """Few causes a gene: regress its changes on those of the other genes, perturbation by one.

    Row i, ``b``, has no entry for i itself and minimises

    ``1/2 sum_{q: i is no target of q} w_iq (delta_iq - b . delta_q)^2 + lam_i sum_j p_ij |b_j|``

    with ``w_iq = 1 / s_iq^2``, the precision of gene i's change (on average 1), the other genes'
    changes scaled to the same weighted length, and ``p_ij = 1 / max(|z_ij|, floor)``: a
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
    floor
        Of ``|z|`` in the penalty.
    start
        Rows to start from, (d, d); zero if None.
    iterations, tolerance
        Most iterations, and the largest change of an entry, in units of the largest, at the end.
    """
    if not 0 < strength < 1:
        raise InputError("the strength must lie between 0 and 1", found=str(strength))
    rows, _ = _solve(
        evidence,
        strength=strength,
        floor=floor,
        start=start,
        iterations=iterations,
        tolerance=tolerance,
    )
    return DirectEffects(rows, (rows != 0).astype(np.float64))


def _solve(
    evidence: Evidence,
    *,
    strength: float = STRENGTH,
    floor: float = FLOOR,
    start: Matrix | None = None,
    iterations: int = 1000,
    tolerance: float,
    precision: torch.dtype = torch.float64,
    vectors: Tensor | None = None,
) -> tuple[Matrix, Tensor]:
    """Sparse rows, and the leading directions of their curvatures, of use to similar problems."""
    (errors,) = evidence.need("errors")
    hits = evidence.hits
    weights = np.where(hits, 0.0, errors**-2.0)
    mean = weights.sum(axis=1, keepdims=True) / np.maximum((~hits).sum(axis=1, keepdims=True), 1)
    weights = np.divide(weights, mean, out=np.zeros_like(weights), where=mean > 0)
    changes = evidence.changes
    lengths = np.sqrt(weights @ (changes**2).T)  # of gene j's changes as row i sees them
    lengths = np.where(lengths > 0, lengths, np.inf)  # a gene that never changes is left out
    penalty = 1.0 / np.maximum(np.abs(response_z(evidence)), floor)
    penalty[:, ~hits.any(axis=1)] = 1.0
    scale = 1.0 / lengths
    np.fill_diagonal(scale, 0.0)
    first = np.zeros_like(scale) if start is None else np.where(scale > 0, start * lengths, 0.0)
    x, w, unit = (torch.from_numpy(own).to(precision) for own in (changes, weights, scale))
    # from directions of a similar problem a few steps of the power method are as good as many
    leading, steps = (unit, 20) if vectors is None else (vectors.to(precision), 4)
    curvature, leading = _largest_eigenvalue(x, w, unit, leading, steps)
    penalties, begin = (torch.from_numpy(own).to(precision) for own in (penalty, first))

    def solved(own: Tensor | slice, step: Tensor) -> Tensor:
        parts = (w[own], unit[own], penalties[own], begin[own])
        return _lasso(x[own], x, *parts, step, strength, iterations, tolerance)

    rows = solved(slice(None), 1.0 / curvature)
    lost = torch.nonzero(~torch.isfinite(rows).all(dim=1)).flatten()
    if len(lost):  # a few steps of the power method were too few: features have unit length
        rows[lost] = solved(lost, 1.0 / (unit[lost] > 0).sum(dim=1, keepdim=True).to(precision))
    return rows.double().numpy(), leading


def _lasso(
    own: Tensor,
    changes: Tensor,
    weights: Tensor,
    scale: Tensor,
    penalty: Tensor,
    rows: Tensor,
    step: Tensor,
    strength: float,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """Rows of lasso fits, of their ``own`` changes, that share features up to weights and scales.

    Every row is a problem of its own and ends by itself; those that go on are packed together
    whenever a tenth of them has ended.
    """

    def downhill(rows: Tensor, own: Tensor, weights: Tensor, scale: Tensor) -> Tensor:
        residual = torch.addmm(own, rows * scale, changes, alpha=-1)
        return (residual.mul_(weights) @ changes.T).mul_(scale)

    steepest = downhill(torch.zeros_like(scale), own, weights, scale)
    largest = (steepest.abs() / penalty).amax(dim=1, keepdim=True)
    threshold = step * strength * largest * penalty
    momentum, going = torch.ones_like(step), torch.arange(len(rows))
    found, ahead, factor = rows.clone(), rows, scale
    for _ in range(iterations):
        moved = downhill(ahead, own, weights, factor).mul_(step).add_(ahead)
        new = moved - moved.clamp(-threshold, threshold)  # soft thresholding
        following = (1.0 + torch.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        difference = new - rows
        # a row whose momentum points uphill starts afresh (O'Donoghue and Candes 2015)
        uphill = torch.einsum("ij,ij->i", ahead - new, difference)[:, None] > 0
        following = torch.where(uphill, 1.0, following)
        carried = torch.where(uphill, 0.0, (momentum - 1.0) / following)
        rows, momentum = new, following
        found[going] = rows
        moving = difference.abs().amax(dim=1) > tolerance * found.abs().max()
        ahead = difference.mul_(carried).add_(new)
        if not moving.any():
            break
        if moving.sum() <= 0.9 * len(moving):
            going, rows, ahead, momentum, own, weights, factor, step, threshold = (
                each[moving]
                for each in (
                    going, rows, ahead, momentum, own, weights, factor, step, threshold
                )
            )  # fmt: skip
    return found * scale


def _largest_eigenvalue(
    changes: Tensor, weights: Tensor, scale: Tensor, vectors: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Upper estimates, row by row, of the largest eigenvalue of the curvature; shape (d, 1).

    By the power method, from ``vectors``, which are returned as they end.
    """
    tiny = torch.finfo(scale.dtype).tiny
    for _ in range(steps):
        vectors = vectors / torch.linalg.norm(vectors, dim=1, keepdim=True).clamp(min=tiny)
        vectors = ((weights * ((vectors * scale) @ changes)) @ changes.T) * scale
    return 1.1 * torch.linalg.norm(vectors, dim=1, keepdim=True).clamp(min=tiny), vectors
