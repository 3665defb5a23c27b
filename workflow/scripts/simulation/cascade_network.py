"""Networks of cascades: chains of regulators, whose effects are mostly indirect."""

import numpy as np

from simulation.catalogue import CATALOGUE, SIGNALS
from simulation.network import RegulatoryNetwork
from simulation.wiring import Edges, assemble, check_network, divide, draw_loop, draw_weight

CHAIN = 3  # regulators: a signal, a factor, and the factor below it
RELAYS = 0.35  # of the genes below a chain: these regulate others
FURTHER_CAUSES = (0.4, 0.4, 0.2)  # probabilities that a gene has 0, 1, 2 besides its first


def cascade_network(
    genes: int,
    rng: np.random.Generator,
    *,
    regulation_strength: float = 1.0,
    interaction_strength: float = 1.0,
) -> RegulatoryNetwork:
    """Draw chains of three regulators, relays below them, and other genes below both.

    Effects go down only, from signals to factors, further factors, relays and the genes at the
    end, but for a negative feedback loop of the two factors in every second chain. A signal
    also acts on the first factor of another chain, and genes have further causes in any chain.
    A module is all that is below one chain: relays and genes at the end.

    Parameters
    ----------
    genes
        Number of genes ``d``, regulators included.
    rng
        Source of randomness.
    regulation_strength, interaction_strength
        As in :func:`simulation.module_network.module_network`.

    Raises
    ------
    InputError
        As :func:`simulation.module_network.module_network` does.
    """
    check_network(genes, regulation_strength, interaction_strength)
    modules = divide(genes, CHAIN)
    regulators = [gene for name in modules for gene in (SIGNALS[name], *CATALOGUE[name][0].split())]
    weights = _chain_edges(len(modules), rng)
    weights |= _lower_edges([len(members) for members in modules.values()], rng)
    return assemble(
        regulators,
        modules,
        weights,
        rng,
        regulation_strength=regulation_strength,
        interaction_strength=interaction_strength,
    )


def _chain_edges(chains: int, rng: np.random.Generator) -> Edges:
    """Edges among regulators: along each chain, and from each signal to another chain."""
    edges: Edges = {}
    for chain in range(chains):
        signal, first, last = CHAIN * chain + np.arange(CHAIN)
        edges[int(first), int(signal)] = draw_weight(rng, positive=0.7)
        if chain % 2:
            draw_loop(edges, int(first), int(last), rng)
        else:
            edges[int(last), int(first)] = draw_weight(rng, positive=0.7)
        other = int(rng.choice(np.delete(np.arange(chains), chain)))
        edges[CHAIN * other + 1, int(signal)] = draw_weight(rng, positive=0.7)
    return edges


def _lower_edges(sizes: list[int], rng: np.random.Generator) -> Edges:
    """Edges into the genes below the chains, ``sizes`` of them below each.

    The first cause of a relay is the last factor of its chain; that of a gene at the end is this
    or a relay of the chain. Further causes are factors of any chain and, at the end, relays.
    """
    chains = len(sizes)
    starts = CHAIN * chains + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    relays = [
        start + np.arange(round(RELAYS * size)) for start, size in zip(starts, sizes, strict=True)
    ]
    factors = np.setdiff1d(np.arange(CHAIN * chains), CHAIN * np.arange(chains))
    edges: Edges = {}
    for chain, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        last = CHAIN * chain + CHAIN - 1
        for gene in range(start, start + size):
            relay = gene in relays[chain]
            own = last if relay or rng.random() < 0.5 else int(rng.choice(relays[chain]))
            edges[gene, own] = draw_weight(rng, positive=0.8)
            above = factors if relay else np.concatenate([factors, *relays])
            further = rng.permutation(above[above != own])
            for cause in further[: rng.choice(len(FURTHER_CAUSES), p=FURTHER_CAUSES)]:
                edges[gene, int(cause)] = draw_weight(rng, positive=0.5)
    return edges
