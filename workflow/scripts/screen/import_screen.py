"""Turn a user's file into a checked screen with canonical names of perturbations."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lcd_core.errors import InputError, shown
from pipeline.batches import unmatched, unmatched_message
from pipeline.labels import (
    MISSING,
    MISSING_LABELS,
    UNPRINTED,
    canonical_names,
    listed,
    report_labels,
    require_labels,
    suggestion,
    whole_name,
)
from pipeline.screen import (
    BATCH,
    CONTROL,
    EFFECTIVE_LIBRARY_SIZE,
    TARGET_GENES,
    targets_of,
    write_h5ad,
)
from pipeline.targets import (
    genes_by_symbol,
    genes_of_targets,
    read_target_table,
    report_targets,
)
from pipeline.user_files import Parts, UserFile, element, layers_of, table_at, with_cells_table

CHUNK = 2**24  # matrix entries looked at together, which bounds the memory of the checks
LOOKED_AT = 2**16  # matrix entries by which a matrix is offered as one of counts
INT32_MAX = np.iinfo(np.int32).max
FLOAT16_EXACT = 2048  # half precision holds every integer up to here

UNCLEAR = {"nan", "na", "none", "null", "n/a"}
"""Names of batches that may stand for a missing value, in small letters."""


def main(
    *,
    raw: str,
    screen: str,
    counts: str,
    perturbation_column: str,
    control_label: str | Sequence[str],
    separator: str | Sequence[str],
    keep: Mapping[str, object],
    gene_name_column: str | None,
    ignore_labels: Sequence[str],
    drop_labels: Sequence[str],
    gene_symbols: str | None,
    modality: str | None = None,
    batch_column: str | None = None,
    cells_table: str | None = None,
    target_genes: str | None = None,
) -> None:
    """Read a user's file, check everything the pipeline relies on, and write the screen.

    Parameters
    ----------
    raw
        The user's file: h5ad, h5mu or 10x HDF5.
    screen
        The screen to write.
    counts
        ``"X"``, ``"raw"``, or the layer that holds the counts.
    perturbation_column
        Column of ``obs`` that names the perturbation of each cell.
    control_label
        Label of control cells there, or several; within a combination it means "no target".
    separator
        What joins the targets of a combination; several alternatives may be given, and none, so
        that labels are whole.
    keep
        Column of ``obs`` -> value, or list of values, that a cell must have to be kept.
    gene_name_column
        Column of ``var`` with the names of genes; None for the index of ``var``.
    ignore_labels
        Targets that mean "no target", such as ``NT`` in ``NT_MYC``. A label of nothing but these
        is control.
    drop_labels
        Labels whose cells are left out.
    gene_symbols
        Column of ``var`` by which targets are found among the genes besides their names; None for
        the names alone.
    modality
        Modality of an h5mu file; None for ``rna`` or the only one.
    batch_column
        Column of ``obs`` with the batch of each cell; None where controls are not matched.
    cells_table
        TSV or CSV with further columns of ``obs``, by the names of cells in its first column.
    target_genes
        TSV with the genes of targets that are no genes themselves.

    Raises
    ------
    InputError
        For everything in the file that is not as the settings say.
    """
    source = UserFile(raw, modality)
    with source.parts() as (parts, place):
        obs = read_table(parts, "obs", place)
        key = counts_key(parts, counts, place)
        var = read_table(parts, "raw/var" if key == "raw/X" else "var", place)
    cells, genes = cell_names(obs, place), gene_names(var, gene_name_column, place)
    if cells_table:
        obs = with_cells_table(obs.set_axis(cells), cells_table, place)
    kept = kept_cells(obs, keep, place)
    where = f"{place}, obs[{perturbation_column!r}]"
    labels = cell_labels(obs, perturbation_column, place)
    kept &= ~dropped_cells(labels, kept, drop_labels, where)
    obs, cells, labels = obs.loc[kept], cells[kept], labels[kept]
    require_no_gaps(labels, cells, where)
    names = canonical_names(labels, control_label, separator, ignore_labels, genes, where)
    uns = targets_table(
        names.values(), var, genes, gene_symbols, target_genes, place, whole=not listed(separator)
    )
    report_labels(
        Counter(labels),
        names,
        control_label,
        separator,
        ignore_labels,
        known_names(genes, uns),
        perturbation_column,
    )

    matrix = read_counts(source, key, kept, cells, genes).checked()
    totals = np.asarray(matrix.sum(axis=1, dtype=np.int64)).ravel()

    columns = obs_columns(obs, perturbation_column, batch_column)
    columns.insert(0, "perturbation", pd.Categorical([names[label] for label in labels]))
    columns.insert(1, "library_size", totals.astype(np.float64))
    columns.index = cells
    if batch_column is not None:
        columns.insert(2, BATCH, batches_of(obs, batch_column, place))
        report_batches(columns)
    logging.info(
        "%d of %d cells, %d genes, %d perturbations, %d control cells",
        len(cells),
        len(kept),
        len(genes),
        len(set(names.values()) - {CONTROL}),
        int((columns["perturbation"] == CONTROL).sum()),
    )
    checked = ad.AnnData(X=matrix, obs=columns, var=pd.DataFrame(index=genes), uns=uns)
    write_h5ad(checked, screen)


# --- tables ---------------------------------------------------------------------------------------


def read_table(parts: Parts, name: str, place: str) -> pd.DataFrame:
    """Read ``obs``, ``var`` or ``raw/var``."""
    table = table_at(parts, name)
    if table is None:
        raise InputError(
            f"an h5ad file has a table named {name}",
            where=place,
            found=f"an HDF5 file with {', '.join(parts) or 'nothing'} at its top",
            remedy="read the file with a recent anndata and write it again with write_h5ad",
        )
    return table


def column_of(table: pd.DataFrame, column: str, place: str, setting: str) -> pd.Series:
    """Return a column, or say which there are."""
    if column not in table.columns:
        raise InputError(
            f"there is no column {column!r}{suggestion(column, table.columns)}",
            where=place,
            found=f"columns {shown(table.columns) or 'none'}",
            remedy=f"set {setting} to a column of the file",
        )
    return table[column]


def cell_names(obs: pd.DataFrame, raw: str) -> pd.Index:
    """Return the names of the cells, unique."""
    names = pd.Index(obs.index.astype(str)).rename(None)  # a column may have its name
    if names.empty:
        raise InputError(
            "the screen has no cells", where=f"{raw}, obs", remedy="give a file with cells"
        )
    if not names.is_unique:
        raise InputError(
            "cell names are duplicated",
            where=f"{raw}, obs_names",
            found=names[names.duplicated()].unique(),
            remedy="make them unique, e.g. with AnnData.obs_names_make_unique(), after checking "
            "that no cell is in the file twice",
        )
    return names


def gene_names(var: pd.DataFrame, column: str | None, raw: str) -> pd.Index:
    """Return the names of the genes, unique and none missing."""
    if column is None:
        place, values = f"{raw}, var_names", pd.Series(var.index)
    else:
        place = f"{raw}, var[{column!r}]"
        values = column_of(var, column, f"{raw}, var", "screen.gene_name_column")
    if values.empty:
        raise InputError(
            "the screen has no genes", where=f"{raw}, var", remedy="give a file with genes"
        )
    values = whole_numbers(values)  # identifiers, say of Entrez
    names = pd.Index(values.astype(object).where(values.notna(), "").astype(str)).rename(None)
    missing = names.isin(list(MISSING_LABELS))
    if missing.any():
        raise InputError(
            f"{missing.sum()} genes have no name",
            where=place,
            found=(f"gene number {position}" for position in np.flatnonzero(missing) + 1),
            remedy="name them, or set screen.gene_name_column to a column without gaps",
        )
    odd = names.str.contains(UNPRINTED)
    if odd.any():
        raise InputError(
            "names of genes contain tabs, line breaks or other control characters",
            where=place,
            found=map(repr, names[odd]),
            remedy="clean the names (a line end of Windows, \\r, comes from a text file read as "
            "one of Unix), or set screen.gene_name_column to another column",
        )
    if not names.is_unique:
        unique = [name for name in var.columns if var[name].notna().all() and var[name].is_unique]
        others = f" (such are {shown(map(repr, unique))})" if unique else ""
        raise InputError(
            "gene names are duplicated",
            where=place,
            found=names[names.duplicated()].unique(),
            remedy="set screen.gene_name_column to a column of var whose values are unique"
            f"{others}, or rename the genes in the file",
        )
    return names


def kept_cells(obs: pd.DataFrame, keep: Mapping[str, object], raw: str) -> NDArray[np.bool_]:
    """Return which cells have the required values."""
    kept = np.ones(len(obs), dtype=bool)
    for column, required in keep.items():
        values = column_of(obs, column, f"{raw}, obs", "screen.keep")
        wanted = list(required) if isinstance(required, list | tuple) else [required]
        absent = [value for value in wanted if not values.isin([value]).any()]
        if absent:
            raise InputError(
                f"no cell has the required value {shown(map(repr, absent))}",
                where=f"{raw}, obs[{column!r}]",
                found=(repr(value) for value in values.value_counts().index.tolist()),
                remedy="correct screen.keep (texts and numbers are told apart)",
            )
        kept &= values.isin(wanted).to_numpy()
    if not kept.any():
        raise InputError(
            "no cell has all the required values",
            where=f"{raw}, obs",
            found=f"{dict(keep)} for {len(obs)} cells",
            remedy="correct screen.keep",
        )
    return kept


def obs_columns(
    obs: pd.DataFrame, perturbation_column: str, batch_column: str | None
) -> pd.DataFrame:
    """Return the other columns that hold texts, numbers or truth values, and log those dropped."""
    columns = {}
    for column, values in obs.items():
        if column in ("perturbation", "library_size", EFFECTIVE_LIBRARY_SIZE, BATCH):
            if column == BATCH and batch_column is None:
                logging.info(
                    "obs['batch'] of the file is not used; set screen.batch_column to batch to "
                    "match controls by it"
                )
            elif column not in (perturbation_column, batch_column):
                logging.warning("obs[%r] of the file gives way to the pipeline's own", column)
            continue
        kind = pd.api.types.infer_dtype(values, skipna=True)
        # names that HDF5 or anndata has for something else
        if (
            "/" in str(column)
            or column in (".", "_index")
            or kind
            not in (
                "boolean",
                "integer",
                "floating",
                "string",
                "categorical",
            )
        ):
            logging.warning("obs[%r] is not carried along (%s)", column, kind)
            continue
        columns[str(column)] = values.astype("category") if kind == "string" else values
    return pd.DataFrame(columns, index=obs.index)


def batches_of(obs: pd.DataFrame, column: str, raw: str) -> pd.Categorical:
    """Return the batch of each cell as text, none missing."""
    values = column_of(obs, column, f"{raw}, obs", "screen.batch_column")
    missing = values.isna() | (values.astype(object).astype(str).str.strip() == "")
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(values)} cells have no batch",
            where=f"{raw}, obs[{column!r}]",
            found=(f"cell {name}" for name in obs.index[missing.to_numpy()]),
            remedy="give every cell its batch, leave such cells out by screen.keep, or set "
            "screen.batch_column to null",
        )
    names = whole_numbers(values).astype(object).astype(str)
    listed_names = sorted(names.unique())
    alike = Counter(name.strip().casefold() for name in listed_names)
    same = [repr(name) for name in listed_names if alike[name.strip().casefold()] > 1]
    if same:
        logging.warning(
            "batches that differ by case or white space alone are taken for different ones: %s",
            shown(same),
        )
    unclear = [repr(name) for name in listed_names if name.strip().casefold() in UNCLEAR]
    if unclear:
        logging.warning(
            "batches that may stand for a missing value are taken for batches: %s", shown(unclear)
        )
    return pd.Categorical(names)


def whole_numbers(values: pd.Series) -> pd.Series:
    """Whole numbers as such, which a column with gaps holds as fractions; all others as before."""
    if pd.api.types.is_float_dtype(values):
        there = values.dropna()
        if np.isfinite(there).all() and (there == there.round()).all():
            return values.astype("Int64")
    return values


def report_batches(obs: pd.DataFrame) -> None:
    """Log the batches, and warn of perturbations in batches without control cells."""
    number = obs[BATCH].astype(str).value_counts()
    logging.info(
        "%d batches, by cells: %s",
        len(number),
        shown(f"{name} ({cells})" for name, cells in number.items()),
    )
    apart = unmatched(obs)
    if apart:
        logging.warning("%s", unmatched_message(apart))


# --- perturbations --------------------------------------------------------------------------------


def cell_labels(obs: pd.DataFrame, column: str, raw: str) -> NDArray[np.object_]:
    """Return the user's label of every cell as text; a missing value is ``nan``."""
    values = column_of(obs, column, f"{raw}, obs", "screen.perturbation_column")
    return values.astype(object).where(values.notna(), MISSING).astype(str).to_numpy(dtype=object)


