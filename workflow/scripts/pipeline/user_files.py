"""Files that hold a user's screen: h5ad, h5mu and 10x HDF5; how others are converted.

All appear as the parts of an h5ad file: ``obs``, ``var``, ``X``, ``layers/...``, ``raw/X`` and
``raw/var``.
"""

import json
import logging
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from lcd_core.errors import InputError, shown
from pipeline.labels import MISSING_LABELS, suggestion
from pipeline.screen import first_line, readable_h5ad

Parts = Mapping[str, Any]
"""Elements by their paths in an h5ad file, in HDF5 or in memory."""

PYTHON = "import {module}; {module}.{reader}.write_h5ad({new!r})"
ENDINGS = (
    ".zarr", ".loom", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz",
)  # fmt: skip

NO_VALUE = {*MISSING_LABELS, "NaN"}
"""What stands for a missing value in a table of cells."""


@dataclass(frozen=True)
class UserFile:
    """A user's file, and which part of it is read.

    Parameters
    ----------
    path
        The file.
    modality
        Modality of an h5mu file; None for ``rna``, or the only one.
    """

    path: str
    modality: str | None = None

    @contextmanager
    def parts(self) -> Iterator[tuple[Parts, str]]:
        """Open the file and yield its parts, with the place to name in messages.

        Raises
        ------
        InputError
            If it is missing, locked or unreadable, or a container of another kind.
        """
        refuse_other_kinds(self.path)
        with readable_h5ad(self.path) as file:
            if is_h5mu(file):
                name = chosen_modality(list(file["mod"]), self.modality, self.path)
                yield parts_of_modality(file, name), f"{self.path}, modality {name!r}"
                return
            if self.modality is not None:
                raise InputError(
                    "screen.modality has a meaning only for h5mu files",
                    where=self.path,
                    found=self.modality,
                    remedy="remove screen.modality, or set it to null",
                )
            if is_10x(file):
                require_inside(file, self.path)
                yield read_10x(self.path), self.path
                return
            refuse_other_hdf5(file, self.path)
            yield dict(file), self.path


def element(parts: Parts, path: str) -> Any:
    """Return the element at a path such as ``layers/counts``; None if there is none."""
    top, _, rest = path.partition("/")
    found = parts.get(top)
    if rest:
        found = found.get(rest) if isinstance(found, h5py.Group) else None
    empty = found is not None and getattr(found, "attrs", {}).get("encoding-type") == "null"
    return None if empty else found


def table_at(parts: Parts, path: str) -> pd.DataFrame | None:
    """Return a table, or None if there is none at this path."""
    found = element(parts, path)
    if isinstance(found, h5py.Group | h5py.Dataset):
        found = ad.io.read_elem(found)
    return found if isinstance(found, pd.DataFrame) else None


def layers_of(parts: Parts) -> list[str]:
    """Names of the layers."""
    return list(parts.get("layers", ()))


def parts_of_modality(file: h5py.File, name: str) -> Parts:
    """Return the parts of one modality, whose cells also get the columns of the whole file.

    Guides are often assigned to cells there; columns of the modality itself are repeated there as
    ``<modality>:<column>``.
    """
    parts: dict[str, Any] = dict(file["mod"][name])
    obs, joint = table_at(parts, "obs"), table_at(file, "obs")
    if obs is None or joint is None or not joint.index.is_unique:
        return parts
    own = {f"{prefix}{column}" for column in obs.columns for prefix in ("", f"{name}:")}
    return parts | {"obs": obs.join(joint[[c for c in joint.columns if c not in own]])}


# --- kinds of files -------------------------------------------------------------------------------


def is_h5mu(file: h5py.File) -> bool:
    """Whether it is the format of MuData: an AnnData per modality."""
    return isinstance(file.get("mod"), h5py.Group) and "X" not in file


def chosen_modality(names: Sequence[str], wanted: str | None, path: str) -> str:
    """Return the modality that is read."""
    if wanted is None and ("rna" in names or len(names) == 1):
        return "rna" if "rna" in names else names[0]
    if wanted in names:
        return str(wanted)
    raise InputError(
        "which modality holds the counts is not known"
        if wanted is None
        else f"there is no modality {wanted!r}{suggestion(wanted, names)}",
        where=path,
        found=f"modalities {shown(names) or 'none'}",
        remedy="set screen.modality to the one of gene expression",
    )


def is_10x(file: h5py.File) -> bool:
    """Whether it is what Cell Ranger and CellBender write, of version 3 or before."""
    groups = [group for group in file.values() if isinstance(group, h5py.Group)]
    return "obs" not in file and any({"barcodes", "data", "indptr"} <= set(g) for g in groups)


