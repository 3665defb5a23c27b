"""What it takes to add a method, or a prediction made elsewhere."""

import shutil
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from tests.workflow.project import Job, Project

TOY = Path(__file__).parents[1] / "methods" / "toy"

QUICK_RULES = {"predict_quickly", "salt_predict"}


@pytest.fixture
def with_toy(new_project) -> Project:
    """Copy the project with one folder more, and a configuration that tunes it."""
    project: Project = new_project("tiny.yaml")
    shutil.copytree(TOY, project.folder / "workflow" / "methods" / "toy")
    project.configure("folds", count=2, tuning_doubles=2)
    project.configure("prediction", methods=["toy", "salt", "control"])
    project.configure("evaluation", reference="toy", metrics=["mmd_top_de", "pearson_delta"])
    project.configure("tuning", methods=["toy"])
    project.configure(
        "methods", toy={"variants": {"half": {"factor": 0.5}}, "grid": {"factor": [-1.0, 1.0]}}
    )
    return project


def test_a_folder_is_a_method_that_is_tuned_scored_and_drawn(with_toy: Project) -> None:
    with_toy.run("all", "--cores", "2")
    results = with_toy.folder / "results" / "tiny"
    ranking = pd.read_csv(results / "tuning/toy.tsv", sep="\t")
    assert ranking["settings"].tolist() == ['{"factor": 1.0}', '{"factor": -1.0}']
    assert ranking["median"].is_monotonic_increasing
    assert (results / "settings/toy/tuned/predict.json").read_text() == '{\n "factor": 1.0\n}\n'

    metrics = pd.read_csv(results / "benchmark/metrics.tsv", sep="\t")
    assert set(metrics["method"]) == {"toy/tuned", "salt", "control"}
    # The additive effect times 1 is SALT's, of the same control cells up to the draw.
    wide = metrics.pivot_table(index="perturbation", columns=["method", "metric"], values="value")
    toy, salt = wide["toy/tuned"]["pearson_delta"], wide["salt"]["pearson_delta"]
    assert toy.to_numpy() == pytest.approx(salt.to_numpy(), abs=0.05)
    assert "Toy" in (results / "figures/distances.svg").read_text()
    assert "Toy" in (results / "benchmark/summary.html").read_text()
    # Nothing of the model that the figures used to know by name is needed.
    assert not with_toy.files("results/tiny/folds/*/lcd/**/*")
    assert not with_toy.plan("all")


def test_variants_and_seeds_stand_side_by_side(with_toy: Project) -> None:
    names = ["toy/default", "toy/half", "toy/half.seed2", "lcd/default", "lcd/default.seed2"]
    with_toy.configure("prediction", methods=names)
    with_toy.configure("evaluation", reference="toy/half")
    with_toy.configure("folds", count=1, tuning_doubles=0)
    with_toy.configure("tuning", methods=[])
    with_toy.run("results/tiny/benchmark/metrics.tsv", "--cores", "2")
    metrics = pd.read_csv(with_toy.folder / "results/tiny/benchmark/metrics.tsv", sep="\t")
    assert set(metrics["method"]) == {
        "toy",
        "toy/half",
        "toy/half.seed2",
        "lcd",
        "lcd/default.seed2",
    }
    fold = with_toy.folder / "results/tiny/folds/1"
    predictions = {
        name: ad.read_h5ad(fold / name / "prediction.h5ad").X.toarray()
        for name in ("toy/default", "toy/half", "toy/half.seed2", "lcd/default.seed2")
    }
    assert (predictions["toy/default"] != predictions["toy/half"]).any()
    assert (predictions["toy/half"] != predictions["toy/half.seed2"]).any()


def test_a_grid_over_the_second_fit_does_not_repeat_the_first(with_toy: Project) -> None:
    with_toy.configure("tuning", methods=["lcd"])
    with_toy.configure("prediction", methods=["lcd", "salt"])
    with_toy.configure("evaluation", reference="lcd")
    grid = {"drift.weight_decay": [0.1, 1.0], "prior.temperature": [5, 20]}
    settings = with_toy.configuration()["methods"]["lcd"]
    with_toy.configure("methods", lcd=settings | {"grid": grid})
    jobs = [job for job in with_toy.plan("all") if "fold=tuning" in job.wildcards]
    assert sum(job.rule == "lcd_fit_prior" for job in jobs) == 2
    assert sum(job.rule == "lcd_fit_drift" for job in jobs) == 4
    assert Job("choose_settings", "method=lcd") in with_toy.plan("all")