def dropped_cells(
    labels: NDArray[np.object_], kept: NDArray[np.bool_], drop_labels: Sequence[str], where: str
) -> NDArray[np.bool_]:
    """Return which cells have a label to be dropped, and log how many of those kept so far."""
    require_labels(drop_labels, Counter(labels), "drop_labels", "label to drop", where)
    dropped = np.isin(labels, list(drop_labels))
    if drop_labels:
        number = Counter(labels[kept & dropped])
        logging.info(
            "%d cells left out by screen.drop_labels: %s",
            sum(number.values()),
            shown(f"{label!r} ({number[label]})" for label in drop_labels),
        )
    if not (kept & ~dropped).any():
        raise InputError(
            "no cells are left",
            where=where,
            found=f"all labels are in screen.drop_labels: {shown(map(repr, drop_labels))}",
            remedy="correct screen.drop_labels",
        )
    return dropped


def require_no_gaps(labels: NDArray[np.object_], cells: pd.Index, where: str) -> None:
    """Refuse cells without a label."""
    missing = np.isin(labels, list(MISSING_LABELS))
    if missing.any():
        words = shown(sorted(map(repr, set(labels[missing]))))
        raise InputError(
            f"{missing.sum()} of {len(labels)} cells have no perturbation label",
            where=where,
            found=(f"cell {name}" for name in cells[missing][:10]),
            remedy=f"label them, or leave them out: screen.drop_labels: [{words}]",
        )


