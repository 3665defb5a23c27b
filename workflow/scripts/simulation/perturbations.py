"""What is perturbed in a screen, by how much, and what else differs between cells."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcd_core.errors import InputError
from simulation.network import Float, RegulatoryNetwork

TargetsFrom = Literal["regulators", "anywhere"]

CONFOUNDED = 1 / 3  # of the genes: these depend on the hidden factor


def draw_conditions(
    network: RegulatoryNetwork,
    targets: int,
    doubles: int,
    rng: np.random.Generator,
    *,
    targets_from: TargetsFrom = "regulators",
) -> list[tuple[str, ...]]:
    """Draw what is perturbed.

    Parameters
    ----------
    network
        The regulatory network.
    targets
        Number of perturbed genes.
    doubles
        Number of pairs of them.
    rng
        Source of randomness.
    targets_from
        ``regulators`` takes these first, and pairs of them as long as there are any; ``anywhere``
        draws uniformly from all genes.

    Returns
    -------
    The target sets: the control's empty set, singles, doubles.
    """
    n_regulators, n_genes = len(network.regulators), len(network.genes)
    if targets_from == "regulators":
        order = np.concatenate(
            [rng.permutation(n_regulators), rng.permutation(range(n_regulators, n_genes))]
        )
        first_paired = min(targets, n_regulators)
    else:
        order = rng.permutation(n_genes)
        first_paired = targets
    chosen, paired = (
        sorted(network.genes[gene] for gene in order[:number]) for number in (targets, first_paired)
    )
    if len(paired) * (len(paired) - 1) // 2 < doubles:
        paired = chosen
    first, second = np.triu_indices(len(paired), k=1)
    pairs = np.sort(rng.choice(max(len(first), 1), doubles, replace=False))
    return [
        (),
        *((target,) for target in chosen),
        *((paired[first[pair]], paired[second[pair]]) for pair in pairs),
    ]


def hidden_factor(
    genes: int, cells: int, strength: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw factors on production by which a hidden state of each cell drives genes together.

    Parameters
    ----------
    genes, cells
        Numbers ``d`` and ``n`` of genes and cells.
    strength
        Standard deviation of the logarithm of the factors, >= 0.
    rng
        Source of randomness.

    Returns
    -------
    Factors of mean 1, d x n. The state, standard normal, raises a sixth of the genes and lowers
    another; all others have the factor 1.
    """
    state = rng.standard_normal(cells)
    driven = rng.permutation(genes)[: round(CONFOUNDED * genes)]
    loadings = np.zeros((genes, 1))
    loadings[driven[::2]], loadings[driven[1::2]] = strength, -strength
    factors: NDArray[np.float64] = np.exp(loadings * state - loadings**2 / 2)
    return factors


def most_regulated(network: RegulatoryNetwork, targets: tuple[str, ...]) -> int:
    """Return the gene with the strongest effect of a target on it.

    Genes that are neither regulators nor targets are preferred, then those that are no
    regulators.

    Raises
    ------
    InputError
        If no target regulates a gene other than the regulators.
    """
    effects: Float = np.abs(network.effects())[len(network.regulators) :]
    strongest = effects[:, [network.genes.index(target) for target in targets]].max(
        axis=1, initial=0.0
    )
    others = network.genes[len(network.regulators) :]
    spared = strongest * [gene not in targets for gene in others]
    choice = spared if spared.any() else strongest
    if not choice.any():
        raise InputError(
            "no gene of this screen can dominate the counts and respond to a target.",
            where="simulation.dominant_gene",
            found=f"targets {', '.join(targets) or 'that work: none'}",
            remedy="raise simulation.targets, lower simulation.failed_share, or take targets from "
            "the regulators",
        )
    return len(network.regulators) + int(np.argmax(choice))
