"""The configurations that come with the project, as Snakemake plans them."""

import re
import shlex

import pytest


def test_the_default_run_is_planned_for_a_cluster(new_project) -> None:
    project = new_project(None)
    jobs = project.plan("--profile", "slurm", "all")
    assert {job.wildcards for job in jobs if job.rule == "lcd_fit_drift"} == {
        "fold=1, variant=default",
        "fold=2, variant=default",
        "fold=3, variant=default",
        "fold=all, variant=effects",
        "fold=all, variant=effects.seed2",
        "fold=causes_1, variant=effects",
        "fold=causes_2, variant=effects",
    }
    assert {"simulate_screen", "aggregate_metrics", "all"} < {job.rule for job in jobs}


def test_the_examples_of_the_command_line_are_planned(new_project) -> None:
    """Each in a folder without results, where no file of another run can stand in."""
    project = new_project(None)
    page = (project.folder / "config" / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^snakemake (all --cores 2 --config .*)$", page, re.M)
    assert len(commands) == 3
    for command in commands:
        jobs = project.plan(*shlex.split(command))
        assert "enrich_modules" in {job.rule for job in jobs}


def test_lint_finds_nothing(new_project) -> None:
    project = new_project(None)
    assert "Congratulations" in project.run("--lint")


@pytest.mark.parametrize("name", ["norman", "wessels"])
def test_a_published_experiment_is_planned_from_its_download(new_project, name) -> None:
    project = new_project(None)
    jobs = project.plan("all", "--configfile", f"config/{name}.yaml")
    assert [job.rule for job in jobs].count("download_screen") == 1
    assert sum(job.rule == "lcd_fit_drift" for job in jobs) >= 10
    assert "simulate_screen" not in {job.rule for job in jobs}


def test_the_genome_wide_screen_is_planned_from_its_downloads(new_project) -> None:
    project = new_project(None)
    jobs = project.plan("all", "--configfile", "config/replogle.yaml")
    rules = [job.rule for job in jobs]
    assert rules.count("download_screen") == 1
    assert rules.count("download_gene_sets") == 2
    assert rules.count("lcd_fit_drift") == 6  # all conditions, and five folds of held-out causes
    assert {"simulate_screen", "make_folds", "score_recovery", "lcd_predict"}.isdisjoint(rules)


def test_ablations_share_the_fits_that_they_do_not_change(new_project) -> None:
    project = new_project(None)
    jobs = project.plan("all", "--configfile", "config/ablations.yaml")
    rules = [job.rule for job in jobs]
    # per fold: priors with and without each of two parts; a drift for each prior, and four more
    assert rules.count("lcd_fit_prior") == 2 * 3
    assert rules.count("lcd_fit_drift") == 2 * 6
    assert rules.count("lcd_predict") == 2 * 7


@pytest.mark.parametrize(("name", "fits"), [("norman_extract", 3), ("papalexi_extract", 6)])
def test_a_real_extract_is_planned_from_its_files(new_project, name, fits) -> None:
    project = new_project(None)
    text = (project.folder / "config" / f"{name}.yaml").read_text()
    for found in re.findall(r"^ +(?:path:|-) (\.\./\S+)$", text, re.M):
        path = project.folder / found
        path.parent.mkdir(parents=True, exist_ok=True)
        # a plan needs no more of a screen than that it is there; gene sets are read
        path.write_text("set\t-\tGENE\n" if path.suffix == ".gmt" else "")
    jobs = project.plan("all", "--configfile", f"config/{name}.yaml")
    assert sum(job.rule == "lcd_fit_drift" for job in jobs) == fits
    assert {"simulate_screen", "download_screen"}.isdisjoint({job.rule for job in jobs})


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({"enrichment": {"gene_sets": []}}, {"draw_module_numbers"}),
        ({"modules": {"cut": "none"}}, set()),
        ({}, {"draw_module_numbers", "draw_enrichment"}),
    ],
    ids=["no gene sets", "no modules", "both"],
)
def test_figures_of_modules_and_of_their_gene_sets_are_made_where_there_are_such(
    new_project, changes, figures
) -> None:
    project = new_project("singles.yaml")
    for section, values in changes.items():
        project.configure(section, **values)
    planned = {job.rule for job in project.plan("all")}
    assert planned & {"draw_module_numbers", "draw_enrichment"} == figures
    assert ("enrich_modules" in planned) == ("draw_enrichment" in figures)
    assert {"find_modules", "draw_effect_maps", "draw_network", "write_effects_html"} <= planned


def test_markers_that_are_not_modelled_end_the_run_before_any_fit(new_project) -> None:
    project = new_project("singles.yaml")
    project.configure("modules", cut="markers", markers=["NONE*"])
    done = project.snakemake("all", "--cores", "2")
    assert done.returncode != 0
    assert "0 of the modelled genes are in the marker set NONE*" in done.stdout
    assert not (project.folder / "results/singles/folds/all/lcd").exists()