def targets_table(
    names: Iterable[str],
    var: pd.DataFrame,
    genes: pd.Index,
    gene_symbols: str | None,
    target_genes: str | None,
    raw: str,
    *,
    whole: bool,
) -> dict[str, pd.DataFrame]:
    """Say which genes the targets are, and return the table of those that it has to tell.

    Parameters
    ----------
    names
        Canonical names of the perturbations.
    var, genes
        Table of the genes in the file, and the names they have here.
    gene_symbols, target_genes, raw
        As in :func:`main`.
    whole
        Whether labels are never split, so that the table's targets are written as whole labels.
    """
    targets = sorted({target for name in names for target in targets_of(name)})
    symbols = {}
    if gene_symbols is not None:
        column = column_of(var, gene_symbols, f"{raw}, var", "screen.gene_symbols")
        symbols = genes_by_symbol(column, genes)
    table = read_target_table(target_genes) if target_genes else {}
    if whole:
        number = Counter(whole_name(target) for target in table)
        same = [repr(target) for target in table if number[whole_name(target)] > 1]
        if same:
            raise InputError(
                "targets of the table would have the same name, since & stands for + in labels "
                "that are not split",
                where=f"{target_genes} (screen.target_genes)",
                found=same,
                remedy="keep one of them",
            )
        table = {whole_name(target): own for target, own in table.items()}
    if table and not set(table) & set(targets):
        raise InputError(
            "none of the table's targets is perturbed in the screen",
            where=f"{target_genes} (screen.target_genes)",
            found=f"{shown(table)}; targets of the screen: {shown(targets)}",
            remedy="name the targets as the labels of the screen do, without the control's",
        )
    unmatched_rows = sorted(set(table) - set(targets))
    if unmatched_rows:
        logging.warning(
            "%s: targets that are not perturbed in the screen, of no effect: %s",
            target_genes,
            shown(unmatched_rows),
        )
    measured = set(genes)
    mapped = genes_of_targets(targets, measured, symbols, table)
    report_targets(targets, measured, mapped, var)
    rows = [(target, gene) for target, own in mapped.items() for gene in own]
    return {TARGET_GENES: pd.DataFrame(rows, columns=["target", "gene"])} if rows else {}


