"""What a run plans to predict combinations, and what it refuses before anything is fitted."""

import pytest

from tests.workflow.project import Job

PREDICTIONS = {
    "list_combinations", "predict_combinations", "measure_predictions", "summarise_predictions",
    "draw_predictions", "write_predictions_html",
}  # fmt: skip


def predicting(project, **values):
    """A configuration that predicts."""
    project.write(project.configuration() | {"analyses": ["predict"], "predictions": values})
    return project


def test_the_jobs_of_a_panel(new_project) -> None:
    project = predicting(new_project("singles.yaml"), seeds=2, parts=3, cells_of=["A+B"])
    plan = project.plan("all")
    names = {job.rule for job in plan}
    assert PREDICTIONS | {"sample_combinations", "differential_expression"} <= names
    assert {"estimate_effects", "make_folds", "lcd_predict"}.isdisjoint(names)
    assert {job.wildcards for job in plan if job.rule == "lcd_fit_drift"} == {
        "fold=all, variant=default", "fold=all, variant=default.seed2",
    }  # fmt: skip
    parts = {job.wildcards for job in plan if job.rule == "predict_combinations"}
    assert len(parts) == 2 * 4
    assert "variant=default.seed2, part=references" in parts
    assert Job("measure_predictions", "variant=default, part=3") in plan


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"combinations": ["A"]}, "predictions.combinations"),
        ({"variant": "none"}, "predictions.variant"),
        ({"file": "absent.txt"}, "there is no such file of combinations"),
        ({"wanted_signature": "bad.tsv"}, "needs the columns gene and change"),
    ],
)
def test_mistakes_end_before_any_plan(new_project, values, words) -> None:
    project = predicting(new_project("singles.yaml"), **values)
    (project.folder / "bad.tsv").write_text("a\tb\n1\t2\n")
    done = project.snakemake("-n", "all")
    assert done.returncode != 0
    assert words in done.stdout
