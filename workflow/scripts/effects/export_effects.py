"""Export the effects with their modules, and the strongest as a table and as a network."""

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.edges import strongest_edges
from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.effects import ranking, read_effects
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv, write_tsv

UNCERTAINTY = ("error", "resolution", "sd", "sign_agreement")
"""Layers that say how certain an effect is, where the estimate or an ensemble has them."""
NORMAL = 1.959964  # of a 95% interval


def main(
    *,
    effects: str,
    membership: str,
    annotated: str,
    edges: str,
    untestable_edges: str,
    graphml: str,
    k: int,
) -> None:
    """Write the ``k`` strongest edges of causes that were perturbed, and of the others apart.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects) of all genes.
    membership
        TSV of every gene and its module.
    annotated
        The effect matrix with the column ``module`` in ``obs`` and ``var``.
    edges
        TSV: ``rank``, ``cause``, ``effect``, ``value``, ``score``, and where there are errors
        ``low``, ``high`` (95% interval of the value), ``error`` and ``resolution``; of several
        fits also ``sd`` and ``sign_agreement``.
    untestable_edges
        The same of causes that were never perturbed, which no test of the screen can contradict.
    graphml
        Directed network of ``edges``, as Cytoscape opens it; edges have ``value``, the magnitude
        of their score as ``weight``, ``sign``, ``rank`` and the columns of uncertainty, nodes
        ``perturbed`` and ``module`` (0 for none).
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
    seen = matrix.obs["perturbed"].to_numpy(dtype=bool)
    table = edge_table(matrix, seen, k)
    modules = modules_of(membership, matrix.var_names)
    matrix.obs["module"] = modules.reindex(matrix.obs_names)
    matrix.var["module"] = modules
    network = build_network(table, perturbed=matrix.obs_names[seen], modules=modules)
    write_h5ad(matrix, annotated)
    write_tsv(table, edges)
    write_tsv(edge_table(matrix, ~seen, k), untestable_edges)
    with atomic(graphml) as temporary:
        nx.write_graphml_xml(network, temporary)


def edge_table(matrix: ad.AnnData, causes: NDArray[np.bool_], k: int) -> pd.DataFrame:
    """The k strongest edges of some causes."""
    top = strongest_edges(
        ranking(matrix),
        k,
        causes=matrix.var_names.get_indexer(matrix.obs_names),
        eligible=np.tile(causes, (matrix.n_vars, 1)),
    )
    at = top.cause, top.effect
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(top.value) + 1),
            "cause": matrix.obs_names[top.cause],
            "effect": matrix.var_names[top.effect],
            "value": np.asarray(matrix.X)[at],
            "score": top.value,
        }
    )
    if "error" in matrix.layers:
        reach = NORMAL * matrix.layers["error"][at]
        table["low"], table["high"] = table["value"] - reach, table["value"] + reach
    for layer in UNCERTAINTY:
        if layer in matrix.layers:
            table[layer] = matrix.layers[layer][at]
    return table


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
    own = [name for name in UNCERTAINTY if name in table]
    for row in table.itertuples(index=False):
        network.add_edge(
            row.cause,
            row.effect,
            value=float(row.value),
            weight=abs(float(row.score)),
            sign="positive" if row.score > 0 else "negative",
            rank=int(row.rank),
            **{name: float(getattr(row, name)) for name in own},
        )
    return network


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
