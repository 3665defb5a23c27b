"""Screens: the one place that reads and writes them, and the names of their perturbations.

A screen is an AnnData with CSR ``int32`` counts in ``X`` (cells x genes), the perturbation of
each cell in ``obs["perturbation"]`` and its number of counts over all genes of the imported file
in ``obs["library_size"]``; where size factors other than the total were asked for, what makes
cells comparable is in ``obs["effective_library_size"]``; where controls are to be matched by
batch, ``obs["batch"]`` has it. Which genes a target stands for is in
``uns["target_genes"]``, for targets that are not simply genes of their own name.
"""

import errno
import io
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.tables import read_text

CONTROL = "control"
SEPARATOR = "+"
EFFECTIVE_LIBRARY_SIZE = "effective_library_size"
BATCH = "batch"
TARGET_GENES = "target_genes"

LARGE = 2**30
MOST_COMPRESSED = 2000
"""Bytes of a table or matrix above which a file has to hold at least one for so many."""

TargetGenes = dict[str, tuple[str, ...]]
"""Names of genes by target."""


def targets_of(name: str) -> tuple[str, ...]:
    """Return the targets of a perturbation's canonical name; none for the control."""
    return () if name == CONTROL else tuple(name.split(SEPARATOR))


def canonical_name(targets: Iterable[str]) -> str:
    """Return the name of a set of targets: sorted and joined, or the control's if there are none.

    Raises
    ------
    ValueError
        If a target repeats, or has a name that could not be told apart afterwards.
    """
    names = sorted(targets)
    if len(set(names)) < len(names):
        raise ValueError(f"a target repeats in {names}")
    for name in names:
        if not name or name == CONTROL or SEPARATOR in name:
            raise ValueError(f"{name!r} cannot be the name of a target")
    return SEPARATOR.join(names) if names else CONTROL


def target_genes(screen: ad.AnnData, targets: Iterable[str] | None = None) -> TargetGenes:
    """Return the genes of each target, measured or not.

    They are those of the table ``uns["target_genes"]`` (columns ``target``, ``gene``), which comes
    along with the cells from the import on; a target that it does not list is a gene of its own
    name.

    Parameters
    ----------
    screen
        A screen, imported or made from an imported one.
    targets
        Targets asked for; None for all that are perturbed in these cells.
    """
    if targets is None:
        perturbations = screen.obs["perturbation"].astype(str).unique()
        targets = {target for name in perturbations for target in targets_of(name)}
    genes: TargetGenes = {target: (target,) for target in sorted(targets)}
    if TARGET_GENES in screen.uns:
        listed = screen.uns[TARGET_GENES].astype(str)
        mapped = listed.groupby("target", sort=False)["gene"].agg(tuple)
        genes.update({target: mapped[target] for target in genes if target in mapped.index})
    return genes


def measured_target_genes(screen: ad.AnnData, targets: Iterable[str] | None = None) -> TargetGenes:
    """Return the genes of each target that are among the screen's own; none for other targets."""
    measured = set(screen.var_names)
    return {
        target: tuple(gene for gene in genes if gene in measured)
        for target, genes in target_genes(screen, targets).items()
    }


def targets_of_genes(genes: TargetGenes) -> dict[str, tuple[str, ...]]:
    """Turn the genes of targets into the targets of genes."""
    targets: dict[str, tuple[str, ...]] = {}
    for target, own in genes.items():
        for gene in own:
            targets[gene] = (*targets.get(gene, ()), target)
    return targets


