"""Mistakes of the user and of the machine end in one message, and leave nothing behind."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml

IMPORTED = "results/tiny/screen/imported.h5ad"
FILTERED = "results/tiny/screen/filtered.h5ad"
CONDITIONS = "results/tiny/screen/conditions.tsv"


def write_screen(path: Path, scale: float = 1) -> None:
    """Write a small screen of counts, or of counts times ``scale``."""
    counts = np.random.default_rng(0).poisson(3, (40, 12))
    obs = {"perturbation": np.repeat(["control", "A", "B", "A+B"], 10)}
    cells = ad.AnnData(
        X=counts * scale if scale != 1 else counts,
        obs=pd.DataFrame(obs, index=[f"cell{i}" for i in range(40)]),
        var=pd.DataFrame(index=[f"G{j}" for j in range(12)]),
    )
    cells.write_h5ad(path)


@pytest.fixture
def project(new_project):
    """Return a project with a small screen of its own, of which nothing is computed yet."""
    project = new_project("tiny.yaml")
    write_screen(project.folder / "screen.h5ad")
    project.configure("screen", kind="file", path="screen.h5ad")
    return project


def refused(project, *arguments: str, log: str | None, wrapper: tuple[str, ...] = ()) -> str:
    """Run what must fail and return its only message, from the log if the mistake is a job's."""
    done = project.snakemake(*arguments, wrapper=wrapper)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout
    if log is None:
        message = done.stdout[done.stdout.index("WorkflowError") :]
    else:
        message = (project.folder / log).read_text()
        assert len(re.findall("^.* (?:ERROR|CRITICAL) ", message, re.M)) == 1, message
        assert "Traceback" not in message
        message = message[message.index("ERROR ") :].strip()
        assert message.split("\n")[0] in done.stdout  # on the terminal as well
    assert message.count("remedy: ") == 1
    assert done.stdout.count("remedy: ") == 1, done.stdout
    return message


def results(project) -> set[str]:
    return project.files("results/**/*")


def test_a_valid_screen_is_imported(project) -> None:
    project.run(IMPORTED, "--cores", "1")
    assert results(project) == {IMPORTED}


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (
            {"perturbation_column": "perturbations"},
            ["screen.h5ad, obs", "'perturbations'", "did you mean 'perturbation'?"],
        ),
        (
            {"control_label": "non-targeting"},
            ["screen.h5ad, obs['perturbation']", "'non-targeting'", "A+B", "screen.control_label"],
        ),
    ],
    ids=["misspelt column", "control absent"],
)
def test_settings_that_do_not_fit_the_file(project, settings, parts) -> None:
    project.configure("screen", **settings)
    message = refused(project, IMPORTED, "--cores", "1", log="logs/tiny/import_screen.log")
    assert all(part in message for part in parts), message
    assert not results(project)


def test_a_table_of_targets_that_is_not_there(project) -> None:
    project.configure("screen", target_genes="tables/targets.tsv")
    message = refused(project, IMPORTED, "--cores", "1", log=None)
    parts = ["tiny.yaml, screen.target_genes", "tables/targets.tsv"]
    assert all(part in message for part in parts), message


def test_a_table_of_cells_that_is_not_there(project) -> None:
    project.configure("screen", cells_table="tables/cells.csv")
    message = refused(project, IMPORTED, "--cores", "1", log=None)
    parts = ["tiny.yaml, screen.cells_table", "tables/cells.csv"]
    assert all(part in message for part in parts), message


def test_a_screen_that_is_not_there(project) -> None:
    project.configure("screen", path="data/mine.h5ad")
    for target in (IMPORTED, "all"):
        message = refused(project, target, "--cores", "1", log=None)
        parts = ["tiny.yaml, screen.path", "data/mine.h5ad", f"starts at {project.folder}"]
        assert all(part in message for part in parts), message
        assert not results(project)


def test_a_screen_may_go_once_it_is_imported(project) -> None:
    project.run(IMPORTED, "--cores", "1")
    (project.folder / "screen.h5ad").unlink()
    project.run(FILTERED, "--cores", "1")


def test_a_folder_in_place_of_a_screen(project) -> None:
    (project.folder / "mtx").mkdir()
    (project.folder / "mtx" / "matrix.mtx").write_text("x")
    project.configure("screen", path="mtx")
    message = refused(project, IMPORTED, "--cores", "1", log="logs/tiny/import_screen.log")
    assert "scanpy.read_10x_mtx('mtx')" in message
    assert not results(project)


def test_a_changed_table_of_targets_is_imported_again(project) -> None:
    table = project.folder / "targets.tsv"
    project.configure("screen", target_genes="targets.tsv")
    for genes in (["G1"], ["G2", "G3"]):
        table.write_text("target\tgene\n" + "".join(f"A\t{gene}\n" for gene in genes))
        project.run(IMPORTED, "--cores", "1")
        cells = ad.read_h5ad(project.folder / IMPORTED)
        assert cells.uns["target_genes"]["gene"].tolist() == genes


