"""Select the genes of a fold from its training cells, and split the screen accordingly."""

import logging
import warnings
from collections import Counter
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control, norm

from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.screen import CONTROL, read_screen, scaled_log1p, targets_of, write_cells
from pipeline.tables import read_tsv, write_tsv

ALL = "all"  # the fold that trains on every condition and tests none


def main(
    *,
    screen: str,
    folds: str | None,
    genes: str,
    markers: str,
    train: str,
    test: str,
    test_perturbations: str,
    fold: str,
    n_genes: int | None,
    markers_per_perturbation: int,
) -> None:
    """Select genes and marker genes on a fold's training cells and write its two screens.

    Genes are taken in this order: targets of test perturbations, targets of training
    perturbations, genes that are markers of many training perturbations, highly variable genes
    by Seurat's dispersion over control and single-perturbation cells. Counts are scaled to the
    median library size of the control cells and log1p-transformed. Of the test perturbations
    only the names are used.

    Parameters
    ----------
    screen
        The filtered screen.
    folds
        Table of folds; none for the fold ``all``, which trains on all conditions.
    genes
        TSV to write: gene, rank, reason, n_marker_perturbations, dispersion, mean_control.
    markers
        TSV to write: perturbation, rank, gene, statistic, p_value, p_adjusted, log_fold_change.
    train, test
        Screens to write: training and held-out cells, genes in the order of their rank.
    test_perturbations
        Text file to write: one test perturbation a line.
    fold
        Name of the fold.
    n_genes
        Genes to select; None, or more than there are, for all.
    markers_per_perturbation
        Genes of least P value (Mann-Whitney U against control) that are a perturbation's markers.

    Raises
    ------
    InputError
        If the fold is not in the table, or its perturbations not in the screen.
    """
    cells = read_screen(screen)
    labels = cells.obs["perturbation"].to_numpy(dtype=str)
    training, held_out = roles(folds, fold, sorted(set(labels)), screen)
    train_cells = cells[np.isin(labels, training)].copy()
    test_cells = cells[np.isin(labels, held_out)].copy()
    del cells  # whole screens are large

    table, marker_table = rank_genes(train_cells, held_out, markers_per_perturbation)
    if n_genes is None or n_genes >= len(table):
        table["reason"] = ALL
    else:
        n_targets = int(table["reason"].str.endswith("target").sum())
        if n_targets > n_genes:
            logging.warning("%d targets are measured, but only %d genes", n_targets, n_genes)
        table = table.head(n_genes)
    logging.info("genes by reason: %s", table["reason"].value_counts().to_dict())

    write_tsv(table, genes)
    write_tsv(marker_table, markers)
    with atomic(test_perturbations) as temporary:
        Path(temporary).write_text("".join(f"{name}\n" for name in held_out))
    selected = table["gene"].to_numpy()
    write_cells(train_cells[:, selected], train)
    write_cells(test_cells[:, selected], test)


def roles(
    folds: str | None, fold: str, perturbations: list[str], screen: str
) -> tuple[list[str], list[str]]:
    """Return the training conditions (control included) and the test perturbations of a fold."""
    if fold == ALL:
        return perturbations, []
    assert folds, f"fold {fold!r} needs the table of folds"
    table = read_tsv(folds, dtype=str)
    own = table[table["fold"] == fold]
    if own.empty:
        raise InputError(
            f"there is no fold {fold!r}",
            where=f"{folds}",
            found=f"folds {', '.join(table['fold'].unique()) or 'none'}",
            remedy="ask for one of these folds",
        )
    unknown = sorted(set(own["perturbation"]) - set(perturbations))
    if unknown:
        raise InputError(
            "perturbations of the fold are not in the screen",
            where=f"{folds}",
            found=unknown,
            remedy=f"make the folds again from the conditions of {screen}",
        )
    by_role = own.groupby("role")["perturbation"].agg(list)
    return by_role.get("train", []), by_role.get("test", [])


