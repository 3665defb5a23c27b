"""Differential expression of every perturbation against control.

Mann-Whitney U by illico, whose values equal SciPy's asymptotic method with ties and continuity
corrected; ``benchmarks/differential_expression.py`` compares it with other libraries. Where a
screen has several batches, perturbed cells are compared with the control cells of their own
(:mod:`pipeline.batches`).
"""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from illico import asymptotic_wilcoxon
from loguru import logger
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control

from lcd_core.errors import InputError
from pipeline.batches import (
    batch_codes,
    matched_numbers,
    numbers_of_cells,
    unmatched,
    unmatched_message,
    van_elteren,
)
from pipeline.screen import CONTROL, TARGET_GENES, library_sizes, read_anndata, scaled_log1p

logger.disable("illico")  # it reports every call

TARGET_SUM = 1e4
CELLS_AT_A_TIME = 20_000


def sparse_lognorm(
    counts: sparse.csr_matrix, library_size: NDArray[np.float64]
) -> sparse.csr_matrix:
    """Scale counts from each cell's library size to 10,000, then ``log1p``; CSR ``float32``.

    Blocks of cells bound the memory of the float64 arithmetic; rounding its results to float32
    lets equal proportions of different cells tie.
    """
    starts = range(0, counts.shape[0], CELLS_AT_A_TIME)
    cells = (slice(start, start + CELLS_AT_A_TIME) for start in starts)
    blocks = [
        scaled_log1p(counts[c], library_size[c], TARGET_SUM).astype(np.float32) for c in cells
    ]
    return sparse.vstack(blocks, format="csr")


def pooled_log2_fold_change(
    counts: sparse.csr_matrix,
    library_size: NDArray[np.float64],
    codes: NDArray[np.integer],
    n_groups: int,
) -> NDArray[np.float64]:
    """Log2 ratio of each group's pooled rate of a gene to that of group 0, (n_groups - 1, genes).

    A rate is the sum of counts over the sum of library sizes; half a count is added to each sum of
    counts, so that a gene without any has a finite ratio, which shrinks towards 0. Other than a
    difference of mean log-normalised expression, it does not shrink with the depth of the cells.
    """
    cells = np.arange(len(codes))
    adding = sparse.csr_matrix((np.ones(len(codes)), (codes, cells)), shape=(n_groups, len(codes)))
    sums = np.asarray((adding @ counts).todense(), dtype=np.float64) + 0.5
    rates = sums / np.maximum(adding @ library_size, 1)[:, None]  # a group may be of empty cells
    return np.log2(rates[1:] / rates[0])


def group_means(
    values: sparse.csr_matrix, codes: NDArray[np.integer], n_groups: int
) -> NDArray[np.float64]:
    """Mean of each column over the cells of each group, (n_groups, columns)."""
    sizes = np.bincount(codes, minlength=n_groups)
    weights = (1.0 / sizes)[codes]
    cells = np.arange(len(codes))
    averaging = sparse.csr_matrix((weights, (codes, cells)), shape=(n_groups, len(codes)))
    return np.asarray((averaging @ values).todense(), dtype=np.float64)


