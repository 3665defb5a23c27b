"""Containers of screens: .raw, h5mu, 10x HDF5, tables of cells, and files of other kinds."""

import errno
import fcntl
import gzip
import re
import shlex
import subprocess
import sys
import tracemalloc
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io as scipy_io
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.screen import readable_h5ad
from screen import import_screen
from tests.scripts.screens import counts_and_labels, user_file
from tests.scripts.test_import_screen import imported, refused

ATTRIBUTES = {"encoding-type": "MuData", "encoding-version": "0.1.0"}


def annotated(counts: np.ndarray, labels: np.ndarray | None, prefix: str = "G") -> ad.AnnData:
    cells = [f"cell{i}" for i in range(len(counts))]
    obs = pd.DataFrame(index=cells)
    if labels is not None:
        obs["perturbation"] = labels
    var = pd.DataFrame(index=[f"{prefix}{j}" for j in range(counts.shape[1])])
    return ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)


def h5mu(path: Path, modalities: dict[str, ad.AnnData], joint: pd.DataFrame) -> str:
    """Write MuData's format: an AnnData per modality, and the cells of all."""
    with h5py.File(path, "w") as file:
        for name, cells in modalities.items():
            ad.io.write_elem(file, f"mod/{name}", cells)
        ad.io.write_elem(file, "obs", joint)
        ad.io.write_elem(file, "var", pd.DataFrame(index=["G0"]))
        file.attrs.update(ATTRIBUTES)
    return str(path)


