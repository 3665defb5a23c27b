"""Files that are no h5ad, or damaged ones: whatever the bytes are, a message is what they end in.

HDF5 is a library in C, so each case runs in a process of its own, with a bound on its memory and
its time: a crash, a hang or gigabytes asked for by a damaged size are failures as well, unless it
is HDF5 itself that stumbles over damage within its own structures.
"""

import faulthandler
import gzip
import os
import re
import resource
import signal
import traceback
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.predictions import read_prediction
from pipeline.screen import read_screen
from screen import filter_screen, import_screen
from tests.fuzz.harness import cases, folders, outcome, run
from tests.scripts.screens import canonical_screen, counts_and_labels, user_file
from tests.unit.test_untrusted_files import DAMAGES, damaged

MEMORY = 6 * 2**30
SECONDS = 20


def alone(call: Callable[[], None], *, hdf5_may_fail: bool = False) -> None:
    """Run in a process of its own; what fails there fails here.

    With ``hdf5_may_fail`` a crash or a hang within the library, which does not check all of its own
    structures, is let pass: nothing above it can prevent that.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.enable(file=writing, all_threads=False)
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=writing)
        code = 0
        try:
            call()
        except BaseException:
            os.write(writing, traceback.format_exc()[-6000:].encode(errors="replace"))
            code = 1
        os._exit(code)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    innermost = next((line for line in text.splitlines() if line.startswith('  File "')), "")
    if hdf5_may_fail and "h5py" in innermost and re.match("Timeout|Fatal Python error", text):
        event("HDF5 itself crashed or hung")
        return
    assert code == 0, f"ended with {code} (a negative number is a signal)\n{text}"


@cache
def valid(kind: str) -> bytes:
    """Bytes of a valid file."""
    with folders() as (folder, _):
        path = folder / "screen.h5ad"
        counts, labels = counts_and_labels(n_cells=4)
        if kind == "screen":
            canonical_screen(path, counts, labels)
        else:
            matrix = sparse.csr_matrix(counts.astype(np.float32)) if kind == "sparse" else counts
            user_file(path, matrix, labels, layers={"more": counts}, obs={"batch": "b"})
        return path.read_bytes()


def import_it(path: Path, out: Path) -> InputError | None:
    screen = str(out / "screen.h5ad")
    return outcome(lambda: run(import_screen.main, "screen", raw=str(path), screen=screen), out)


def read_all(path: Path, out: Path) -> None:
    """Whatever reads an h5ad file that may come from elsewhere."""
    warnings.simplefilter("ignore")
    error = import_it(path, out)
    assert error is None or str(path) in str(error)
    outcome(lambda: read_screen(path))
    outcome(lambda: read_prediction(path, ["G0", "G1"], ["A"], "counts"))


@cases(25, 600)
@given(st.sampled_from(["dense", "sparse"]), DAMAGES)
def test_damaged_files(kind, damages):
    with folders() as (folder, out):
        path = folder / "raw.h5ad"
        path.write_bytes(damaged(valid(kind), damages))
        alone(lambda: read_all(path, out), hdf5_may_fail=True)


@cases(10, 300)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b", b"PK\x03\x04"]),
)
def test_other_bytes(content, magic):
    with folders() as (folder, out):
        path = folder / "raw.h5ad"
        path.write_bytes(magic + content)
        alone(lambda: read_all(path, out))


def as_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def as_zip(path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("raw.h5ad", content)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def as_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "change",
    [
        as_gzip, as_zip, as_folder, as_fifo, as_loop, as_device, Path.unlink,
        lambda path: path.write_text("cell,gene\n1,2\n"), lambda path: path.write_bytes(b""),
    ],
)  # fmt: skip
def test_other_kinds_of_files(change):
    with folders() as (folder, out):
        path = folder / "raw.h5ad"
        path.write_bytes(valid("dense"))
        change(path)

        def call():
            error = import_it(path, out)
            assert error is not None
            assert str(path) in str(error)
            assert error.remedy
            for read in (read_screen, lambda own: read_prediction(own, ["G0"], ["A"], "counts")):
                assert outcome(lambda read=read: read(path)) is not None

        alone(call)


KEYS = [
    "obs", "var", "X", "layers", "layers/more", "obs/perturbation", "obs/perturbation/codes",
    "obs/perturbation/categories", "obs/_index", "var/_index", "X/data", "X/indices", "X/indptr",
    "uns", "obs/batch",
]  # fmt: skip
HUGE = (2**31, 2**31)


def put(file: h5py.File, key: str, what: str) -> None:
    """Something else under a key."""
    attributes = dict(file[key].attrs)
    del file[key]
    if what == "nothing":
        return
    if what == "group":
        file.create_group(key)
    elif what == "huge":
        file.create_dataset(key, shape=HUGE, dtype="f8", chunks=(64, 64), compression="gzip")
    elif what == "long":
        file.create_dataset(key, shape=(2**40,), dtype="i4", chunks=(1024,), compression="gzip")
    elif what == "loop":
        file[key] = h5py.SoftLink(f"/{key}")
        return
    elif what == "elsewhere":
        file[key] = h5py.ExternalLink("/etc/hostname", "/")
        return
    else:
        values = {
            "text": "text", "number": 3, "empty": np.zeros(0), "negative": np.full(32, -1),
            "large": np.full(400, 10**6), "cube": np.zeros((2, 2, 2)), "null": h5py.Empty("f4"),
            "bytes": np.array([b"\xff\xfe"] * 32, dtype="S2"),
            "opaque": np.zeros(3, dtype="V5"), "struct": np.zeros(56, dtype="i4,f8"),
        }  # fmt: skip
        file[key] = values[what]
    for name, value in attributes.items():
        file[key].attrs[name] = value


OTHERS = ["nothing", "group", "huge", "long", "loop", "elsewhere", "text", "number", "empty",
          "negative", "large", "cube", "null", "bytes", "opaque", "struct"]  # fmt: skip
ATTRIBUTES = ["encoding-type", "encoding-version", "_index", "column-order", "shape"]


@st.composite
def changes(draw):
    """What stands under one or two keys, or in their attributes."""
    found = []
    for _ in range(draw(st.integers(1, 2))):
        key = draw(st.sampled_from(KEYS))
        if draw(st.booleans()):
            found.append((key, None, draw(st.sampled_from(OTHERS))))
        else:
            value = draw(
                st.none()
                | st.sampled_from(
                    ["", "csr_matrix", "dataframe", "array", "raw", "nullable-integer"]
                )
                | st.sampled_from([[2**40, 2**40], [-1, 3], [3], [0, 0], [10**6, 4]])
                | st.sampled_from([["perturbation"], ["a", "b"], 3, "perturbation"])
            )
            found.append((key, draw(st.sampled_from(ATTRIBUTES)), value))
    return found


def apply(path: Path, found) -> None:
    with h5py.File(path, "r+") as file:
        for key, attribute, value in found:
            try:
                file[key]
            except (KeyError, RuntimeError):  # taken away before, or a loop of links
                continue
            if attribute is None:
                put(file, key, value)
            elif value is None:
                file[key].attrs.pop(attribute, None)
            else:
                file[key].attrs[attribute] = value


@cases(25, 600)
@given(st.sampled_from(["dense", "sparse"]), changes())
def test_other_contents(kind, found):
    with folders() as (folder, out):
        path = folder / "raw.h5ad"
        path.write_bytes(valid(kind))
        apply(path, found)
        alone(lambda: read_all(path, out))


@pytest.mark.parametrize("key", ["X", "obs/perturbation/codes", "obs/_index", "X/data", "X/indptr"])
@pytest.mark.parametrize("what", ["huge", "long", "shape"])
def test_what_a_file_merely_declares_is_not_allocated(key, what):
    with folders() as (folder, out):
        path = folder / "raw.h5ad"
        path.write_bytes(valid("sparse"))
        apply(path, [(key, None, what)] if what != "shape" else [("X", "shape", [2**40, 2**40])])

        def call():
            error = import_it(path, out)
            assert error is not None
            assert outcome(lambda: read_screen(path)) is not None

        alone(call)


@pytest.mark.parametrize("value", [10**6, -1])
def test_indices_outside_a_matrix_are_refused_and_not_followed(value):
    with folders() as (folder, out):
        for kind in ("sparse", "screen"):
            path = folder / f"{kind}.h5ad"
            path.write_bytes(valid(kind))
            with h5py.File(path, "r+") as file:
                file["X/indices"][3] = value

            def call(path=path):
                genes = [f"G{i}" for i in range(12)]
                errors = [
                    import_it(path, out),
                    outcome(lambda: read_screen(path)),
                    outcome(lambda: read_prediction(path, genes, ["A"], "counts")),
                ]
                for error in errors:
                    assert error is not None
                    assert "damaged" in error.what

            alone(call)


@cases(10, 300)
@given(changes())
def test_other_contents_of_a_screen_of_ours(found):
    with folders() as (folder, out):
        path = folder / "screen.h5ad"
        path.write_bytes(valid("screen"))
        apply(path, found)

        def call():
            warnings.simplefilter("ignore")
            tables = {n: str(out / f"{n}.tsv") for n in ("table", "conditions", "removed_genes")}
            outcome(
                lambda: run(
                    filter_screen.main, "quality_control", screen=str(path),
                    filtered=str(out / "filtered.h5ad"), **tables,
                ),
                out,
            )  # fmt: skip

        alone(call)


def test_a_crash_would_be_noticed():
    with pytest.raises(AssertionError, match="ended with -9"):
        alone(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(AssertionError, match="KeyError: 'x'"):
        alone(lambda: {}["x"])
