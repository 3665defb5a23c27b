"""Counts of some cells of a large file, without reading the rest."""

from typing import Any

import h5py
import numpy as np
from scipy import sparse

ROWS = 4_000
"""Cells that are read at most; what is said of all cells is estimated from them."""
BLOCKS = 16
"""Places of a large file at which they are read."""
VALUES = 2**25
"""Matrix entries that are read, at the most."""


def some_rows(stored: Any, n_cells: int) -> sparse.csr_matrix:
    """Counts of some cells, spread over the file.

    Parameters
    ----------
    stored
        Matrix in a file, dense, CSR or CSC, or a sparse matrix in memory; cells x genes. One
        stored by columns is read as a whole: no rows can be had without the others.
    n_cells
        Number of its rows.

    Returns
    -------
    CSR, at most :data:`ROWS` rows, of all columns.
    """
    spans = [(0, n_cells)]
    if n_cells > ROWS:
        length = ROWS // BLOCKS
        spans = [(s, s + length) for s in np.linspace(0, n_cells - length, BLOCKS).astype(int)]
    if isinstance(stored, h5py.Group) and stored.attrs.get("encoding-type") == "csr_matrix":
        n_genes = int(stored.attrs["shape"][1])
        return sparse.vstack([_csr_rows(stored, n_genes, *span) for span in spans], format="csr")
    if isinstance(stored, h5py.Dataset):
        most = max(1, VALUES // max(1, stored.shape[1]) // len(spans))
        blocks = [stored[start : min(stop, start + most)] for start, stop in spans]
        blocks = [b.astype(np.float32) if b.dtype == np.float16 else b for b in blocks]
        return sparse.vstack([sparse.csr_matrix(block) for block in blocks], format="csr")
    if isinstance(stored, h5py.Group):
        from anndata.io import read_elem

        stored = read_elem(stored)
    stored.check_format(full_check=True)
    rows = np.concatenate([np.arange(*span) for span in spans])
    return sparse.csr_matrix(stored)[rows]


def _csr_rows(stored: h5py.Group, n_genes: int, start: int, stop: int) -> sparse.csr_matrix:
    """Rows of a sparse matrix in a file, fewer than asked for where they hold very many values."""
    indptr = stored["indptr"][start : stop + 1].astype(np.int64)
    first = int(indptr[0])
    fitting = int(np.searchsorted(indptr - first, VALUES // BLOCKS, side="right"))
    indptr = indptr[: max(2, fitting)]
    data, indices = (stored[part][first : int(indptr[-1])] for part in ("data", "indices"))
    rows = sparse.csr_matrix((data, indices, indptr - first), shape=(len(indptr) - 1, n_genes))
    rows.check_format(full_check=True)
    return rows
