"""Where the pipeline lies, how its configuration is given, and mistakes in either."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.project import Project, copy_project
from tests.workflow.test_bad_input import (
    IMPORTED,
    refused,
    results,
    without_privileges,
    write_screen,
)

NewProject = Callable[[str | None], Project]


def with_interpreter(project: Project) -> Project:
    """Give a project an interpreter in its own folder, as ``make run`` does, with all packages."""
    environment = project.folder / ".venv"
    command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(command, check=True)
    (packages,) = environment.glob("lib/*/site-packages")
    known = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "main.pth").write_text("".join(f"{path}\n" for path in known))
    python = str(environment / "bin" / "python")
    command_of = project.command
    project.command = lambda *arguments: [python, *command_of(*arguments)[1:]]  # type: ignore[method-assign]
    return project


@pytest.mark.parametrize("name", ["My Drive", 'it\'s "A&B" #1; Zürich 數據'])
def test_a_folder_with_blanks_and_special_characters(tmp_path: Path, name: str) -> None:
    project = with_interpreter(copy_project(tmp_path / name / "code", "tiny.yaml"))
    write_screen(project.folder / "a screen & more.h5ad")
    project.configure("screen", kind="file", path="a screen & more.h5ad")
    project.run(IMPORTED, "--cores", "1")
    assert results(project) == {IMPORTED}


def test_make_checks_and_runs_in_a_folder_with_a_blank(tmp_path: Path) -> None:
    project = with_interpreter(copy_project(tmp_path / "My Drive" / "code", "tiny.yaml"))
    root = Path(__file__).parents[2]
    for file in ("Makefile", "requirements.txt", "requirements.lock"):
        shutil.copy(root / file, project.folder)
    shutil.move(project.folder / "tiny.yaml", project.folder / "my own.yaml")
    programs = project.folder / ".venv" / "bin"
    program = programs / "snakemake"  # what is asked of it, and no more
    program.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    program.chmod(0o755)
    stamp = subprocess.run(
        "cat requirements.txt requirements.lock | cksum | cut -d ' ' -f 1",
        shell=True, cwd=project.folder, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (project.folder / ".venv" / f"installed-{stamp}").touch()

    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments], cwd=project.folder, capture_output=True, text=True, check=False
        )

    assert "[--configfile][my own.yaml]" in make("run", "CONFIG=my own.yaml").stdout
    assert "[results/tiny/report.html]" in make("report", "CONFIG=my own.yaml").stdout
    (project.folder / "my own.yaml").write_text("folds:\n\tcount: 1\n")
    for name, message in {"my own.yaml": "my own.yaml, line 2", "no.yaml": "no.yaml: this"}.items():
        done = make("run", f"CONFIG={name}")
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert "[--configfile]" not in done.stdout


@pytest.mark.parametrize("name", ["a{b}", "a:b"])
def test_a_folder_in_which_nothing_can_run(tmp_path: Path, name: str) -> None:
    project = copy_project(tmp_path / name, "tiny.yaml")
    message = refused(project, "all", "--cores", "1", log=None)
    assert str(tmp_path / name) in message
    assert not results(project)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"run: x\nfolds:\n\tcount: 1\n", ["config/config.yaml, line 3", "tabs"]),
        ("run: x\n# gr\xfc\xdfe\n".encode("latin-1"), ["config/config.yaml, line 2", "UTF-8"]),
        (b"run: x\nseed: 1\nrun: y\n", ["config/config.yaml", "run (line 3)"]),
        (b"", ["config/config.yaml", "an empty file"]),
    ],
    ids=["tab", "Latin-1", "a key given twice", "empty"],
)
def test_the_default_configuration_cannot_be_read(new_project: NewProject, content, parts) -> None:
    project = new_project(None)
    (project.folder / "config/config.yaml").write_bytes(content)
    message = refused(project, "all", "--cores", "1", log=None)
    assert all(part in message for part in parts), message


def test_a_key_given_twice_in_a_file_of_the_command_line(new_project: NewProject) -> None:
    project = new_project("tiny.yaml")
    with open(project.folder / "tiny.yaml", "a") as file:
        file.write("folds: {count: 1}\n")
    message = refused(project, "all", "--cores", "1", log=None)
    assert "tiny.yaml: keys are given twice" in message
    assert "folds (line " in message


@pytest.mark.parametrize("directory", [True, False])
def test_from_another_folder_the_default_run_is_that_of_the_code(
    new_project: NewProject, tmp_path: Path, directory: bool
) -> None:
    project = new_project(None)
    elsewhere = Project(tmp_path / "else where")
    elsewhere.folder.mkdir()
    where = ["--directory", str(elsewhere.folder)] if directory else []
    runner = project if directory else elsewhere
    done = runner.snakemake(
        "-s", str(project.folder / "Snakefile"), *where, "--cores", "1",
        "results/default/settings/lcd/default/predict.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert elsewhere.files("results/**/*.json")
    assert not results(project)


@pytest.mark.parametrize("argument", ["run=2024_11", "run='2024_11'", 'run="2024_11"'])
def test_a_run_of_digits_on_the_command_line(new_project: NewProject, argument: str) -> None:
    project = new_project("tiny.yaml")
    target = "results/2024_11/settings/lcd/default/predict.json"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", target, "--cores", "1", "--configfile", "tiny.yaml",
         "--config", argument],
        cwd=project.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (project.folder / target).exists()


def test_mistakes_of_the_command_line_are_blamed_on_it(new_project: NewProject) -> None:
    project = new_project(None)
    message = refused(project, "all", "--cores", "1", "--config", "sed=3", log=None)
    assert "--config, sed: unknown key" in message
    assert "config.yaml" not in message


@pytest.mark.parametrize(
    ("section", "values", "parts"),
    [
        ("screen", {"kind": "file", "path": "a{b}.h5ad"}, ["screen.path", "a{b}.h5ad"]),
        ("screen", {"kind": "file", "path": "none.h5ad"}, ["screen.path", "none.h5ad"]),
        ("interactions", {"annotations": "none.tsv"}, ["interactions.annotations", "none.tsv"]),
        ("evaluation", {"reference": "bilinear"}, ["evaluation.reference", "salt, lcd"]),
        ("prediction", {"methods": ["salt"]}, ["evaluation.reference", "found:  lcd"]),
    ],
)
def test_files_and_methods_that_are_not_there(
    new_project: NewProject, section: str, values: dict, parts: list[str]
) -> None:
    project = new_project("tiny.yaml")
    project.configure(section, **values)
    message = refused(project, "all", "--cores", "1", log=None)
    assert all(part in message for part in ["tiny.yaml", *parts]), message


@pytest.mark.parametrize(
    ("method", "own", "environments", "parts"),
    [
        ("cpa", {}, {"python": "no-such-python"}, ["environments.python", "no-such-python"]),
        ("gears", {"gene_sets": ["none.gmt"]}, {}, ["methods.gears.gene_sets", "none.gmt"]),
    ],
)
@pytest.mark.parametrize("tuned", [True, False], ids=["tuned", "in the benchmark"])
def test_what_methods_that_run_need_is_looked_for(
    new_project: NewProject, method: str, own: dict, environments: dict, parts: list[str], tuned
) -> None:
    project = new_project("tiny.yaml")
    project.configure("methods", **{method: own | {"grid": {"epochs": [2, 3]}}})
    project.configure("folds", tuning_doubles=2)
    project.configure("environments", **environments)
    project.configure("prediction", methods=["lcd", "salt", *([] if tuned else [method])])
    project.configure("tuning", methods=[method] if tuned else [], metric="pearson_delta")
    message = refused(project, "all", "--dry-run", log=None)
    assert all(part in message for part in ["tiny.yaml", *parts]), message
    # without it in the run, nothing is asked for
    project.configure("prediction", methods=["lcd", "salt"])
    project.configure("tuning", methods=[])
    assert f"{method}_predict" not in {job.rule for job in project.plan("all")}


@pytest.mark.parametrize("fold", ["99", "all", "tuning", "causes_1"])
def test_combinations_of_a_fold_that_holds_out_none(new_project: NewProject, fold: str) -> None:
    project = new_project("tiny.yaml")
    path = "results/tiny/folds/{}/data/test_perturbations.txt"
    project.write(project.configuration() | {"analyses": ["predict"]})
    project.configure("predictions", file=path.format(fold))
    message = refused(project, "all", "--dry-run", log=None)
    assert "tiny.yaml, predictions.file: there is no such file of combinations" in message
    for there in ("2", "tuning"):
        project.configure("folds", tuning_doubles=2)
        project.configure("predictions", file=path.format(there))
        assert "list_combinations" in {job.rule for job in project.plan("all")}


def test_a_benchmark_without_lcd_is_planned_to_its_end(new_project: NewProject) -> None:
    project = new_project("tiny.yaml")
    project.configure("prediction", methods=["salt", "perturbed_mean"])
    project.configure("evaluation", reference="salt")
    planned = {job.rule for job in project.plan("all")}
    assert {"predict_quickly", "aggregate_metrics", "draw_metrics", "draw_expression"} <= planned
    assert not any(rule.startswith("lcd_") for rule in planned)


def test_malformed_gene_sets_are_told_before_anything_runs(new_project: NewProject) -> None:
    project = new_project("singles.yaml")
    (project.folder / "own.gmt").write_text("a set without genes\n")
    project.configure("enrichment", gene_sets=["own.gmt"])
    message = refused(project, "all", "--cores", "1", log=None)
    assert "own.gmt, line 1" in message
    assert "enrichment.gene_sets" in message


def test_files_in_a_folder_without_permission_to_write(new_project: NewProject) -> None:
    project = new_project("tiny.yaml")
    write_screen(project.folder / "screen.h5ad")
    project.configure("screen", kind="file", path="screen.h5ad")
    folder = (project.folder / IMPORTED).parent
    project.run(IMPORTED, "--cores", "1")
    folder.chmod(0o555)
    for path in (project.folder, project.folder / "results", folder.parent):
        path.chmod(0o777)
    message = refused(
        project, IMPORTED, "--cores", "1", "--forceall", log=None, wrapper=without_privileges()
    )
    folder.chmod(0o755)
    assert f"{folder}: no permission" in message
    assert results(project) == {IMPORTED}


def test_what_effects_ask_for_does_not_make_the_genes_and_fits_again(
    new_project: NewProject,
) -> None:
    project = new_project("singles.yaml")
    genes = "results/singles/folds/all/data/genes.tsv"
    project.run(genes, "--cores", "1")
    project.configure("effects", held_out_folds=1)
    project.configure("modules", cut="number", number=3)
    assert "select_genes" not in {job.rule for job in project.plan(genes)}
