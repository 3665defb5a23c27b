"""A gene-regulatory network with saturating promoters, and its direct effects.

The level ``x_g`` of every gene is in units of its unperturbed steady state, so that ``x = 1`` is
the deterministic steady state of a control cell by construction::

    h_j   = x_j^n_j / (K_j^n_j + x_j^n_j)                              regulator j is bound
    u_i   = sum_j w_ij h_j + sum_jk v_ijk h_j h_k                      binding energy, gates
    p_i   = gamma_i occupancy(u_i) / occupancy(u_i at x = 1)           production

with ``occupancy(u) = 1 / (1 + exp(-(a + u)))``, the probability that polymerase sits on the
promoter (Bintu et al. 2005, Transcriptional regulation by the numbers: models).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.special import logit

Float = NDArray[np.floating]


@dataclass(frozen=True)
class RegulatoryNetwork:
    """A sparse signed gene-regulatory network with saturating, interacting regulation.

    Attributes
    ----------
    genes
        The ``d`` gene symbols, regulators first.
    regulators
        The symbols of the regulators.
    modules
        Module name to its genes. Modules are disjoint and hold no regulators.
    edges, weights
        ``(E, 2)`` pairs (effect, cause) of gene indices and their ``(E,)`` weights ``w``.
    gates, gate_weights
        ``(G, 3)`` triples (effect, cause, cause) and their ``(G,)`` weights ``v``. Both causes of a
        gate have an edge to its effect, and no gate turns the sign of an edge at any level.
    half_saturation, hill_exponent, occupancy, decay
        ``(d,)``: ``K``, ``n``, promoter occupancy at ``x = 1``, and decay rate ``gamma`` (1/time).
    """

    genes: tuple[str, ...]
    regulators: tuple[str, ...]
    modules: dict[str, tuple[str, ...]]
    edges: NDArray[np.intp]
    weights: Float
    gates: NDArray[np.intp]
    gate_weights: Float
    half_saturation: Float
    hill_exponent: Float
    occupancy: Float
    decay: Float

    @cached_property
    def _causes(self) -> NDArray[np.intp]:
        return np.unique(self.edges[:, 1])

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the distinct pairs of causes that gates use, and the pair of each gate."""
        pairs, pair_of_gate = np.unique(self.gates[:, 1:], axis=0, return_inverse=True)
        return pairs, pair_of_gate.reshape(-1)

    @cached_property
    def _regulation(self) -> tuple[csr_array, Float]:
        """Return the weights of :meth:`_terms` (sparse, one row per gene) and the offsets ``a``.

        A sparse product runs on one thread: results do not depend on the number of threads.
        """
        rows = np.concatenate([self.edges[:, 0], self.gates[:, 0]])
        columns = np.concatenate(
            [
                np.searchsorted(self._causes, self.edges[:, 1]),
                len(self._causes) + self._pairs[1],
            ]
        )
        values = np.concatenate([self.weights, self.gate_weights])
        shape = len(self.genes), len(self._causes) + len(self._pairs[0])
        matrix = csr_array((values, (rows, columns)), shape=shape)
        unperturbed = (matrix @ self._terms(np.ones((len(self.genes), 1))))[:, 0]
        return matrix, logit(self.occupancy) - unperturbed

    def _terms(self, levels: Float) -> Float:
        """Return ``h_j`` of all causes and ``h_j h_k`` of all pairs (terms x cells)."""
        causes = self._causes
        exponent = self.hill_exponent[causes].astype(levels.dtype)[:, None]
        constant = np.log(self.half_saturation[causes]).astype(levels.dtype)[:, None]
        bound = 1 / (1 + np.exp(exponent * (constant - np.log(levels[causes]))))
        first, second = np.searchsorted(causes, self._pairs[0]).T
        return np.concatenate([bound, bound[first] * bound[second]])

    def production(self, levels: Float) -> Float:
        """Return unperturbed production rates (d x cells, 1/time) at ``levels`` (d x cells) > 0."""
        matrix, offset = self._regulation
        dtype = levels.dtype
        rates: Float = matrix.astype(dtype) @ self._terms(levels)
        rates += offset.astype(dtype)[:, None]
        np.negative(rates, out=rates)
        np.exp(rates, out=rates)
        rates += 1
        np.divide((self.decay / self.occupancy).astype(dtype)[:, None], rates, out=rates)
        return rates

    def effects(self) -> Float:
        """Return the direct effects ``W`` (d x d): ``W[i, j]`` is that of gene j on gene i.

        Strengths are elasticities at the unperturbed steady state,
        ``d log p_i / d log x_j`` at ``x = 1``; their signs are the same at every level.
        """
        d = len(self.genes)
        bound = 1 / (1 + self.half_saturation**self.hill_exponent)
        slopes = np.zeros((d, d))
        slopes[self.edges[:, 0], self.edges[:, 1]] = self.weights
        effect, first, second = self.gates.T
        np.add.at(slopes, (effect, first), self.gate_weights * bound[second])
        np.add.at(slopes, (effect, second), self.gate_weights * bound[first])
        elasticities: Float = (
            (1 - self.occupancy)[:, None] * slopes * (self.hill_exponent * bound * (1 - bound))
        )
        return elasticities

    def distances(self) -> Float:
        """Return the steps of the shortest chain of direct effects (d x d) from gene j to gene i.

        0 on the diagonal, 1 for a direct effect, infinite where nothing leads from j to i.
        """
        lengths: Float = shortest_path((self.effects() != 0).T.astype(float), unweighted=True).T
        return lengths