def known_names(genes: pd.Index, uns: Mapping[str, pd.DataFrame]) -> set[str]:
    """Return the names of the measured genes, and the targets that stand for some of them."""
    known = set(genes)
    if TARGET_GENES in uns:
        table = uns[TARGET_GENES]
        known |= set(table.loc[table["gene"].isin(known), "target"])
    return known


# --- counts ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CountMatrix:
    """A matrix from a user's file that should hold counts, and what messages about it need."""

    matrix: sparse.csr_matrix  # cells x genes, of any type
    stored: np.dtype  # the type in the file, which decides what can have overflowed
    cells: pd.Index
    genes: pd.Index
    place: str  # file and field
    remedy: str  # where else the counts may be

    def checked(self) -> sparse.csr_matrix:
        """Return the matrix as ``int32`` if all its values are counts."""
        if self.stored.kind not in "iuf":
            raise InputError(
                "the matrix does not hold numbers",
                where=self.place,
                found=f"type {self.stored}",
                remedy=self.remedy,
            )
        self._check_values()
        matrix = self.matrix
        if not matrix.has_canonical_format:
            matrix = matrix.astype(np.float64)  # a sum may be larger than the type in the file
            matrix.sum_duplicates()
        replace(self, matrix=matrix)._check_range()
        counts = sparse.csr_matrix(
            (matrix.data.astype(np.int32), matrix.indices, matrix.indptr), shape=matrix.shape
        )
        counts.eliminate_zeros()
        if counts.nnz == 0:
            raise InputError("all counts are zero", where=self.place, remedy=self.remedy)
        return counts

    def _check_values(self) -> None:
        if self.stored.kind == "i" and self.stored.itemsize <= 2:
            self._refuse(
                lambda values: values < 0,
                f"counts are negative: {self.stored} holds counts up to "
                f"{np.iinfo(self.stored).max}, and larger ones have probably overflowed",
                "store the counts as 32-bit integers, from the original data",
            )
        if self.stored.kind == "f":
            self._refuse(
                lambda values: ~np.isfinite(values),
                "values are not finite where counts are expected",
            )
        self._refuse(lambda values: values < 0, "values are negative where counts are expected")
        if self.stored.kind == "f":
            self._refuse(
                lambda values: values != np.rint(values),
                "values are not whole numbers where counts are expected: the matrix is "
                "normalised or transformed",
            )

    def _check_range(self) -> None:
        if self.stored.itemsize <= 2:
            limit = FLOAT16_EXACT if self.stored.kind == "f" else np.iinfo(self.stored).max
            self._refuse(
                lambda values: values >= limit,
                f"counts reach {limit}, where {self.stored} ends: larger ones have probably "
                "overflowed, been cut off or been rounded",
                "store the counts as 32-bit integers, from the original data",
            )
        self._refuse(
            lambda values: values > INT32_MAX,
            f"values are too large for counts of molecules (above {INT32_MAX:,})",
        )

    def _refuse(
        self,
        is_bad: Callable[[NDArray], NDArray[np.bool_]],
        what: str,
        remedy: str | None = None,
    ) -> None:
        """Raise with the number of bad values and the first of them, looking piece by piece."""
        values, indptr = self.matrix.data, self.matrix.indptr
        number, first = 0, np.empty(0, dtype=np.int64)
        for start in range(0, len(values), CHUNK):
            bad = np.flatnonzero(is_bad(values[start : start + CHUNK])) + start
            number += len(bad)
            first = np.concatenate([first, bad])[:5]
        if number:
            rows = np.searchsorted(indptr, first, side="right") - 1
            examples = (
                f"{values[at]:g} (cell {self.cells[row]}, gene "
                f"{self.genes[self.matrix.indices[at]]})"
                for at, row in zip(first, rows, strict=True)
            )
            raise InputError(
                what,
                where=self.place,
                found=f"{number:,} of {len(values):,} values, such as {shown(examples)}",
                remedy=remedy or self.remedy,
            )


