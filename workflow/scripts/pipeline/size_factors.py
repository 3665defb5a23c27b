"""Effective library sizes: what the counts of a cell are divided by before cells are compared.

Scaling by the total makes the genes of a cell compete for it: where one gene holds half of all
counts, a perturbation that halves it raises all others by a third. An effective library size (the
term of edgeR) is a total that has been freed from such genes; it is used wherever
``obs["library_size"]`` would be to make cells comparable.
"""

from collections.abc import Collection, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.batches import batch_codes
from pipeline.screen import CONTROL

COLUMN_PREFIX = "obs:"
MIN_MEAN = 0.1
"""Mean count per cell of the genes whose ratios count, as scran has it for UMI counts."""


def pooled_counts(cells: ad.AnnData) -> pd.DataFrame:
    """Counts of each condition summed over its cells, conditions (control first) x genes."""
    labels = cells.obs["perturbation"].astype(str)
    names = sorted(labels.unique(), key=lambda name: (name != CONTROL, name))
    codes = pd.Categorical(labels, categories=names).codes
    members = sparse.csr_matrix(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(len(names), len(codes))
    )
    return pd.DataFrame((members @ cells.X).toarray(), index=names, columns=cells.var_names)


def largest_shares(cells: ad.AnnData, percent: float) -> pd.DataFrame:
    """Genes that hold more than ``percent`` of all counts of a condition, the largest first.

    Returns
    -------
    Columns ``gene``; ``perturbation``, the condition where its share is largest; ``percent``, that
    share; ``n_conditions``, the conditions where it is above the bound.
    """
    pooled = pooled_counts(cells)
    totals = cells.obs["library_size"].groupby(cells.obs["perturbation"].astype(str)).sum()
    shares = 100 * pooled.div(totals.clip(lower=1), axis="index").loc[pooled.index]
    above = (shares > percent).sum()
    genes = above.index[above > 0]
    table = pd.DataFrame(
        {
            "gene": genes,
            "perturbation": [shares[gene].idxmax() for gene in genes],
            "percent": [shares[gene].max() for gene in genes],
            "n_conditions": above[genes].to_numpy(),
        }
    )
    return table.sort_values("percent", ascending=False, kind="stable", ignore_index=True)


def effective_library_sizes(
    cells: ad.AnnData, size_factors: str, dominant_genes: Collection[str], where: str
) -> NDArray[np.float64]:
    """Counts per cell that its expression is scaled from, (n,).

    Parameters
    ----------
    cells
        Cells that passed quality control, with all genes of the imported file and
        ``obs["library_size"]``.
    size_factors
        ``total``, ``leave_dominant_out``, ``median_ratio`` or ``obs:`` and a column; see
        ``quality_control.size_factors``.
    dominant_genes
        Genes that ``leave_dominant_out`` leaves out.
    where
        Path of the screen, for messages.

    Raises
    ------
    InputError
        If a cell would have no size, or the ratios of a condition no median.
    """
    totals = cells.obs["library_size"].to_numpy(dtype=np.float64)
    if size_factors == "total":
        return totals
    if size_factors == "median_ratio":
        return totals * median_ratios(cells, where)
    if size_factors == "leave_dominant_out":
        own = totals_without(cells, dominant_genes, where)
    else:
        own = column_values(cells, size_factors.removeprefix(COLUMN_PREFIX), where)
    # Only their ratios between cells count: the level stays that of the library sizes, so that
    # expression per 10,000 counts means the same.
    control = cells.obs["perturbation"].to_numpy(dtype=str) == CONTROL
    return own * (np.median(totals[control]) / np.median(own[control]))


