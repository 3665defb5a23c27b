"""What happens on a cluster to a fit under way: nothing is lost, and nothing is trained twice.

Every fault meets a fit that has saved a checkpoint; afterwards the model has the bytes of one that
nothing disturbed.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipeline.cluster import SQUEUE, WaitingJobs, ask
from tests.slurm.mini_cluster import MINUTES, Cluster
from tests.workflow.project import Project

FIT = "results/tiny/folds/{}/lcd/default/prior/prior.safetensors"
CHECKPOINT = "results/tiny/folds/{}/lcd/default/prior/.prior.checkpoint"
LOG = "logs/tiny/folds/{}/lcd/default/fit_prior.log"
PATIENCE = 240.0  # seconds
STEPS = 10_000


def wait_for(what: Callable[[], object], run: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert run.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tiny_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny run with a fit that takes some seconds, for two folds."""
    folder = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(tiny_run.folder, folder, symlinks=True)
    project = Project(folder, tiny_run.configfile)
    project.configure("checkpoints", interval=0.2)
    project.configure_lcd("prior", steps=STEPS, log_every=100)
    project.run(FIT.format(1), FIT.format(2), "--cores", "2")
    return project


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """A copy without the fits, and a profile for the cluster of the tests."""
    shutil.copytree(undisturbed.folder, tmp_path / "project", symlinks=True)
    for fold in (1, 2):
        (tmp_path / "project" / FIT.format(fold)).unlink()
    project = Project(tmp_path / "project", undisturbed.configfile)
    describe_cluster(project)
    return project


def describe_cluster(project: Project, **gpu: object) -> None:
    """Write at the top of the profile what a user would for this cluster."""
    path = project.folder / "slurm/config.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    top = profile["__variables__"]
    top["cpu"] |= {"memory": 2000}
    top["gpu"] |= {"partition": "gpu", "minutes": MINUTES, "memory": 2000} | gpu
    profile |= {
        "slurm-status-command": "squeue",
        "slurm-init-seconds-before-status-checks": 1,
        "seconds-between-status-checks": 1,
    }
    path.write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")


