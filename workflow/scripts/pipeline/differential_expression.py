"""Differential expression of every perturbation against control.

Mann-Whitney U by illico, whose values equal SciPy's asymptotic method with ties and continuity
corrected; ``benchmarks/differential_expression.py`` compares it with other libraries.
"""

import anndata as ad
import numpy as np
import pandas as pd
from illico import asymptotic_wilcoxon
from loguru import logger
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control

from lcd_core.errors import InputError
from pipeline.screen import CONTROL, scaled_log1p

logger.disable("illico")  # it reports every call

TARGET_SUM = 1e4
CELLS_AT_A_TIME = 20_000


def sparse_lognorm(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale counts to 10,000 per cell, then ``log1p``; CSR ``float32``.

    Blocks of cells bound the memory of the float64 arithmetic; rounding its results to float32
    lets equal proportions of different cells tie.
    """
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    starts = range(0, counts.shape[0], CELLS_AT_A_TIME)
    cells = (slice(start, start + CELLS_AT_A_TIME) for start in starts)
    blocks = [scaled_log1p(counts[c], totals[c], TARGET_SUM).astype(np.float32) for c in cells]
    return sparse.vstack(blocks, format="csr")


def group_means(
    values: sparse.csr_matrix, codes: NDArray[np.integer], n_groups: int
) -> NDArray[np.float64]:
    """Mean of each column over the cells of each group, (n_groups, columns)."""
    sizes = np.bincount(codes, minlength=n_groups)
    weights = (1.0 / sizes)[codes]
    cells = np.arange(len(codes))
    averaging = sparse.csr_matrix((weights, (codes, cells)), shape=(n_groups, len(codes)))
    return np.asarray((averaging @ values).todense(), dtype=np.float64)


def differential_expression(screen: ad.AnnData, *, n_threads: int = 1) -> pd.DataFrame:
    """Test every gene under every perturbation against the control cells.

    Parameters
    ----------
    screen
        A screen: counts in ``X`` (CSR), ``obs["perturbation"]`` with control cells.
    n_threads
        Threads; the result does not depend on them.

    Returns
    -------
    One row per perturbation (sorted) and gene (in the screen's order):

    - ``perturbation``, ``gene``;
    - ``statistic``: U of the perturbation's cells on log-normalised expression (10,000 counts
      per cell over the screen's genes, then log1p);
    - ``auroc``: U over its maximum, the chance that a perturbed cell has more than a control
      cell, ties counted half;
    - ``log_fold_change``: difference of the mean log-normalised expression, in natural log units;
    - ``p_value``: two-sided, asymptotic, corrected for ties and continuity;
    - ``p_adjusted``: Benjamini-Hochberg across the genes of one perturbation.

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
    values = sparse_lognorm(sparse.csr_matrix(screen.X))
    labels = labels.reorder_categories([CONTROL, *names])
    sizes = np.bincount(labels.codes)
    means = group_means(values, labels.codes, len(sizes))

    genes = [str(gene) for gene in screen.var_names]
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

    statistic = tests["statistic"].to_numpy().reshape(len(names), len(genes))
    p_value = tests["p_value"].to_numpy().reshape(len(names), len(genes))
    table = rows.to_frame(index=False)
    table["statistic"] = statistic.ravel()
    table["auroc"] = (statistic / (sizes[1:, None] * float(sizes[0]))).ravel()
    table["log_fold_change"] = (means[1:] - means[0]).ravel()
    table["p_value"] = p_value.ravel()
    table["p_adjusted"] = false_discovery_control(p_value, axis=1).ravel()
    return table


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``rank`` per perturbation: by P value, then by absolute change, then by gene order."""
    order = table.assign(size=-table["log_fold_change"].abs()).sort_values(
        ["perturbation", "p_value", "size"], kind="stable"
    )
    ranks = order.groupby("perturbation", sort=False).cumcount() + 1
    return table.assign(rank=ranks)
