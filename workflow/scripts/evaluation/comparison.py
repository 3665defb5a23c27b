"""What metrics compare: one perturbation, or the panel of all that a fold predicts.

Cells are rows, genes columns; values are log-normalised expression (counts scaled to 10,000 per
cell over the modelled genes, then ``log1p``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcd_core.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Profile:
    """What is known of predicted cells that were not kept: their mean expression, (d,)."""

    mean: Array


@dataclass(frozen=True, eq=False)
class Comparison:
    """Prediction and observed cells of one perturbation, checked once.

    Parameters
    ----------
    predicted
        Predicted cells, (n, d), log-normalised, n >= 2; or their profile.
    observed
        Observed cells, (m, d), log-normalised, m >= 2.
    control_mean
        Mean expression of the control cells, (d,).
    training_mean
        Mean over the training perturbations of their mean expression, (d,).
    top_genes
        Indices of the genes with the strongest differential expression, (k,).
    differentially_expressed
        Whether a gene is differentially expressed in the observed cells, (d,) of bool; needed by
        ``de_auroc`` and ``de_ap`` only.
    additive_mean
        Mean expression of control with the changes under each target alone added, (d,); None where
        one of them was not measured, and for a single target.
    de_score
        How clearly each gene is differentially expressed, a z value, (d,); for weighted metrics.
    components
        Loadings of principal components, (d, k); for ``mmd_pca``.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a side has fewer than two cells, or
        ``top_genes`` are not distinct indices of genes.
    """

    predicted: Array | Profile
    observed: Array
    control_mean: Array
    training_mean: Array
    top_genes: NDArray[np.int64]
    differentially_expressed: NDArray[np.bool_] | None = None
    additive_mean: Array | None = None
    de_score: Array | None = None
    components: Array | None = None

    def __post_init__(self) -> None:
        observed = _cells(self.observed, "observed cells")
        genes = observed.shape[1]
        predicted: Array | Profile
        if isinstance(self.predicted, Profile):
            predicted = Profile(_finite(self.predicted.mean, "predicted mean", (genes,)))
        else:
            predicted = _cells(self.predicted, "predicted cells", genes)
        checked: dict[str, object] = {
            "predicted": predicted,
            "observed": observed,
            "control_mean": _finite(self.control_mean, "control mean", (genes,)),
            "training_mean": _finite(self.training_mean, "training mean", (genes,)),
            "top_genes": _indices(self.top_genes, genes),
        }
        if self.differentially_expressed is not None:
            truth = np.asarray(self.differentially_expressed)
            if truth.dtype != np.bool_ or truth.shape != (genes,):
                raise InputError(
                    "one True or False per gene is needed",
                    where="differentially expressed genes",
                    found=f"type {truth.dtype}, shape {truth.shape}, {genes} genes",
                )
            checked["differentially_expressed"] = truth
        for field in ("additive_mean", "de_score"):
            if getattr(self, field) is not None:
                checked[field] = _finite(getattr(self, field), field.replace("_", " "), (genes,))
        if self.components is not None:
            loadings = np.asarray(self.components, np.float64)
            checked["components"] = _finite(loadings, "components", (genes, loadings.shape[-1]))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def predicted_cells(self) -> Array:
        """The predicted cells, (n, d); :class:`InputError` where a profile is all there is."""
        if isinstance(self.predicted, Profile):
            raise InputError(
                "this metric compares cells, and of the prediction there is a profile alone",
                where="predicted cells",
                remedy="leave out the metrics that need cells, or keep the predicted cells",
            )
        return self.predicted

    @property
    def top_cells(self) -> tuple[Array, Array]:
        """Predicted and observed cells with the top genes alone, (n, k) and (m, k)."""
        # Fancy indexing of columns is not row-major, which would change the sums' last digits.
        predicted = np.ascontiguousarray(self.predicted_cells[:, self.top_genes])
        return predicted, np.ascontiguousarray(self.observed[:, self.top_genes])

    @cached_property
    def predicted_mean(self) -> Array:
        """Mean of the predicted cells, (d,)."""
        if isinstance(self.predicted, Profile):
            return self.predicted.mean
        return np.asarray(self.predicted.mean(axis=0))

    @cached_property
    def observed_mean(self) -> Array:
        """Mean of the observed cells, (d,)."""
        return np.asarray(self.observed.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Panel:
    """Mean predictions of a fold, and all measured perturbations that they might be, checked once.

    In a fold with few perturbations to predict, to be told apart from these few would mean
    little: the candidates hold the perturbations of training as well.

    Parameters
    ----------
    perturbations
        Names of the predicted perturbations, P of them.
    predicted
        Their predicted mean expression, (P, d).
    candidate_names
        Names of all measured perturbations, n of them: those above, and those of training; the
        control is none.
    candidates
        Their observed mean expression, (n, d).
    control_mean
        Mean expression of the control cells, (d,).
    training_mean
        Mean over the training perturbations of their mean expression, (d,).

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a name is repeated, or a predicted perturbation
        is no candidate.
    """

    perturbations: Sequence[str]
    predicted: Array
    candidate_names: Sequence[str]
    candidates: Array
    control_mean: Array
    training_mean: Array

    def __post_init__(self) -> None:
        for where in ("perturbations", "candidate_names"):
            names, times = np.unique(list(getattr(self, where)), return_counts=True)
            if (times > 1).any():
                raise InputError("a name is repeated", where=where, found=names[times > 1])
        missing = sorted(set(self.perturbations) - set(self.candidate_names))
        if missing or not len(self.perturbations):
            raise InputError(
                "predicted perturbations must be among the measured ones, and at least one",
                where="perturbations",
                found=missing or "none",
            )
        genes = np.size(self.control_mean)
        rows = {"predicted": len(self.perturbations), "candidates": len(self.candidate_names)}
        shapes: dict[str, tuple[int, ...]] = {name: (n, genes) for name, n in rows.items()}
        shapes |= {"control_mean": (genes,), "training_mean": (genes,)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, _finite(getattr(self, name), name, shape))

    @cached_property
    def own(self) -> NDArray[np.int64]:
        """Position of each predicted perturbation among the candidates, (P,)."""
        position = {name: i for i, name in enumerate(self.candidate_names)}
        return np.array([position[name] for name in self.perturbations], dtype=np.int64)

    @property
    def observed(self) -> Array:
        """Observed mean expression of the predicted perturbations, (P, d)."""
        return np.asarray(self.candidates[self.own])


def _not_finite(values: Array, where: str) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            "values must be finite",
            where=where,
            found=(
                f"{values[tuple(index)]} at {tuple(map(int, index))}" for index in np.argwhere(bad)
            ),
        )


def _cells(values: ArrayLike, where: str, genes: int | None = None) -> Array:
    cells = np.ascontiguousarray(values, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[1] == 0:
        raise InputError(
            "a matrix of cells x genes is needed", where=where, found=f"shape {cells.shape}"
        )
    if genes is not None and cells.shape[1] != genes:
        raise InputError(
            "predicted and observed cells must have the same genes",
            where=where,
            found=f"{cells.shape[1]} genes, observed {genes}",
        )
    if len(cells) < 2:
        raise InputError(
            "a distribution cannot be compared with fewer than two cells",
            where=where,
            found=f"{len(cells)} cells",
            remedy="raise the number of cells",
        )
    _not_finite(cells, where)
    return cells


def _finite(values: ArrayLike, where: str, shape: tuple[int, ...]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise InputError(
            "one value per gene is needed"
            if len(shape) == 1
            else "one row per name and one value per gene are needed",
            where=where,
            found=f"shape {array.shape} instead of {shape}",
        )
    _not_finite(array, where)
    return array


def _indices(values: ArrayLike, genes: int) -> NDArray[np.int64]:
    indices = np.asarray(values)
    if indices.ndim != 1 or indices.size == 0 or not np.issubdtype(indices.dtype, np.integer):
        raise InputError(
            "a list of gene indices is needed",
            where="top genes",
            found=f"type {indices.dtype}, shape {indices.shape}",
        )
    outside = indices[(indices < 0) | (indices >= genes)]
    if outside.size:
        raise InputError(
            f"indices must be between 0 and {genes - 1}", where="top genes", found=outside
        )
    distinct, times = np.unique(indices, return_counts=True)
    if (times > 1).any():
        raise InputError("a gene is named twice", where="top genes", found=distinct[times > 1])
    return indices.astype(np.int64)