def test_a_prediction_made_elsewhere_is_scored(tiny_copy: Project) -> None:
    elsewhere = tiny_copy.folder / "elsewhere"
    elsewhere.mkdir()
    for fold in ("1", "2"):
        own = ad.read_h5ad(
            tiny_copy.folder / f"results/tiny/folds/{fold}/salt/default/prediction.h5ad"
        )
        train = ad.read_h5ad(tiny_copy.folder / f"results/tiny/folds/{fold}/data/train.h5ad")
        control = ad.AnnData(own.X[:5], obs=own.obs[:5].assign(perturbation="control"), var=own.var)
        control.obs_names = [f"c{i}" for i in range(5)]
        both = ad.concat([control, own])[:, ::-1]  # the control too, genes in another order
        assert list(both.var_names) != list(train.var_names)
        both.write_h5ad(elsewhere / f"mine_{fold}.h5ad")
    mine = {"predictions": "elsewhere/mine_{fold}.h5ad", "values": "lognorm", "label": "Mine"}
    settings = tiny_copy.configuration()["methods"]
    tiny_copy.configure("methods", **settings, mine=mine)
    tiny_copy.configure("prediction", methods=["lcd", "salt", "mine"])
    jobs = tiny_copy.plan("all")
    assert {job.rule for job in jobs}.isdisjoint({"lcd_fit_prior", "lcd_predict", *QUICK_RULES})
    tiny_copy.run("all", "--cores", "2")
    metrics = pd.read_csv(tiny_copy.folder / "results/tiny/benchmark/metrics.tsv", sep="\t")
    wide = metrics.pivot_table(index=["perturbation", "metric"], columns="method", values="value")
    assert wide["mine"].to_numpy() == pytest.approx(wide["salt"].to_numpy(), rel=1e-6)
    assert "Mine" in (tiny_copy.folder / "results/tiny/figures/distances.svg").read_text()


def test_a_missing_prediction_is_named_with_its_key(tiny_copy: Project) -> None:
    settings = tiny_copy.configuration()["methods"]
    tiny_copy.configure("methods", **settings, mine={"predictions": "nowhere/{fold}.h5ad"})
    tiny_copy.configure("prediction", methods=["lcd", "mine"])
    done = tiny_copy.snakemake("--dry-run", "all")
    assert done.returncode != 0
    assert "methods.mine.predictions" in done.stdout
    assert "nowhere/1.h5ad" in done.stdout


def test_quick_predictions_of_a_fold_share_a_job_and_others_have_their_own(new_project) -> None:
    project = new_project("tiny.yaml")
    shared = {Job("predict_quickly", f"fold={fold}") for fold in (1, 2)}
    assert {job for job in project.plan("all") if job.rule in QUICK_RULES} == shared
    folder = "results/tiny/folds/1/salt"
    alone = f"{folder}/default.seed2/prediction.h5ad"  # not in the comparison
    jobs = project.plan(f"{folder}/default/prediction.h5ad", alone)
    assert {job for job in jobs if job.rule in QUICK_RULES} == {
        Job("predict_quickly", "fold=1"),
        Job("salt_predict", "fold=1, variant=default.seed2"),
    }


def test_a_shared_job_predicts_what_a_job_of_its_own_does(tiny_copy) -> None:
    path = "results/tiny/folds/1/salt/default/prediction.h5ad"
    shared = (tiny_copy.folder / path).read_bytes()
    (tiny_copy.folder / path).unlink()
    tiny_copy.configure("prediction", methods=["lcd", "control"])
    assert tiny_copy.plan(path) == {Job("salt_predict", "fold=1, variant=default")}
    tiny_copy.run(path, "--cores", "1")
    assert (tiny_copy.folder / path).read_bytes() == shared


def test_evaluators_of_other_people_score_again_only_what_was_predicted_again(new_project) -> None:
    project = new_project("tiny.yaml")
    project.configure("evaluation", external=["cell_eval"])
    jobs = {job.rule for job in project.plan("all")}
    assert {"salt_predict", "export_cells"} < jobs
    assert "predict_quickly" not in jobs
