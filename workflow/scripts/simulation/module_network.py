"""Networks of modules: genes that share regulators, and so respond together."""

from collections.abc import Sequence

import numpy as np

from simulation.catalogue import CATALOGUE
from simulation.network import RegulatoryNetwork
from simulation.wiring import Edges, assemble, check_network, divide, draw_loop, draw_weight

REGULATORS_PER_MODULE = 2
FOREIGN_REGULATORS = 3
COVERAGE = 0.7  # of a module by each of its regulators but the first, which acts on all
TIGHTEST = 0  # the ribosomal module: all its regulators act on all its genes, alike


def module_network(
    genes: int,
    rng: np.random.Generator,
    *,
    regulation_strength: float = 1.0,
    interaction_strength: float = 1.0,
) -> RegulatoryNetwork:
    """Draw a network of modules, their regulators, and sparse edges between and within them.

    Parameters
    ----------
    genes
        Number of genes ``d``, regulators included.
    rng
        Source of randomness.
    regulation_strength
        Factor on all weights, from 0 (genes are independent) to 1.5 (feedback loops still settle).
    interaction_strength
        From 0 (regulators act independently of each other) to 1 (full gates).

    Raises
    ------
    InputError
        If ``genes`` is too small for three modules or more than there are symbols, or a strength
        is out of range.
    """
    check_network(genes, regulation_strength, interaction_strength)
    modules = divide(genes, REGULATORS_PER_MODULE)
    regulators = [factor for name in modules for factor in CATALOGUE[name][0].split()]
    weights = _regulator_edges(len(regulators), rng)
    start = len(regulators)
    for module, members in enumerate(modules.values()):
        places = range(start, start + len(members))
        weights |= _module_edges(module, places, len(regulators), rng)
        start += len(members)
    return assemble(
        regulators,
        modules,
        weights,
        rng,
        regulation_strength=regulation_strength,
        interaction_strength=interaction_strength,
    )


def _regulator_edges(n: int, rng: np.random.Generator) -> Edges:
    """Edges among regulators: sparse along a random order, plus negative loops of neighbours."""
    order = rng.permutation(n)
    edges: Edges = {}
    for place in range(1, n):
        for parent in rng.permutation(place)[: rng.choice(3, p=[0.4, 0.4, 0.2])]:
            edges[int(order[place]), int(order[parent])] = draw_weight(rng, positive=0.7)
    # A loop of neighbours in the order closes no other cycle, and is negative by its two signs.
    for place in range(0, n - 1, 6):
        draw_loop(edges, int(order[place]), int(order[place + 1]), rng)
    return edges


def _module_edges(
    module: int, members: Sequence[int], n_regulators: int, rng: np.random.Generator
) -> Edges:
    """Edges into a module's genes: from its own regulators, from foreign ones, from each other.

    All members share an activator, and a regulator acts alike on most genes of a module, which
    makes the module coherent.
    """
    own = REGULATORS_PER_MODULE * module + np.arange(REGULATORS_PER_MODULE)
    foreign = rng.choice(
        np.setdiff1d(np.arange(n_regulators), own), FOREIGN_REGULATORS, replace=False
    )
    edges: Edges = {}
    for rank, regulator in enumerate([*own, *foreign]):
        weight = draw_weight(rng, positive=1.0 if rank == 0 else 0.6)
        coverage = 1.0 if rank == 0 or module == TIGHTEST else COVERAGE
        for gene in members:
            if rng.random() < coverage:
                edges[gene, int(regulator)] = weight * float(rng.uniform(0.8, 1.2))
    within = 1.0 if module == TIGHTEST else 0.8
    for place, gene in enumerate(members):
        if place and rng.random() < 0.35:
            edges[gene, members[int(rng.integers(place))]] = draw_weight(rng, positive=within)
    return edges