def require_inside(file: h5py.File, path: str) -> None:
    """Refuse matrices of a 10x file whose indices point outside them, which scanpy follows."""
    for name, group in file.items():
        if not isinstance(group, h5py.Group) or not {"indices", "indptr", "shape"} <= set(group):
            continue
        genes, cells = (int(length) for length in group["shape"][:2])
        indptr, indices = group["indptr"][:].astype(np.int64), group["indices"]
        right = (
            len(indptr) == cells + 1
            and indptr[0] == 0
            and bool((np.diff(indptr) >= 0).all())
            and indptr[-1] == len(indices) == len(group["data"])
        )
        for start in range(0, len(indices) if right else 0, 2**24):
            block = indices[start : start + 2**24]
            right = right and bool(((block >= 0) & (block < genes)).all())
        if not right:
            raise InputError(
                "the sparse matrix points outside itself",
                where=f"{path}, {name}",
                found=f"{genes} genes, {cells} cells, {len(indices)} values",
                remedy="copy, download or make the file again",
            )


def read_10x(path: str) -> Parts:
    """Read the gene expression of a 10x file; symbols are also in ``var["gene_symbols"]``."""
    import scanpy as sc  # slow to import, and needed for these files alone

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Variable names are not unique")
        try:
            cells = sc.read_10x_h5(path)
        except InputError:
            raise
        except Exception as error:  # scanpy's own kinds, for genomes that cannot be told apart
            raise InputError(
                "scanpy.read_10x_h5 cannot read this 10x file",
                where=path,
                found=first_line(error),
                remedy="read it with scanpy and write it with write_h5ad, then set screen.path to "
                "that file",
            ) from error
    var = cells.var.assign(gene_symbols=cells.var_names.astype(str))
    return {"obs": cells.obs, "var": var, "X": cells.X}


def refuse_other_kinds(path: str) -> None:
    """Refuse what is known by its name to be no HDF5 file, with the command that converts it."""
    place = Path(path)
    name = place.name.lower()
    found = None
    if place.is_dir():
        inside = {entry.name for entry in place.iterdir()}
        if {".zgroup", ".zattrs", "zarr.json"} & inside:
            found = "a zarr store", python("anndata", f"io.read_zarr({path!r})", place)
        elif {"matrix.mtx", "matrix.mtx.gz"} & inside:
            found = (
                "a folder in 10x's mtx format",
                python("scanpy", f"read_10x_mtx({path!r})", place),
            )
        else:
            raise InputError(
                "a folder, but not one of a screen: neither zarr nor 10x's mtx",
                where=path,
                found=sorted(inside) or "an empty folder",
                remedy="set screen.path to an h5ad, h5mu or 10x h5 file",
            )
    elif name.endswith((".mtx", ".mtx.gz")):
        folder = place.parent
        found = (
            "one file of 10x's mtx format",
            python("scanpy", f"read_10x_mtx({str(folder)!r})", folder),
        )
    elif name.endswith((".h5ad.gz", ".h5mu.gz", ".h5.gz")):
        found = "a compressed file", (f"gunzip -k {shlex.quote(path)}", path[: -len(".gz")])
    elif name.endswith((".zip", ".tar", ".tar.gz", ".tgz")):
        command = "unzip" if name.endswith(".zip") else "tar -xf"
        found = "an archive", (f"{command} {shlex.quote(path)}", "the file in it")
    elif name.endswith((".rds", ".rdata")):
        new = str(place.with_suffix(".h5ad"))
        to_h5ad = (
            "zellkonverter::writeH5AD(Seurat::as.SingleCellExperiment("
            f"readRDS({json.dumps(path)})), {json.dumps(new)})"
        )
        found = (
            "a file of R",
            (
                f"Rscript -e {shlex.quote(to_h5ad)} (without Seurat::... if it holds a "
                "SingleCellExperiment)",
                new,
            ),
        )
    elif name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")):
        tabs = "" if ".csv" in name else ", delimiter='\\t'"
        reader = f"io.read_csv({path!r}{tabs})"
        found = (
            "a text table (cells as rows; .T after the bracket if genes are)",
            python("anndata", reader, place),
        )
    if found is not None:
        refuse_kind(path, found[0], *found[1])


def refuse_other_hdf5(file: h5py.File, path: str) -> None:
    """Refuse HDF5 files of other programs, with the command that converts them."""
    if {"row_attrs", "col_attrs", "matrix"} <= set(file):
        command, new = python("anndata", f"io.read_loom({path!r})", Path(path))
        refuse_kind(path, "a loom file", f"{command} (after pip install loompy)", new)
    if {"assays", "cell.names"} <= set(file):
        new = str(Path(path).with_suffix(".h5ad"))
        refuse_kind(
            path,
            "a file of SeuratDisk",
            "Rscript -e " + shlex.quote(f'SeuratDisk::Convert({json.dumps(path)}, dest = "h5ad")'),
            new,
        )


