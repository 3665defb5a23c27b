"""The configurations that come with the project, as Snakemake plans them."""

import re

import pytest


def test_the_default_run_is_planned_for_a_cluster(new_project) -> None:
    project = new_project(None)
    jobs = project.plan("--profile", "slurm", "all")
    assert {job.wildcards for job in jobs if job.rule == "fit_drift"} == {
        "fold=1",
        "fold=2",
        "fold=3",
    }
    assert {"simulate_screen", "aggregate_metrics", "all"} < {job.rule for job in jobs}


def test_lint_finds_nothing(new_project) -> None:
    project = new_project(None)
    assert "Congratulations" in project.run("--lint")


@pytest.mark.parametrize("name", ["norman", "wessels"])
def test_a_published_experiment_is_planned_from_its_download(new_project, name) -> None:
    project = new_project(None)
    jobs = project.plan("all", "--configfile", f"config/{name}.yaml")
    assert [job.rule for job in jobs].count("download_screen") == 1
    assert sum(job.rule == "fit_drift" for job in jobs) >= 10
    assert "simulate_screen" not in {job.rule for job in jobs}


def test_the_real_extract_is_planned_from_its_file(new_project) -> None:
    project = new_project(None)
    text = (project.folder / "config" / "norman_extract.yaml").read_text()
    path = project.folder / re.search(r"^  path: (\S+)$", text, re.M)[1]
    path.parent.mkdir(parents=True)
    path.touch()  # a plan needs no more than that the file is there
    jobs = project.plan("all", "--configfile", "config/norman_extract.yaml")
    assert sum(job.rule == "fit_drift" for job in jobs) >= 3
    assert {"simulate_screen", "download_screen"}.isdisjoint({job.rule for job in jobs})
