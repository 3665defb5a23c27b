"""The contract of a prediction, and what methods that reuse observed cells share.

A prediction is an AnnData: ``obs["perturbation"]`` holds at least the perturbations asked for
(others, the control among them, may be there too), ``var_names`` at least the genes of the fold,
and ``uns["values"]`` says what ``X`` is:

- ``counts``: nonnegative integers, one row per cell;
- ``lognorm``: log1p of counts scaled to 10,000 per cell over the fold's genes, one row per cell;
- ``profile``: mean lognorm, one row per perturbation, with ``layers["variance"]`` and
  ``obs["n_cells"]`` where known: all that a large panel has room for.

A perturbation that a method cannot predict is named in ``uns["not_predicted"]``; it then has no
values in the tables, in which it stands nevertheless.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from lcd_core.atomic import atomic
from lcd_core.errors import InputError, shown
from pipeline.screen import CONTROL, lognorm, read_anndata, read_names
from pipeline.seeds import derive_seed

Values = Literal["counts", "lognorm", "profile"]
VALUES: tuple[Values, ...] = ("counts", "lognorm", "profile")
MOST = 15.0
"""Log-normalised values above it are counts by mistake: log1p(10,000) is 9.2."""
MOST_CELLS = 2**53
"""Largest integer up to which a double holds them all."""
CHUNK = 1 << 16  # values of a compressed piece of a file that grows


def read_test_perturbations(path: str | Path) -> list[str]:
    """Read the perturbations to predict, one name a line."""
    names = read_names(path)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated or CONTROL in names:
        raise InputError(
            "perturbations to predict must be distinct, at least one, and not the control",
            where=f"{path}",
            found=repeated or names or "an empty file",
            remedy="name each of them once, one a line",
        )
    return names


def labels_of(cells: ad.AnnData) -> NDArray[np.str_]:
    """Return the perturbation of each cell."""
    return cells.obs["perturbation"].to_numpy(dtype=str)


def mean_expression(cells: ad.AnnData) -> pd.DataFrame:
    """Mean log-normalised expression, perturbations (sorted, control among them) x genes."""
    labels = labels_of(cells)
    names = np.unique(labels)
    means = [lognorm(cells.X[labels == name]).mean(axis=0, dtype=np.float64) for name in names]
    return pd.DataFrame(means, index=names, columns=cells.var_names)


# ---------------------------------------------------------------------------------------- writing


class CellWriter:
    """Writes cells perturbation by perturbation; only compressed values are kept in memory.

    The file is put together in memory, since HDF5 reports a disk that fills up many times over and
    crashes; a plain write at the end raises one error.
    """

    def __init__(
        self,
        genes: Sequence[str],
        values: Values,
        not_predicted: Sequence[str] = (),
        drawn_to_mean: bool = False,
    ) -> None:
        self.genes, self.values = list(genes), values
        self.dtype = np.int32 if values == "counts" else np.float32
        self.image = io.BytesIO()
        self.file = h5py.File(self.image, "w")
        empty = ad.AnnData(
            X=sparse.csr_matrix((0, len(self.genes)), dtype=self.dtype),
            obs=pd.DataFrame({"perturbation": pd.Categorical([])}, index=pd.Index([], dtype=str)),
            var=pd.DataFrame(index=self.genes),
            uns={"values": values}
            | _not_predicted(not_predicted)
            | ({"drawn_to_mean": True} if drawn_to_mean else {}),
        )
        ad.io.write_elem(self.file, "/", empty)
        self.labels: list[str] = []
        self.names: list[str] = []
        self.length = 0
        group = self.file["X"]
        for name, dtype in (("data", self.dtype), ("indices", np.int32), ("indptr", np.int64)):
            del group[name]
            group.create_dataset(
                name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(CHUNK,), compression="gzip"
            )
        _append(group["indptr"], np.zeros(1, np.int64))

    def add(
        self, perturbation: str, values: ArrayLike | sparse.spmatrix, names: Sequence[str]
    ) -> None:
        """Append the cells of one perturbation, (n, d), with their names."""
        matrix = sparse.csr_matrix(values)
        _check_values(matrix.data, self.values, "prediction, X")
        matrix = matrix.astype(self.dtype)
        matrix.sort_indices()
        group = self.file["X"]
        _append(group["data"], matrix.data)
        _append(group["indices"], matrix.indices)
        _append(group["indptr"], matrix.indptr[1:].astype(np.int64) + self.length)
        self.length += matrix.nnz
        self.labels += [perturbation] * matrix.shape[0]
        self.names += list(names)

    def add_generated(self, perturbation: str, values: ArrayLike) -> None:
        """Append generated cells, (n, d); their names are their numbers."""
        cells = np.asarray(values)
        self.add(perturbation, cells, [f"{perturbation}:{i}" for i in range(len(cells))])

    def save(self, path: str | Path) -> None:
        """Write the file."""
        obs = pd.DataFrame({"perturbation": pd.Categorical(self.labels)}, index=self.names)
        self.file["X"].attrs["shape"] = (len(self.names), len(self.genes))
        del self.file["obs"]
        ad.io.write_elem(self.file, "obs", obs, dataset_kwargs={"compression": "gzip"})
        self.file.close()
        _write_image(self.image, path)


class ProfileWriter:
    """Keeps mean and variance of log-normalised expression of each perturbation alone."""

    def __init__(
        self, genes: Sequence[str], values: Values, not_predicted: Sequence[str] = ()
    ) -> None:
        self.genes, self.values = list(genes), values
        self.not_predicted = not_predicted
        self.means: dict[str, NDArray[np.float64]] = {}
        self.variances: list[NDArray[np.float64]] = []
        self.n_cells: list[int] = []

    def add(
        self, perturbation: str, values: ArrayLike | sparse.spmatrix, names: Sequence[str]
    ) -> None:
        """Take in the cells of one perturbation, (n, d)."""
        matrix = sparse.csr_matrix(values)
        _check_values(matrix.data, self.values, "prediction, X")
        dense = lognorm(matrix) if self.values == "counts" else matrix.toarray()
        self.means[perturbation] = dense.mean(axis=0, dtype=np.float64)
        self.variances.append(dense.var(axis=0, ddof=1, dtype=np.float64))
        self.n_cells.append(len(dense))

    def add_generated(self, perturbation: str, values: ArrayLike) -> None:
        """Take in generated cells, (n, d)."""
        self.add(perturbation, values, [])

    def save(self, path: str | Path) -> None:
        """Write the file."""
        names = list(self.means)
        profiles = ad.AnnData(
            X=np.stack(list(self.means.values())),
            obs=pd.DataFrame(
                {"perturbation": pd.Categorical(names), "n_cells": self.n_cells}, index=names
            ),
            var=pd.DataFrame(index=self.genes),
            layers={"variance": np.stack(self.variances)},
            uns={"values": "profile"} | _not_predicted(self.not_predicted),
        )
        image = io.BytesIO()
        with h5py.File(image, "w") as file:
            ad.io.write_elem(file, "/", profiles, dataset_kwargs={"compression": "gzip"})
        _write_image(image, path)


def _not_predicted(names: Sequence[str]) -> dict[str, NDArray[np.str_]]:
    """Nothing where every perturbation is predicted."""
    return {"not_predicted": np.array(names, dtype=object)} if names else {}


def _append(dataset: h5py.Dataset, values: NDArray) -> None:
    start = dataset.shape[0]
    dataset.resize((start + len(values),))
    dataset[start:] = values


def _write_image(image: io.BytesIO, path: str | Path) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as output:
        output.write(image.getbuffer())


@contextmanager
def prediction_writer(
    path: str | Path,
    genes: Sequence[str],
    *,
    keep: str,
    values: Values = "counts",
    not_predicted: Sequence[str] = (),
    drawn_to_mean: bool = False,
) -> Iterator[CellWriter | ProfileWriter]:
    """Write a prediction perturbation by perturbation; nothing is written if the body raises.

    Parameters
    ----------
    path
        The h5ad file to write.
    genes
        Genes of the fold, in order.
    keep
        ``cells``, or ``profiles`` alone.
    values
        What is added: ``counts`` or ``lognorm``.
    not_predicted
        Perturbations asked for that the method cannot predict.
    drawn_to_mean
        See :class:`PredictedCells`; of cells alone.
    """
    writer = (
        ProfileWriter(genes, values, not_predicted)
        if keep == "profiles"
        else CellWriter(genes, values, not_predicted, drawn_to_mean)
    )
    yield writer
    writer.save(path)


# ---------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class PredictedCells:
    """A checked prediction.

    Attributes
    ----------
    values
        What ``X`` holds.
    matrix
        Cells (or perturbations, of a profile) x genes of the fold.
    labels
        Perturbation of each row.
    names
        Name of each row.
    n_cells
        Cells behind each row of a profile, where known; ones otherwise.
    not_predicted
        Perturbations of those asked for that the method does not predict.
    drawn_to_mean
        Whether the cells are those of the interpolated duplicate: drawn to the mean of training
        perturbations when halves of them are compared.
    """

    values: Values
    matrix: sparse.csr_matrix
    labels: NDArray[np.str_]
    names: pd.Index
    n_cells: NDArray[np.int64]
    not_predicted: tuple[str, ...] = ()
    drawn_to_mean: bool = False

    def predicted(self, names: Sequence[str]) -> list[str]:
        """Those of some perturbations that are predicted."""
        return [name for name in names if name not in self.not_predicted]

    @property
    def has_cells(self) -> bool:
        """Whether there are cells, and not profiles alone."""
        return self.values != "profile"

    def rows(self, perturbation: str) -> NDArray[np.intp]:
        """Rows of one perturbation."""
        return np.flatnonzero(self.labels == perturbation)

    def lognorm(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Log-normalised expression of some rows, (n, d), dense; float64 of a profile.

        A mean in single precision would differ from the same mean in double precision.
        """
        own = self.matrix[rows]
        if self.values == "counts":
            return lognorm(own)
        dtype = np.float64 if self.values == "profile" else np.float32
        return np.asarray(own.toarray(), dtype=dtype)


