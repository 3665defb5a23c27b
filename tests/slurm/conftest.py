"""One cluster at a time on this machine, whatever the number of workers."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import mini_cluster as script
from tests.slurm.mini_cluster import Cluster
from tests.workflow.conftest import tiny_run

__all__ = ["tiny_run"]


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Workers of pytest-xdist wait for each other, since a machine has room for one cluster."""
    if os.geteuid() != 0 or not shutil.which("slurmctld") or not shutil.which("munged"):
        pytest.skip(f"needs root and {', '.join(script.PACKAGES)}")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with open(folder / "cluster.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            script.refuse_elsewhere(install=False)
        except script.Refused as refusal:
            pytest.skip(str(refusal))
        yield


@pytest.fixture(scope="module")
def cluster(alone: None) -> Iterator[Cluster]:
    """Three nodes, two without and one with a GPU, for the tests of a file."""
    with script.mini_cluster() as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run Snakemake, and let one worker have all that need a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "cluster" in getattr(
            item, "fixturenames", ()
        ):
            item.add_marker(pytest.mark.workflow)
