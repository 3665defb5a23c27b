"""The cluster of the tests: it runs jobs, goes without a trace, and leaves other clusters alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slurm import mini_cluster as script


def daemons() -> set[str]:
    """Numbers of the processes of SLURM and munge."""
    done = subprocess.run(
        ["pgrep", "slurmctld|slurmd|slurmstepd|munged"], capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.usefixtures("alone")
def test_jobs_run_where_they_belong_and_nothing_stays(tmp_path: Path) -> None:
    before = daemons()
    with script.mini_cluster() as cluster:
        assert cluster.states() == {"idle": 3}
        assert daemons() > before
        for partition in ("cpu", "gpu"):
            gres = ["--gres=gpu:1"] * (partition == "gpu")
            script.command(
                "sbatch", "-p", partition, *gres, "-o", tmp_path / partition, "-J", partition,
                "--wrap", 'echo "$SLURMD_NODENAME:$CUDA_VISIBLE_DEVICES"',
            )  # fmt: skip
        deadline = time.monotonic() + script.PATIENCE
        while {job["state"] for job in cluster.jobs()} != {"COMPLETED"}:
            assert time.monotonic() < deadline, cluster.jobs()
            time.sleep(0.2)
        nodes = {job["name"]: job["node"] for job in cluster.jobs()}
    assert nodes["cpu"] in {"c1", "c2"}
    assert nodes["gpu"] == "g1"
    assert (tmp_path / "gpu").read_text().strip() == "g1:0"
    assert daemons() == before
    assert not (script.ETC / "slurm.conf").exists()


@pytest.mark.usefixtures("alone")
def test_told_to_end_it_takes_its_command_and_jobs_with_it(tmp_path: Path) -> None:
    before = daemons()
    started, job = tmp_path / "started", f"touch {tmp_path}/started; exec sleep 731"
    wait = f"sbatch -o /dev/null --wrap '{job}'; sleep 732; true"  # the shell has a child
    cluster = subprocess.Popen([sys.executable, script.__file__, "--", "sh", "-c", wait])
    deadline = time.monotonic() + script.PATIENCE
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    cluster.terminate()
    assert cluster.wait(timeout=script.PATIENCE) == 128 + signal.SIGTERM
    left = subprocess.run(["pgrep", "-f", "^sleep 73[12]$"], capture_output=True, text=True)
    assert left.stdout == ""
    assert daemons() == before
    assert not (script.ETC / "slurm.conf").exists()


def test_the_cluster_of_somebody_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "ETC", tmp_path)
    own = "ClusterName=ours\n"
    (tmp_path / "slurm.conf").write_text(own)
    with pytest.raises(script.Refused, match="is there: a SLURM is configured on this machine"):
        script.refuse_elsewhere(install=True)
    assert (tmp_path / "slurm.conf").read_text() == own


def test_one_that_runs_is_not_started_again_and_one_that_was_killed_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "ETC", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "slurm.conf").write_text(f"{script.MARK}{os.getpid()}\n")
    with pytest.raises(script.Refused, match=f"started by process {os.getpid()}"):
        script.refuse_elsewhere(install=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "slurm.conf").write_text(f"{script.MARK}{gone.pid}\n")
    with pytest.raises(script.Refused, match="root is needed"):
        script.refuse_elsewhere(install=True)
    assert not (tmp_path / "slurm.conf").exists()