def read_prediction(
    path: str | Path,
    genes: Sequence[str],
    perturbations: Sequence[str],
    values: str | None = None,
) -> PredictedCells:
    """Read a prediction and check it against the contract.

    Parameters
    ----------
    path
        The h5ad file.
    genes
        Genes of the fold; the file's are brought into their order by name.
    perturbations
        Names that have to be there, or else in ``uns["not_predicted"]``.
    values
        What ``X`` holds; None reads ``uns["values"]``.

    Raises
    ------
    InputError
        If the file is not a readable h5ad or breaks the contract; names the offending values.
    """
    cells = read_anndata(path)
    kind = values if values is not None else str(cells.uns.get("values", "not stated"))
    if kind not in VALUES:
        raise InputError(
            "a prediction must say what its values are",
            where=f"{path}, uns['values']",
            found=kind,
            remedy=f"set it, or methods.<name>.values, to one of {', '.join(VALUES)}",
        )
    place = f"{path}, var_names"
    if not cells.var_names.is_unique:
        repeated = cells.var_names[cells.var_names.duplicated()].unique()
        raise InputError(
            "genes must be unique",
            where=place,
            found=map(repr, repeated),
            remedy="predict each gene once",
        )
    missing = [gene for gene in genes if gene not in cells.var_names]
    if missing:
        raise InputError(
            "genes of the fold are missing",
            where=place,
            found=missing,
            remedy="predict the genes of genes.tsv in the fold's folder `data`",
        )
    if not cells.obs_names.is_unique:
        repeated = cells.obs_names[cells.obs_names.duplicated()].unique()
        raise InputError(
            "cell names must be unique",
            where=f"{path}, obs_names",
            found=map(repr, repeated),
            remedy="name the cells by numbers, or call AnnData.obs_names_make_unique()",
        )
    stated = {str(name) for name in np.atleast_1d(cells.uns.get("not_predicted", []))}
    left_out = tuple(name for name in perturbations if name in stated)
    perturbations = [name for name in perturbations if name not in stated]
    _check_perturbations(cells, perturbations, kind, str(path))
    matrix = _matrix_of(cells, genes, str(path))
    wanted = np.isin(labels_of(cells), list(perturbations))
    _check_values(matrix[wanted].data, kind, f"{path}, X")
    n_cells = np.ones(len(cells), np.int64)
    if kind == "profile" and "n_cells" in cells.obs:
        n_cells = _numbers_of_cells(cells.obs["n_cells"], str(path))
    labels = labels_of(cells)
    drawn = str(cells.uns.get("drawn_to_mean", False)) == "True"
    return PredictedCells(
        kind,  # type: ignore[arg-type]
        matrix,
        labels,
        cells.obs_names,
        n_cells,
        left_out,
        drawn,
    )