def differential_expression(screen: ad.AnnData, *, n_threads: int) -> ad.AnnData:
    """Test every gene under every perturbation against the control cells.

    A perturbation's tests depend on its own cells and on the control alone, so that one table
    serves every split of the screen.

    Parameters
    ----------
    screen
        A screen: counts in ``X`` (CSR), ``obs["perturbation"]`` with control cells,
        ``obs["library_size"]``, and ``obs["batch"]`` if controls are to be matched by it.
    n_threads
        Threads; the result does not depend on them.

    Returns
    -------
    Perturbations (sorted) x genes (in the screen's order), float64:

    - ``X``: log fold change, the difference of mean log-normalised expression (10,000 counts per
      cell over the library, then log1p) to control, in natural log units;
    - ``layers["statistic"]``: U of the perturbation's cells on log-normalised expression;
    - ``layers["auroc"]``: U over its maximum, the chance that a perturbed cell has more than a
      control cell, ties counted half;
    - ``layers["p_value"]``: two-sided, asymptotic, corrected for ties and continuity;
    - ``layers["log2_fold_change"]``: of the pooled cells, see :func:`pooled_log2_fold_change`;
    - ``obs["n_cells"]``;
    - ``uns["target_genes"]`` of the screen, if it has one.

    With several batches the tests are van Elteren's, ``statistic`` is the sum of U over the
    batches, ``auroc`` their weighted share, and changes are to the control cells of the same
    batches, weighted by the perturbation's own; see :mod:`pipeline.batches`. Cells in batches
    without control cells are left out; ``obs["n_matched"]`` counts the others. A perturbation
    without any of these is compared with all control cells.

    Raises
    ------
    InputError
        If there are no control cells or no perturbations.
    """
    labels = pd.Categorical(screen.obs["perturbation"].astype(str))
    names = [str(name) for name in labels.categories if name != CONTROL]
    if CONTROL not in labels.categories or not names:
        raise InputError(
            f"differential expression needs cells of {CONTROL!r} and of at least one perturbation",
            where="obs['perturbation']",
            found=labels.categories,
        )
    labels = labels.reorder_categories([CONTROL, *names])
    genes = [str(gene) for gene in screen.var_names]
    batches = batch_codes(screen)
    obs = pd.DataFrame({"n_cells": np.bincount(labels.codes)[1:]}, index=names)
    if batches.any():
        layers, matched = batch_matched_tests(screen, labels, batches, n_threads)
        obs["n_matched"] = matched
    else:
        layers = all_controls_tests(screen, labels, n_threads)
    return ad.AnnData(
        X=layers.pop("log_fold_change"),
        obs=obs,
        var=pd.DataFrame(index=genes),
        layers=layers,
        uns={key: screen.uns[key] for key in (TARGET_GENES,) if key in screen.uns},
    )


def all_controls_tests(
    screen: ad.AnnData, labels: pd.Categorical, n_threads: int
) -> dict[str, NDArray[np.float64]]:
    """Compare every perturbation with all control cells; the layers and ``log_fold_change``.

    Parameters
    ----------
    screen
        A screen.
    labels
        Perturbation of each cell, the control first among the categories.
    n_threads
        Threads.
    """
    names = list(labels.categories[1:])
    counts, sizes_of_cells = sparse.csr_matrix(screen.X), library_sizes(screen)
    values = sparse_lognorm(counts, sizes_of_cells)
    sizes = np.bincount(labels.codes)
    means = group_means(values, labels.codes, len(sizes))

    genes = [str(gene) for gene in screen.var_names]
    pooled = pooled_log2_fold_change(counts, sizes_of_cells, labels.codes, len(sizes))
    columns = ad.AnnData(
        X=sparse.csc_matrix(values),
        obs=pd.DataFrame({"perturbation": labels}, index=screen.obs_names),
        var=pd.DataFrame(index=genes),
    )
    rows = pd.MultiIndex.from_product([names, genes], names=["perturbation", "gene"])
    tests = asymptotic_wilcoxon(
        columns,
        is_log1p=True,
        group_keys="perturbation",
        reference=CONTROL,
        n_threads=n_threads,
    ).loc[:, ["statistic", "p_value"]]
    tests = tests.reindex(rows)
    shape = (len(names), len(genes))
    statistic = tests["statistic"].to_numpy(dtype=np.float64).reshape(shape)
    return {
        "log_fold_change": means[1:] - means[0],
        "statistic": statistic,
        "auroc": statistic / (sizes[1:, None] * float(sizes[0])),
        "p_value": tests["p_value"].to_numpy(dtype=np.float64).reshape(shape),
        "log2_fold_change": pooled,
    }


