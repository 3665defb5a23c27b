"""What happens to a run on one machine: nothing is lost, and nothing is silently wrong.

Faults of a cluster are in ``tests/slurm/test_faults.py``, orphaned fits in ``test_orphans.py``.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.workflow.project import Project
from tests.workflow.test_bad_input import started_in_namespace
from tests.workflow.test_orphans import CHECKPOINT, PRIOR, fitting, gone, result, wait_for

STEPS = 6_000
FIT_LOG = "logs/tiny/folds/1/lcd/default/fit_prior.log"


@pytest.fixture(scope="module")
def finished(tiny_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny run with a prior that takes some seconds to fit."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(tiny_run.folder, folder, symlinks=True)
    project = Project(folder, tiny_run.configfile)
    project.configure("checkpoints", interval=0.2)
    project.configure_lcd("prior", steps=STEPS)
    project.run(PRIOR, "--cores", "1")
    return project


@pytest.fixture
def unfitted(finished: Project, tmp_path: Path) -> Project:
    """A copy of it without the prior."""
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project", finished.configfile)
    (project.folder / PRIOR).unlink()
    return project


def test_a_fit_that_is_killed_goes_on_at_the_next_attempt(
    finished: Project, unfitted: Project
) -> None:
    with fitting(unfitted, "--retries", "1") as (snakemake, job):
        job.kill()
        assert snakemake.wait(240) == 0, (unfitted.folder / "killed.log").read_text()
    assert "goes on" in (unfitted.folder / FIT_LOG).read_text()
    assert result(unfitted.folder) == result(finished.folder)
    assert not (unfitted.folder / CHECKPOINT).exists()


def test_a_fit_that_is_asked_to_end_saves_and_the_same_command_goes_on(
    finished: Project, unfitted: Project
) -> None:
    with fitting(unfitted) as (snakemake, job):
        job.terminate()
        assert snakemake.wait(60) != 0
    assert "asked to end" in (unfitted.folder / FIT_LOG).read_text()
    assert not (unfitted.folder / PRIOR).exists()
    unfitted.run(PRIOR, "--cores", "1")
    assert "goes on" in (unfitted.folder / FIT_LOG).read_text()
    assert result(unfitted.folder) == result(finished.folder)


def test_after_ctrl_c_the_same_command_goes_on(finished: Project, unfitted: Project) -> None:
    """A terminal sends SIGINT to Snakemake and its jobs alike."""
    with fitting(unfitted) as (snakemake, job):
        os.killpg(snakemake.pid, signal.SIGINT)
        assert snakemake.wait(60) != 0
        wait_for(lambda: gone(job), seconds=30)
    assert not unfitted.files(".snakemake/locks/*")
    assert not (unfitted.folder / PRIOR).exists()
    unfitted.run(PRIOR, "--cores", "1")
    assert "goes on" in (unfitted.folder / FIT_LOG).read_text()
    assert result(unfitted.folder) == result(finished.folder)


def test_a_second_run_in_the_same_folder_ends_at_once(finished: Project, unfitted: Project) -> None:
    with fitting(unfitted) as (snakemake, job):
        second = unfitted.snakemake(PRIOR, "--cores", "1")
        assert second.returncode != 0
        assert "LockException" in second.stdout
        assert "Traceback" not in second.stdout
        assert not gone(job)
        assert snakemake.wait(240) == 0
    assert result(unfitted.folder) == result(finished.folder)


def test_a_truncated_checkpoint_is_told_and_the_fit_starts_again(
    finished: Project, unfitted: Project
) -> None:
    with fitting(unfitted) as (snakemake, job):
        snakemake.kill()
        wait_for(lambda: gone(job), seconds=30)
    checkpoint = unfitted.folder / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    unfitted.run("--unlock")
    output = unfitted.run(PRIOR, "--cores", "1")
    assert "goes on at" not in (unfitted.folder / FIT_LOG).read_text()
    assert CHECKPOINT in output  # which file is not used
    assert result(unfitted.folder) == result(finished.folder)


def test_a_disk_that_is_full_when_a_model_is_written(finished: Project, unfitted: Project) -> None:
    """The checkpoints already find no room; then the model does not."""
    folder = (unfitted.folder / PRIOR).parent
    left = unfitted.folder / "left.txt"
    namespace = started_in_namespace("--map-root-user", "--mount")
    mount = 'mount -t tmpfs -o size=4k tmpfs "$0" || exit 77'
    run = f'"$@"; status=$?; find "$0" -type f > {left}; exit $status'
    wrapper = (*namespace, "sh", "-c", f"{mount}; {run}", str(folder))
    if subprocess.run([*wrapper, "true"]).returncode == 77:
        pytest.skip("no permission to mount a small disk")
    done = unfitted.snakemake(PRIOR, "--cores", "1", wrapper=wrapper)
    assert done.returncode != 0
    assert "no space left on the disk" in done.stdout
    assert "Traceback" not in done.stdout
    assert not [line for line in left.read_text().split() if not Path(line).name.startswith(".")]
    unfitted.run(PRIOR, "--cores", "1", "--rerun-incomplete")
    assert result(unfitted.folder) == result(finished.folder)


def test_a_home_folder_over_its_quota(tiny_run: Project, tiny_copy: Project) -> None:
    """Snakemake itself keeps copies there before it reads a line of ours; a variable moves them."""
    shutil.rmtree(tiny_copy.folder / "results/tiny/figures")
    (tiny_copy.folder / PRIOR).unlink()
    home = tiny_copy.folder / "home"
    home.mkdir()
    namespace = started_in_namespace("--map-root-user", "--mount")
    mount = 'mount -t tmpfs -o size=8k tmpfs "$0" || exit 77; cat /dev/zero > "$0/all" 2> /dev/null'
    wrapper = (*namespace, "sh", "-c", f'{mount}; HOME="$0" "$@"', str(home))
    if subprocess.run([*wrapper, "true"]).returncode == 77:
        pytest.skip("no permission to mount a small disk")
    before = tiny_copy.files("results/**/*")
    done = tiny_copy.snakemake(
        "all", "--cores", "1", wrapper=(*wrapper, "env", "-u", "XDG_CACHE_HOME")
    )
    assert done.returncode != 0
    assert "No space left on device" in done.stdout
    assert tiny_copy.files("results/**/*") == before
    elsewhere = (*wrapper, "env", f"XDG_CACHE_HOME={tiny_copy.folder}/cache")
    done = tiny_copy.snakemake("all", "--cores", "1", wrapper=elsewhere)
    assert done.returncode == 0, done.stdout
    assert result(tiny_copy.folder) == result(tiny_run.folder)
    assert tiny_copy.files("results/**/*") == tiny_run.files("results/**/*")
