"""A mechanistic simulator of perturbation screens with a known causal graph.

Genes regulate each other through saturating promoters with interacting binding sites, every cell
is run to stationarity by the chemical Langevin equation, and counts are drawn with library-size
noise and dropout. Nothing here is shared with the model that is fitted to such screens.

The level ``x_g`` of every gene is in units of its unperturbed steady state, so that ``x = 1`` is
the deterministic steady state of a control cell by construction::

    h_j   = x_j^n_j / (K_j^n_j + x_j^n_j)                              regulator j is bound
    u_i   = sum_j w_ij h_j + sum_jk v_ijk h_j h_k                      binding energy, gates
    p_i   = s_i gamma_i occupancy(u_i) / occupancy(u_i at x = 1)       production
    dx_i  = (p_i - gamma_i x_i) dt + cv sqrt(p_i + gamma_i x_i) dW_i

with ``occupancy(u) = 1 / (1 + exp(-(a + u)))``, the probability that polymerase sits on the
promoter [1]_, and ``s_i`` the product of the perturbation's fold change and of the cell's own
lognormal factor (extrinsic noise). Noise is that of birth and death in bursts, scaled such that an
unregulated gene has the stationary coefficient of variation ``cv`` [2]_.

The only cycles of the graph are negative feedback loops of two regulators. Without a positive
cycle no network of this kind has two stable states [3]_: cells mix.

References
----------
.. [1] Bintu et al. 2005, Transcriptional regulation by the numbers: models.
.. [2] Gillespie 2000, The chemical Langevin equation.
.. [3] Soule 2003, Graphic requirements for multistationarity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import logit

from lcd_core.errors import InputError
from pipeline.screen import CONTROL, canonical_name

Float = NDArray[np.floating]
Kind = Literal["activation", "knockdown"]
Edges = dict[tuple[int, int], float]  # (effect, cause) to weight
Gates = dict[tuple[int, int, int], float]  # (effect, cause, cause) to weight

KINDS: tuple[str, ...] = get_args(Kind)

# Module: its transcription factors; its genes, of which the first ones are used.
CATALOGUE: dict[str, tuple[str, str]] = {
    "RIBOSOME": (
        "MYC YY1",
        "RPL3 RPS3 RPL4 RPS4X RPL5 RPS6 RPL7A RPS8 RPL10 RPS14 RPL11 RPS18 RPL13 RPS19 RPL18 "
        "RPS2 RPL23 RPS5 RPL27 RPS7 RPL30 RPS9 RPL32 RPS11 RPL35 RPS12 RPL37 RPS16 RPL38 RPS23",
    ),
    "DNA_REPLICATION": (
        "E2F1 MYBL2",
        "MCM2 MCM3 MCM4 MCM5 MCM6 MCM7 PCNA CDK1 CDC6 CDT1 CDC45 GINS2 RFC2 RFC3 RFC4 RFC5 POLA1 "
        "POLA2 POLD1 POLD2 POLD3 POLE2 PRIM1 PRIM2 RPA1 RPA2 RPA3 FEN1 LIG1 ORC1",
    ),
    "INTERFERON": (
        "STAT1 IRF1",
        "ISG15 IFIT1 MX1 IFIT3 OAS1 IFI6 IFIT2 MX2 OAS3 IFI35 IFITM1 OAS2 IFITM3 ISG20 BST2 XAF1 "
        "IFI27 OASL RSAD2 IFITM2 USP18 GBP2 ADAR EIF2AK2 IFNAR1 PSMB8 TRIM21 SAMHD1 PML HLA-B",
    ),
    "OXIDATIVE_PHOSPHORYLATION": (
        "NRF1 ESRRA",
        "NDUFA1 COX4I1 ATP5F1B NDUFB8 COX5A ATP5F1A NDUFS3 COX6C ATP5PO NDUFA9 COX7C ATP5MC1 "
        "NDUFB10 COX6B1 ATP5F1C NDUFS2 COX5B ATP5PB NDUFV1 COX8A UQCRC1 SDHB UQCRQ NDUFA4 CYC1 "
        "SDHA UQCRH NDUFB4 COX7B UQCRFS1",
    ),
    "CHOLESTEROL": (
        "SREBF2 SREBF1",
        "HMGCR HMGCS1 SQLE FDFT1 LSS IDI1 FDPS DHCR7 MVD CYP51A1 MSMO1 SC5D DHCR24 MVK NSDHL EBP "
        "HSD17B7 ACAT2 PMVK TM7SF2 LBR ARV1 GGPS1 LDLR INSIG1 FASN SCD ACACA ELOVL6 SEC24A",
    ),
    "UNFOLDED_PROTEIN_RESPONSE": (
        "XBP1 ATF6",
        "HSPA5 HSP90B1 DNAJB9 HERPUD1 PDIA6 CALR DNAJC3 HYOU1 SEC61B DNAJB11 EDEM1 SRPRB SSR1 "
        "SYVN1 WFS1 ASNS SERP1 SEC61G KDELR3 TPP1 SEC62 ERN1 CHAC1 EXTL3 LMNA GOSR2 ARFGAP1 "
        "YIF1A TLN1 SHC1",
    ),
    "PROTEASOME": (
        "NFE2L1 NFE2L2",
        "PSMA1 PSMB1 PSMC1 PSMD1 PSMA2 PSMB2 PSMC2 PSMD2 PSMA3 PSMB3 PSMC3 PSMD3 PSMA4 PSMB4 "
        "PSMC4 PSMD4 PSMA5 PSMB5 PSMC5 PSMD6 PSMA6 PSMB6 PSMC6 PSMD7 PSMA7 PSMB7 PSMD8 PSMD11 "
        "PSMD12 PSMD14",
    ),
    "GLYCOLYSIS": (
        "HIF1A EPAS1",
        "HK2 GPI PFKP ALDOA TPI1 GAPDH PGK1 PGAM1 ENO1 PKM LDHA HK1 PFKL ALDOC ENO2 PFKM LDHB "
        "PGM1 BPGM ADPGK PGAM4 LDHC ALDOB ENO3 HK3 G6PC3 PGM2 GALM PKLR PFKFB3",
    ),
}
REGULATORS_PER_MODULE = 2
FOREIGN_REGULATORS = 3
COVERAGE = 0.7  # of a module by each of its regulators but the first, which acts on all
TIGHTEST = 0  # the ribosomal module: all its regulators act on all its genes, alike
GENES_PER_MODULE = 12  # at least, its regulators included
FEWEST_GENES = 3 * GENES_PER_MODULE
LOWEST_LEVEL = np.float32(1e-3)  # where noise that would lead below zero is stopped
MOST_GENES = sum(len(f"{factors} {genes}".split()) for factors, genes in CATALOGUE.values())


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
    """

    counts: NDArray[np.int32]
    perturbations: NDArray[np.str_]
    network: RegulatoryNetwork
    effects: Float

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


