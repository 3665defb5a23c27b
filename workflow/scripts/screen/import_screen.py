"""Turn a user's h5ad file into a checked screen with canonical names of perturbations."""

import difflib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lcd_core.errors import InputError, shown
from pipeline.screen import (
    CONTROL,
    EFFECTIVE_LIBRARY_SIZE,
    SEPARATOR,
    TARGET_GENES,
    canonical_name,
    readable_h5ad,
    targets_of,
    write_h5ad,
)
from pipeline.targets import (
    genes_by_symbol,
    genes_of_targets,
    read_target_table,
    report_targets,
)

CHUNK = 2**24  # matrix entries looked at together, which bounds the memory of the checks
COMMON_SEPARATORS = "+_,;|& "
MISSING_LABELS = {"", "nan", "NA"}
INT32_MAX = np.iinfo(np.int32).max
FLOAT16_EXACT = 2048  # half precision holds every integer up to here


def main(
    *,
    raw: str,
    screen: str,
    counts: str,
    perturbation_column: str,
    control_label: str,
    separator: str | Sequence[str],
    keep: Mapping[str, object],
    gene_name_column: str | None,
    ignore_labels: Sequence[str],
    gene_symbols: str | None,
    target_genes: str | None = None,
) -> None:
    """Read a user's file, check everything the pipeline relies on, and write the screen.

    Parameters
    ----------
    raw
        The user's h5ad file.
    screen
        The screen to write.
    counts
        ``"X"``, or the layer that holds the counts.
    perturbation_column
        Column of ``obs`` that names the perturbation of each cell.
    control_label
        Label of control cells there; within a combination it means "no target".
    separator
        What joins the targets of a combination; several alternatives may be given.
    keep
        Column of ``obs`` -> value, or list of values, that a cell must have to be kept.
    gene_name_column
        Column of ``var`` with the names of genes; None for the index of ``var``.
    ignore_labels
        Targets that mean "no target", such as ``NT`` in ``NT_MYC``. A label of nothing but these
        is control.
    gene_symbols
        Column of ``var`` by which targets are found among the genes besides their names; None for
        the names alone.
    target_genes
        TSV with the genes of targets that are no genes themselves.

    Raises
    ------
    InputError
        For everything in the file that is not as the settings say.
    """
    with readable_h5ad(raw) as file:
        obs, var = (read_table(file, name, raw) for name in ("obs", "var"))
    cells, genes = cell_names(obs, raw), gene_names(var, gene_name_column, raw)
    kept = kept_cells(obs, keep, raw)
    obs, cells = obs.loc[kept], cells[kept]
    labels = perturbation_labels(obs, perturbation_column, raw)
    where = f"{raw}, obs[{perturbation_column!r}]"
    names = canonical_names(labels, control_label, separator, ignore_labels, genes, where)
    uns = targets_table(names.values(), var, genes, gene_symbols, target_genes, raw)

    matrix = read_counts(raw, counts, kept, cells, genes).checked()
    totals = np.asarray(matrix.sum(axis=1, dtype=np.int64)).ravel()

    columns = obs_columns(obs, perturbation_column)
    columns.insert(0, "perturbation", pd.Categorical([names[label] for label in labels]))
    columns.insert(1, "library_size", totals.astype(np.float64))
    columns.index = cells
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


def read_table(file: h5py.File, name: str, raw: str) -> pd.DataFrame:
    """Read ``obs`` or ``var``."""
    table = ad.io.read_elem(file[name]) if name in file else None
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f"an h5ad file has a table named {name}",
            where=raw,
            found=f"an HDF5 file with {', '.join(file) or 'nothing'} at its top",
            remedy="read the file with a recent anndata and write it again with write_h5ad",
        )
    return table


def suggestion(name: str, known: Iterable[object]) -> str:
    """Return `` (did you mean ...?)``, or nothing where nothing is close."""
    options = {str(value).lower(): str(value) for value in known}
    close = difflib.get_close_matches(name.lower(), options, n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(options[value] for value in close)}?)" if close else ""


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
    names = pd.Index(obs.index.astype(str), name=None)
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
    names = pd.Index(values.astype(object).where(values.notna(), "").astype(str), name=None)
    missing = names.isin(list(MISSING_LABELS))
    if missing.any():
        raise InputError(
            f"{missing.sum()} genes have no name",
            where=place,
            found=(f"gene number {position}" for position in np.flatnonzero(missing) + 1),
            remedy="name them, or set screen.gene_name_column to a column without gaps",
        )
    if not names.is_unique:
        raise InputError(
            "gene names are duplicated",
            where=place,
            found=names[names.duplicated()].unique(),
            remedy="set screen.gene_name_column to a column of var whose values are unique, or "
            "rename the genes in the file",
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


def obs_columns(obs: pd.DataFrame, perturbation_column: str) -> pd.DataFrame:
    """Return the other columns that hold texts, numbers or truth values, and log those dropped."""
    columns = {}
    for column, values in obs.items():
        if column in ("perturbation", "library_size", EFFECTIVE_LIBRARY_SIZE):
            if column != perturbation_column:
                logging.warning("obs[%r] of the file gives way to the pipeline's own", column)
            continue
        kind = pd.api.types.infer_dtype(values, skipna=True)
        if "/" in str(column) or kind not in (
            "boolean",
            "integer",
            "floating",
            "string",
            "categorical",
        ):
            logging.warning("obs[%r] is not carried along (%s)", column, kind)
            continue
        columns[str(column)] = values.astype("category") if kind == "string" else values
    return pd.DataFrame(columns, index=obs.index)


# --- perturbations --------------------------------------------------------------------------------


def perturbation_labels(obs: pd.DataFrame, column: str, raw: str) -> NDArray[np.object_]:
    """Return the user's label of every cell, none missing."""
    values = column_of(obs, column, f"{raw}, obs", "screen.perturbation_column")
    labels = values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object)
    missing = np.isin(labels, list(MISSING_LABELS))
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(labels)} cells have no perturbation label",
            where=f"{raw}, obs[{column!r}]",
            found=(f"cell {name}" for name in obs.index[missing][:10]),
            remedy="label them or remove them from the file, or choose cells by screen.keep",
        )
    return labels


