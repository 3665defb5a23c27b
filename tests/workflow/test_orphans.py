"""Snakemake is killed outright while a fit runs; the fit must neither live on nor do harm."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.workflow.project import Project

PRIOR = "results/tiny/folds/1/lcd/default/prior/prior.safetensors"
CHECKPOINT = "results/tiny/folds/1/lcd/default/prior/.prior.checkpoint"


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def job_of(snakemake: psutil.Process) -> psutil.Process | None:
    for process in snakemake.children(recursive=True):
        try:
            if any(".snakemake/scripts" in part for part in process.cmdline()[1:2]):
                return process
        except psutil.Error:
            continue
    return None


@contextmanager
def fitting(
    project: Project, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """Snakemake and its fit of the prior, which has saved a checkpoint."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = project.folder / "killed.log"
    with open(log, "w") as file:
        snakemake = subprocess.Popen(
            project.command(PRIOR, "--cores", "1", *arguments),
            cwd=project.folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group, as a terminal gives it
        )
    job = None
    try:
        wait_for((project.folder / CHECKPOINT).exists)
        job = job_of(psutil.Process(snakemake.pid))
        assert job is not None, log.read_text()
        yield snakemake, job
    finally:
        for process in (snakemake, job):
            if process is not None and psutil.pid_exists(process.pid):
                process.kill()
        snakemake.wait()


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def result(folder: Path) -> bytes:
    return (folder / PRIOR).read_bytes()


def test_a_fit_that_slept_through_a_second_run_changes_nothing(tiny_run, tiny_copy) -> None:
    tiny_copy.configure("checkpoints", interval=0.2)
    tiny_copy.configure_lcd("prior", steps=100_000)
    with fitting(tiny_copy) as (snakemake, orphan):
        orphan.suspend()
        snakemake.kill()
        snakemake.wait()
        tiny_copy.configure_lcd("prior", steps=30)
        tiny_copy.run("--unlock")
        tiny_copy.run(PRIOR, "--cores", "1", "--rerun-incomplete")
        assert result(tiny_copy.folder) == result(tiny_run.folder)
        orphan.resume()
        wait_for(lambda: gone(orphan))
        time.sleep(1)  # whatever is above it would tidy up now
    assert result(tiny_copy.folder) == result(tiny_run.folder)
    assert "Nothing to be done" in tiny_copy.run(PRIOR, "--cores", "1")
    assert not tiny_copy.files("results/tiny/folds/1/lcd/default/prior/.*")


def test_a_fit_ends_with_its_snakemake_and_the_next_one_goes_on_from_there(tiny_copy) -> None:
    tiny_copy.configure("checkpoints", interval=0.2)
    tiny_copy.configure_lcd("prior", steps=6_000)
    tiny_copy.run(PRIOR, "--cores", "1")
    expected = result(tiny_copy.folder)
    (tiny_copy.folder / PRIOR).unlink()
    with fitting(tiny_copy) as (snakemake, orphan):
        snakemake.send_signal(signal.SIGKILL)
        snakemake.wait()
        wait_for(lambda: gone(orphan), seconds=15)
    assert (tiny_copy.folder / CHECKPOINT).exists()
    assert not (tiny_copy.folder / PRIOR).exists()
    tiny_copy.run("--unlock")
    tiny_copy.run(PRIOR, "--cores", "1", "--rerun-incomplete")
    log = (tiny_copy.folder / "logs/tiny/folds/1/lcd/default/fit_prior.log").read_text()
    assert "goes on" in log
    assert result(tiny_copy.folder) == expected