def python(module: str, reader: str, place: Path) -> tuple[str, str]:
    """Return a command that reads a file and writes it as h5ad, and the name of the new file."""
    known = max((len(end) for end in ENDINGS if place.name.lower().endswith(end)), default=0)
    stem = place.name[: len(place.name) - known] or place.name
    new = str(place.with_name(f"{stem}.h5ad"))
    text = PYTHON.format(module=module, reader=reader, new=new)
    plain = not set(text) & set('"$`\\!')  # which a shell reads between double quotes
    return f'python -c "{text}"' if plain else f"python -c {shlex.quote(text)}", new


def refuse_kind(path: str, kind: str, command: str, new: str) -> None:
    """Raise the one message for files of another kind."""
    raise InputError(
        f"this is {kind}; what is read is h5ad, h5mu and 10x h5",
        where=path,
        remedy=f"convert it once: {command}; then set screen.path to {new}",
    )


# --- columns from a table of cells ----------------------------------------------------------------


def with_cells_table(obs: pd.DataFrame, path: str, where: str) -> pd.DataFrame:
    """Add the columns of a table of cells to ``obs``; cells that it lacks have missing values.

    Parameters
    ----------
    obs
        Table of cells, by name.
    path
        TSV or CSV with a header; its first column names cells.
    where
        File of the cells, for messages.

    Raises
    ------
    InputError
        If it cannot be read, names a cell twice, a column that is there, or none of the cells.
    """
    place = f"{path} (screen.cells_table)"
    table = read_cells_table(path, place)
    if not table.index.is_unique:
        raise InputError(
            "cells are listed twice",
            where=place,
            found=table.index[table.index.duplicated()].unique(),
            remedy="give one row a cell",
        )
    taken = [column for column in table.columns if column in obs.columns]
    if taken:
        raise InputError(
            "columns of the table are in obs of the file as well",
            where=place,
            found=map(str, taken),
            remedy="rename these columns of the table, or leave them out",
        )
    common = obs.index.isin(table.index).sum()
    if not common:
        raise InputError(
            f"none of the table's cells is in {where}",
            where=place,
            found=f"{shown(map(repr, table.index[:3]))}; cells of the file: "
            f"{shown(map(repr, obs.index[:3]))}",
            remedy="name the cells in the first column as the file does, suffixes such as -1 "
            "included",
        )
    logging.info(
        "%s has %d of %d cells of the file, and %d others",
        path,
        common,
        len(obs),
        len(table) - common,
    )
    if common < len(obs):  # whole numbers and truth values stay so beside missing ones
        table = table.convert_dtypes(convert_string=False, convert_floating=False)
    return obs.join(table)


def reads_as_written(values: pd.Series, texts: pd.Series) -> bool:
    """Whether numbers and truth values give their texts back: ``01`` and ``1.10`` do not."""
    there = values.notna().to_numpy()
    written = texts.to_numpy()[there]
    kinds = (values, values.convert_dtypes(convert_string=False))  # whole numbers beside gaps
    return any((own[there].astype(str).to_numpy() == written).all() for own in kinds)


def read_cells_table(path: str, place: str) -> pd.DataFrame:
    """Read a table of cells, whose separator is a tab if its header has one, else a comma."""
    remedy = "give a tab- or comma-separated table with a header; its first column names the cells"
    try:
        first_row = pd.read_csv(path, sep="\t", nrows=1, encoding="utf-8-sig")
        tabs = len(first_row.columns) > 1 or not isinstance(first_row.index, pd.RangeIndex)
        sep = "\t" if tabs else ","
        first_row = pd.read_csv(path, sep=sep, nrows=1, encoding="utf-8-sig")
        # R may write no name above the names of rows; pandas then makes them the index.
        named = isinstance(first_row.index, pd.RangeIndex)
        texts = {first_row.columns[0]: str} if named else {}
        # `None` and `NULL` are labels like others
        missing: dict[str, Any] = {"keep_default_na": False, "na_values": sorted(NO_VALUE)}
        common = {"sep": sep, "encoding": "utf-8-sig", **missing}
        table = pd.read_csv(path, dtype=texts, low_memory=False, **common)
        written = pd.read_csv(path, dtype=str, **common)
    except (OSError, ValueError) as error:  # of decoding and of parsing as well
        raise InputError(
            "the table of cells cannot be read", where=place, found=first_line(error), remedy=remedy
        ) from error
    for column in table.select_dtypes(["number", "bool"]).columns:
        if not reads_as_written(table[column], written[column]):
            table[column] = written[column].to_numpy()
    if named:
        if len(table.columns) < 2:
            raise InputError(
                "the table of cells has one column only",
                where=place,
                found=map(repr, table.columns),
                remedy=remedy,
            )
        table = table.set_index(table.columns[0])
    table.index = table.index.astype(str).rename(None)
    return table
