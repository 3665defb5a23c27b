"""Simulate a perturbation screen whose causal graph and gene modules are known."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from lcd_core.atomic import atomic
from pipeline.screen import write_h5ad
from pipeline.tables import write_tsv
from simulation.simulator import Kind, SimulatedScreen, simulate_screen


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


def main(
    *,
    screen: str,
    effects: str,
    modules: str,
    genes: int,
    targets: int,
    doubles: int,
    cells_per_condition: int,
    control_cells: int,
    kind: Kind,
    seed: int,
) -> None:
    """Write the simulated screen, its true direct effects, and its modules as a GMT file."""
    simulated = simulate_screen(
        genes=genes,
        targets=targets,
        doubles=doubles,
        cells_per_condition=cells_per_condition,
        control_cells=control_cells,
        kind=kind,
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
    with atomic(modules) as temporary:
        lines = [
            "\t".join([f"SIM_{name}", "genes that share regulators in the simulation", *members])
            for name, members in simulated.modules.items()
        ]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