def median_ratios(cells: ad.AnnData, where: str) -> NDArray[np.float64]:
    """Composition of each cell's condition against the control's, (n,).

    The counts of a condition are pooled, and the median over genes of the ratio of their shares
    to those of the pooled control corrects the library sizes of its cells, as in DESeq2 (Anders &
    Huber 2010, equation 5), on pools of cells, since most counts of single cells are zero, and
    with scran's choice of genes (Lun et al. 2016, rescaling between clusters: genes whose mean
    count over both pools is at least 0.1). The control is the reference, and not the mean of all
    conditions, so that a perturbation depends on its own cells and on the control alone. Cells of
    one condition differ by their library sizes.

    Where the screen has batches, the control's shares are those of each batch, weighted by the
    condition's library in it: batches differ in composition too. Batches without control cells do
    not count, unless a condition is in no others.
    """
    pooled = pooled_counts(cells)
    labels = cells.obs["perturbation"].astype(str)
    totals = cells.obs["library_size"].groupby(labels).sum()[pooled.index]
    n_cells = labels.value_counts()
    shares = pooled.to_numpy() / totals.clip(lower=1).to_numpy()[:, None]  # empty cells
    depth = totals[CONTROL] / n_cells[CONTROL]
    ratios = {}
    references = shares[[0] * len(shares)]
    if batch_codes(cells).any():
        shares, references = batch_matched_shares(cells, list(pooled.index), shares, references)
    for name, own, control in zip(pooled.index, shares, references, strict=True):
        expressed = 0.5 * (own + control) * depth >= MIN_MEAN
        with np.errstate(divide="ignore"):
            each = own[expressed] / control[expressed]
        ratios[name] = float(np.median(each)) if len(each) else 0.0
        if not 0 < ratios[name] < np.inf:
            raise InputError(
                "the median of the ratios to control is no size factor: too few genes are "
                "expressed in both",
                where=f"{where}, cells of {name!r}",
                found=f"median {ratios[name]:g} over {len(each)} genes of mean count "
                f"{MIN_MEAN:g} or more",
                remedy="set quality_control.size_factors to total or leave_dominant_out, or raise "
                "quality_control.min_cells_per_perturbation",
            )
    return labels.map(ratios).to_numpy(dtype=np.float64)


def batch_matched_shares(
    cells: ad.AnnData,
    names: Sequence[str],
    shares: NDArray[np.float64],
    references: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the counts of each condition, and of the control as it is in the same batches.

    Parameters
    ----------
    cells
        A screen with ``obs["batch"]``.
    names
        Conditions, the control first.
    shares, references
        Shares over all batches, conditions x genes: a condition's own and the control's. They
        stay for the control itself, and for conditions that are in no batch with controls.
    """
    labels = cells.obs["perturbation"].astype(str)
    codes = pd.Categorical(labels, categories=names).codes.astype(np.intp)
    batches = batch_codes(cells)
    sizes = cells.obs["library_size"].to_numpy(dtype=np.float64)
    n, n_batches = len(names), int(batches.max()) + 1
    has_control = np.bincount(batches, codes == 0, n_batches) > 0
    used = has_control[batches]
    libraries = np.zeros((n, n_batches))
    shares, references = shares.copy(), references.copy()
    np.add.at(libraries, (codes[used], batches[used]), sizes[used])
    in_batches = sparse.csr_matrix(
        (used.astype(np.float64), (codes, np.arange(len(codes)))), shape=(n, len(codes))
    )
    control = sparse.csr_matrix(
        ((codes == 0).astype(np.float64), (batches, np.arange(len(codes)))),
        shape=(n_batches, len(codes)),
    )
    control_shares = (control @ cells.X).toarray() / np.maximum(control @ sizes, 1)[:, None]
    total = np.maximum(libraries.sum(axis=1, keepdims=True), 1)
    own = (in_batches @ cells.X).toarray() / total
    matched = (libraries > 0).any(axis=1) & (np.arange(n) > 0)
    shares[matched] = own[matched]
    references[matched] = ((libraries / total) @ control_shares)[matched]
    return shares, references


def totals_without(cells: ad.AnnData, genes: Collection[str], where: str) -> NDArray[np.float64]:
    """Library sizes without some genes (scanpy's ``exclude_highly_expressed``), (n,)."""
    left_out = np.asarray(cells.X[:, cells.var_names.isin(list(genes))].sum(axis=1)).ravel()
    totals = cells.obs["library_size"].to_numpy(dtype=np.float64) - left_out
    empty = totals <= 0
    if empty.any():
        raise InputError(
            f"{empty.sum()} cells have no counts but those of the dominant genes, so no size",
            where=f"{where}, without {', '.join(genes) or 'any gene'}",
            found=cells.obs_names[empty],
            remedy="raise quality_control.min_genes_per_cell or min_counts, or set "
            "quality_control.size_factors to total or median_ratio",
        )
    return totals


def column_values(cells: ad.AnnData, column: str, where: str) -> NDArray[np.float64]:
    """Size factors that the file brings along, positive numbers, (n,)."""
    remedy = "set quality_control.size_factors to obs: and a column of positive numbers"
    if column not in cells.obs:
        raise InputError(
            f"there is no column {column!r} with size factors",
            where=f"{where}, obs",
            found=f"columns {', '.join(map(str, cells.obs.columns))}",
            remedy=remedy,
        )
    values = pd.to_numeric(cells.obs[column], errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        raise InputError(
            f"{wrong.sum()} size factors are no positive numbers",
            where=f"{where}, obs[{column!r}]",
            found=(f"{name}: {cells.obs[column][name]}" for name in cells.obs_names[wrong]),
            remedy=f"correct or remove these cells, or {remedy}",
        )
    return values
