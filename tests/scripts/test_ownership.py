"""Jobs end with their Snakemake, and write only what is theirs."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from lcd_core import atomic as atomic_module
from lcd_core.atomic import atomic
from pipeline.ownership import ClaimLost, claim, is_alive, is_snakemake

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text)


class TestClaims:
    def test_a_claim_lasts_as_long_as_its_job(self, tmp_path):
        output = tmp_path / "folder" / "out.tsv"
        with claim([str(output)]):
            write(output, "mine")
            assert len(list(output.parent.iterdir())) == 2
        assert [path.name for path in output.parent.iterdir()] == ["out.tsv"]
        assert atomic_module.guards == []
        write(output, "anybody's")

    @pytest.mark.parametrize("later", ["at work", "done"])
    def test_a_later_claim_wins(self, tmp_path, later):
        output = tmp_path / "out.tsv"
        first = claim([str(output)])
        first.__enter__()
        guard_of_first = atomic_module.guards.pop()
        second = claim([str(output)])
        second.__enter__()
        write(output, "second")
        if later == "done":
            second.__exit__(None, None, None)
        atomic_module.guards[:] = [guard_of_first]
        with pytest.raises(ClaimLost, match=r"out\.tsv: not written"):
            write(output, "first")
        first.__exit__(None, None, None)
        assert output.read_text() == "second"
        assert (tmp_path / ".out.tsv.owner").exists() == (later == "at work")

    def test_a_removed_folder_is_not_written_to_again(self, tmp_path):
        output = tmp_path / "fold" / "out.tsv"
        with claim([str(output)]):
            (output.parent / ".out.tsv.owner").unlink()
            output.parent.rmdir()
            with pytest.raises(ClaimLost):
                write(output, "late")

    def test_the_same_file_by_another_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with claim(["out.tsv"]):
            Path(".out.tsv.owner").write_text("another job's")
            with pytest.raises(ClaimLost):
                write(tmp_path / "out.tsv", "late")

    def test_files_that_are_no_outputs_are_free(self, tmp_path):
        with claim([str(tmp_path / "out.tsv")]):
            write(tmp_path / "cache.tsv", "anything")
        assert (tmp_path / "cache.tsv").exists()

    def test_no_permission_names_the_output(self, tmp_path, monkeypatch):
        def refuse(path, text):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "write_text", refuse)
        with pytest.raises(PermissionError) as caught, claim([str(tmp_path / "out.tsv")]):
            pass
        assert caught.value.filename == str(tmp_path / "out.tsv")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/env/bin/python3.11 /env/bin/snakemake --cores 2 all", True),
        ("/env/bin/snakemake --cores 2", True),
        ("python -m snakemake --mode subprocess", True),
        ("python -u -m snakemake", True),
        ("python -W ignore -X dev -m snakemake", True),
        ("python -W snakemake script.py", False),
        ("/usr/bin/python", False),
        ("python .snakemake/scripts/tmpx.fit_prior.py", False),
        ("python -m pytest tests/snakemake", False),
        ("less /env/bin/snakemake", False),
        ("", False),
    ],
)
def test_snakemake_is_recognised_by_what_runs(command, expected):
    assert is_snakemake(command.split()) is expected


JOB = """
    import sys, time, types
    sys.path[:0] = {paths!r}
    from pathlib import Path
    from lcd_core.atomic import atomic
    from pipeline.job import run_job

    def main(out, text):
        print("ready", flush=True)
        sys.stdin.readline()
        with atomic(out) as temporary:
            temporary.write_text(text)
            print("writing", flush=True)
            sys.stdin.readline()

    class Named(dict):
        __iter__ = lambda self: iter(self.values())

    run_job(main, types.SimpleNamespace(
        log=[], input=Named(), output=Named(out=sys.argv[1]), params=Named(text=sys.argv[2])
    ))
"""

# Named so that the job takes it for the Snakemake that has started it.
PARENT = """
    import subprocess, sys
    job = subprocess.Popen([sys.executable, *sys.argv[1:]], stderr=subprocess.DEVNULL)
    print(job.pid, flush=True)
    job.wait()
"""


@pytest.fixture
def start(tmp_path):
    """Start the job of these tests as a process of its own, ready to write."""
    script = tmp_path / "job.py"
    paths = [str(ROOT), str(ROOT / "workflow" / "scripts")]
    script.write_text(textwrap.dedent(JOB.format(paths=paths)))

    def start(*before: str, text: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, *before, str(script), str(tmp_path / "out.txt"), text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if before else subprocess.PIPE,
            text=True,
        )
        if not before:
            assert process.stdout.readline() == "ready\n"
        return process

    return start


def proceed(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_job_that_slept_cannot_replace_what_was_made_since(start, tmp_path):
    orphan = start(text="old settings")
    second = start(text="new settings")
    second.communicate("\n\n", timeout=30)
    assert second.returncode == 0
    _, errors = orphan.communicate("\n\n", timeout=30)
    assert orphan.returncode == 1
    assert "another job makes this file" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "out.txt").read_text() == "new settings"


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGTERM, 143, "asked to end"), (signal.SIGINT, 130, "interrupted")],
)
def test_signals_end_a_job_with_one_line_and_nothing_half_written(
    start, tmp_path, number, code, line
):
    job = start(text="half")
    proceed(job)
    assert job.stdout.readline() == "writing\n"
    job.send_signal(number)
    _, errors = job.communicate(timeout=30)
    assert job.returncode == code
    (only,) = errors.splitlines()
    assert line in only
    assert [path.name for path in tmp_path.iterdir()] == ["job.py"]


def test_the_end_of_a_job_that_is_announced_is_not_its_end(start, tmp_path):
    job = start(text="whole")
    job.send_signal(signal.SIGUSR1)
    job.communicate("\n\n", timeout=30)
    assert job.returncode == 0
    assert (tmp_path / "out.txt").read_text() == "whole"


def test_a_job_ends_with_its_snakemake(start, tmp_path):
    parent = tmp_path / "snakemake"
    parent.write_text(textwrap.dedent(PARENT))
    snakemake = start(str(parent), text="late")
    job = psutil.Process(int(snakemake.stdout.readline()))
    assert snakemake.stdout.readline() == "ready\n"
    time.sleep(1.5)  # as long as its Snakemake lives it goes on
    assert is_alive(job)
    os.kill(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    deadline = time.monotonic() + 15
    while is_alive(job) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(job)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.py", "snakemake"]