def counts_key(parts: Parts, counts: str, place: str) -> str:
    """Return where in the file the counts are: ``X``, ``raw/X`` or ``layers/...``."""
    layers = layers_of(parts)
    key = f"layers/{counts}" if counts in layers else counts
    if counts == "raw" and element(parts, "raw/X") is not None:
        if "raw" in layers:
            raise InputError(
                "both .raw and a layer bear the name 'raw'",
                where=place,
                remedy="set screen.counts to raw/X or to layers/raw",
            )
        key = "raw/X"
    if not key.startswith(("X", "raw/X", "layers/")) or element(parts, key) is None:
        name = "matrix X" if counts == "X" else f"layer {counts!r}"
        close = "" if counts == "X" else suggestion(counts, ["X", "raw", *layers])
        raise InputError(
            f"the file has no {'.raw' if counts in ('raw', 'raw/X') else name}{close}",
            where=place,
            found=f"layers: {shown(layers) or 'none'}",
            remedy=where_counts_are(parts, key),
        )
    return key


def where_counts_are(parts: Parts, key: str) -> str:
    """Say what ``screen.counts`` may be set to instead, whole numbers first."""
    layers = layers_of(parts)
    names = {"X": "X", "raw/X": "raw"} | {f"layers/{layer}": layer for layer in layers}
    others = {
        name: holds_whole_numbers(element(parts, other))
        for other, name in names.items()
        if other != key and element(parts, other) is not None
    }
    whole = [name for name, is_whole in others.items() if is_whole]
    if whole:
        return f"set screen.counts to {' or '.join(whole)}, where the file has whole numbers"
    known = f" (of this file: {shown(others)})" if others else ""
    return f"set screen.counts to the matrix of raw counts, X, raw or a layer{known}"


