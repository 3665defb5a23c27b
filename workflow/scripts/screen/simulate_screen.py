"""Simulate a perturbation screen whose causal graph and gene modules are known."""

import logging
from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from lcd_core.atomic import atomic
from pipeline.screen import write_h5ad
from pipeline.tables import write_tsv
from simulation.perturbations import TargetsFrom
from simulation.simulator import Kind, NetworkKind, SimulatedScreen, simulate_screen

INDIRECT_STEPS = (2, 3)
MODULES: dict[NetworkKind, str] = {
    "modules": "genes that share regulators in the simulation",
    "cascades": "genes below one chain of regulators in the simulation",
}


def edge_table(simulated: SimulatedScreen) -> pd.DataFrame:
    """Return the edges of the true graph, one a row, ordered as the genes are."""
    names = np.array(simulated.genes)
    cause, effect = np.nonzero(simulated.effects.T)
    weight = simulated.effects[effect, cause]
    return pd.DataFrame(
        {
            "cause": names[cause],
            "effect": names[effect],
            "weight": weight,
            "sign": np.sign(weight).astype(int),
        }
    )


def indirect_table(simulated: SimulatedScreen) -> pd.DataFrame:
    """Return the pairs without an edge that a chain of two or three leads to, by shortest chain."""
    names = np.array(simulated.genes)
    steps = simulated.network.distances().T
    cause, effect = np.nonzero(np.isin(steps, INDIRECT_STEPS))
    return pd.DataFrame(
        {
            "cause": names[cause],
            "effect": names[effect],
            "steps": steps[cause, effect].astype(int),
        }
    )


def target_table(simulated: SimulatedScreen) -> pd.DataFrame:
    """Return what the perturbation of each target does to its production, by name."""
    return pd.DataFrame(
        {
            "target": list(simulated.fold_changes),
            "fold_change": list(simulated.fold_changes.values()),
            "failed": [target in simulated.failed for target in simulated.fold_changes],
        }
    )


def main(
    *,
    screen: str,
    effects: str,
    indirect: str,
    perturbed: str,
    modules: str,
    pathways: str,
    network: NetworkKind,
    genes: int,
    targets: int,
    targets_from: TargetsFrom,
    doubles: int,
    cells_per_condition: int,
    control_cells: int,
    kind: Kind,
    failed_share: float,
    confounding: float,
    depth: float,
    dominant_gene: float | None,
    seed: int,
) -> None:
    """Write the simulated screen and its truth.

    That is its direct effects, pairs with indirect ones, what each perturbation does to its
    target, and two GMT files: the modules, and these with all that regulates them.
    """
    simulated = simulate_screen(
        network=network,
        genes=genes,
        targets=targets,
        targets_from=targets_from,
        doubles=doubles,
        cells_per_condition=cells_per_condition,
        control_cells=control_cells,
        kind=kind,
        failed_share=failed_share,
        confounding=confounding,
        depth=depth,
        dominant_gene=dominant_gene,
        seed=seed,
    )
    edges = edge_table(simulated)
    logging.info(
        "%d cells, %d genes, %d perturbations, %d edges; median library size %.0f, zeros %.0f%%",
        *simulated.counts.shape,
        len(np.unique(simulated.perturbations)) - 1,
        len(edges),
        np.median(simulated.library_size),
        100 * np.mean(simulated.counts == 0),
    )
    write_h5ad(
        ad.AnnData(
            csr_matrix(simulated.counts),
            obs=pd.DataFrame(
                {"perturbation": pd.Categorical(simulated.perturbations)},
                index=[f"cell_{number}" for number in range(len(simulated.counts))],
            ),
            var=pd.DataFrame(index=list(simulated.genes)),
        ),
        screen,
    )
    write_tsv(edges, effects)
    write_tsv(indirect_table(simulated), indirect)
    write_tsv(target_table(simulated), perturbed)
    write_gmt(modules, simulated.modules, MODULES[network])
    write_gmt(
        pathways, with_regulators(simulated.modules, edges), f"{MODULES[network]}, and regulators"
    )


def write_gmt(path: str, sets: Mapping[str, Sequence[str]], description: str) -> None:
    """Write gene sets, one a line."""
    with atomic(path) as temporary:
        lines = ["\t".join([f"SIM_{name}", description, *own]) for name, own in sets.items()]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def with_regulators(
    modules: Mapping[str, Sequence[str]], edges: pd.DataFrame
) -> dict[str, list[str]]:
    """Add to each module the genes of no module that act on it, directly or through each other.

    What a database of pathways knows of a cell: methods that need one have it for simulated cells.
    """
    members = {gene for own in modules.values() for gene in own}
    above = edges[~edges["cause"].isin(members)]
    found = {}
    for name, own in modules.items():
        reached, frontier = set(own), set(own)
        while frontier:
            frontier = set(above.loc[above["effect"].isin(frontier), "cause"]) - reached
            reached |= frontier
        found[name] = [*own, *sorted(reached.difference(own))]
    return found


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
