"""Export the strongest effects as a table and as a network."""

import networkx as nx
import numpy as np
import pandas as pd

from lcd_core.edges import strongest_edges
from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.files import atomic
from pipeline.tables import write_tsv


def main(*, effects: str, edges: str, graphml: str, k: int = 50) -> None:
    """Write the ``k`` strongest edges of all, whether or not their cause was perturbed.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects).
    edges
        TSV: ``rank``, ``cause``, ``effect``, ``value``, ``perturbed`` (the cause, in training).
    graphml
        Directed network of these edges, as Cytoscape opens it; edges have ``value``, its
        magnitude ``weight``, ``sign`` and ``rank``, nodes ``perturbed``.
    k
        Number of edges.
    """
    if k < 1:
        raise InputError("the number of edges must be at least 1", found=f"k = {k}")
    matrix = read_effects(effects)
    if "perturbed" not in matrix.obs:
        raise InputError(
            "the column is missing",
            where=f"{effects}, obs['perturbed']",
            found=list(matrix.obs.columns),
        )
    top = strongest_edges(matrix.X.T, k, causes=matrix.var_names.get_indexer(matrix.obs_names))
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(top.value) + 1),
            "cause": matrix.obs_names[top.cause],
            "effect": matrix.var_names[top.effect],
            "value": top.value,
            "perturbed": matrix.obs["perturbed"].to_numpy(dtype=bool)[top.cause],
        }
    )
    network = build_network(table, perturbed=matrix.obs_names[matrix.obs["perturbed"].astype(bool)])
    write_tsv(table, edges)
    with atomic(graphml) as temporary:
        nx.write_graphml_xml(network, temporary)


def build_network(table: pd.DataFrame, perturbed: pd.Index) -> nx.DiGraph:
    """Directed network of the edges in ``table``, genes as nodes."""
    network = nx.DiGraph()
    for gene in pd.unique(table[["cause", "effect"]].to_numpy().ravel()):
        network.add_node(gene, perturbed=bool(gene in perturbed))
    for row in table.itertuples(index=False):
        network.add_edge(
            row.cause,
            row.effect,
            value=float(row.value),
            weight=abs(float(row.value)),
            sign="positive" if row.value > 0 else "negative",
            rank=int(row.rank),
        )
    return network


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
