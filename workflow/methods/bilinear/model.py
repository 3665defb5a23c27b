"""The bilinear model: ``change = G W p + b``."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def fit_bilinear(
    changes: NDArray[np.float64],
    perturbations: Sequence[Sequence[str]],
    genes: Mapping[str, Sequence[int]],
    dimensions: int,
    ridge: float,
) -> Callable[[Sequence[str]], Vector]:
    """Fit the bilinear model of Ahlmann-Eltze et al. 2025 to mean changes.

    With Y the changes (genes x perturbations), b their mean over perturbations, G the first
    principal components of Y (genes x K) and P the embeddings of perturbations (K x
    perturbations), the sum over targets of the rows of G for their genes:
    ``W = (G^T G + ridge I)^-1 G^T (Y - b) P^T (P P^T + ridge I)^-1``.

    Parameters
    ----------
    changes
        Mean changes from control, (n, d).
    perturbations
        Targets of each row.
    genes
        For each target, those of the fit and others, the indices of its genes; may be empty.
    dimensions
        K; no more than ``min(n, d)`` are used.
    ridge
        Of either side.

    Returns
    -------
    Callable
        From targets to the predicted change, (d,).
    """
    mean = changes.mean(axis=0)
    centred = (changes - mean).T
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    gene_embedding = left[:, :dimensions] * values[:dimensions]
    known = {target: gene_embedding[list(own)].mean(axis=0) for target, own in genes.items() if own}
    middle = np.asarray(list(known.values()) or [np.zeros(gene_embedding.shape[1])]).mean(axis=0)

    def embedding(targets: Sequence[str]) -> Vector:
        return np.asarray([known.get(target, middle) for target in targets]).sum(axis=0)

    p = np.stack([embedding(own) for own in perturbations], axis=1)
    unit = ridge * np.eye(len(p))
    half = np.linalg.solve(gene_embedding.T @ gene_embedding + unit, gene_embedding.T @ centred)
    weights = np.linalg.solve(p @ p.T + unit, p @ half.T).T
    return lambda targets: gene_embedding @ (weights @ embedding(targets)) + mean
