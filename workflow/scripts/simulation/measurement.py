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
    size, lost = sequencing(n, d, rng, library_noise=library_noise, dropout=dropout)
    return sequenced(levels, mean_counts, size, lost, rng)


def sequencing(
    n: int, d: int, rng: np.random.Generator, *, library_noise: float, dropout: float
) -> tuple[Float, Float]:
    """Draw the capture efficiency of each cell, (n,), and how often each gene is lost, (d,)."""
    size = rng.lognormal(-(library_noise**2) / 2, library_noise, (n,))
    return size, dropout * rng.uniform(0.5, 1.5, d)


def expected_counts(levels: Float, mean_counts: Float, size: Float, lost: Float) -> Float:
    """Poisson rates of cells in which no gene is lost, cells x d."""
    rates: Float = levels.T * size[:, None] * (mean_counts / (1 - lost))
    return rates


def sequenced(
    levels: Float, mean_counts: Float, size: Float, lost: Float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Draw counts, cells x d, of what :func:`sequencing` has drawn."""
    expected = expected_counts(levels, mean_counts, size, lost)
    counts: NDArray[np.int32] = rng.poisson(expected).astype(np.int32)
    counts[rng.random(counts.shape) < lost] = 0
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