@contextmanager
def readable_h5ad(path: str | Path) -> Iterator[h5py.File]:
    """Open an h5ad file for reading; whatever is wrong with it becomes an :class:`InputError`."""
    if not Path(path).exists():
        raise InputError(
            "the file does not exist",
            where=str(path),
            remedy="check the path; a relative one starts at the working directory",
        )
    if not Path(path).is_file() and not Path(path).is_dir():  # opening a pipe would wait for ever
        raise InputError(
            "not a file, so not an h5ad file",
            where=str(path),
            remedy="give the path of an h5ad file",
        )
    try:
        with h5py.File(path, "r") as file:
            _require_stored(file, path)
            yield file
    except (InputError, PermissionError, MemoryError):
        raise
    except Exception as error:  # HDF5 and anndata have no common base for unreadable files
        if is_lock(error):
            raise InputError(
                "the file is locked: another program has it open, or the file system has no locks",
                where=str(path),
                found=first_line(error),
                remedy="close the program that has it open (a notebook, a viewer); where there is "
                "none, as on some network file systems, set HDF5_USE_FILE_LOCKING=FALSE in the "
                "environment and run again",
            ) from error
        if not h5py.is_hdf5(path):
            what = "not an HDF5 file, so not an h5ad file"
        elif "truncated" in str(error):
            what = "the h5ad file is truncated"
        else:
            what = "an HDF5 file that cannot be read as h5ad: damaged, or of another kind"
        raise InputError(
            what,
            where=str(path),
            found=f"{os.path.getsize(path):,} bytes; {first_line(error)}",
            remedy="copy, download or make the file again",
        ) from error


def is_lock(error: BaseException) -> bool:
    """Whether HDF5 could not lock a file that may be in order."""
    own = isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.ENOLCK)
    return own or "unable to lock file" in str(error)


