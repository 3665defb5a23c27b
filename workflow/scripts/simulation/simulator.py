"""A mechanistic simulator of perturbation screens with a known causal graph.

Genes regulate each other through saturating promoters with interacting binding sites
(:mod:`simulation.network`), wired into modules or cascades; every cell is run to stationarity by
the chemical Langevin equation (:mod:`simulation.dynamics`), and counts are drawn with library-size
noise and dropout (:mod:`simulation.measurement`). Nothing here is shared with the model that is
fitted to such screens.

The only cycles of a graph are negative feedback loops of two regulators. Without a positive cycle
no network of this kind has two stable states [1]_: cells mix.

References
----------
.. [1] Soule 2003, Graphic requirements for multistationarity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

import numpy as np
from numpy.typing import NDArray

from lcd_core.errors import InputError
from lcd_core.streams import numpy_stream
from pipeline.screen import CONTROL, canonical_name, targets_of
from simulation.cascade_network import cascade_network
from simulation.checks import check_range
from simulation.dynamics import simulate_levels
from simulation.measurement import (
    expected_counts,
    mean_counts,
    sequenced,
    sequencing,
    with_dominant_gene,
)
from simulation.module_network import module_network
from simulation.network import Float, RegulatoryNetwork
from simulation.perturbations import (
    TargetsFrom,
    draw_conditions,
    hidden_factor,
    most_regulated,
)

Kind = Literal["activation", "knockdown"]
NetworkKind = Literal["modules", "cascades"]

NETWORKS: dict[NetworkKind, Callable[..., RegulatoryNetwork]] = {
    "modules": module_network,
    "cascades": cascade_network,
}


@dataclass(frozen=True)
class SimulatedScreen:
    """Counts of a simulated screen together with what generated them.

    Attributes
    ----------
    counts
        Counts, cells x genes, int32.
    perturbations
        Per cell ``control``, or its targets sorted and joined by ``+``.
    network
        The true network; ``network.genes`` names the columns of ``counts``.
    effects
        True direct effects (d x d), see :meth:`RegulatoryNetwork.effects`.
    fold_changes
        Target to the factor by which its perturbation changes its production, 1 if it failed.
    failed
        The targets whose perturbation does nothing.
    factors
        Factors on the production of each gene in each cell, d x cells.
    control_levels
        Mean level of each gene over the control cells, which levels are relative to, (d,).
    mean_counts
        Counts of each gene expected at that level, (d,).
    lost
        Probability that a gene is lost in a cell, (d,).
    """

    counts: NDArray[np.int32]
    perturbations: NDArray[np.str_]
    network: RegulatoryNetwork
    effects: Float
    fold_changes: dict[str, float]
    failed: frozenset[str]
    factors: Float
    control_levels: Float
    mean_counts: Float
    lost: Float

    @property
    def genes(self) -> tuple[str, ...]:
        """Gene symbols, the columns of ``counts``."""
        return self.network.genes

    @property
    def modules(self) -> dict[str, tuple[str, ...]]:
        """Module name to its genes."""
        return self.network.modules

    @property
    def library_size(self) -> NDArray[np.int64]:
        """Total counts per cell."""
        totals: NDArray[np.int64] = self.counts.sum(axis=1, dtype=np.int64)
        return totals


def simulate_screen(
    *,
    network: NetworkKind = "modules",
    genes: int = 80,
    targets: int = 12,
    targets_from: TargetsFrom = "regulators",
    doubles: int = 18,
    cells_per_condition: int = 120,
    control_cells: int = 300,
    kind: Kind = "activation",
    failed_share: float = 0.0,
    confounding: float = 0.0,
    depth: float = 1.0,
    dominant_gene: float | None = None,
    seed: int,
    regulation_strength: float = 1.0,
    interaction_strength: float = 1.0,
    perturbation_strength: float = 8.0,
    intrinsic_noise: float = 0.25,
    extrinsic_noise: float = 0.2,
    library_noise: float = 0.3,
    dropout: float = 0.08,
) -> SimulatedScreen:
    """Simulate a screen of control, single and double perturbations.

    Failed targets and the hidden factor have random streams of their own: with the same seed a
    screen with them has the network, targets and other fold changes of the screen without.

    Parameters
    ----------
    network
        ``modules`` of genes that share regulators, or ``cascades`` of chains of regulators.
    genes
        Number of genes, regulators included.
    targets
        Number of perturbed genes.
    targets_from
        ``regulators``: these first, other genes when they are used up; ``anywhere``: all genes
        alike.
    doubles
        Number of pairs of targets perturbed together: of regulators, where these have so many and
        are taken first.
    cells_per_condition, control_cells
        Cells of each perturbation, and of the control.
    kind
        ``activation`` multiplies the production of the target, ``knockdown`` divides it.
    failed_share
        Share of the targets whose perturbation does nothing, rounded to whole targets.
    confounding
        Standard deviation of the logarithm of a hidden factor of each cell, in all conditions, on
        a third of the genes, see :func:`simulation.perturbations.hidden_factor`.
    depth
        Factor on the mean counts of all genes.
    dominant_gene
        Share of all counts of the control that one gene holds, which a target regulates; None
        for no such gene.
    seed
        Seed of everything random.
    regulation_strength, interaction_strength
        See :func:`simulation.module_network.module_network`.
    perturbation_strength
        Median fold change of a target's production, > 1; guides differ (lognormal, 0.2).
    intrinsic_noise, extrinsic_noise
        Coefficient of variation of an unregulated gene from its own stochastic production, and
        standard deviation of the logarithm of a cell's factor on a gene's production.
    library_noise, dropout
        See :func:`simulation.measurement.measure`.

    Raises
    ------
    InputError
        If a setting is out of range or settings contradict each other.
    """
    _check_choice("network", network, tuple(NETWORKS))
    _check_choice("kind", kind, get_args(Kind))
    _check_choice("targets_from", targets_from, get_args(TargetsFrom))
    _check_sizes(genes, targets, doubles, cells_per_condition, control_cells)
    for name, value, low, high in (
        ("perturbation_strength", perturbation_strength, 1, np.inf),
        ("failed_share", failed_share, 0, 1),
        ("confounding", confounding, 0, 2),
        ("depth", depth, 1e-3, 1e3),
        ("dominant_gene", 0.5 if dominant_gene is None else dominant_gene, 0.01, 0.9),
        ("intrinsic_noise", intrinsic_noise, 0, 1),
        ("extrinsic_noise", extrinsic_noise, 0, 2),
        ("library_noise", library_noise, 0, 2),
        ("dropout", dropout, 0, 0.6),
    ):
        check_range(name, value, low, high)
    rng = np.random.default_rng(seed)
    truth = NETWORKS[network](
        genes,
        rng,
        regulation_strength=regulation_strength,
        interaction_strength=interaction_strength,
    )
    conditions = draw_conditions(truth, targets, doubles, rng, targets_from=targets_from)
    labels = np.repeat(
        [canonical_name(condition) for condition in conditions],
        [control_cells] + [cells_per_condition] * (len(conditions) - 1),
    )

    names = [name for (name,) in conditions[1 : targets + 1]]
    failed = frozenset(
        numpy_stream(seed, "failed").permutation(names)[: round(failed_share * targets)].tolist()
    )
    strength = perturbation_strength * rng.lognormal(0, 0.2, genes)
    fold = strength if kind == "activation" else 1 / strength
    fold_changes = {
        name: 1.0 if name in failed else float(fold[truth.genes.index(name)]) for name in names
    }
    factors = rng.lognormal(-(extrinsic_noise**2) / 2, extrinsic_noise, (genes, len(labels)))
    for name in np.unique(labels[labels != CONTROL]):
        for target in targets_of(name):
            factors[truth.genes.index(target), labels == name] *= fold_changes[target]
    factors *= hidden_factor(genes, len(labels), confounding, numpy_stream(seed, "confounding"))

    levels = simulate_levels(truth, factors, rng, intrinsic_noise=intrinsic_noise)
    control_levels = levels[:, labels == CONTROL].mean(axis=1)
    levels /= control_levels[:, None]
    means = mean_counts(truth, rng, depth=depth)
    if dominant_gene is not None:
        working = tuple(name for name in names if name not in failed)
        means = with_dominant_gene(means, most_regulated(truth, working), dominant_gene)
    size, lost = sequencing(len(labels), genes, rng, library_noise=library_noise, dropout=dropout)
    return SimulatedScreen(
        sequenced(levels, means, size, lost, rng),
        labels,
        truth,
        truth.effects(),
        fold_changes,
        failed,
        factors,
        control_levels,
        means,
        lost,
    )


def simulate_rates(
    screen: SimulatedScreen,
    targets: Sequence[str],
    cells: int,
    *,
    seed: int,
    intrinsic_noise: float = 0.25,
    extrinsic_noise: float = 0.2,
    library_noise: float = 0.3,
) -> Float:
    """Simulate further cells of a screen under any set of its targets, up to their counting noise.

    Parameters
    ----------
    screen
        A simulated screen without a hidden factor.
    targets
        Targets that are perturbed together, none or several.
    cells
        Number of cells.
    seed
        Seed of their noise: with the same one, cells of different sets differ by their targets
        alone, so that differences of means hardly vary by chance.
    intrinsic_noise, extrinsic_noise, library_noise
        As in :func:`simulate_screen`.

    Returns
    -------
    Poisson rates, cells x d; a gene is lost with probability ``screen.lost``.
    """
    rng = np.random.default_rng(seed)
    d = len(screen.genes)
    factors = rng.lognormal(-(extrinsic_noise**2) / 2, extrinsic_noise, (d, cells))
    size = rng.lognormal(-(library_noise**2) / 2, library_noise, (cells,))
    for target in targets:
        factors[screen.genes.index(target)] *= screen.fold_changes[target]
    levels = simulate_levels(screen.network, factors, rng, intrinsic_noise=intrinsic_noise)
    levels /= screen.control_levels[:, None]
    return expected_counts(levels, screen.mean_counts, size, screen.lost)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        _refuse(name, value, f"choose one of {', '.join(choices)}")


def _check_sizes(genes: int, targets: int, doubles: int, cells: int, control_cells: int) -> None:
    pairs = targets * (targets - 1) // 2
    if not 1 <= targets <= genes:
        _refuse("targets", targets, f"choose from 1 to {genes}, the genes")
    if not 0 <= doubles <= pairs:
        remedy = f"choose from 0 to {pairs}, the pairs of {targets} targets, or more targets"
        _refuse("doubles", doubles, remedy)
    for name, number in (("cells_per_condition", cells), ("control_cells", control_cells)):
        if number < 1:
            _refuse(name, number, "choose at least 1")


def _refuse(name: str, found: object, remedy: str) -> NoReturn:
    raise InputError(
        "this screen cannot be simulated.",
        where=f"simulation.{name}",
        found=str(found),
        remedy=remedy,
    )