def canonical_names(
    labels: Iterable[str],
    control_label: str,
    separator: str | Sequence[str],
    ignore_labels: Sequence[str],
    genes: Iterable[str],
    where: str,
) -> dict[str, str]:
    """Map every distinct label to the canonical name of its perturbation.

    Parameters
    ----------
    labels
        One label per cell.
    control_label, separator, ignore_labels
        As in :func:`main`.
    genes
        Names of the measured genes, which help to tell names from lists of names.
    where
        File and field, for messages.

    Raises
    ------
    InputError
        If labels are ambiguous, repeat a target or leave the screen without control or without
        perturbations.
    """
    number = Counter(labels)
    frequent = [f"{label} ({cells})" for label, cells in number.most_common(10)]
    if control_label not in number:
        raise InputError(
            f"no cell has the control label {control_label!r}{suggestion(control_label, number)}",
            where=where,
            found=f"{len(number)} labels, most cells first: {', '.join(frequent)}",
            remedy="set screen.control_label to the label of the control cells",
        )
    separators = [separator] if isinstance(separator, str) else list(separator)
    # The longest first, so that "++" is not taken for two of "+".
    pattern = "|".join(re.escape(text) for text in sorted(separators, key=len, reverse=True))
    split = {label: re.split(pattern, label) for label in number if label != control_label}
    no_target = {control_label, *ignore_labels}
    check_targets(split, no_target, separators, where)
    check_separators(split, no_target, set(genes), separators, where)

    names = {control_label: CONTROL}
    for label, tokens in split.items():
        names[label] = canonical_name(token for token in tokens if token not in no_target)
    others = sorted(label for label in split if names[label] == CONTROL)
    if others:
        logging.info("counted as control, having no target: %s", shown(others))
    if set(names.values()) == {CONTROL}:
        raise InputError(
            "the screen has one condition only, the control",
            where=where,
            found=", ".join(frequent),
            remedy="give a screen with perturbed cells; check screen.perturbation_column, "
            "screen.ignore_labels and screen.keep",
        )
    return names