def _require_stored(file: h5py.File, path: str | Path) -> None:
    """Refuse a file that declares far more values than it holds, before memory is taken for them.

    HDF5 gives the missing ones as zeros, terabytes of them where a shape is damaged.
    """

    def check(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            if "shape" in item.attrs and "indptr" in item:
                shape = [int(length) for length in np.ravel(item.attrs["shape"])]
                rows = math.prod(item["indptr"].shape) - 1
                if rows not in shape:
                    raise InputError(
                        "the sparse matrix does not have the shape that it states",
                        where=f"{path}, {name}",
                        found=f"shape {shape}, {rows} rows or columns",
                        remedy="copy, download or make the file again",
                    )
            return
        if isinstance(item, h5py.Datatype) or item.shape is None:
            return
        declared = math.prod(item.shape) * item.id.get_type().get_size()
        stored = item.id.get_storage_size()
        if declared > LARGE and declared > MOST_COMPRESSED * stored:
            raise InputError(
                "the file declares far more values than it holds",
                where=f"{path}, {name}",
                found=f"shape {item.shape}, {stored:,} bytes",
                remedy="copy, download or make the file again",
            )

    file.visititems(check)


def first_line(error: BaseException) -> str:
    """Return an error's first line, or its type where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _read(path: str | Path) -> object:
    """What a file holds; matrices whose indices point outside them are refused.

    SciPy does not look at indices, and reads and writes foreign memory where they are damaged.
    """
    with readable_h5ad(path) as file:
        found = ad.io.read_elem(file["/"])
        if isinstance(found, ad.AnnData):
            for matrix in (found.X, *found.layers.values()):
                if sparse.issparse(matrix):
                    matrix.check_format(full_check=True)
        return found


def read_anndata(path: str | Path) -> ad.AnnData:
    """Read an h5ad file.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of another kind.
    """
    found = _read(path)
    if not isinstance(found, ad.AnnData):
        raise InputError(
            "an HDF5 file, but no h5ad file",
            where=str(path),
            found=f"a file of {', '.join(found) or 'nothing'}"  # type: ignore[arg-type]
            if isinstance(found, dict)
            else type(found).__name__,
            remedy="write it with AnnData.write_h5ad",
        )
    return found


def read_screen(path: str | Path) -> ad.AnnData:
    """Read a screen that this pipeline wrote.

    Raises
    ------
    InputError
        If the file is missing, unreadable or no screen.
    """
    cells = _read(path)
    found = None
    if not isinstance(cells, ad.AnnData):
        parts = ", ".join(cells) if isinstance(cells, dict) else type(cells).__name__
        found = f"an HDF5 file of {parts or 'nothing'}"
    elif not {"perturbation", "library_size"} <= set(cells.obs.columns):
        found = f"obs columns: {', '.join(cells.obs.columns) or 'none'}"
    elif not sparse.issparse(cells.X) or cells.X.dtype.kind not in "iu":
        found = f"X: {type(cells.X).__name__} of {getattr(cells.X, 'dtype', 'nothing')}"
    if found is not None:
        raise InputError(
            "not an imported screen: it needs sparse integer counts in X, and obs['perturbation'] "
            "and obs['library_size']",
            where=str(path),
            found=found,
            remedy="import the file first",
        )
    assert isinstance(cells, ad.AnnData)
    cells.X = sparse.csr_matrix(cells.X)
    return cells


def write_h5ad(adata: ad.AnnData, path: str | Path) -> None:
    """Write compressed; the same content gives the same bytes, and nothing partial remains.

    The file is put together in memory: when a disk fills up under the HDF5 library it reports the
    same failure many times over and crashes at the end, while a plain write raises one error.
    """
    image = io.BytesIO()
    adata.strings_to_categoricals()
    with h5py.File(image, "w") as file:
        ad.io.write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip"})
    with atomic(path) as temporary, open(temporary, "wb") as output:
        output.write(image.getbuffer())


def write_cells(view: ad.AnnData, path: str | Path) -> None:
    """Write part of a screen, with the perturbations that occur in it."""
    cells = view.copy()
    cells.obs["perturbation"] = cells.obs["perturbation"].cat.remove_unused_categories()
    write_h5ad(cells, path)


def library_sizes(screen: ad.AnnData) -> NDArray[np.float64]:
    """Counts per cell from which its expression is scaled, (n,).

    Those that quality control wrote into ``obs["effective_library_size"]``, where its size
    factors are not the total, else ``obs["library_size"]``.
    """
    effective = EFFECTIVE_LIBRARY_SIZE in screen.obs
    column = EFFECTIVE_LIBRARY_SIZE if effective else "library_size"
    return screen.obs[column].to_numpy(dtype=np.float64)


def scaled_log1p(
    counts: sparse.spmatrix | ArrayLike, totals: NDArray[np.float64], target_sum: float
) -> sparse.csr_matrix:
    """Scale every cell from its total to ``target_sum`` and take ``log1p``, keeping zeros sparse.

    Parameters
    ----------
    counts
        Cells x genes, (n, d).
    totals
        Counts per cell, (n,); a cell with total zero stays zero.
    target_sum
        Counts per cell afterwards.

    Returns
    -------
    CSR ``float64``, (n, d).
    """
    scaled = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    factors = np.divide(target_sum, totals, out=np.zeros(scaled.shape[0]), where=totals > 0)
    scaled.data *= np.repeat(factors, np.diff(scaled.indptr))
    np.log1p(scaled.data, out=scaled.data)
    return scaled


def lognorm(counts: sparse.spmatrix | ArrayLike, target_sum: float = 1e4) -> NDArray[np.float32]:
    """Scale every cell to ``target_sum`` counts over the given genes, then ``log1p``.

    Parameters
    ----------
    counts
        Cells x genes, (n, d), sparse or dense.
    target_sum
        Counts per cell afterwards.

    Returns
    -------
    Dense ``float32``, (n, d); a cell without counts stays zero.
    """
    matrix = sparse.csr_matrix(counts)
    totals = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    return scaled_log1p(matrix, totals, target_sum).astype(np.float32).toarray()


def counts_by_condition(screen: ad.AnnData) -> dict[str, NDArray[np.int32]]:
    """Dense counts (cells, genes) of every condition, control first, then by name."""
    labels = screen.obs["perturbation"].to_numpy(dtype=str)
    names = sorted(set(labels), key=lambda name: (name != CONTROL, name))
    return {name: screen.X[labels == name].toarray() for name in names}


def read_names(path: str | Path) -> list[str]:
    """Names in a text file, one a line; none in an empty file.

    Raises
    ------
    InputError
        If it cannot be read, or is no text.
    """
    text = read_text(path, "the list of names", str(path), "give a text file with a name a line")
    # not splitlines, which cuts names at characters that end no line of a file
    return [line.strip() for line in text.split("\n") if line.strip()]
