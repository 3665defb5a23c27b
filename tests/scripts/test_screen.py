import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.screen import (
    CONTROL,
    canonical_name,
    lognorm,
    read_screen,
    scaled_log1p,
    targets_of,
    write_h5ad,
)
from tests.scripts.screens import canonical_screen, counts_and_labels

TARGETS = st.text("ABC-._/1 ", min_size=1, max_size=5)


@given(st.sets(TARGETS, max_size=4))
def test_names_and_target_sets_are_the_same_thing(targets: set[str]) -> None:
    assert targets_of(canonical_name(targets)) == tuple(sorted(targets))


def test_names() -> None:
    assert canonical_name(["B", "A"]) == "A+B"
    assert canonical_name([]) == CONTROL
    assert targets_of(CONTROL) == ()


@pytest.mark.parametrize("targets", [["A", "A"], ["A+B"], [""], [CONTROL]])
def test_ambiguous_names_are_refused(targets: list[str]) -> None:
    with pytest.raises(ValueError, match="target"):
        canonical_name(targets)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_lognorm_equals_scanpy(kind: type) -> None:
    counts, _ = counts_and_labels()
    counts[3] = 0
    counts[4, 0] = 50_000
    reference = ad.AnnData(counts.astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cell without counts
        sc.pp.normalize_total(reference, target_sum=1e4)
    sc.pp.log1p(reference)
    values = lognorm(kind(counts))
    assert values.dtype == np.float32
    assert isinstance(values, np.ndarray)
    np.testing.assert_allclose(values, reference.X, rtol=2e-7)
    assert not values[3].any()


def test_lognorm_of_no_cells() -> None:
    assert lognorm(sparse.csr_matrix((0, 5), dtype=np.int32)).shape == (0, 5)


def test_scaled_log1p_leaves_its_input_alone() -> None:
    counts = sparse.csr_matrix(np.array([[1.0, 0.0], [2.0, 6.0]]))
    before = counts.toarray()
    values = scaled_log1p(counts, np.array([0.0, 4.0]), 2.0)
    np.testing.assert_array_equal(counts.toarray(), before)
    np.testing.assert_allclose(values.toarray(), [[0, 0], np.log1p([1, 3])])


def test_screen_survives_writing_and_reading(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    screen = read_screen(canonical_screen(tmp_path / "s.h5ad", counts, labels))
    assert screen.X.format == "csr"
    assert screen.X.dtype == np.int32
    np.testing.assert_array_equal(screen.X.toarray(), counts)
    assert screen.obs["perturbation"].tolist() == labels.tolist()


def test_screen_without_cells(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    screen = read_screen(canonical_screen(tmp_path / "s.h5ad", counts, labels))
    write_h5ad(screen[:0].copy(), tmp_path / "empty.h5ad")
    assert read_screen(tmp_path / "empty.h5ad").shape == (0, screen.n_vars)


def test_same_content_same_bytes(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    canonical_screen(tmp_path / "a.h5ad", counts, labels)
    time.sleep(1.1)  # a time stamp in the file would differ
    canonical_screen(tmp_path / "b.h5ad", counts, labels)
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()


def test_other_tools_read_what_is_written(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    path = canonical_screen(tmp_path / "s.h5ad", counts, labels)
    np.testing.assert_array_equal(ad.read_h5ad(path).X.toarray(), counts)
    with h5py.File(path) as file:
        assert file["X/data"].compression == "gzip"


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(byte ^ 0x5A for byte in content[middle:][:3000])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "truncated"),
        (lambda path: path.write_text("perturbation,G1\n"), "not an HDF5 file"),
        (lambda path: path.write_bytes(b""), "not an HDF5 file"),
        (damaged, "cannot be read"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, harm: object, message: str) -> None:
    path = Path(canonical_screen(tmp_path / "s.h5ad", *counts_and_labels(n_genes=200)))
    harm(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as error:
        read_screen(path)
    assert str(path) in str(error.value)
    assert error.value.remedy


@pytest.mark.filterwarnings("ignore:Element")
def test_other_h5ad_files_are_not_screens(tmp_path: Path) -> None:
    counts, _ = counts_and_labels()
    ad.AnnData(counts).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "b.h5ad", "w") as file:
        file["table"] = [1, 2]
    for name in "ab":
        with pytest.raises(InputError, match="not an imported screen"):
            read_screen(tmp_path / f"{name}.h5ad")


FULL_DISK = """
import resource, signal, sys
import anndata, numpy
from pipeline.screen import write_h5ad
cells = anndata.AnnData(numpy.random.default_rng(0).random((300, 300)))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_h5ad(cells, sys.argv[1])
except OSError as error:
    print("errno", error.errno)
"""


def test_failing_disk_gives_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out" / "s.h5ad"
    scripts = Path(__file__).parents[2] / "workflow" / "scripts"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(scripts), str(scripts.parents[1])])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "errno 27\n", "")
    assert list(target.parent.iterdir()) == []


def test_failed_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = Path(canonical_screen(tmp_path / "s.h5ad", *counts_and_labels()))
    before = path.read_bytes()
    unwritable = ad.AnnData(np.ones((2, 2)), uns={"object": object()})
    with pytest.raises(Exception, match="object"):
        write_h5ad(unwritable, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_labels_survive(tmp_path: Path) -> None:
    obs = pd.DataFrame({"batch": ["x", None]}, index=["a", "b"])
    write_h5ad(ad.AnnData(np.ones((2, 2)), obs=obs), tmp_path / "s.h5ad")
    assert ad.read_h5ad(tmp_path / "s.h5ad").obs["batch"].isna().tolist() == [False, True]
