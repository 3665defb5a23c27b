"""Simulate a perturbation screen whose causal graph and gene modules are known."""

import logging

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
    target, and the modules as a GMT file.
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
    with atomic(modules) as temporary:
        lines = [
            "\t".join([f"SIM_{name}", MODULES[network], *members])
            for name, members in simulated.modules.items()
        ]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
