"""Scores of an estimated effect matrix against the true one, self-effects left out (Fig. 3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.agreement import auroc, macro_f1, pearson
from lcd_core.errors import InputError

Vector = NDArray[np.float64]
Labels = NDArray[np.int64]


def score_effects(
    estimate: ArrayLike,
    truth: ArrayLike,
    threshold: float = 0.5,
    ks: Sequence[int] = (),
    pairs: ArrayLike | None = None,
) -> dict[str, float]:
    """Score estimated direct effects against true ones, off-diagonal only.

    The true classes are positive, negative and absent, by sign (absent = 0).

    Parameters
    ----------
    estimate, truth
        Effects, ``[i, j]`` of gene j on gene i; shape (d, d), finite.
    threshold
        Effects above it are predicted positive, below its negative negative; in units of the
        effects.
    ks
        Numbers of strongest predicted effects by magnitude for the scores ``@k``.
    pairs
        Truth values that say which pairs are scored, shape (d, d); the diagonal never is. All
        pairs of different genes if None.

    Returns
    -------
    dict
        - ``auroc``: mean of the AUROCs of the three class pairs (Hand and Till 2001), and the
          three, ``auroc_positive_negative``, ``auroc_positive_absent`` (both by the effect) and
          ``auroc_negative_absent`` (by its negative). NaN where a class is empty.
        - ``f1``: F1 with ``threshold``, mean over the three classes.
        - ``f1@k``: the same with the k strongest effects predicted by sign, the rest absent.
        - ``f1_among@k``: F1 with ``threshold`` among the k strongest effects alone, mean over the
          classes that occur there.
        - ``pearson@k``: correlation with the truth over the k strongest; NaN if either is constant.
        - ``precision@k``: share of the k strongest that are true links.

    Raises
    ------
    InputError
        If the matrices are not square and alike or not finite, ``pairs`` has another shape or
        selects none, the threshold is negative, or a k is not between 1 and the number of pairs.
    """
    predicted, true = _scored_pairs(estimate, truth, pairs)
    if not threshold >= 0:
        raise InputError("the threshold must not be negative", found=str(threshold))
    wrong = [k for k in ks if not 1 <= k <= len(true)]
    if wrong:
        raise InputError(f"k must lie between 1 and {len(true)}, all pairs scored", found=wrong)
    classes = np.sign(true).astype(np.int64)
    called = _call(predicted, threshold)
    scores = _pairwise_auroc(predicted, classes)
    scores["f1"] = macro_f1(classes, called, (-1, 0, 1))
    strongest = np.argsort(-np.abs(predicted), kind="stable")
    for k in ks:
        top = strongest[:k]
        signs = np.zeros_like(classes)
        signs[top] = np.sign(predicted[top])
        present = np.union1d(classes[top], called[top]).tolist()
        scores[f"f1@{k}"] = macro_f1(classes, signs, (-1, 0, 1))
        scores[f"f1_among@{k}"] = macro_f1(classes[top], called[top], present)
        scores[f"pearson@{k}"] = pearson(predicted[top], true[top])
        scores[f"precision@{k}"] = float((classes[top] != 0).mean())
    return scores


def _scored_pairs(
    estimate: ArrayLike, truth: ArrayLike, pairs: ArrayLike | None
) -> tuple[Vector, Vector]:
    a, b = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] != a.shape[1] or len(a) < 2:
        raise InputError(
            "effects must be two square matrices of equal size, at least 2 x 2",
            found=f"estimate {a.shape}, truth {b.shape}",
        )
    for name, matrix in (("estimate", a), ("truth", b)):
        if not np.isfinite(matrix).all():
            rows = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
            raise InputError(f"the {name} is not finite", found=(f"gene {i}" for i in rows))
    scored = ~np.eye(len(a), dtype=bool)
    if pairs is not None:
        chosen = np.asarray(pairs, dtype=bool)
        if chosen.shape != a.shape:
            raise InputError(
                "the pairs to score must be a matrix of the size of the effects",
                found=f"pairs {chosen.shape}, effects {a.shape}",
            )
        scored &= chosen
    if not scored.any():
        raise InputError("no pair of different genes is to be scored")
    return a[scored], b[scored]


def _call(effects: Vector, threshold: float) -> Labels:
    return np.where(np.abs(effects) > threshold, np.sign(effects), 0).astype(np.int64)


def _pairwise_auroc(predicted: Vector, classes: Labels) -> dict[str, float]:
    pairs = {
        "auroc_positive_negative": _auroc_between(predicted, classes, 1, -1),
        "auroc_positive_absent": _auroc_between(predicted, classes, 1, 0),
        "auroc_negative_absent": _auroc_between(-predicted, classes, -1, 0),
    }
    return {"auroc": float(np.mean(list(pairs.values()))), **pairs}


def _auroc_between(confidence: Vector, classes: Labels, first: int, second: int) -> float:
    """AUROC of telling the first class from the second, the third left out."""
    own = (classes == first) | (classes == second)
    return auroc(classes[own] == first, confidence[own])