def rank_genes(
    train: ad.AnnData, held_out: list[str], markers_per_perturbation: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return all genes in the order of selection, and the markers of each perturbation."""
    labels = train.obs["perturbation"].to_numpy(dtype=str)
    library_size = train.obs["library_size"].to_numpy(dtype=np.float64)
    control = labels == CONTROL
    target_sum = float(np.median(library_size[control]))
    names, groups = np.unique(labels[~control], return_inverse=True)
    group = np.zeros(len(labels), dtype=np.int64)
    group[~control] = groups + 1
    factors = np.divide(target_sum, library_size, out=np.zeros(len(labels)), where=library_size > 0)
    markers = find_markers(train, list(names), group, factors, markers_per_perturbation)

    one_target = np.array([len(targets_of(name)) <= 1 for name in labels])
    base = scaled_log1p(train.X[one_target], library_size[one_target], target_sum)
    test_targets = {target for name in held_out for target in targets_of(name)}
    training_targets = {target for name in names for target in targets_of(name)}
    times_marker = Counter(markers["gene"])

    table = pd.DataFrame({"gene": train.var_names.to_numpy(dtype=object)})
    table["n_marker_perturbations"] = [times_marker[gene] for gene in table["gene"]]
    table["dispersion"] = normalised_dispersion(base, train.var_names)
    table["mean_control"] = np.asarray(train.X[control].mean(axis=0, dtype=np.float64)).ravel()
    table["reason"] = np.select(
        [
            table["gene"].isin(test_targets),
            table["gene"].isin(training_targets),
            table["n_marker_perturbations"] > 0,
        ],
        ["test target", "training target", "marker"],
        "dispersion",
    )
    priority = table["reason"].map({"test target": 0, "training target": 1}).fillna(2)
    # Stable: genes equal in everything keep the order of the screen.
    order = np.lexsort(
        (-table["dispersion"].fillna(-np.inf), -table["n_marker_perturbations"], priority)
    )
    table = table.iloc[order].reset_index(drop=True)
    table.insert(1, "rank", np.arange(1, len(table) + 1))
    table.insert(2, "reason", table.pop("reason"))
    return table, markers


def normalised_dispersion(log_values: sparse.csr_matrix, genes: pd.Index) -> NDArray[np.float64]:
    """Seurat's dispersion of each gene, standardised among genes of similar mean (20 bins).

    Missing for genes that these cells do not express.
    """
    import scanpy as sc  # takes seconds to import

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="invalid value encountered in log")
        result = sc.pp.highly_variable_genes(
            ad.AnnData(log_values, var=pd.DataFrame(index=genes)), flavor="seurat", inplace=False
        )
    return result["dispersions_norm"].to_numpy(dtype=np.float64)


def find_markers(
    train: ad.AnnData,
    names: list[str],
    group: NDArray[np.int64],
    factors: NDArray[np.float64],
    number: int,
) -> pd.DataFrame:
    """Return the ``number`` genes of each perturbation that differ most from control.

    Parameters
    ----------
    train
        Training cells.
    names
        Perturbations.
    group
        Number of each cell's perturbation among these, from 1; 0 for control, (n,).
    factors
        What each cell's counts are scaled by, (n,).
    number
        Markers of each perturbation.
    """
    columns = ["perturbation", "rank", "gene", "statistic", "p_value", "p_adjusted"]
    if number == 0 or not names:
        return pd.DataFrame(columns=[*columns, "log_fold_change"])
    genes = train.var_names.to_numpy(dtype=object)
    u, z, change = mann_whitney(train.X.tocsc(), factors, group, len(names) + 1)
    tables = []
    for row, name in enumerate(names):
        p_value = np.minimum(1, 2 * norm.sf(z[row]))
        # By z, which orders as P values do and stays distinct where these underflow.
        best = np.lexsort((-np.abs(change[row]), -z[row]))[:number]
        tables.append(
            pd.DataFrame(
                {
                    "perturbation": name,
                    "rank": np.arange(1, len(best) + 1),
                    "gene": genes[best],
                    "statistic": u[row, best],
                    "p_value": p_value[best],
                    "p_adjusted": false_discovery_control(p_value, method="bh")[best],
                    "log_fold_change": change[row, best],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def mann_whitney(
    counts: sparse.csc_matrix,
    factors: NDArray[np.float64],
    group: NDArray[np.int64],
    n_groups: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compare each group of cells with group 0, gene by gene, by the Mann-Whitney U test.

    The values of a gene are sorted once for all groups, and zeros are counted, not sorted: on
    screens with hundreds of perturbations this takes minutes where a test per perturbation takes
    hours.

    Parameters
    ----------
    counts
        Cells x genes, (n, d).
    factors
        What each cell's counts are scaled by, (n,); positive where a cell has counts.
    group
        Group of each cell, (n,).
    n_groups
        Number of groups, q; none is empty.

    Returns
    -------
    u
        Statistic of the groups 1, ..., q - 1, (q - 1, d).
    z
        Absolute deviation from its expectation in standard deviations, corrected for ties and
        continuity, (q - 1, d); negative where only continuity is left, 0 where all values tie.
    change
        Difference of the means of log1p-transformed values to group 0, (q - 1, d).
    """
    n_genes = counts.shape[1]
    sizes = np.bincount(group, minlength=n_groups).astype(np.float64)
    u = np.empty((n_groups, n_genes))
    ties = np.empty((n_groups, n_genes))
    mean = np.empty((n_groups, n_genes))
    for gene in range(n_genes):
        own = slice(counts.indptr[gene], counts.indptr[gene + 1])
        cell = counts.indices[own]
        values, groups = counts.data[own] * factors[cell], group[cell]
        order = np.lexsort((values, groups))
        values, groups = values[order], groups[order]
        zeros = sizes - np.bincount(groups, minlength=n_groups)
        control = values[: len(values) - np.count_nonzero(groups)]

        # Runs of one value within one group, and where they fall among the control's values.
        new = np.ones(len(values), dtype=bool)
        new[1:] = (values[1:] != values[:-1]) | (groups[1:] != groups[:-1])
        start = np.flatnonzero(new)
        length = np.diff(np.append(start, len(values)))
        value, of = values[start], groups[start]
        below = np.searchsorted(control, value, side="left")
        up_to = np.searchsorted(control, value, side="right")

        def per_group(weights: NDArray[np.float64], of: NDArray[np.int64] = of) -> NDArray:
            return np.bincount(of, weights=weights, minlength=n_groups)

        u[:, gene] = per_group(length * (zeros[0] + (below + up_to) / 2)) + zeros * zeros[0] / 2
        mean[:, gene] = per_group(length * np.log1p(value)) / sizes
        shared = up_to - below
        is_control = of == 0
        ties[:, gene] = (
            cubic(zeros + zeros[0])
            + cubic(length[is_control]).sum()
            + per_group(cubic(shared + length) - cubic(shared))
        )
    u, ties, change = u[1:], ties[1:], mean[1:] - mean[0]
    product, total = (sizes[1:] * sizes[0])[:, None], (sizes[1:] + sizes[0])[:, None]
    variance = product / 12 * (total + 1 - ties / (total * (total - 1)))
    deviation = np.abs(u - product / 2) - 0.5
    z = np.divide(
        deviation, np.sqrt(variance), out=np.zeros_like(u), where=variance > 1e-9 * product
    )
    return u, z, change


def cubic(n: NDArray) -> NDArray[np.float64]:
    """Return what a tie of ``n`` values takes from the variance of rank sums, ``n^3 - n``."""
    n = n.astype(np.float64)
    return n**3 - n


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