@contextmanager
def running(project: Project, *targets: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Snakemake on the cluster."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = project.folder / "snakemake.log"
    with open(log, "w") as file:
        run = subprocess.Popen(
            project.command("--profile", "slurm", *targets),
            cwd=project.folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group, as a terminal gives it
        )
    try:
        yield run, log
    finally:
        if run.poll() is None:
            run.terminate()
            run.wait()


def fits(cluster: Cluster, state: str) -> list[dict[str, str]]:
    """Fits of the prior in a state, the newest last."""
    jobs = [job for job in cluster.jobs() if job["comment"].startswith("rule_lcd_fit_prior")]
    return sorted((job for job in jobs if job["state"] == state), key=lambda job: int(job["id"]))


def under_way(project: Project, cluster: Cluster, fold: int = 1) -> Callable[[], bool]:
    """Whether the fit runs and has saved a checkpoint."""
    return lambda: (
        bool(fits(cluster, "RUNNING")) and (project.folder / CHECKPOINT.format(fold)).exists()
    )


def finished(run: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for Snakemake to end well."""
    assert run.wait(PATIENCE) == 0, log.read_text()
    return log.read_text()


def same(project: Project, undisturbed: Project, fold: int = 1) -> bool:
    """Whether the fit has the bytes of the one that nothing disturbed."""
    fit = FIT.format(fold)
    return (project.folder / fit).read_bytes() == (undisturbed.folder / fit).read_bytes()


def went_on_from(project: Project, fold: int = 1) -> int:
    """The step from which a fit went on, by its log."""
    text = (project.folder / LOG.format(fold)).read_text()
    found = re.search(r"goes on at step (\d+)", text)
    assert found is not None, text
    return int(found[1])


@pytest.fixture(autouse=True)
def quiet(cluster: Cluster) -> Iterator[None]:
    """Nothing of the test before runs any more, and nothing of this one afterwards."""
    yield
    subprocess.run(["scancel", "--user=root"], check=True)
    cluster.wait_for({"idle": 3})


def test_a_cancelled_fold_alone_is_fitted_again_from_where_it_was(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    targets = (FIT.format(1), FIT.format(2))
    with running(project, *targets, "--retries", "0") as (run, log):
        wait_for(lambda: fits(cluster, "RUNNING"), run, log)
        job = fits(cluster, "RUNNING")[0]
        fold = int(re.findall(r"wildcards_(\d)", job["comment"])[0])
        wait_for((project.folder / CHECKPOINT.format(fold)).exists, run, log)
        assert job["node"] == "g1"
        subprocess.run(["scancel", job["id"]], check=True)
        assert run.wait(PATIENCE) != 0, log.read_text()
    other = 3 - fold
    assert same(project, undisturbed, other)
    assert not (project.folder / FIT.format(fold)).exists()
    before = (project.folder / FIT.format(other)).stat().st_mtime_ns
    with running(project, *targets) as (run, log):
        output = finished(run, log)
    assert re.findall(r"wildcards: fold=(\d)", output) == [str(fold)]
    assert went_on_from(project, fold) > 0
    assert same(project, undisturbed, fold)
    assert (project.folder / FIT.format(other)).stat().st_mtime_ns == before


def test_a_preempted_fit_goes_on_without_snakemake_noticing(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    with running(project, FIT.format(1), "--retries", "0") as (run, log):
        wait_for(under_way(project, cluster), run, log)
        subprocess.run(["scontrol", "requeue", fits(cluster, "RUNNING")[0]["id"]], check=True)
        output = finished(run, log)
    assert "Error" not in output
    assert went_on_from(project) > 0
    assert same(project, undisturbed)


def test_ctrl_c_cancels_the_jobs_and_the_same_command_goes_on(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    with running(project, FIT.format(1)) as (run, log):
        wait_for(under_way(project, cluster), run, log)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(PATIENCE) != 0, log.read_text()
    cluster.wait_for({"idle": 3})
    assert not (project.folder / FIT.format(1)).exists()
    with running(project, FIT.format(1)) as (run, log):
        finished(run, log)
    assert went_on_from(project) > 0
    assert same(project, undisturbed)


def test_the_controller_is_restarted(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    with running(project, FIT.format(1), "--retries", "0") as (run, log):
        wait_for(under_way(project, cluster), run, log)
        cluster.stop_controller()
        time.sleep(3)
        cluster.start_controller()
        finished(run, log)
    assert same(project, undisturbed)


def test_a_lost_node_costs_the_steps_since_the_last_checkpoint(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    with running(project, FIT.format(1), "--retries", "0") as (run, log):
        wait_for(under_way(project, cluster), run, log)
        cluster.stop_node("g1")
        wait_for(lambda: not fits(cluster, "RUNNING"), run, log)
        cluster.start_node("g1")
        finished(run, log)
    assert went_on_from(project) > 0
    assert same(project, undisturbed)


def test_too_little_memory_is_doubled_at_the_next_attempt(
    project: Project, undisturbed: Project, cluster: Cluster
) -> None:
    needed = 2 * peak_of(undisturbed) // 3  # too little for one attempt, enough for the next
    memory = f"lcd_fit_prior:mem_mb={needed}*attempt"
    with running(project, FIT.format(1), "--set-resources", memory) as (run, log):
        finished(run, log)
    asked = {job["memory"]: job["state"] for job in cluster.jobs() if "fit_prior" in job["comment"]}
    assert asked[f"{needed}M"] in {"FAILED", "OUT_OF_MEMORY"}
    assert asked[f"{2 * needed}M"] == "COMPLETED"
    assert same(project, undisturbed)


def peak_of(project: Project) -> int:
    """MB that a fit took, by Snakemake's own table, with what Snakemake itself takes on a node."""
    table = project.folder / "logs/tiny/benchmarks/folds/1/lcd/default/fit_prior.tsv"
    names, values = (line.split("\t") for line in table.read_text().splitlines())
    return int(float(dict(zip(names, values, strict=True))["max_rss"])) + 150


def test_what_can_never_start_is_refused_before_anything_is_submitted(
    project: Project, cluster: Cluster
) -> None:
    describe_cluster(project, minutes=None, partition="gpu")
    before = len(cluster.jobs())
    done = project.snakemake("--profile", "slurm", FIT.format(1))
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert f"set gpu.minutes to {MINUTES}" in done.stdout
    checked = project.snakemake("--profile", "slurm", "check_cluster")
    assert checked.returncode != 0
    assert f"set gpu.minutes to {MINUTES}" in checked.stdout
    assert len(cluster.jobs()) == before
    describe_cluster(project)
    assert "Every job can start" in project.run("--profile", "slurm", "check_cluster")


def test_a_job_that_waits_in_vain_is_told(cluster: Cluster, tmp_path: Path) -> None:
    comment = "rule_lcd_fit_prior_wildcards_1_default"
    too_long = ["--time", str(2 * MINUTES), "--partition", "gpu", "--gres", "gpu:1"]
    for more in (too_long, ["--hold"], []):
        subprocess.run(
            ["sbatch", *more, "--comment", comment, "--wrap", "sleep 60"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
    time.sleep(3)  # the scheduler says why
    told: list[str] = []
    answer = ask(SQUEUE)
    assert answer
    WaitingJobs(str(tmp_path), told.append).look(answer)
    assert len(told) == 2, answer
    assert any("PartitionTimeLimit" in text and "set gpu.minutes" in text for text in told)
    assert any("JobHeldUser" in text for text in told)
