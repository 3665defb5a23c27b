"""Files of screens as users have them, and as nobody should; drawn for the fuzz tests."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

from tests.fuzz.harness import ODD_WORDS, texts

LABELS = ("control", "A", "B", "C", "A+B", "A+C")
DTYPES = [
    np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
    np.float16, np.float32, np.float64, np.bool_, np.complex64,
]  # fmt: skip
EXTREMES = [
    -1, 0.5, 1e-3, np.nan, np.inf, -np.inf, 127, 128, 255, 2047, 2048, 32767, 65535, 2.0**31,
    2.0**31 - 1, 1e12, 1e300,
]  # fmt: skip
NO_COUNTS = [np.bool_, np.complex64]
ASPECTS = ["counts", "labels", "cells", "genes", "size", "settings", "columns", "column"]
"""What can be odd about a screen and its settings; at most two at a time, so that others matter."""
ENCODINGS = ["dense", "csr", "csc", "dense, chunked", "csr, 64 bit", "csr, unsorted", "fortran"]


@dataclass
class Screen:
    """What a file holds; everything but the counts may be wrong.

    Attributes
    ----------
    counts
        Dense, (n, d), of the type drawn.
    labels
        Column that names the perturbations.
    encoding
        How the matrix is stored.
    layer
        Name of the layer that holds it; None for ``X``.
    cells, genes
        Names.
    obs, var
        Further columns.
    more
        Whether there are ``obsm``, ``obsp``, ``uns`` and ``raw`` too.
    column
        Name of the column of the labels.
    """

    counts: np.ndarray
    labels: list[Any]
    encoding: str = "dense"
    layer: str | None = None
    cells: list[Any] = field(default_factory=list)
    genes: list[Any] = field(default_factory=list)
    obs: dict[str, Any] = field(default_factory=dict)
    var: dict[str, Any] = field(default_factory=dict)
    more: bool = False
    column: str = "perturbation"
    categorical: bool = False

    def write(self, path: Path) -> Path:
        """Write the file, past anndata's own refusals."""
        n, d = self.counts.shape
        n_kinds = len({type(label) for label in self.labels})
        own = pd.Series(self.labels, dtype=object).infer_objects()
        if self.categorical or n_kinds > 1:  # anndata writes no mixed columns
            own = own.map(lambda label: None if label is None else str(label)).astype("category")
        columns = {**self.obs, self.column: own}
        obs = pd.DataFrame({name: pd.Series(v) for name, v in columns.items()}).reindex(range(n))
        obs.index = pd.Index([str(name) for name in self.cells] or [f"c{i}" for i in range(n)])
        var = pd.DataFrame({name: pd.Series(v) for name, v in self.var.items()})
        var = var.reindex(range(d))
        var.index = pd.Index([str(name) for name in self.genes] or [f"G{i}" for i in range(d)])
        with h5py.File(path, "w") as file:
            file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
            for name, table in (("obs", obs), ("var", var)):
                for column in self.obs if name == "obs" else self.var:
                    if not written(file, f"test_{name}", table[[column]].set_axis(table.index)):
                        table = table.drop(columns=column)
                ad.io.write_elem(file, name, table)
            file.create_group("layers")
            self._write_matrix(file, "X" if self.layer is None else f"layers/{self.layer}")
            if self.more:
                ad.io.write_elem(file, "obsm/X_pca", np.zeros((n, 2)))
                ad.io.write_elem(file, "obsp/near", sparse.csr_matrix((n, n)))
                ad.io.write_elem(
                    file, "uns/log1p", {"base": 2, "names": np.array(["a"], dtype="S1")}
                )
                raw = {"X": np.zeros((n, d)), "var": pd.DataFrame(index=var.index), "varm": {}}
                ad.io.write_elem(file, "raw", raw)
        return path

    def _write_matrix(self, file: h5py.File, key: str) -> None:
        kind = self.encoding
        stored = self.counts
        if kind.startswith("cs"):
            if stored.dtype in (np.float16, np.bool_):
                stored = stored.astype(np.float32 if stored.dtype == np.float16 else np.uint8)
            matrix = (sparse.csc_matrix if kind == "csc" else sparse.csr_matrix)(stored)
            if kind == "csr, 64 bit":
                matrix.indices = matrix.indices.astype(np.int64)
                matrix.indptr = matrix.indptr.astype(np.int64)
            if kind == "csr, unsorted":
                for i in range(matrix.shape[0]):
                    own = slice(matrix.indptr[i], matrix.indptr[i + 1])
                    matrix.indices[own] = matrix.indices[own][::-1]
                    matrix.data[own] = matrix.data[own][::-1]
            ad.io.write_elem(file, key, matrix)
        elif kind == "dense, chunked" and stored.size:
            ad.io.write_elem(
                file, key, stored, dataset_kwargs={"chunks": (1, 1), "compression": "gzip"}
            )
        else:
            ad.io.write_elem(file, key, np.asfortranarray(stored) if kind == "fortran" else stored)


