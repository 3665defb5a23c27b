"""Files, tables, seeds, hashes of code, and how a script behaves as a job."""

import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from lcd_core.atomic import atomic
from pipeline.environment import prepare_environment
from pipeline.seeds import derive_seed
from pipeline.sources import source_hash
from pipeline.tables import read_tsv, write_tsv

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "workflow/scripts")])


def test_atomic_leaves_nothing_behind_when_it_fails(tmp_path):
    target = tmp_path / "table.tsv"
    target.write_text("before")

    def fail_halfway():
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
    with atomic(target) as temporary:
        assert temporary.suffix == ".tsv"
        temporary.write_text("after")
    assert target.read_text() == "after"


def test_tables_round_trip(tmp_path):
    frame = pd.DataFrame({"gene": ["nan", "TP53"], "value": [1 / 3, float("nan")]})
    write_tsv(frame, tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text() == "gene\tvalue\nnan\t0.333333\nTP53\tNA\n"
    again = read_tsv(tmp_path / "t.tsv")
    assert again["gene"].tolist() == ["nan", "TP53"]
    assert again["value"].isna().tolist() == [False, True]


def test_seeds_depend_on_every_label_and_its_name():
    seeds = {
        derive_seed(1, fold="a", purpose="b"),
        derive_seed(2, fold="a", purpose="b"),
        derive_seed(1, fold="b", purpose="a"),
        derive_seed(1, fold="ab"),
        derive_seed(1, method="ab"),
        derive_seed(1, fold="a", purpose="b", seed=1),
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(1, purpose="b", fold="a") == derive_seed(1, fold="a", purpose="b")
    # Fixed by the definition (blake2b of "1" US "fold=a"), so that results stay reproducible.
    import hashlib

    digest = hashlib.blake2b(b"1\x1ffold=a", digest_size=4).digest()
    assert derive_seed(1, fold="a") == int.from_bytes(digest, "big") >> 1


def test_environment_of_jobs(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    prepare_environment("/project", 2)
    prepare_environment("/project", 2)  # read again in every job: nothing piles up
    assert (
        os.environ["PYTHONPATH"]
        == "/project:/project/workflow/scripts:/project/workflow:/elsewhere"
    )
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.fixture
def project(tmp_path):
    files = {
        "workflow/scripts/fit.py": "from lcd_core.drift import Drift\nfrom pipeline import seeds\n",
        "workflow/scripts/pipeline/__init__.py": "",
        "workflow/scripts/pipeline/seeds.py": "",
        "workflow/scripts/pipeline/unused.py": "",
        "lcd_core/__init__.py": "",
        "lcd_core/drift.py": "def f():\n    import lcd_core.errors\n",
        "lcd_core/errors.py": "",
        "lcd_core/clipr.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("workflow/scripts/fit.py", True),
        ("workflow/scripts/pipeline/seeds.py", True),
        ("workflow/scripts/pipeline/unused.py", False),
        ("lcd_core/__init__.py", True),
        ("lcd_core/drift.py", True),
        ("lcd_core/errors.py", True),
        ("lcd_core/clipr.py", False),
    ],
)
def test_hash_follows_imports(project, edited, stale):
    before = source_hash(project, "workflow/scripts/fit.py")
    (project / edited).touch()
    assert source_hash(project, "workflow/scripts/fit.py") == before
    with (project / edited).open("a") as file:
        file.write("# a comment\n")
    from pipeline import sources

    sources._local_imports.cache_clear()
    assert (source_hash(project, "workflow/scripts/fit.py") != before) is stale


def run_as_job(tmp_path, body):
    """Run a script the way the workflow does, in a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import errno, os, types
            from lcd_core.errors import InputError
            from pipeline.job import run_job
            from pipeline.tables import write_tsv
            import pandas as pd

            class Named(dict):
                pass

            snakemake = types.SimpleNamespace(
                log=["job.log"], input=Named(), output=Named(table="out/table.tsv"),
                params=Named(source="abc"),
            )
            """
        )
        + textwrap.dedent(body)
        + "\nrun_job(main, snakemake)\n"
    )
    path = f"{ROOT}:{ROOT / 'workflow/scripts'}"
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env={"PYTHONPATH": path, "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip


def test_numbers_too_small_for_a_fast_cpu_are_zero_in_jobs_with_threads(tmp_path):
    """Also in the threads of torch, which start after the setting."""
    result = run_as_job(
        tmp_path,
        """
        import torch
        snakemake.params["threads"] = 2
        def main(*, table):
            tiny = torch.full((1_000_000,), 1e-30)
            assert (tiny * 1e-10 == 0).all()
            assert (tiny * 1e-5 > 0).all()
        """,
    )
    assert result.returncode == 0, result.stderr


def test_a_mistake_is_one_message_in_log_and_terminal(tmp_path):
    result = run_as_job(
        tmp_path,
        """
        def main(*, table):
            raise InputError("counts are bad", where="a.h5ad, X", found=[-1], remedy="use others")
        """,
    )
    assert result.returncode == 1
    expected = "a.h5ad, X: counts are bad\n  found:  -1\n  remedy: use others\n"
    assert result.stderr.endswith(expected)
    assert "Traceback" not in result.stderr
    assert (tmp_path / "job.log").read_text().endswith(expected)


@pytest.mark.parametrize(
    ("code", "words"),
    [("ENOSPC", "no space left on the disk"), ("EACCES", "no permission")],
)
def test_full_disk_and_missing_permission(tmp_path, code, words):
    result = run_as_job(
        tmp_path,
        f"""
        def main(*, table):
            raise OSError(errno.{code}, os.strerror(errno.{code}), "out/table.tsv")
        """,
    )
    assert result.returncode == 1
    assert words in result.stderr
    assert "out/table.tsv" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_during_a_write_leaves_no_table(tmp_path):
    """A limit on the size of files stands in for the disk: the same failure of write(2)."""
    result = run_as_job(
        tmp_path,
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def main(*, table):
            frame = pd.DataFrame({"x": range(100_000)})
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            write_tsv(frame, table)
        """,
    )
    assert result.returncode == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bug_keeps_its_traceback(tmp_path):
    result = run_as_job(tmp_path, "def main(*, table):\n    raise KeyError('x')\n")
    assert result.returncode == 1
    assert "Traceback" in (tmp_path / "job.log").read_text()


def test_success_passes_named_arguments(tmp_path):
    result = run_as_job(
        tmp_path,
        """
        def main(*, table):
            write_tsv(pd.DataFrame({"x": [1]}), table)
        """,
    )
    assert result.returncode == 0
    assert (tmp_path / "out/table.tsv").read_text() == "x\n1\n"


FREED = """
    import os
    from pathlib import Path
    import torch
    from pipeline.job import set_threads

    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    if {keep}:
        set_threads(1)
    before = resident()
    tensors = [torch.ones(2**18) for _ in range(200)]  # of a MiB each
    del tensors
    print(resident() - before)
"""


def kept(keep):
    """MiB that a process still has of 200 after they are freed."""
    malloc = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # with which one could change that, too
    own = {name: value for name, value in os.environ.items() if not name.startswith(malloc)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FREED).format(keep=keep)],
        capture_output=True, text=True, check=True, env=own | {"PYTHONPATH": PYTHONPATH},
    )  # fmt: skip
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc of glibc")
def test_freed_tensors_are_kept_for_the_next_ones():
    assert kept(keep=True) > 150
    assert kept(keep=False) < 50