def build_network(
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
    if not FEWEST_GENES <= genes <= MOST_GENES:
        raise InputError(
            "this number of genes cannot be divided into modules.",
            where="simulation.genes",
            found=str(genes),
            remedy=f"choose from {FEWEST_GENES} to {MOST_GENES} genes",
        )
    _check_range("regulation_strength", regulation_strength, 0, 1.5)
    _check_range("interaction_strength", interaction_strength, 0, 1)
    catalogue = list(CATALOGUE.items())[: genes // GENES_PER_MODULE]
    regulators = [factor for _, (factors, _) in catalogue for factor in factors.split()]
    sizes = [len(part) for part in np.array_split(range(genes - len(regulators)), len(catalogue))]
    modules = {
        name: tuple(members.split()[:size])
        for (name, (_, members)), size in zip(catalogue, sizes, strict=True)
    }
    names = [*regulators, *(gene for members in modules.values() for gene in members)]

    weights = _regulator_edges(len(regulators), rng)
    start = len(regulators)
    for module, size in enumerate(sizes):
        weights |= _module_edges(module, range(start, start + size), len(regulators), rng)
        start += size
    # genes of a module share a group, and so the logic of their promoters
    groups = [*range(len(regulators)), *np.repeat(range(-len(sizes), 0), sizes).tolist()]
    gates = _gates(weights, groups, interaction_strength, rng)
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


def _regulator_edges(n: int, rng: np.random.Generator) -> Edges:
    """Edges among regulators: sparse along a random order, plus negative loops of neighbours."""
    order = rng.permutation(n)
    edges: Edges = {}
    for place in range(1, n):
        for parent in rng.permutation(place)[: rng.choice(3, p=[0.4, 0.4, 0.2])]:
            edges[int(order[place]), int(order[parent])] = _weight(rng, positive=0.7)
    # A loop of neighbours in the order closes no other cycle, and is negative by its two signs.
    # Its gain stays small enough for the time step of the simulation.
    for place in range(0, n - 1, 6):
        early, late = int(order[place]), int(order[place + 1])
        edges[late, early] = float(rng.uniform(1.5, 2.0))
        edges[early, late] = -float(rng.uniform(1.5, 2.0))
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
        weight = _weight(rng, positive=1.0 if rank == 0 else 0.6)
        coverage = 1.0 if rank == 0 or module == TIGHTEST else COVERAGE
        for gene in members:
            if rng.random() < coverage:
                edges[gene, int(regulator)] = weight * float(rng.uniform(0.8, 1.2))
    within = 1.0 if module == TIGHTEST else 0.8
    for place, gene in enumerate(members):
        if place and rng.random() < 0.35:
            edges[gene, members[int(rng.integers(place))]] = _weight(rng, positive=within)
    return edges


def _weight(rng: np.random.Generator, *, positive: float) -> float:
    return float(rng.uniform(1.5, 3.0) * (1 if rng.random() < positive else -1))


def _gates(
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


def simulate_levels(
    network: RegulatoryNetwork,
    factors: Float,
    rng: np.random.Generator,
    *,
    intrinsic_noise: float = 0.25,
    duration: float = 20.0,
    step: float = 0.1,
    initial: Float | None = None,
) -> NDArray[np.float32]:
    """Run cells independently by the chemical Langevin equation (Euler-Maruyama).

    Parameters
    ----------
    network
        The regulatory network of ``d`` genes.
    factors
        Factors on the production of each gene in each cell, d x cells, > 0.
    rng
        Source of randomness.
    intrinsic_noise
        Stationary coefficient of variation of an unregulated gene.
    duration, step
        Simulated time and time step; decay rates are 0.7 to 1.4 per unit of time.
    initial
        Levels at time 0, d x cells; the factors where not given.

    Returns
    -------
    Levels at the end, d x cells, relative to the unperturbed steady state.
    """
    levels = np.array(factors if initial is None else initial, dtype=np.float32)
    for start in range(0, levels.shape[1], 500):  # blocks of cells that fit the processor's cache
        block = slice(start, start + 500)
        levels[:, block] = _run_cells(
            network,
            levels[:, block],
            np.asarray(factors[:, block], dtype=np.float32),
            rng,
            intrinsic_noise,
            round(duration / step),
            step,
        )
    return levels


def _run_cells(
    network: RegulatoryNetwork,
    levels: Float,
    factors: Float,
    rng: np.random.Generator,
    intrinsic_noise: float,
    steps: int,
    step: float,
) -> Float:
    decay = network.decay.astype(np.float32)[:, None]
    scale = np.float32(intrinsic_noise * np.sqrt(step))
    for _ in range(steps):
        birth = network.production(levels) * factors
        death = decay * levels
        noise = rng.standard_normal(levels.shape, dtype=np.float32)
        levels = (
            levels + np.float32(step) * (birth - death) + scale * np.sqrt(birth + death) * noise
        )
        np.maximum(levels, LOWEST_LEVEL, out=levels)
    return levels


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


def simulate_screen(
    *,
    genes: int = 80,
    targets: int = 12,
    doubles: int = 18,
    cells_per_condition: int = 120,
    control_cells: int = 300,
    kind: Kind = "activation",
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

    Parameters
    ----------
    genes
        Number of genes, regulators included.
    targets
        Number of perturbed genes: regulators first, other genes when these are used up.
    doubles
        Number of pairs of targets perturbed together: of regulators, where these have so many.
    cells_per_condition, control_cells
        Cells of each perturbation, and of the control.
    kind
        ``activation`` multiplies the production of the target, ``knockdown`` divides it.
    seed
        Seed of everything random.
    regulation_strength, interaction_strength
        See :func:`build_network`.
    perturbation_strength
        Median fold change of a target's production, > 1; guides differ (lognormal, 0.2).
    intrinsic_noise, extrinsic_noise
        Coefficient of variation of an unregulated gene from its own stochastic production, and
        standard deviation of the logarithm of a cell's factor on a gene's production.
    library_noise, dropout
        See :func:`measure`.

    Raises
    ------
    InputError
        If a setting is out of range or settings contradict each other.
    """
    _check_screen(genes, targets, doubles, cells_per_condition, control_cells, kind)
    _check_range("perturbation_strength", perturbation_strength, 1, np.inf)
    for name, value, high in (
        ("intrinsic_noise", intrinsic_noise, 1),
        ("extrinsic_noise", extrinsic_noise, 2),
        ("library_noise", library_noise, 2),
        ("dropout", dropout, 0.6),
    ):
        _check_range(name, value, 0, high)
    rng = np.random.default_rng(seed)
    network = build_network(
        genes,
        rng,
        regulation_strength=regulation_strength,
        interaction_strength=interaction_strength,
    )
    conditions = _draw_conditions(network, targets, doubles, rng)
    labels = np.repeat(
        [canonical_name(condition) for condition in conditions],
        [control_cells] + [cells_per_condition] * (len(conditions) - 1),
    )

    strength = perturbation_strength * rng.lognormal(0, 0.2, genes)
    fold = strength if kind == "activation" else 1 / strength
    factors = rng.lognormal(-(extrinsic_noise**2) / 2, extrinsic_noise, (genes, len(labels)))
    for condition in conditions[1:]:
        cells = labels == canonical_name(condition)
        for target in condition:
            gene = network.genes.index(target)
            factors[gene, cells] *= fold[gene]
    levels = simulate_levels(network, factors, rng, intrinsic_noise=intrinsic_noise)
    levels /= levels[:, labels == CONTROL].mean(axis=1, keepdims=True)
    counts = measure(
        levels, _mean_counts(network, rng), rng, library_noise=library_noise, dropout=dropout
    )
    return SimulatedScreen(counts, labels, network, network.effects())


def _draw_conditions(
    network: RegulatoryNetwork, targets: int, doubles: int, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Return the target sets: the control's empty set, singles, doubles."""
    n_regulators = len(network.regulators)
    order = np.concatenate(
        [rng.permutation(n_regulators), rng.permutation(range(n_regulators, len(network.genes)))]
    )
    chosen, paired = (
        sorted(network.genes[gene] for gene in order[:number])
        for number in (targets, min(targets, n_regulators))
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


def _mean_counts(network: RegulatoryNetwork, rng: np.random.Generator) -> Float:
    """Counts of an average control cell, spread log-uniformly.

    They span 0.3 to 25, and 0.5 to 5 for regulators.
    """
    n_regulators = len(network.regulators)
    n_others = len(network.genes) - n_regulators
    regulators = np.geomspace(0.5, 5, n_regulators)
    others = np.geomspace(0.3, 25, n_others)
    means: Float = np.concatenate([rng.permutation(regulators), rng.permutation(others)])
    return means


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high or not np.isfinite(value):
        raise InputError(
            "this value is out of range.",
            where=f"simulation.{name}",
            found=str(value),
            remedy=f"choose a number from {low:g} to {high:g}"
            if np.isfinite(high)
            else f"choose a finite number of at least {low:g}",
        )


def _check_screen(
    genes: int, targets: int, doubles: int, cells: int, control_cells: int, kind: str
) -> None:
    pairs = targets * (targets - 1) // 2
    problems = [
        (kind not in KINDS, "kind", kind, f"choose one of {', '.join(KINDS)}"),
        (not 1 <= targets <= genes, "targets", targets, f"choose from 1 to {genes}, the genes"),
        (
            not 0 <= doubles <= pairs,
            "doubles",
            doubles,
            f"choose from 0 to {pairs}, the pairs of {targets} targets, or more targets",
        ),
        (cells < 1, "cells_per_condition", cells, "choose at least 1"),
        (control_cells < 1, "control_cells", control_cells, "choose at least 1"),
    ]
    for wrong, name, value, remedy in problems:
        if wrong:
            raise InputError(
                "this screen cannot be simulated.",
                where=f"simulation.{name}",
                found=str(value),
                remedy=remedy,
            )
