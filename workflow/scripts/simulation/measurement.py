"""Counts of sequenced cells."""

import numpy as np
from numpy.typing import NDArray

from simulation.network import Float, RegulatoryNetwork


def measure(
    levels: Float,
    mean_counts: Float,
    rng: np.random.Generator,
    *,
    library_noise: float = 0.3,
    dropout: float = 0.08,
) -> NDArray[np.int32]:
    """Sequence cells: lognormal capture efficiency, Poisson sampling, dropout.

    Parameters
    ----------
    levels
        Levels of the genes, d x cells.
    mean_counts
        Counts expected at level 1, ``(d,)``.
    rng
        Source of randomness.
    library_noise
        Standard deviation of the logarithm of a cell's capture efficiency.
    dropout
        Mean over genes of the probability that a gene is lost in a cell; a gene's own probability
        lies between half and one and a half times this.

    Returns
    -------
    Counts, cells x d, int32.
    """
    d, n = levels.shape
    size = rng.lognormal(-(library_noise**2) / 2, library_noise, (n,))
    lost = dropout * rng.uniform(0.5, 1.5, d)
    expected = levels.T * size[:, None] * (mean_counts / (1 - lost))
    counts: NDArray[np.int32] = rng.poisson(expected).astype(np.int32)
    counts[rng.random((n, d)) < lost] = 0
    return counts


def mean_counts(
    network: RegulatoryNetwork, rng: np.random.Generator, *, depth: float = 1.0
) -> Float:
    """Draw the counts of an average control cell, spread log-uniformly.

    Parameters
    ----------
    network
        Names the regulators, which are first among the ``d`` genes.
    rng
        Source of randomness.
    depth
        Factor on all of them: at 1 they span 0.3 to 25, and 0.5 to 5 for regulators.

    Returns
    -------
    Mean counts, ``(d,)``.
    """
    n_regulators = len(network.regulators)
    n_others = len(network.genes) - n_regulators
    regulators = np.geomspace(0.5, 5, n_regulators)
    others = np.geomspace(0.3, 25, n_others)
    means: Float = np.concatenate([rng.permutation(regulators), rng.permutation(others)])
    return depth * means


def with_dominant_gene(means: Float, gene: int, share: float) -> Float:
    """Raise the mean counts ``(d,)`` of one gene until it has ``share`` of their sum."""
    raised = means.copy()
    raised[gene] = share / (1 - share) * np.delete(means, gene).sum()
    return raised