def normalised(path: Path) -> None:
    write_screen(path, scale=0.37)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def text(path: Path) -> None:
    path.write_text("gene\tcell\n")


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (normalised, ["screen.h5ad, X", "not whole numbers", "0.37", "screen.counts"]),
        (truncated, ["screen.h5ad", "truncated"]),
        (text, ["screen.h5ad", "not an HDF5 file"]),
    ],
)
def test_files_that_hold_no_counts(project, damage, parts) -> None:
    damage(project.folder / "screen.h5ad")
    message = refused(project, IMPORTED, "--cores", "1", log="logs/tiny/import_screen.log")
    assert all(part in message for part in parts), message
    assert not results(project)


@pytest.mark.parametrize(
    ("section", "values", "parts"),
    [
        ("drift", {"step": 10}, ["methods.lcd.drift.step", "methods.lcd.drift.steps"]),
        ("prior", {"steps": "many"}, ["methods.lcd.prior.steps", "many"]),
        ("sampling", {"step_size": -1.0}, ["methods.lcd.sampling.step_size", "-1"]),
    ],
    ids=["unknown key", "wrong type", "impossible value"],
)
def test_configurations_are_checked_before_anything_runs(project, section, values, parts) -> None:
    project.configure_lcd(section, **values)
    message = refused(project, "all", "--cores", "1", log=None)
    assert all(part in message for part in ["tiny.yaml", *parts]), message
    assert not results(project)


def test_a_screen_that_quality_control_empties(project) -> None:
    project.configure("quality_control", min_counts=10**9)
    message = refused(project, FILTERED, "--cores", "1", log="logs/tiny/filter_screen.log")
    assert all(part in message for part in [IMPORTED, "min_counts", "1000000000"]), message
    assert results(project) == {IMPORTED}


def test_fewer_doubles_than_folds(project) -> None:
    project.configure("folds", count=2)
    table = "results/tiny/folds/folds.tsv"
    message = refused(project, table, "--cores", "1", log="logs/tiny/make_folds.log")
    parts = [CONDITIONS, "1 of 1 combinations", "2 folds", "folds.count"]
    assert all(part in message for part in parts), message
    assert {IMPORTED, FILTERED, CONDITIONS} < results(project)
    assert table not in results(project)


def started_in_namespace(*options: str) -> tuple[str, ...]:
    """Return what starts a command in a user namespace of its own, or skip where that is barred."""
    wrapper = ("unshare", "--user", *options)
    if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"]).returncode != 0:
        pytest.skip("no permission for a user namespace, which this test needs")
    return wrapper


def without_privileges() -> tuple[str, ...]:
    """Return what makes permissions bind root, too; nothing for other users."""
    return started_in_namespace() if os.geteuid() == 0 else ()


def test_a_full_disk(project) -> None:
    disk, left = project.folder / "results", project.folder / "left.txt"
    (disk / "tiny").mkdir(parents=True)
    namespace = started_in_namespace("--map-root-user", "--mount")
    mount = 'mount -t tmpfs -o size=4k tmpfs "$0" || exit 77'
    run = f'"$@"; status=$?; find "$0" -type f > {left}; exit $status'
    wrapper = (*namespace, "sh", "-c", f"{mount}; {run}", str(disk))
    if subprocess.run([*wrapper, "true"]).returncode == 77:
        pytest.skip("no permission to mount a small disk")
    message = refused(
        project, IMPORTED, "--cores", "1", log="logs/tiny/import_screen.log", wrapper=wrapper
    )
    assert f"{IMPORTED}: no space left" in message
    assert left.read_text() == ""


def test_a_folder_of_a_job_without_permission_to_write(project) -> None:
    folder = (project.folder / IMPORTED).parent
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    message = refused(project, IMPORTED, "--cores", "1", log=None, wrapper=without_privileges())
    assert f"{folder}: no permission" in message
    assert not results(project)


@pytest.mark.parametrize("name", [".", "results/tiny", "logs"])
def test_a_folder_of_the_run_without_permission_to_write(project, name) -> None:
    folder = project.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    message = refused(project, IMPORTED, "--cores", "1", log=None, wrapper=without_privileges())
    folder.chmod(0o755)
    assert f"{folder}: no permission" in message
    assert not results(project)


def test_a_file_where_the_folder_of_results_should_be(project) -> None:
    file = project.folder / "results"
    file.write_text("mine\n")
    message = refused(project, IMPORTED, "--cores", "1", log=None)
    assert f"{file}: a folder is needed here" in message
    assert file.read_text() == "mine\n"


def test_the_configurations_of_these_tests_are_complete() -> None:
    """They are configurations a user could write, so none of the above fails for another reason."""
    for path in (Path(__file__).parent / "configs").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["run"] == path.stem
