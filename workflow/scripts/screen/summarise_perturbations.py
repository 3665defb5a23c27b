"""What a screen shows of each perturbation: its differential expression, and its own genes."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from lcd_core.errors import shown
from pipeline.differential_expression import adjusted_p, read_differential_expression
from pipeline.screen import target_genes, targets_of
from pipeline.tables import read_tsv, write_tsv

TOP_GENES = 5
MOVED, AGAINST, STILL = "moved", "moved against the others", "did not move"
REMOVED, UNMEASURED = "removed", "not measured"


def main(*, tests: str, removed_genes: str, perturbations: str, targets: str, alpha: float) -> None:
    """Count the differentially expressed genes, and say whether targets moved their own genes.

    A failed knock-down leaves its own gene where it was, and what follows from it is no effect of
    that gene. Nothing is removed here.

    Parameters
    ----------
    tests
        Differential expression of the screen.
    removed_genes
        TSV of the genes that quality control removed.
    perturbations
        TSV to write: perturbation, n_targets, n_cells, n_up, n_down, top_genes.
    targets
        TSV to write, for each gene of each target of each perturbation: target, perturbation,
        gene, measured, kept, removed_by, n_cells, log2_fold_change, p_value, p_adjusted, status.
    alpha
        False discovery rate below which a change counts.
    """
    found = read_differential_expression(tests)
    write_tsv(counts_of_genes(found, alpha), perturbations)
    own = own_genes(found, read_tsv(removed_genes, dtype={"gene": str}), alpha)
    write_tsv(own, targets)
    n_by_status = own["status"].value_counts().to_dict()
    logging.info("own genes of the perturbations: %s", n_by_status)
    for status in (STILL, AGAINST):
        names = own.loc[own["status"] == status, "perturbation"].unique()
        if len(names):
            logging.warning(
                "own genes that %s, so that the perturbation may have failed: %s",
                status,
                shown(names),
            )


def counts_of_genes(tests: ad.AnnData, alpha: float) -> pd.DataFrame:
    """One row per perturbation: differentially expressed genes up and down, the first by rank."""
    changed = adjusted_p(tests) < alpha
    change = tests.layers["log2_fold_change"]
    rows = []
    for row, name in enumerate(tests.obs_names):
        size = np.abs(np.asarray(tests.X)[row])
        order = np.lexsort((-size, tests.layers["p_value"][row]))
        first = [gene for gene in order[:TOP_GENES] if changed[row, gene]]
        rows.append(
            {
                "perturbation": name,
                "n_targets": len(targets_of(name)),
                "n_cells": tests.obs["n_cells"].iloc[row],
                "n_up": int((changed[row] & (change[row] > 0)).sum()),
                "n_down": int((changed[row] & (change[row] < 0)).sum()),
                "top_genes": ", ".join(tests.var_names[first]) or None,
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values(["n_targets", "perturbation"], kind="stable", ignore_index=True)


def own_genes(tests: ad.AnnData, removed: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """One row per target, perturbation and gene of the target, singles first.

    The P values are adjusted among themselves (Benjamini-Hochberg): whether a perturbation moved
    its own gene is one question for each, and not one of all genes.
    """
    genes = target_genes(tests, {target for name in tests.obs_names for target in targets_of(name)})
    removed_by = removed.set_index("gene")["step"]
    rows = []
    for name in sorted(tests.obs_names, key=lambda name: (len(targets_of(name)), name)):
        for target in targets_of(name):
            rows += [(target, name, gene) for gene in genes[target]]
    table = pd.DataFrame(rows, columns=["target", "perturbation", "gene"])
    table = table.sort_values("target", kind="stable", ignore_index=True)
    table["kept"] = table["gene"].isin(tests.var_names)
    table["removed_by"] = table["gene"].map(removed_by)
    table.insert(3, "measured", table["kept"] | table["removed_by"].notna())
    at = tests.obs_names.get_indexer(table["perturbation"])
    table["n_cells"] = tests.obs["n_cells"].to_numpy()[at]
    column = tests.var_names.get_indexer(table["gene"])
    for name in ("log2_fold_change", "p_value"):
        table[name] = np.where(table["kept"], tests.layers[name][at, column], np.nan)
    tested = table["p_value"].notna()
    table["p_adjusted"] = np.nan
    if tested.any():
        table.loc[tested, "p_adjusted"] = false_discovery_control(table.loc[tested, "p_value"])
    return table.assign(status=statuses(table, alpha))


def statuses(table: pd.DataFrame, alpha: float) -> list[str]:
    """Say of each own gene whether it moved, and the way in which most of those that moved did."""
    moved = (table["p_adjusted"] < alpha).to_numpy()
    direction = np.sign(table["log2_fold_change"].to_numpy(dtype=float))
    # 0 where as many went up as down: then neither way is the wrong one.
    majority = np.sign(direction[moved].sum())
    against = moved & (direction * majority < 0)
    return np.select(
        [~table["measured"], ~table["kept"], against, moved],
        [UNMEASURED, REMOVED, AGAINST, MOVED],
        STILL,
    ).tolist()


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