def batch_matched_tests(
    screen: ad.AnnData, labels: pd.Categorical, batches: NDArray[np.intp], n_threads: int
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Compare every perturbation with the control cells of its batches.

    Parameters
    ----------
    screen, labels, n_threads
        As in :func:`all_controls_tests`.
    batches
        Number of each cell's batch.

    Returns
    -------
    What :func:`all_controls_tests` returns, and the cells of each perturbation that have control
    cells of their batch.
    """
    apart = unmatched(screen.obs)
    if apart:
        logging.warning("%s", unmatched_message(apart))
    codes = np.asarray(labels.codes, dtype=np.intp)
    n_groups = len(labels.categories)
    cells = numbers_of_cells(codes, batches, n_groups)
    matched = matched_numbers(cells)
    used = (codes == 0) | (cells[0] > 0)[batches]

    counts, sizes = sparse.csr_matrix(screen.X), library_sizes(screen)
    values = sparse_lognorm(counts, sizes)
    statistic, share, p_value = van_elteren(values[used], codes[used], batches[used], n_groups)

    change, log2_change = (np.empty(statistic.shape) for _ in range(2))
    n_batches = cells.shape[1]
    groups = np.where(codes == 0, n_groups - 1 + batches, codes - 1)  # controls of a batch are one
    adding = sparse.csr_matrix(
        (used.astype(np.float64), (groups, np.arange(len(groups)))),
        shape=(n_groups - 1 + n_batches, len(groups)),
    )
    sums, pooled = (np.asarray((adding @ each).todense()) for each in (values, counts))
    libraries = adding @ sizes
    own, controls = slice(n_groups - 1), slice(n_groups - 1, None)
    in_batches = sparse.csr_matrix(
        (sizes * used * (codes > 0), (np.maximum(codes - 1, 0), batches)),
        shape=(n_groups - 1, n_batches),
    ).toarray()
    with np.errstate(divide="ignore", invalid="ignore"):  # batches without control, of weight 0
        control_means = np.nan_to_num(sums[controls] / cells[0][:, None])
        control_rates = np.nan_to_num(pooled[controls] / libraries[controls][:, None])
        shares = matched / matched.sum(axis=1, keepdims=True)
        change = sums[own] / matched.sum(axis=1)[:, None] - shares @ control_means
        # A batch counts by the perturbation's library in it, as the pooled counts do.
        empty = in_batches.sum(axis=1, keepdims=True) == 0
        shares = np.where(empty, matched, in_batches)
        shares = shares / shares.sum(axis=1, keepdims=True)
        half = 0.5 / ((matched > 0) @ libraries[controls])[:, None]
        rates = (pooled[own] + 0.5) / np.maximum(libraries[own], 1)[:, None]
        log2_change = np.log2(rates / (shares @ control_rates + half))
    layers = {
        "log_fold_change": change,
        "statistic": statistic,
        "auroc": share,
        "p_value": p_value,
        "log2_fold_change": log2_change,
    }
    alone = matched.sum(axis=1) == 0
    if alone.any():
        kept = ~np.isin(codes, np.flatnonzero(~alone) + 1)
        rest = labels[kept].remove_unused_categories()
        for name, layer in all_controls_tests(screen[kept], rest, n_threads).items():
            layers[name][alone] = layer
    return layers, matched.sum(axis=1)


def read_differential_expression(path: str | Path) -> ad.AnnData:
    """Read what the rule ``differential_expression`` wrote."""
    return read_anndata(path)


def adjusted_p(tests: ad.AnnData) -> NDArray[np.float64]:
    """Benjamini-Hochberg over the genes of each perturbation, perturbations x genes."""
    p_values = tests.layers["p_value"]
    return np.asarray(false_discovery_control(p_values, axis=1)) if len(tests) else p_values


def tidy(tests: ad.AnnData) -> pd.DataFrame:
    """One row per perturbation and gene, ranked.

    ``p_adjusted`` is Benjamini-Hochberg over the genes that are there, ``rank`` goes by P value,
    then by absolute change, then by the order of genes.
    """
    rows = pd.MultiIndex.from_product(
        [tests.obs_names, tests.var_names], names=["perturbation", "gene"]
    )
    table = rows.to_frame(index=False)
    for name in ("statistic", "auroc"):
        table[name] = tests.layers[name].ravel()
    table["log_fold_change"] = np.asarray(tests.X).ravel()
    table["p_value"] = tests.layers["p_value"].ravel()
    table["p_adjusted"] = adjusted_p(tests).ravel()
    return ranked(table)


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``rank`` per perturbation: by P value, then by absolute change, then by gene order."""
    order = table.assign(size=-table["log_fold_change"].abs()).sort_values(
        ["perturbation", "p_value", "size"], kind="stable"
    )
    ranks = order.groupby("perturbation", sort=False).cumcount() + 1
    return table.assign(rank=ranks)
