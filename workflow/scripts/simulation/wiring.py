"""What networks are wired from: weights, interacting regulators, parameters of promoters."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from lcd_core.errors import InputError
from simulation.catalogue import CATALOGUE
from simulation.checks import check_range
from simulation.network import RegulatoryNetwork

Edges = dict[tuple[int, int], float]  # (effect, cause) to weight
Gates = dict[tuple[int, int, int], float]  # (effect, cause, cause) to weight

GENES_PER_MODULE = 12  # at least, its regulators included
FEWEST_GENES = 3 * GENES_PER_MODULE
MOST_GENES = sum(len(f"{factors} {genes}".split()) for factors, genes in CATALOGUE.values())


def check_network(genes: int, regulation_strength: float, interaction_strength: float) -> None:
    """Refuse sizes and strengths of which no network can be made.

    Raises
    ------
    InputError
        If ``genes`` is too small for three modules or more than there are symbols, or a strength
        is out of range.
    """
    if not FEWEST_GENES <= genes <= MOST_GENES:
        raise InputError(
            "this number of genes cannot be divided into modules.",
            where="simulation.genes",
            found=str(genes),
            remedy=f"choose from {FEWEST_GENES} to {MOST_GENES} genes",
        )
    check_range("regulation_strength", regulation_strength, 0, 1.5)
    check_range("interaction_strength", interaction_strength, 0, 1)


def divide(genes: int, regulators: int) -> dict[str, tuple[str, ...]]:
    """Divide genes among as many modules as they fill.

    Parameters
    ----------
    genes
        Number of genes, regulators included.
    regulators
        Regulators per module, which are not among the members that are returned.

    Returns
    -------
    Module name to its members, in numbers that differ by one at most.
    """
    catalogue = list(CATALOGUE.items())[: genes // GENES_PER_MODULE]
    others = range(genes - regulators * len(catalogue))
    sizes = [len(part) for part in np.array_split(others, len(catalogue))]
    return {
        name: tuple(members.split()[:size])
        for (name, (_, members)), size in zip(catalogue, sizes, strict=True)
    }


def assemble(
    regulators: Sequence[str],
    modules: dict[str, tuple[str, ...]],
    weights: Edges,
    rng: np.random.Generator,
    *,
    regulation_strength: float,
    interaction_strength: float,
) -> RegulatoryNetwork:
    """Draw gates and promoters of a wired network: ``weights`` between genes, regulators first."""
    names = [*regulators, *(gene for members in modules.values() for gene in members)]
    genes = len(names)
    # genes of a module share a group, and so the logic of their promoters
    sizes = [len(members) for members in modules.values()]
    groups = [*range(len(regulators)), *np.repeat(range(-len(sizes), 0), sizes).tolist()]
    gates = draw_gates(weights, groups, interaction_strength, rng)
    edges = sorted(weights)
    return RegulatoryNetwork(
        genes=tuple(names),
        regulators=tuple(regulators),
        modules=modules,
        edges=np.array(edges, dtype=np.intp).reshape(-1, 2),
        weights=regulation_strength * np.array([weights[edge] for edge in edges]),
        gates=np.array(sorted(gates), dtype=np.intp).reshape(-1, 3),
        gate_weights=regulation_strength * np.array([gates[gate] for gate in sorted(gates)]),
        half_saturation=rng.uniform(0.7, 1.4, genes),
        hill_exponent=rng.uniform(2.0, 4.0, genes),
        occupancy=np.exp(rng.uniform(np.log(0.05), np.log(0.4), genes)),
        decay=rng.uniform(0.7, 1.4, genes),
    )


def draw_weight(rng: np.random.Generator, *, positive: float) -> float:
    """Draw the weight of an edge that activates with probability ``positive``."""
    return float(rng.uniform(1.5, 3.0) * (1 if rng.random() < positive else -1))


def draw_loop(edges: Edges, first: int, second: int, rng: np.random.Generator) -> None:
    """Close a negative feedback loop: ``first`` activates ``second``, which represses it.

    Its gain stays small enough for the time step of the simulation.
    """
    edges[second, first] = float(rng.uniform(1.5, 2.0))
    edges[first, second] = -float(rng.uniform(1.5, 2.0))


def draw_gates(
    weights: Edges, groups: Sequence[int], strength: float, rng: np.random.Generator
) -> Gates:
    """Let regulators of a gene interact; genes of one group share the logic of a pair.

    Two of one sign are synergistic (AND) or redundant (OR: the second adds little to the first);
    of two signs, one masks the other. All that counters a weight stays below it, so that an
    edge has the same sign whatever the other regulators do.
    """
    logic: dict[tuple[int, int, int], float] = {}
    gates: Gates = {}
    causes_of: dict[int, list[int]] = {}
    for effect, cause in sorted(weights):
        causes_of.setdefault(effect, []).append(cause)
    for effect, causes in causes_of.items():
        for first, second in combinations(causes, 2):
            if (first, effect) in weights or (second, effect) in weights:
                continue  # feedback loops keep their moderate gain
            w_first, w_second = weights[effect, first], weights[effect, second]
            key = groups[effect], first, second
            if key not in logic:
                logic[key] = float(rng.choice([0.0, -1.0, 1.0], p=[0.2, 0.4, 0.4]))
            if w_first * w_second < 0:
                masked = max(w_first, w_second) if logic[key] < 0 else min(w_first, w_second)
                gates[effect, first, second] = -strength * abs(logic[key]) * masked
            else:
                scale = 2.0 if logic[key] > 0 else 1.0
                gates[effect, first, second] = (
                    strength * scale * logic[key] * (w_first + w_second) / 2
                )
    return _bounded(gates, weights)


def _bounded(gates: Gates, weights: Edges) -> Gates:
    """Shrink gates such that those that counter an edge sum to at most 0.9 of its weight."""
    countering: Edges = {}
    for (effect, *causes), value in gates.items():
        for cause in causes:
            if value * weights[effect, cause] < 0:
                edge = effect, cause
                countering[edge] = countering.get(edge, 0.0) + abs(value)
    bounded: Gates = {}
    for (effect, first, second), value in gates.items():
        shrink = min(
            [1.0]
            + [
                0.9 * abs(weights[effect, cause]) / countering[effect, cause]
                for cause in (first, second)
                if value * weights[effect, cause] < 0
            ]
        )
        if value:
            bounded[effect, first, second] = shrink * value
    return bounded
