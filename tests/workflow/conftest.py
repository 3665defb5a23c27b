"""Small real runs of the workflow, each in a copy of the project of its own."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.project import Project, copy_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[str | None], Project]:
    """Copy the project, with one of the configurations for tests or None; nothing has run in it."""
    return lambda configuration: copy_project(tmp_path / "project", configuration)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which the tiny configuration has run with two cores; not to be changed.

    Workers of pytest-xdist share the run: one makes it while the others wait for it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with open(folder / "tiny_run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        project = Project(folder / "tiny_run", "tiny.yaml")
        if not project.folder.exists():
            copy_project(project.folder, "tiny.yaml")
            done = project.snakemake("all", "--cores", "2")
            (folder / "tiny_run.log").write_text(done.stdout)
            (folder / "tiny_run.status").write_text(str(done.returncode))
    assert (folder / "tiny_run.status").read_text() == "0", (folder / "tiny_run.log").read_text()
    return project


@pytest.fixture
def tiny_copy(tiny_run: Project, tmp_path: Path) -> Project:
    """Copy the finished tiny run, to change and run again."""
    shutil.copytree(tiny_run.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", tiny_run.configfile)
