"""The contract of a prediction, and what methods that reuse observed cells share."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.screen import CONTROL, lognorm, read_names, readable_h5ad, write_h5ad
from pipeline.seeds import derive_seed

LAYER = "lognorm"


def read_test_perturbations(path: str | Path) -> list[str]:
    """Read the perturbations to predict, one name a line."""
    names = read_names(path)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated or CONTROL in names:
        raise InputError(
            "perturbations to predict must be distinct, at least one, and not the control",
            where=f"{path}",
            found=repeated or names or "an empty file",
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


def write_prediction(
    path: str | Path,
    method: str,
    perturbations: Iterable[str],
    genes: Sequence[str],
    cell_names: Iterable[str],
    counts: sparse.csr_matrix | NDArray[np.integer],
    lognorm_values: NDArray[np.float32] | None = None,
) -> None:
    """Write the cells that a method predicts.

    Parameters
    ----------
    path
        The h5ad file to write.
    method
        Name of the method.
    perturbations
        Perturbation of each cell.
    genes
        Genes of the fold, in order.
    cell_names
        Unique; that of the observed cell where a predicted cell *is* a held-out cell.
    counts
        Nonnegative integers, sparse or dense, cells x genes.
    lognorm_values
        What is evaluated, cells x genes; by default the log-normalised counts.
    """
    matrix = sparse.csr_matrix(counts)
    _check_counts(matrix, f"{path}, X")  # before the cast, which would cut fractions off
    labels = pd.Categorical(list(perturbations))
    cells = ad.AnnData(
        X=matrix.astype(np.int32),
        obs=pd.DataFrame({"perturbation": labels}, index=list(cell_names)),
        var=pd.DataFrame(index=list(genes)),
        uns={"method": method},
    )
    values = lognorm(cells.X) if lognorm_values is None else lognorm_values
    cells.layers[LAYER] = np.asarray(values, dtype=np.float32)
    check_prediction(cells, genes, list(labels.categories), str(path))
    write_h5ad(cells, path)


def read_prediction(
    path: str | Path, genes: Sequence[str], test_perturbations: Sequence[str]
) -> ad.AnnData:
    """Read a prediction and check it against the contract.

    Raises
    ------
    InputError
        If the file is not a readable h5ad or breaks the contract; names the offending values.
    """
    with readable_h5ad(path) as file:
        cells = ad.io.read_elem(file["/"])
    check_prediction(cells, genes, test_perturbations, str(path))
    return cells


def check_prediction(
    cells: ad.AnnData, genes: Sequence[str], test_perturbations: Sequence[str], where: str
) -> None:
    """Raise :class:`InputError` where cells break the contract of a prediction."""
    method = cells.uns.get("method")
    if not isinstance(method, str) or not method:
        raise InputError(
            "the method must be named", where=f"{where}, uns['method']", found=repr(method)
        )
    _check_genes(cells.var_names, genes, where)
    if not cells.obs_names.is_unique:
        raise InputError(
            "cell names must be unique",
            where=f"{where}, obs_names",
            found=cells.obs_names[cells.obs_names.duplicated()].unique(),
        )
    _check_perturbations(cells, test_perturbations, where)
    _check_counts(cells.X, f"{where}, X")
    _check_lognorm(cells.layers.get(LAYER), f"{where}, layers['{LAYER}']")


def _check_genes(found: pd.Index, genes: Sequence[str], where: str) -> None:
    place = f"{where}, var_names"
    missing, unknown = pd.Index(genes).difference(found), found.difference(pd.Index(genes))
    if len(missing) or len(unknown):
        raise InputError(
            "genes of the fold are missing" if len(missing) else "genes are not of the fold",
            where=place,
            found=missing if len(missing) else unknown,
        )
    if list(found) != list(genes):
        differing = (f"{a} for {b}" for a, b in zip(found, genes, strict=False) if a != b)
        raise InputError(
            "genes must be in the order of the fold",
            where=place,
            found=differing if len(found) == len(genes) else found[found.duplicated()],
        )


def _check_perturbations(cells: ad.AnnData, tests: Sequence[str], where: str) -> None:
    place = f"{where}, obs['perturbation']"
    if "perturbation" not in cells.obs:
        raise InputError("the column is missing", where=place, found=list(cells.obs.columns))
    number = cells.obs["perturbation"].astype(str).value_counts().to_dict()
    for what, names in {
        "test perturbations are missing": [name for name in tests if name not in number],
        "perturbations are not to be predicted": sorted(set(number) - set(tests)),
        "a prediction needs at least two cells": [n for n in tests if number.get(n, 0) < 2],
    }.items():
        if names:
            raise InputError(what, where=place, found=names)


def _check_counts(counts: object, where: str) -> None:
    if not isinstance(counts, sparse.csr_matrix | sparse.csr_array):
        raise InputError("counts must be CSR", where=where, found=type(counts).__name__)
    values = counts.data
    bad = ~np.isfinite(values) | (values < 0) | (values != np.round(values))
    if bad.any():
        raise InputError(
            "counts must be nonnegative integers", where=where, found=np.unique(values[bad])
        )


def _check_lognorm(values: object, where: str) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        found = getattr(values, "dtype", "nothing" if values is None else "")
        raise InputError(
            "log-normalised values must be dense float32",
            where=where,
            found=f"{type(values).__name__} of {found}",
        )
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        raise InputError(
            "log-normalised values must be finite and nonnegative",
            where=where,
            found=np.unique(values[bad]),
        )


def draw_rows(rows: NDArray[np.intp], n_cells: int, seed: int, label: str) -> NDArray[np.intp]:
    """Draw at most ``n_cells`` rows without replacement, by a seed of their own per label."""
    rng = np.random.default_rng(derive_seed(seed, label))
    return np.sort(rng.choice(rows, min(n_cells, len(rows)), replace=False))


def control_rows(train: ad.AnnData, where: str) -> NDArray[np.intp]:
    """Return the rows of the control cells."""
    rows = np.flatnonzero(labels_of(train) == CONTROL)
    if rows.size == 0:
        raise InputError(
            f"there are no cells of {CONTROL!r}", where=f"{where}, obs['perturbation']"
        )
    return rows


def write_observed(
    path: str | Path,
    method: str,
    cells: ad.AnnData,
    rows: Mapping[str, NDArray[np.intp]],
) -> None:
    """Predict training cells as they are, the given rows for each perturbation.

    One cell may stand for several perturbations, so names carry the perturbation too.
    """
    drawn = np.concatenate(list(rows.values()))
    labels = np.repeat(list(rows), [len(own) for own in rows.values()])
    write_prediction(
        path,
        method,
        labels,
        cells.var_names,
        _names(method, labels, cells.obs_names[drawn]),
        cells.X[drawn],
    )


def write_shifted_control(
    path: str | Path,
    method: str,
    train: ad.AnnData,
    shifts: Mapping[str, NDArray[np.float64]],
    n_cells: int,
    seed: int,
) -> None:
    """Predict control cells shifted by a mean effect.

    Parameters
    ----------
    path
        The h5ad file to write.
    method
        Name of the method.
    train
        Training cells, control among them.
    shifts
        For each perturbation its predicted mean change of log-normalised expression, (d,).
    n_cells
        Control cells drawn for each perturbation, all if there are fewer.
    seed
        Decides which.
    """
    control = control_rows(train, "training cells")
    rows = {name: draw_rows(control, n_cells, seed, name) for name in shifts}
    drawn = np.concatenate(list(rows.values()))
    labels = np.repeat(list(rows), [len(own) for own in rows.values()])
    values = lognorm(train.X[drawn]).astype(np.float64)
    values += np.repeat(np.stack(list(shifts.values())), [len(r) for r in rows.values()], axis=0)
    np.maximum(values, 0, out=values)
    totals = np.asarray(train.X[drawn].sum(axis=1), dtype=np.float64).ravel()
    write_prediction(
        path,
        method,
        labels,
        train.var_names,
        _names(method, labels, train.obs_names[drawn]),
        implied_counts(values, totals),
        values.astype(np.float32),
    )


def implied_counts(values: NDArray[np.float64], totals: NDArray[np.float64]) -> sparse.csr_matrix:
    """Rounded counts in the proportions of log-normalised values, with the given totals.

    Parameters
    ----------
    values
        Log-normalised expression, (n, d).
    totals
        Counts per cell over the d genes, (n,).
    """
    abundance = np.expm1(values)
    sums = abundance.sum(axis=1)
    scale = np.divide(totals, sums, out=np.zeros_like(sums), where=sums > 0)
    return sparse.csr_matrix(np.rint(abundance * scale[:, None]).astype(np.int32))


def _names(method: str, labels: Iterable[str], source: Iterable[str]) -> list[str]:
    return [f"{method}:{label}:{cell}" for label, cell in zip(labels, source, strict=True)]