def written(file: h5py.File, name: str, table: pd.DataFrame) -> bool:
    """Whether anndata can write a table; it refuses some columns itself."""
    try:
        ad.io.write_elem(file, name, table)
    except Exception:
        return False
    finally:
        file.pop(name, None)
    return True


@st.composite
def matrices(draw, n: int, d: int, *, odd: bool):
    """Counts, of one of the types that hold them, or else with values that are none."""
    dtype = draw(st.sampled_from(DTYPES if odd else [t for t in DTYPES if t not in NO_COUNTS]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    matrix = rng.poisson(2.0, (n, d)).astype(np.float64)
    for _ in range(draw(st.integers(1, 3)) if odd and matrix.size else 0):
        at = draw(st.integers(0, matrix.size - 1))
        matrix.flat[at] = draw(st.sampled_from(EXTREMES))
    with np.errstate(all="ignore"):
        return matrix.astype(dtype)


odd_columns = st.one_of(
    st.lists(texts, max_size=12),
    st.lists(st.none() | texts, max_size=12),
    st.lists(st.floats(width=32), max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.lists(st.none() | st.booleans(), max_size=12),
    st.lists(st.integers(-5, 5), max_size=12),
    st.lists(st.integers(0, 2).map(lambda i: pd.Timestamp(2024, 1, 1 + i)), max_size=12),
    st.lists(st.sampled_from("ab"), max_size=12).map(pd.Categorical),
)
column_names = st.sampled_from(
    ["batch", "library_size", "perturbation", "effective_library_size", "a/b", "_index", "", " ",
     "é", "n_genes", "index", "symbol", "0"]
)  # fmt: skip


@st.composite
def odd_screens(draw, odd: frozenset[str]):
    """Screens of which some aspects are odd and the others as they should be."""
    n, d = draw(st.integers(4, 12)), draw(st.integers(2, 5))
    if "size" in odd:
        n, d = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    labels: list[Any] = (list(LABELS) * 2)[:n]
    if "labels" in odd:
        pool = (*LABELS, *ODD_WORDS) if draw(st.booleans()) else LABELS
        other = st.sampled_from(pool) | st.sampled_from(pool) | st.none() | st.floats() | texts
        for at in draw(st.lists(st.integers(0, max(n - 1, 0)), max_size=4)) if n else ():
            labels[at] = draw(other)
        if draw(st.integers(0, 9)) == 0:
            labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    genes: list[str] = draw(st.permutations(["A", "B", "C", "D", "E", "F"]))[:d]
    unique = draw(st.booleans())
    if "genes" in odd:
        genes = draw(st.lists(texts, min_size=d, max_size=d, unique=unique))
    cells = [f"c{i}" for i in range(n)]
    if "cells" in odd:
        cells = draw(st.lists(texts, min_size=n, max_size=n, unique=unique))
    columns = st.dictionaries(column_names.filter(bool), odd_columns, max_size=3)
    return Screen(
        counts=draw(matrices(n, d, odd="counts" in odd)),
        labels=labels,
        encoding=draw(st.sampled_from(ENCODINGS)),
        layer=draw(st.sampled_from([None, None, "counts", "a b"])),
        cells=cells,
        genes=genes,
        obs=draw(columns) if "columns" in odd else {},
        var=draw(columns) if "columns" in odd else {},
        more=draw(st.booleans()),
        column=draw(st.sampled_from(["gene", "a b", "ä"])) if "column" in odd else "perturbation",
        categorical=draw(st.booleans()),
    )
