"""Causal effects of a screen of singles from end to end, and what reruns when a fit is deleted."""

import shutil

import anndata as ad
import networkx as nx
import pandas as pd
import pytest

from tests.workflow.project import Job
from tests.workflow.test_reruns import NOTHING, different_results, rules

FITS = ("lcd_fit_prior", "lcd_fit_drift")
DATA = {"simulate_screen", "import_screen", "filter_screen", "make_folds", "select_genes",
        "differential_expression"}  # fmt: skip


@pytest.mark.slow
def test_a_screen_of_singles_runs_to_its_report_and_a_deleted_fit_alone_is_made_again(
    new_project, tmp_path
) -> None:
    project = new_project("singles.yaml")
    project.run("all", "--cores", "2")
    results = project.folder / "results/singles"
    assert not (results / "benchmark").exists()
    assert not (results / "folds/folds.tsv").exists()

    effects = ad.read_h5ad(results / "effects/effects.h5ad")
    assert effects.shape == (36, 36)
    assert effects.obs["perturbed"].sum() == 6
    assert {"sd", "sign_agreement", "initial", "limit", "pseudoinverse"} <= set(effects.layers)
    assert effects.uns["coordinates"] == "log_rate"  # of the fits for effects alone
    assert effects.obs["module"].notna().any()
    assert nx.read_graphml(results / "effects/network.graphml").number_of_edges() == 20
    recovery = pd.read_csv(results / "effects/recovery.tsv", sep="\t")
    assert {"lcd_clipr", "direct_effects_seed_2", "inverse_pooled_covariance"} <= set(
        recovery["estimator"]
    )
    causes = pd.read_csv(results / "effects/held_out/causes.tsv", sep="\t")
    for fold, own in causes.groupby("fold"):
        cells = ad.read_h5ad(results / f"folds/{fold}/data/train.h5ad")
        assert set(own["cause"]).isdisjoint(cells.obs["perturbation"])
        assert (results / f"folds/{fold}/lcd/effects/model/model.safetensors").exists()
    assert NOTHING in project.run("all", "--cores", "2")

    complete = new_project_copy(project, tmp_path / "complete")
    shutil.rmtree(results / "folds/causes_1")
    plan = project.plan("all")
    fits = {job.wildcards for job in plan if job.rule in FITS}
    # The prior, on which coordinates have no influence, is that of the default settings.
    assert fits == {"fold=causes_1, variant=default", "fold=causes_1, variant=effects"}
    assert Job("hold_out_causes", "fold=causes_1") in plan
    assert rules(plan).isdisjoint({*DATA, "lcd_check_fits", "write_settings"})
    project.run("all", "--cores", "1")
    assert different_results(complete, project, "results/singles/**/*") == []

    project.run("all", "--report", "report.html")
    report = (project.folder / "report.html").read_text()
    figures = project.files("results/singles/figures/effects_*.svg")
    assert len(figures) == 6
    assert "training_conditions.svg" in report
    assert all(figure.rsplit("/", 1)[1] in report for figure in figures)
    check_predictions(project)


def check_predictions(project):
    """The same fits predict combinations, and a part that is deleted is made again alone."""
    project.write(
        project.configuration()
        | {
            "analyses": ["effects", "predict"],
            "predictions": {"variant": "effects", "seeds": 2, "states": 10, "parts": 2},
        }
    )
    plan = project.plan("all")
    assert rules(plan).isdisjoint({*FITS, *DATA, "estimate_effects"})
    assert sum(job.rule == "predict_combinations" for job in plan) == 2 * 3
    project.run("all", "--cores", "2")
    folder = project.folder / "results/singles/predictions"
    table = pd.read_csv(folder / "predictions.tsv", sep="\t")
    assert len(table) == 15  # pairs of six targets
    assert table["non_additivity"].gt(0).all()
    assert table["spread"].gt(0).all()
    profiles = ad.read_h5ad(folder / "profiles.h5ad")
    assert profiles.shape == (1 + 6 + 15, 36)
    (folder / "parts/effects.seed2/2.h5ad").unlink()
    again = project.plan("all")
    assert Job("predict_combinations", "variant=effects.seed2, part=2") in again
    assert sum(job.rule == "predict_combinations" for job in again) == 1


def new_project_copy(project, folder):
    """Keep the files of a run for comparison."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return type(project)(folder, project.configfile)