def tenx(path: Path, counts: np.ndarray, symbols: list[str], kinds: list[str]) -> str:
    """Write the HDF5 file of Cell Ranger 3 and later: genes x cells, by columns."""
    matrix = sparse.csc_matrix(counts.T.astype(np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(matrix.shape, dtype=np.int32)
        group["barcodes"] = np.array([f"cell{i}" for i in range(len(counts))], dtype="S")
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{j}" for j in range(len(symbols))], dtype="S")
        features["name"] = np.array(symbols, dtype="S")
        features["feature_type"] = np.array(kinds, dtype="S")
        features["genome"] = np.array(["GRCh38"] * len(symbols), dtype="S")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")
    return str(path)


# --- .raw -----------------------------------------------------------------------------------------


def with_raw(path: Path, counts: np.ndarray, labels: np.ndarray, n_genes: int) -> str:
    """Write counts of all genes in .raw, and normalised values of the first in X."""
    cells = annotated(counts, labels)
    cells.raw = cells
    cells = cells[:, :n_genes].copy()
    cells.X = np.log1p(cells.X.toarray() / 3)
    cells.write_h5ad(path)
    return str(path)


def test_counts_in_raw(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = with_raw(tmp_path / "raw.h5ad", counts, labels, 5)
    screen = imported(tmp_path, raw, counts="raw")
    np.testing.assert_array_equal(screen.X.toarray(), counts)
    assert screen.var_names.tolist() == [f"G{j}" for j in range(12)], "the genes of .raw"


def test_raw_is_offered_where_it_holds_counts(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    text = refused(tmp_path, with_raw(tmp_path / "raw.h5ad", counts, labels, 5))
    assert "not whole numbers" in text
    assert "set screen.counts to raw, where the file has whole numbers" in text
    text = refused(tmp_path, with_raw(tmp_path / "raw.h5ad", counts + 0.5, labels, 5))
    assert "whole numbers\n" not in text.split("remedy")[1]
    assert "(of this file: raw)" in text


def test_a_layer_of_counts_is_offered(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    layers = {"scaled": counts / 7, "umi": sparse.csc_matrix(counts)}
    raw = user_file(tmp_path / "raw.h5ad", np.log1p(counts), labels, layers=layers)
    assert "set screen.counts to umi, where" in refused(tmp_path, raw)


def test_a_layer_named_raw(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", np.log1p(counts), labels, layers={"raw": counts})
    np.testing.assert_array_equal(imported(tmp_path, raw, counts="raw").X.toarray(), counts)
    cells = ad.read_h5ad(raw)
    cells.raw = cells
    cells.write_h5ad(raw)
    (tmp_path / "out" / "screen.h5ad").unlink()
    assert "raw/X or to layers/raw" in refused(tmp_path, raw, counts="raw")
    screen = imported(tmp_path, raw, counts="layers/raw")
    np.testing.assert_array_equal(screen.X.toarray(), counts)


def test_no_raw(tmp_path: Path) -> None:
    raw = user_file(tmp_path / "raw.h5ad")
    assert "the file has no .raw" in refused(tmp_path, raw, counts="raw")


# --- h5mu -----------------------------------------------------------------------------------------


def test_the_rna_of_an_h5mu_file(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    guides = annotated(np.ones((56, 3)), None, "guide")
    cells = annotated(counts, labels)
    raw = h5mu(tmp_path / "raw.h5mu", {"gdo": guides, "rna": cells}, pd.DataFrame(index=[]))
    screen = imported(tmp_path, raw)
    np.testing.assert_array_equal(screen.X.toarray(), counts)
    assert screen.obs["perturbation"].tolist() == labels.tolist()


def test_labels_of_all_modalities(tmp_path: Path) -> None:
    """Cells in another order and of other modalities do not mix up the labels."""
    counts, labels = counts_and_labels()
    joint = pd.DataFrame(
        {"guide": [*labels, "X"], "rna:n": 1, "n": 2}, index=[*(f"cell{i}" for i in range(56)), "z"]
    )
    cells = annotated(counts, None)
    cells.obs["n"] = np.arange(56)
    raw = h5mu(tmp_path / "raw.h5mu", {"rna": cells}, joint.iloc[::-1])
    screen = imported(tmp_path, raw, perturbation_column="guide")
    assert screen.obs["perturbation"].tolist() == labels.tolist()
    assert screen.obs["n"].tolist() == list(range(56)), "the modality's own column"
    assert "rna:n" not in screen.obs


def test_modalities_are_chosen(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    cells, joint = annotated(counts, labels), pd.DataFrame(index=[])
    raw = h5mu(tmp_path / "one.h5mu", {"gex": cells}, joint)
    np.testing.assert_array_equal(imported(tmp_path, raw).X.toarray(), counts)
    (tmp_path / "out" / "screen.h5ad").unlink()
    raw = h5mu(tmp_path / "two.h5mu", {"gex": cells, "adt": annotated(counts, None)}, joint)
    text = refused(tmp_path, raw)
    assert "modalities adt, gex" in text
    assert "screen.modality" in text
    assert "did you mean 'gex'?" in refused(tmp_path, raw, modality="gxe")
    np.testing.assert_array_equal(imported(tmp_path, raw, modality="gex").X.toarray(), counts)


def test_a_mistake_in_a_modality_names_it(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    cells = annotated(counts + 0.5, labels)
    text = refused(tmp_path, h5mu(tmp_path / "raw.h5mu", {"rna": cells}, pd.DataFrame(index=[])))
    assert "raw.h5mu, modality 'rna', X: values are not whole numbers" in text


def test_an_h5ad_file_has_no_modality(tmp_path: Path) -> None:
    text = refused(tmp_path, user_file(tmp_path / "raw.h5ad"), modality="rna")
    assert "screen.modality" in text


# --- 10x and tables of cells ----------------------------------------------------------------------


def test_a_10x_file_with_a_table_of_cells(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    symbols = ["MYC", *(f"G{j}" for j in range(1, 12))]
    kinds = ["Gene Expression"] * 11 + ["CRISPR Guide Capture"]
    raw = tenx(tmp_path / "raw.h5", counts, symbols, kinds)
    table = pd.DataFrame({"barcode": [f"cell{i}" for i in range(56)], "guide": labels})
    table = table.iloc[::-1]
    table.iloc[:-3].to_csv(tmp_path / "cells.csv", index=False)
    table.to_csv(tmp_path / "cells.tsv", index=False, sep="\t")
    csv, tsv = (str(tmp_path / f"cells.{kind}") for kind in ("csv", "tsv"))
    screen = imported(tmp_path, raw, perturbation_column="guide", cells_table=tsv)
    np.testing.assert_array_equal(screen.X.toarray(), counts[:, :11])
    assert screen.var_names.tolist() == symbols[:11]
    assert screen.obs["perturbation"].tolist() == labels.tolist()
    screen = imported(
        tmp_path, raw, perturbation_column="guide", cells_table=csv, drop_labels=["nan"]
    )
    assert screen.obs_names.tolist() == [f"cell{i}" for i in range(3, 56)]
    assert screen.obs["perturbation"].tolist() == labels[3:].tolist()


def test_repeated_symbols_of_a_10x_file(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = tenx(
        tmp_path / "raw.h5", counts, ["A"] * 2 + list("BCDEFGHIJK"), ["Gene Expression"] * 12
    )
    pd.DataFrame({"c": labels}, index=[f"cell{i}" for i in range(56)]).to_csv(tmp_path / "c.csv")
    chosen = {"perturbation_column": "c", "cells_table": str(tmp_path / "c.csv")}
    text = refused(tmp_path, raw, **chosen)
    assert "gene names are duplicated" in text
    assert "'gene_ids'" in text, "a column that would do"
    screen = imported(
        tmp_path, raw, gene_name_column="gene_ids", gene_symbols="gene_symbols", **chosen
    )
    assert screen.var_names.tolist() == [f"ENSG{j}" for j in range(12)]
    genes = screen.uns["target_genes"].groupby("target")["gene"].agg(list)
    assert genes["A"] == ["ENSG0", "ENSG1"]
    assert genes["B"] == ["ENSG2"]


def test_tables_of_cells_as_r_writes_them(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    rows = "".join(f"cell{i}\tb{i % 2}\n" for i in range(56))
    (tmp_path / "cells.txt").write_text(f"rep\n{rows}")
    screen = imported(tmp_path, raw, cells_table=str(tmp_path / "cells.txt"))
    assert screen.obs["rep"].tolist() == [f"b{i % 2}" for i in range(56)]


def test_columns_of_the_table_choose_cells(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    cells = [f"{i:03d}" for i in range(56)]
    raw = user_file(tmp_path / "raw.h5ad", counts, labels, cells=cells)
    good = pd.DataFrame({"good": np.arange(56) % 2 == 0, "umi": np.arange(56)}, index=cells)
    with gzip.open(tmp_path / "cells.csv.gz", "wt") as file:
        good.iloc[:40].to_csv(file)
    table = str(tmp_path / "cells.csv.gz")
    screen = imported(tmp_path, raw, cells_table=table, keep={"good": True})
    assert screen.obs_names.tolist() == cells[:40:2]
    assert screen.obs["umi"].tolist() == list(range(0, 40, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell\tperturbation\ncell0\tA\n", "perturbation"),
        ("cell\tx\ncell0-1\tA\n", "'cell0-1'; cells of the file: 'cell0'"),
        ("cell\tx\ncell0\tA\ncell0\tB\n", "listed twice"),
        ("cell\ncell0\n", "one column only"),
        ("", "cannot be read"),
    ],
)
def test_bad_tables_of_cells(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "cells.tsv"
    table.write_text(text)
    raw = user_file(tmp_path / "raw.h5ad")
    with pytest.raises(InputError) as error:
        imported(tmp_path, raw, cells_table=str(table))
    assert message in str(error.value)
    assert f"{table} (screen.cells_table)" in str(error.value)


# --- files of other kinds -------------------------------------------------------------------------


def as_zarr(folder: Path, cells: ad.AnnData) -> Path:
    ad.io.write_zarr(folder / "raw.zarr", cells)
    return folder / "raw.zarr"


def as_mtx(folder: Path, cells: ad.AnnData) -> Path:
    path = folder / "filtered"
    path.mkdir()
    with gzip.open(path / "matrix.mtx.gz", "wb") as file:
        scipy_io.mmwrite(file, sparse.coo_matrix(cells.X.T).astype(int))
    rows = "".join(f"ENS{gene}\t{gene}\tGene Expression\n" for gene in cells.var_names)
    with gzip.open(path / "features.tsv.gz", "wt") as file:
        file.write(rows)
    with gzip.open(path / "barcodes.tsv.gz", "wt") as file:
        file.write("\n".join(cells.obs_names) + "\n")
    return path


def as_csv(folder: Path, cells: ad.AnnData) -> Path:
    cells.to_df().to_csv(folder / "raw.csv")
    return folder / "raw.csv"


def as_tsv(folder: Path, cells: ad.AnnData) -> Path:
    cells.to_df().to_csv(folder / "raw.tsv", sep="\t")
    return folder / "raw.tsv"


def as_gz(folder: Path, cells: ad.AnnData) -> Path:
    cells.write_h5ad(folder / "raw.h5ad")
    content = (folder / "raw.h5ad").read_bytes()
    (folder / "raw.h5ad").unlink()
    (folder / "raw.h5ad.gz").write_bytes(gzip.compress(content))
    return folder / "raw.h5ad.gz"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", [as_zarr, as_mtx, as_csv, as_tsv, as_gz])
def test_the_command_in_the_message_converts(tmp_path: Path, write: object) -> None:
    counts, labels = counts_and_labels()
    path = write(tmp_path, annotated(counts, labels))  # type: ignore[operator]
    text = refused(tmp_path, str(path))
    found = re.search("convert it once: (.*); then set screen.path to (.*)$", text, re.M)
    assert found is not None, text
    command = shlex.split(found[1].replace("python ", f"{sys.executable} ", 1))
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_array_equal(ad.read_h5ad(found[2]).to_df().to_numpy(), counts)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("raw.rds", ["a file of R", "writeH5AD", "readRDS"]),
        ("raw.zip", ["an archive", "unzip"]),
        ("matrix.mtx", ["read_10x_mtx"]),
    ],
)
def test_files_that_are_converted_elsewhere(tmp_path: Path, name: str, parts: list[str]) -> None:
    (tmp_path / name).write_text("x")
    text = refused(tmp_path, str(tmp_path / name))
    assert all(part in text for part in parts), text


def test_loom_and_seurat_files(tmp_path: Path) -> None:
    for name, groups, part in (
        ("a.loom", ("row_attrs", "col_attrs", "matrix"), "read_loom"),
        ("a.h5seurat", ("assays", "cell.names"), "SeuratDisk::Convert"),
    ):
        with h5py.File(tmp_path / name, "w") as file:
            for group in groups:
                file.create_group(group)
        assert part in refused(tmp_path, str(tmp_path / name))


def test_folders_that_are_no_screens(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.h5ad").write_text("x")
    assert "found:  a.h5ad" in refused(tmp_path, str(tmp_path / "data"))


# --- files that others use, names that repeat, large files ----------------------------------------


def test_locked_files(tmp_path: Path) -> None:
    raw = user_file(tmp_path / "raw.h5ad")
    with open(raw, "rb+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        text = refused(tmp_path, raw)
    assert "the file is locked" in text
    assert "close the program" in text
    assert "HDF5_USE_FILE_LOCKING=FALSE" in text
    assert "damaged" not in text
    imported(tmp_path, raw)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOLCK])
def test_file_systems_without_locks(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = user_file(tmp_path / "raw.h5ad")

    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(
            code, f"Unable to synchronously open file (unable to lock file, errno = {code})"
        )

    monkeypatch.setattr(h5py, "File", fails)
    with pytest.raises(InputError, match="the file is locked") as error, readable_h5ad(raw):
        pass
    assert "HDF5_USE_FILE_LOCKING=FALSE" in str(error.value)


def test_an_index_with_the_name_of_a_column(tmp_path: Path) -> None:
    raw = user_file(tmp_path / "raw.h5ad")
    cells = ad.read_h5ad(raw)
    cells.obs["barcode"] = list(cells.obs_names)
    cells.var["gene"] = list(cells.var_names)
    cells.obs.index.name, cells.var.index.name = "barcode", "gene"
    cells.write_h5ad(raw)
    screen = imported(tmp_path, raw, keep={"perturbation": ["control", "A"]})
    assert screen.obs["barcode"].tolist() == screen.obs_names.tolist()
    screen = imported(tmp_path, raw, gene_name_column="gene")
    assert screen.var_names.tolist() == cells.var_names.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16])
def test_dense_counts_are_read_in_blocks(
    tmp_path: Path, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by the sparse result and one block, not by the dense matrix."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["control", "A"], 2000)
    counts = sparse.random(4000, 2000, 0.005, "csr", random_state=rng)
    counts.data = rng.integers(1, 50, counts.nnz).astype(float)
    dense = counts.toarray().astype(dtype)
    raw = user_file(tmp_path / "raw.h5ad", dense, labels)
    size = dense.nbytes
    del dense
    monkeypatch.setattr(import_screen, "CHUNK", 2**16)
    with h5py.File(raw) as file:
        tracemalloc.start()
        matrix, stored = import_screen.read_matrix(file["X"], np.ones(4000, dtype=bool))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert stored == dtype
    assert peak < size / 8, f"{peak:,} of {size:,} bytes"
    assert (matrix != counts).nnz == 0


@pytest.mark.parametrize(
    "values",
    [["01", "1", "001"], ["1.1", "1.10", "1.2"], ["True", "true", "TRUE"], ["1e3", "1000", "1"]],
)
def test_labels_of_a_table_stay_as_they_are_written(tmp_path: Path, values: list[str]) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    written = [values[i % 3] if i < 50 else "control" for i in range(56)]
    rows = "".join(f"cell{i}\t{own}\t{values[i % 3]}\n" for i, own in enumerate(written))
    (tmp_path / "cells.tsv").write_text(f"cell\tguide\tplate\n{rows}")
    table = {"cells_table": str(tmp_path / "cells.tsv")}
    screen = imported(
        tmp_path, raw, perturbation_column="guide", batch_column="plate", separator=[], **table
    )
    assert screen.obs["perturbation"].tolist() == written
    assert screen.obs["batch"].tolist() == [values[i % 3] for i in range(56)]
    kept = imported(tmp_path, raw, keep={"plate": values[0]}, **table)
    assert kept.n_obs == 19


def test_words_for_nothing_are_labels_of_a_table(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    raw = user_file(tmp_path / "raw.h5ad", counts, labels)
    written = ["None", "NULL", "N/A", "control"] * 14
    rows = "".join(f"cell{i}\t{own}\n" for i, own in enumerate(written))
    (tmp_path / "cells.tsv").write_text(f"cell\tguide\n{rows}")
    screen = imported(
        tmp_path, raw, perturbation_column="guide", separator=[], drop_labels=["None"],
        cells_table=str(tmp_path / "cells.tsv"),
    )  # fmt: skip
    assert set(screen.obs["perturbation"]) == {"NULL", "N/A", "control"}


def forged(group: h5py.Group, name: str, values: np.ndarray) -> None:
    del group[name]
    group[name] = values


@pytest.mark.parametrize("case", ["gene", "negative gene", "order", "short", "long", "start"])
def test_a_10x_file_that_points_outside_itself(tmp_path: Path, case: str) -> None:
    """Which ends the process without a word where its indices are followed."""
    counts, labels = counts_and_labels()
    raw = tenx(tmp_path / "raw.h5", counts, list("ABCDEFGHIJKL"), ["Gene Expression"] * 12)
    with h5py.File(raw, "a") as file:
        group = file["matrix"]
        indices, indptr = group["indices"][:], group["indptr"][:]
        if case.endswith("gene"):
            indices[5] = -7 if "negative" in case else 10**6
            forged(group, "indices", indices)
        else:
            indptr[3] += {"order": -(10**6), "long": 10**6}.get(case, 0)
            indptr[0] += case == "start"
            forged(group, "indptr", indptr[:-1] if case == "short" else indptr)
    pd.DataFrame({"c": labels}, index=[f"cell{i}" for i in range(56)]).to_csv(tmp_path / "c.csv")
    text = refused(tmp_path, raw, perturbation_column="c", cells_table=str(tmp_path / "c.csv"))
    assert "points outside itself" in text


@pytest.mark.filterwarnings("ignore")
def test_commands_in_messages_survive_any_name(tmp_path: Path) -> None:
    """Blanks, quotes and what a shell executes; and dots that are no ending."""
    counts, labels = counts_and_labels()
    folder = tmp_path / "My Drive's `touch executed` $HOME"
    folder.mkdir()
    annotated(counts, labels).to_df().to_csv(folder / "d.v2.csv")
    text = refused(tmp_path, str(folder / "d.v2.csv"))
    found = re.search("convert it once: (.*); then set screen.path to (.*)$", text, re.M)
    assert found is not None, text
    assert Path(found[2]).name == "d.v2.h5ad"
    command = found[1].replace("python ", f"{sys.executable} ", 1)
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, cwd=tmp_path)
    assert ad.read_h5ad(found[2]).n_obs == 56
    assert not (tmp_path / "executed").exists()
    (folder / "a.zip").write_text("x")
    assert f"unzip '{folder}".replace("'s ", "'\"'\"'s ") in refused(
        tmp_path, str(folder / "a.zip")
    )