def targets_table(
    names: Iterable[str],
    var: pd.DataFrame,
    genes: pd.Index,
    gene_symbols: str | None,
    target_genes: str | None,
    raw: str,
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
    """
    targets = sorted({target for name in names for target in targets_of(name)})
    symbols = {}
    if gene_symbols is not None:
        column = column_of(var, gene_symbols, f"{raw}, var", "screen.gene_symbols")
        symbols = genes_by_symbol(column, genes)
    table = read_target_table(target_genes) if target_genes else {}
    if table and not set(table) & set(targets):
        raise InputError(
            "none of the table's targets is perturbed in the screen",
            where=f"{target_genes} (screen.target_genes)",
            found=f"{shown(table)}; targets of the screen: {shown(targets)}",
            remedy="name the targets as the labels of the screen do, without the control's",
        )
    measured = set(genes)
    mapped = genes_of_targets(targets, measured, symbols, table)
    report_targets(targets, measured, mapped, var)
    rows = [(target, gene) for target, own in mapped.items() for gene in own]
    return {TARGET_GENES: pd.DataFrame(rows, columns=["target", "gene"])} if rows else {}


def check_targets(
    split: Mapping[str, list[str]], no_target: set[str], separators: Sequence[str], where: str
) -> None:
    """Refuse labels that do not give a set of distinct, well-formed target names."""
    joined = " or ".join(repr(text) for text in separators)
    missing = MISSING_LABELS - no_target
    problems: list[tuple[str, Callable[[list[str]], bool], str]] = [
        (
            f"labels have an empty target beside a separator ({joined})",
            lambda targets: "" in targets,
            "complete or shorten these labels, or correct screen.separator",
        ),
        (
            "targets begin or end with white space, or contain tabs or line breaks",
            lambda targets: any(t != t.strip() or re.search(r"[\t\n\r]", t) for t in targets),
            "clean the labels, or make the space a part of screen.separator",
        ),
        (
            "a missing value is among the targets",
            lambda targets: not missing.isdisjoint(targets),
            "name the target, or list the word in screen.ignore_labels if it means no target",
        ),
        (
            "labels name the same target twice",
            lambda targets: len(set(targets)) < len(targets),
            "name each target once: a perturbation is a set of targets",
        ),
        (
            f"{SEPARATOR!r} joins the targets of canonical names, but stands in a target's name",
            lambda targets: any(SEPARATOR in target for target in targets),
            f"add {SEPARATOR!r} to screen.separator if it separates targets, else rename them",
        ),
        (
            f"{CONTROL!r} is the canonical name of the control, but another label uses it",
            lambda targets: CONTROL in targets,
            f"set screen.control_label to {CONTROL!r}, or list it in screen.ignore_labels",
        ),
    ]
    for what, is_wrong, remedy in problems:
        found = sorted(
            label
            for label, tokens in split.items()
            if is_wrong([token for token in tokens if token not in no_target])
        )
        if found:
            raise InputError(what, where=where, found=map(repr, found), remedy=remedy)


def check_separators(
    split: Mapping[str, list[str]],
    no_target: set[str],
    genes: set[str],
    separators: Sequence[str],
    where: str,
) -> None:
    """Refuse names that are lists by another separator, and lists that are the name of a gene.

    Names of genes may contain almost any character, so a name counts as a list only where all
    its parts are known as targets or genes and the whole is not.
    """
    cut = sorted(label for label, tokens in split.items() if len(tokens) > 1 and label in genes)
    if cut:
        raise InputError(
            "a separator stands in the name of a measured gene, which would be cut in two",
            where=where,
            found=cut,
            remedy=f"use another separator than {shown(map(repr, separators))} in the labels",
        )
    targets = {token for tokens in split.values() for token in tokens}
    known = targets | genes | no_target
    for other in COMMON_SEPARATORS:
        lists = sorted(
            name
            for name in targets - genes - no_target
            if other in name and all(part.strip() in known for part in name.split(other))
        )
        if lists:
            raise InputError(
                f"labels look like lists of targets joined by {other!r}, which is not a separator",
                where=where,
                found=lists,
                remedy=f"add {other!r} to screen.separator (now {shown(map(repr, separators))}), "
                "or rename these targets if each is one target",
            )


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
        self._check_range()
        matrix = self.matrix
        counts = sparse.csr_matrix(
            (matrix.data.astype(np.int32), matrix.indices, matrix.indptr), shape=matrix.shape
        )
        if not counts.has_canonical_format:
            counts.sum_duplicates()
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


def read_counts(
    raw: str, counts: str, kept: NDArray[np.bool_], cells: pd.Index, genes: pd.Index
) -> CountMatrix:
    """Read the kept rows of ``X`` or of a layer; cells are the kept ones, genes all."""
    with readable_h5ad(raw) as file:
        layers = list(file["layers"]) if "layers" in file else []
        key = "X" if counts == "X" else f"layers/{counts}"
        place = f"{raw}, X" if counts == "X" else f"{raw}, layers[{counts!r}]"
        if key not in file or file[key].attrs.get("encoding-type") == "null":
            close = "" if counts == "X" else suggestion(counts, layers)
            raise InputError(
                f"the file has no {'matrix X' if counts == 'X' else f'layer {counts!r}'}{close}",
                where=raw,
                found=f"layers: {shown(layers) or 'none'}",
                remedy="set screen.counts to X or to the layer that holds the raw counts",
            )
        shape = getattr(file[key], "shape", None) or tuple(file[key].attrs.get("shape", ()))
        if shape != (len(kept), len(genes)):
            raise InputError(
                "the matrix does not fit obs and var",
                where=place,
                found=f"{shape} for {len(kept)} cells and {len(genes)} genes",
                remedy="write the file again",
            )
        matrix, stored = read_matrix(file[key], kept)
    others = f" (layers of this file: {shown(layers)})" if layers else ""
    remedy = f"set screen.counts to the matrix of raw counts, X or a layer{others}"
    return CountMatrix(matrix, stored, cells, genes, place, remedy)


def read_matrix(
    element: h5py.Group | h5py.Dataset, kept: NDArray[np.bool_]
) -> tuple[sparse.csr_matrix, np.dtype]:
    """Read the kept rows of a dense, CSR or CSC matrix as CSR; also return the type as stored."""
    if isinstance(element, h5py.Group):
        matrix = ad.io.read_elem(element)
        matrix.check_format(full_check=True)
        matrix = sparse.csr_matrix(matrix)
        return (matrix if kept.all() else matrix[kept]), matrix.dtype
    blocks = []
    step = max(1, CHUNK // element.shape[1])
    for start in range(0, len(kept), step):
        block = element[start : start + step][kept[start : start + step]]
        if block.dtype == np.float16:
            block = block.astype(np.float32)  # no sparse matrix holds half precision
        blocks.append(sparse.csr_matrix(block))
    return sparse.vstack(blocks, format="csr"), element.dtype


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
