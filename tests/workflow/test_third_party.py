"""Other people's methods and evaluators, really installed and run on a small simulated screen."""

import json
import os
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from tests.workflow.project import Job, Project

METHODS = {
    "cpa": {"latent": 8, "hidden": 16, "epochs": 2, "batch": 32},
    "gears": {"hidden": 8, "epochs": 1, "neighbours": 5, "batch": 32},
}


@pytest.fixture
def with_both(new_project) -> Project:
    project: Project = new_project("tiny.yaml")
    settings = project.configuration()["methods"]
    project.configure("methods", **settings, **METHODS)
    project.configure("folds", count=1)
    project.configure("prediction", methods=["salt", "cpa", "gears"])
    project.configure("evaluation", reference="salt")
    return project


@pytest.mark.slow
def test_both_are_trained_scored_and_agree_with_the_evaluators(with_both: Project) -> None:
    with_both.configure("evaluation", external=["cell_eval", "scperteval"])
    with_both.run("all", "--cores", "2")
    results = with_both.folder / "results/tiny"
    wanted = (results / "folds/1/data/test_perturbations.txt").read_text().split()
    control = ad.read_h5ad(results / "folds/1/data/train.h5ad")
    for method in METHODS:
        fit = results / "folds/1" / method / "default"
        assert pd.read_csv(fit / "dropped.tsv", sep="\t").empty
        cells = ad.read_h5ad(fit / "prediction.h5ad")
        assert set(cells.obs["perturbation"]) == set(wanted)
        with np.load(fit / "outputs.npz", allow_pickle=False) as stored:
            shifts = stored["shifts"]
        assert shifts.shape == (len(wanted), control.n_vars)
        assert (np.abs(shifts) > 0).mean() > 0.9  # it has learned something, whatever it is
    metrics = pd.read_csv(results / "benchmark/metrics.tsv", sep="\t")
    assert set(metrics["method"]) == {"cpa", "gears", "salt"}
    assert metrics["value"].notna().all()

    agreement = pd.read_csv(results / "external/agreement.tsv", sep="\t")
    assert len(agreement) == 3 * len(wanted) * (2 + 4)
    np.testing.assert_allclose(agreement["theirs"], agreement["ours"], rtol=1e-4, atol=1e-6)
    logs = sorted((with_both.folder / "logs/tiny/external").rglob("cell_eval.log"))
    said = "".join(p.read_text() for p in logs)
    assert len(logs) == 3
    assert "warn" not in said.lower()
    assert not with_both.plan("all")

    # An environment is made once: another run in the same folder finds it.
    shutil.rmtree(results / "folds/1/gears")
    assert Job("gears_fit", "fold=1, variant=default") in with_both.plan("all")
    assert "make_environment" not in {job.rule for job in with_both.plan("all")}


def test_they_are_off_until_one_key_turns_them_on(with_both: Project) -> None:
    configuration = with_both.configuration()
    del configuration["prediction"]["methods"]
    for method in METHODS:
        configuration["methods"][method]["run"] = False
    with_both.write(configuration)
    assert "cpa_fit" not in {job.rule for job in with_both.plan("all")}
    configuration["methods"]["cpa"]["run"] = True
    with_both.write(configuration)
    planned = {job.rule for job in with_both.plan("all")}
    assert {"cpa_fit", "make_environment"} <= planned
    assert "gears_fit" not in planned


def test_conda_makes_the_environments_where_it_is_asked_to(with_both: Project) -> None:
    """A conda that only says who it is: a plan asks it nothing else."""
    conda = with_both.folder / "bin" / "conda"
    conda.parent.mkdir()
    said = {"conda_version": "25.1.0", "platform": "linux-64", "conda_prefix": str(conda.parent)}
    said |= {"get": {"channel_priority": "strict"}}  # type: ignore[dict-item]
    conda.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(said)}\nEND\n")
    conda.chmod(0o755)
    path = f"PATH={conda.parent}{os.pathsep}{os.environ['PATH']}"
    done = with_both.snakemake("all", "--dry-run", "--sdm", "conda", wrapper=("env", path))
    assert done.returncode == 0, done.stdout
    assert "rule cpa_fit" in done.stdout
    assert "make_environment" not in done.stdout


@pytest.mark.parametrize("gene_sets", [["nowhere/go.gmt"], []])
def test_missing_gene_sets_are_named_with_their_key(with_both: Project, gene_sets: list) -> None:
    settings = with_both.configuration()["methods"]
    settings["gears"]["gene_sets"] = gene_sets
    with_both.configure("methods", **settings)
    done = with_both.snakemake("--dry-run", "all")
    assert done.returncode != 0
    assert "methods.gears.gene_sets" in done.stdout
    assert "downloads/msigdb/2024.1.Hs/c5.go.bp.gmt" in done.stdout
    assert ("nowhere/go.gmt" in done.stdout) == bool(gene_sets)
    assert "Traceback" not in done.stdout


def test_gears_reads_the_gene_sets_of_the_enrichment(with_both: Project) -> None:
    Path(with_both.folder / "go.gmt").write_text("set\t-\tA\tB\n")
    shutil.copy(Path(__file__).parents[2] / "config" / "config.yaml", with_both.folder / "x.yaml")
    with_both.configure("enrichment", gene_sets=["go.gmt"])
    with_both.configure("screen", kind="file", path="x.yaml")
    done = with_both.snakemake("--dry-run", "all")
    assert done.returncode == 0, done.stdout
    assert "go.gmt" in done.stdout
