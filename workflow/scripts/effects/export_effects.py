"""Export the effects with their modules, and the strongest as a table and as a network."""

import networkx as nx
import numpy as np
import pandas as pd

from evaluation.edges import strongest_edges
from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv, write_tsv

SPREAD = ("sd", "sign_agreement")
"""Layers of an ensemble that say how far its fits agree."""


def main(
    *, effects: str, membership: str, annotated: str, edges: str, graphml: str, k: int
) -> None:
    """Write the ``k`` strongest edges of all, whether or not their cause was perturbed.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects) of all genes.
    membership
        TSV of every gene and its module.
    annotated
        The effect matrix with the column ``module`` in ``obs`` and ``var``.
    edges
        TSV: ``rank``, ``cause``, ``effect``, ``value``, ``perturbed`` (the cause, in training)
        and, of several fits, ``sd`` and ``sign_agreement``.
    graphml
        Directed network of these edges, as Cytoscape opens it; edges have ``value``, its
        magnitude ``weight``, ``sign``, ``rank`` and, of several fits, ``sd`` and
        ``sign_agreement``, nodes ``perturbed`` and ``module`` (0 for none).
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
    for layer in SPREAD:
        if layer in matrix.layers:
            table[layer] = matrix.layers[layer][top.cause, top.effect]
    modules = modules_of(membership, matrix.var_names)
    matrix.obs["module"] = modules.reindex(matrix.obs_names)
    matrix.var["module"] = modules
    perturbed = matrix.obs_names[matrix.obs["perturbed"].astype(bool)]
    network = build_network(table, perturbed=perturbed, modules=modules)
    write_h5ad(matrix, annotated)
    write_tsv(table, edges)
    with atomic(graphml) as temporary:
        nx.write_graphml_xml(network, temporary)


def modules_of(membership: str, genes: pd.Index) -> pd.Series:
    """Module of each gene, missing for none; nullable integers."""
    table = read_tsv(membership, dtype={"gene": str, "module": "Int64"}).set_index("gene")
    unknown = genes.difference(table.index)
    if len(unknown):
        raise InputError(
            "genes of the effect matrix are missing",
            where=membership,
            found=unknown,
            remedy="make the modules from the same effects",
        )
    return table["module"].reindex(genes)


def build_network(table: pd.DataFrame, perturbed: pd.Index, modules: pd.Series) -> nx.DiGraph:
    """Directed network of the edges in ``table``, genes as nodes."""
    network = nx.DiGraph()
    numbers = modules.fillna(0).astype(int)
    for gene in pd.unique(table[["cause", "effect"]].to_numpy().ravel()):
        network.add_node(gene, perturbed=bool(gene in perturbed), module=int(numbers[gene]))
    spread = [layer for layer in SPREAD if layer in table]
    for row in table.itertuples(index=False):
        network.add_edge(
            row.cause,
            row.effect,
            value=float(row.value),
            weight=abs(float(row.value)),
            sign="positive" if row.value > 0 else "negative",
            rank=int(row.rank),
            **{layer: float(getattr(row, layer)) for layer in spread},
        )
    return network


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
