"""A real screen from end to end, and the report of a run."""

from pathlib import Path

import anndata as ad
import pandas as pd


def test_a_real_screen_runs_to_its_metrics(new_project, shared_data) -> None:
    project = new_project("real.yaml")
    screen = shared_data / "norman2019_33perts_250genes_counts.h5ad"
    project.configure("screen", path=str(screen))
    project.run("results/real/benchmark/metrics.tsv", "--cores", "2")

    cells = ad.read_h5ad(project.folder / "results/real/screen/imported.h5ad")
    original = ad.read_h5ad(screen)
    assert cells.shape == original.shape
    assert (cells.X != original.X).nnz == 0
    held_out = (
        (project.folder / "results/real/folds/1/data/test_perturbations.txt").read_text().split()
    )
    assert len(held_out) == 2
    metrics = pd.read_csv(project.folder / "results/real/benchmark/metrics.tsv", sep="\t")
    assert set(metrics["perturbation"]) == set(held_out)
    assert set(metrics["method"]) == {"lcd", "ceiling"}
    assert metrics["value"].notna().all()
    predicted = ad.read_h5ad(project.folder / "results/real/folds/1/lcd/default/prediction.h5ad")
    assert predicted.n_vars == 60
    assert set(predicted.obs["perturbation"]) == set(held_out)


def test_the_report_of_a_run_is_built(tiny_copy) -> None:
    tiny_copy.run("all", "--report", "report.html")
    report = (tiny_copy.folder / "report.html").read_text()
    figures = tiny_copy.files("results/tiny/figures/*.svg")
    assert len(figures) >= 5
    assert all(Path(figure).name in report for figure in figures)
    assert "summary.html" in report


def test_one_perturbation_has_a_page_on_request(tiny_copy) -> None:
    targets = pd.read_csv(tiny_copy.folder / "results/tiny/screen/targets.tsv", sep="\t")
    combination = targets["perturbation"][targets["perturbation"].str.contains("+", regex=False)]
    page = f"results/tiny/screen/perturbations/{combination.iloc[0]}.html"
    assert not (tiny_copy.folder / page).exists()
    tiny_copy.run(page, "--cores", "1")
    text = (tiny_copy.folder / page).read_text()
    assert f"<h1>{combination.iloc[0]}</h1>" in text