def holds_whole_numbers(matrix: object) -> bool:
    """Whether the first values of a matrix may be counts."""
    values = matrix["data"] if isinstance(matrix, h5py.Group) and "data" in matrix else matrix
    if isinstance(values, sparse.spmatrix | sparse.sparray):
        first = values.data[:LOOKED_AT]
    elif isinstance(values, h5py.Dataset):
        rows = LOOKED_AT if values.ndim == 1 else max(1, LOOKED_AT // max(1, values.shape[1]))
        first = values[:rows]
    else:
        return False
    return first.dtype.kind in "iuf" and bool(((first >= 0) & (first == np.rint(first))).all())


def read_counts(
    source: UserFile, key: str, kept: NDArray[np.bool_], cells: pd.Index, genes: pd.Index
) -> CountMatrix:
    """Read the kept rows of a matrix; cells are the kept ones, genes all."""
    with source.parts() as (parts, place):
        layer = key.removeprefix("layers/")
        place += f", {key}" if layer == key else f", layers[{layer!r}]"
        found = element(parts, key)
        shape = getattr(found, "shape", None)
        if isinstance(found, h5py.Group):
            shape = tuple(found.attrs.get("shape", ()))
        if shape != (len(kept), len(genes)):
            raise InputError(
                "the matrix does not fit obs and var",
                where=place,
                found=f"{shape} for {len(kept)} cells and {len(genes)} genes",
                remedy="write the file again",
            )
        matrix, stored = read_matrix(found, kept)
        remedy = where_counts_are(parts, key)
    return CountMatrix(matrix, stored, cells, genes, place, remedy)


def read_matrix(
    stored: h5py.Group | h5py.Dataset | sparse.csr_matrix, kept: NDArray[np.bool_]
) -> tuple[sparse.csr_matrix, np.dtype]:
    """Read the kept rows of a dense, CSR or CSC matrix as CSR; also return the type as stored.

    A dense one is read in blocks of rows, so that no more of it is in memory at a time.
    """
    if not isinstance(stored, h5py.Dataset):
        matrix = ad.io.read_elem(stored) if isinstance(stored, h5py.Group) else stored
        matrix.check_format(full_check=True)
        matrix = sparse.csr_matrix(matrix)
        return (matrix if kept.all() else matrix[kept]), matrix.dtype
    blocks = []
    step = max(1, CHUNK // stored.shape[1])
    for start in range(0, len(kept), step):
        block = stored[start : start + step][kept[start : start + step]]
        if block.dtype == np.float16:
            block = block.astype(np.float32)  # no sparse matrix holds half precision
        blocks.append(sparse.csr_matrix(block))
    return sparse.vstack(blocks, format="csr"), stored.dtype


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
