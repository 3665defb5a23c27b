"""Batches of a screen: control cells are compared with the perturbed cells of their own batch.

The rank test is van Elteren's (1960): Mann-Whitney's U of every batch, weighted by one over its
number of cells plus one, which is the locally most powerful choice where the shift is the same in
all batches. Of a single batch it is the Mann-Whitney test.
"""

from collections.abc import Iterator

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm

from lcd_core.errors import shown
from pipeline.screen import BATCH, CONTROL

ENTRIES = 2**22  # nonzero values sorted at a time, which bounds the memory of the ranks

Counts = NDArray[np.float64]


def batch_codes(screen: ad.AnnData) -> NDArray[np.intp]:
    """Number of each cell's batch, from 0; all 0 where the screen has no batches."""
    if BATCH not in screen.obs:
        return np.zeros(screen.n_obs, dtype=np.intp)
    codes = pd.Categorical(screen.obs[BATCH].astype(str)).codes
    return np.asarray(codes, dtype=np.intp)


def unmatched(obs: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Perturbations with cells in batches without control cells: how many, and of how many.

    Parameters
    ----------
    obs
        ``obs`` of a screen with batches.
    """
    labels, batches = obs["perturbation"].astype(str), obs[BATCH].astype(str)
    apart = ~batches.isin(batches[labels == CONTROL].unique())
    cells, without = labels.value_counts(), labels[apart].value_counts()
    return {str(name): (int(without[name]), int(cells[name])) for name in sorted(without.index)}


def unmatched_message(found: dict[str, tuple[int, int]]) -> str:
    """Say which perturbations have cells without control cells of their batch."""
    cells = shown(f"{name!r} ({apart} of {all_} cells)" for name, (apart, all_) in found.items())
    return (
        f"{len(found)} perturbations have cells in batches without control cells: {cells}. "
        "Differential expression leaves these cells out; a perturbation of such cells alone is "
        "compared with the control cells of other batches, so that it cannot be told from its batch"
    )


def numbers_of_cells(
    groups: NDArray[np.integer], batches: NDArray[np.intp], n_groups: int
) -> NDArray[np.int64]:
    """Cells of each group in each batch, (n_groups, n_batches)."""
    n_batches = int(batches.max()) + 1
    flat = np.bincount(groups * n_batches + batches, minlength=n_groups * n_batches)
    return flat.reshape(n_groups, n_batches)


def matched_numbers(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cells of each perturbation that are compared with control cells of their batch.

    Parameters
    ----------
    cells
        Cells of each group in each batch, control first, (n_groups, n_batches).

    Returns
    -------
    (n_groups - 1, n_batches), 0 in batches without control; a row of zeros is a perturbation
    without any match.
    """
    return cells[1:] * (cells[0] > 0)


def _blocks(indptr: NDArray[np.integer]) -> Iterator[slice]:
    """Runs of columns with about ``ENTRIES`` entries each."""
    start = 0
    while start < len(indptr) - 1:
        stop = int(np.searchsorted(indptr, indptr[start] + ENTRIES, side="right")) - 1
        stop = min(max(stop, start + 1), len(indptr) - 1)
        yield slice(start, stop)
        start = stop


def u_and_ties(
    values: sparse.csc_matrix, groups: NDArray[np.integer], n_groups: int
) -> tuple[Counts, Counts]:
    """Mann-Whitney's U of every group against group 0, and what ties take from its variance.

    Parameters
    ----------
    values
        Nonnegative values, cells x genes.
    groups
        Number of the group of each cell; 0 is the control.
    n_groups
        Number of groups; one may have no cells here.

    Returns
    -------
    U and the sum of t³ - t over the ties of a group with the control, each (n_groups - 1, genes).
    """
    sizes = np.bincount(groups, minlength=n_groups).astype(np.float64)
    u = np.zeros((n_groups, values.shape[1]))
    ties = np.zeros_like(u)
    for genes in _blocks(values.indptr):
        within = slice(values.indptr[genes.start], values.indptr[genes.stop])
        n_genes = genes.stop - genes.start
        gene = np.repeat(np.arange(n_genes), np.diff(values.indptr[genes.start : genes.stop + 1]))
        value, group = values.data[within], groups[values.indices[within]]
        order = np.lexsort((value, gene))
        order = order[value[order] > 0]  # cells without counts have zeros that are stored
        gene, value, group = gene[order], value[order], group[order]
        seen = np.bincount(group * n_genes + gene, minlength=n_groups * n_genes)
        zeros = sizes[:, None] - seen.reshape(n_groups, n_genes)

        # Equal values of a gene are a run; control cells in each run, and below it.
        first = np.ones(len(value), dtype=bool)
        first[1:] = (np.diff(gene) > 0) | (np.diff(value) > 0)
        run = np.cumsum(first) - 1
        gene_of_run = gene[first]
        controls = np.bincount(run[group == 0], minlength=len(gene_of_run)).astype(np.float64)
        before = np.concatenate([[0.0], np.cumsum(controls)])
        of_other_genes = before[np.searchsorted(gene_of_run, np.arange(n_genes))]
        below = before[:-1] + (zeros[0] - of_other_genes)[gene_of_run]

        pairs, number = np.unique((run * n_groups + group)[group > 0], return_counts=True)
        of_run, of_group = np.divmod(pairs, n_groups)
        at = of_group * n_genes + gene_of_run[of_run]
        shape, length = (n_groups, n_genes), n_groups * n_genes
        own = np.bincount(at, number * (below + 0.5 * controls)[of_run], minlength=length)
        u[:, genes] = own.reshape(shape) + 0.5 * zeros * zeros[0]
        more = _ties(controls[of_run] + number) - _ties(controls[of_run])
        own = np.bincount(at, more, minlength=length).reshape(shape)
        among_controls = np.bincount(gene_of_run, _ties(controls), minlength=n_genes)
        ties[:, genes] = own + _ties(zeros + zeros[0]) + among_controls
    return u[1:], ties[1:]


def _ties(number: Counts) -> Counts:
    return number**3 - number


def van_elteren(
    values: sparse.csr_matrix,
    groups: NDArray[np.integer],
    batches: NDArray[np.intp],
    n_groups: int,
) -> tuple[Counts, Counts, Counts]:
    """Test every gene of every group against group 0 within batches.

    Parameters
    ----------
    values
        Nonnegative values, cells x genes.
    groups, batches
        Number of the group of each cell, 0 for control, and of its batch.
    n_groups
        Number of groups.

    Returns
    -------
    Each (n_groups - 1, genes):

    - the sum of U over the batches;
    - the weighted share of pairs of a perturbed and a control cell of one batch in which the
      perturbed one has more, ties counted half: above 0.5 where the test points upwards;
    - the two-sided P value by the normal approximation, corrected for ties, and for continuity by
      half of the smallest weight, which is half a step of U where there is one batch.

    A group without cells in a batch with controls has NaN.
    """
    shape = (n_groups - 1, values.shape[1])
    total, weighted, variance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    most = np.zeros(n_groups - 1)
    step = np.full(n_groups - 1, np.inf)
    for batch in range(int(batches.max()) + 1):
        inside = batches == batch
        own = groups[inside]
        sizes = np.bincount(own, minlength=n_groups).astype(np.float64)
        n, m = sizes[1:], sizes[0]
        if m == 0 or not n.any():
            continue
        u, ties = u_and_ties(sparse.csc_matrix(values[inside]), own, n_groups)
        there = n > 0
        both = n + m
        weight = np.where(there, 1 / (both + 1), 0.0)
        scale = n * m / 12
        pairs = np.where(there, both * (both - 1), 1.0)
        own_variance = scale[:, None] * (both[:, None] + 1 - ties / pairs[:, None])
        total += np.where(there[:, None], u, 0.0)
        weighted += weight[:, None] * u
        variance += np.where(there[:, None], weight[:, None] ** 2 * own_variance, 0.0)
        most += weight * n * m
        step = np.where(there, np.minimum(step, weight), step)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = weighted / most[:, None]
        distance = np.abs(weighted - most[:, None] / 2) - step[:, None] / 2
        # Rounding leaves a variance of about 0 where all values are equal.
        spread = np.sqrt(np.where(variance > 1e-12 * most[:, None], variance, 0.0))
        p_value = np.minimum(2 * norm.sf(distance / spread), 1.0)
    p_value[spread == 0] = 1.0
    without = most == 0
    for result in (total, share, p_value):
        result[without] = np.nan
    return total, share, p_value