def _matrix_of(cells: ad.AnnData, genes: Sequence[str], path: str) -> sparse.csr_matrix:
    """Values of the genes of the fold, in their order."""
    dtype = getattr(cells.X, "dtype", None)
    if dtype is None or dtype.kind not in "biuf":
        raise InputError(
            "a prediction needs a matrix of numbers in X",
            where=f"{path}, X",
            found="no matrix" if dtype is None else f"type {dtype}",
            remedy="write the predicted values into X",
        )
    own = cells[:, list(genes)].X
    if dtype in (np.float16, np.bool_):  # no sparse matrix holds half precision
        own = own.astype(np.float32)
    return sparse.csr_matrix(own)


def _numbers_of_cells(column: pd.Series, path: str) -> NDArray[np.int64]:
    """Numbers of cells behind the rows of a profile."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.isfinite(numbers) & (numbers >= 1) & (numbers == np.round(numbers)))
    wrong |= numbers > MOST_CELLS
    if wrong.any():
        raise InputError(
            "numbers of cells must be positive integers",
            where=f"{path}, obs['n_cells']",
            found=(f"{name}: {column.iloc[i]}" for i, name in enumerate(column.index) if wrong[i]),
            remedy="correct the column, or leave it out",
        )
    return numbers.astype(np.int64)


def _check_perturbations(cells: ad.AnnData, wanted: Sequence[str], values: str, path: str) -> None:
    place = f"{path}, obs['perturbation']"
    if "perturbation" not in cells.obs:
        raise InputError(
            "the column is missing",
            where=place,
            found=shown(cells.obs.columns) or "no columns",
            remedy="name the perturbation of each cell there",
        )
    number = cells.obs["perturbation"].astype(str).value_counts().to_dict()
    missing = [name for name in wanted if name not in number]
    if missing:
        raise InputError(
            "perturbations to predict are missing",
            where=place,
            found=missing,
            remedy="predict every name of test_perturbations.txt in the fold's folder `data`; "
            "targets are sorted and joined by +",
        )
    if values == "profile":
        repeated = [name for name in wanted if number[name] > 1]
        if repeated:
            raise InputError(
                "a profile has one row",
                where=place,
                found=repeated,
                remedy="give the mean of each perturbation alone, or cells: uns['values']",
            )
    else:
        few = [name for name in wanted if number[name] < 2]
        if few:
            raise InputError(
                "a prediction needs at least two cells",
                where=place,
                found=few,
                remedy="predict more cells, or name the perturbations in uns['not_predicted']",
            )


def _check_values(values: NDArray, kind: str, where: str) -> None:
    bad = ~np.isfinite(values) | (values < 0)
    what = "values must be finite and nonnegative"
    remedy = "predict counts, or log1p of counts scaled to 10,000 per cell"
    if kind == "counts":
        bad |= values != np.round(values)
        what = "counts must be nonnegative integers"
        remedy = "if these are log-normalised, say so: uns['values'] = 'lognorm'"
    elif not bad.any() and len(values) and values.max() > MOST:
        bad = values > MOST
        what = "values are too large for log1p of counts scaled to 10,000 per cell"
        remedy = "if these are counts, say so: uns['values'] = 'counts'"
    if bad.any():
        raise InputError(what, where=where, found=np.unique(values[bad]), remedy=remedy)


# ------------------------------------------------------------------------- methods that reuse cells


def draw_rows(rows: NDArray[np.intp], n_cells: int, seed: int, label: str) -> NDArray[np.intp]:
    """Draw at most ``n_cells`` rows without replacement, by a seed of their own per label."""
    rng = np.random.default_rng(derive_seed(seed, draw=label))
    return np.sort(rng.choice(rows, min(n_cells, len(rows)), replace=False))


def control_rows(train: ad.AnnData, where: str) -> NDArray[np.intp]:
    """Return the rows of the control cells."""
    rows = np.flatnonzero(labels_of(train) == CONTROL)
    if rows.size == 0:
        raise InputError(
            f"there are no cells of {CONTROL!r}",
            where=f"{where}, obs['perturbation']",
            remedy="train on control cells too",
        )
    return rows


def write_observed(
    path: str | Path, cells: ad.AnnData, rows: Mapping[str, NDArray[np.intp]], *, keep: str
) -> None:
    """Predict training cells as they are, the given rows for each perturbation.

    One cell may stand for several perturbations, so names carry the perturbation too.
    """
    with prediction_writer(path, cells.var_names, keep=keep) as writer:
        for name, own in rows.items():
            writer.add(name, cells.X[own], _names(name, cells.obs_names[own]))


def write_shifted_control(
    path: str | Path,
    train: ad.AnnData,
    shifts: Mapping[str, NDArray[np.float64]],
    n_cells: int,
    seed: int,
    *,
    keep: str,
    not_predicted: Sequence[str] = (),
) -> None:
    """Predict control cells shifted by a mean effect, in log-normalised expression, at least 0.

    Parameters
    ----------
    path
        The h5ad file to write.
    train
        Training cells, control among them.
    shifts
        For each perturbation its predicted mean change of log-normalised expression, (d,).
    n_cells
        Control cells drawn for each perturbation, all if there are fewer.
    seed
        Decides which.
    keep, not_predicted
        As in :func:`prediction_writer`.
    """
    control = control_rows(train, "training cells")
    with prediction_writer(
        path, train.var_names, keep=keep, values="lognorm", not_predicted=not_predicted
    ) as writer:
        for name, shift in shifts.items():
            rows = draw_rows(control, n_cells, seed, name)
            values = lognorm(train.X[rows]).astype(np.float64) + shift
            np.maximum(values, 0, out=values)
            writer.add(name, values.astype(np.float32), _names(name, train.obs_names[rows]))


def _names(label: str, source: Sequence[str]) -> list[str]:
    return [f"{label}:{cell}" for cell in source]
