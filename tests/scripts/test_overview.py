"""What the front page of the report says of a run: asked, data, results, and doubts."""

import html
import re

import pandas as pd
import pytest

from evaluation.registry import METRICS
from overview import summarise_run, write_overview
from overview.benchmark_lines import best_by_metric
from pipeline.looks import looks_of
from pipeline.methods import method_looks
from pipeline.tables import read_tsv, write_tsv

ASKED = {
    "analyses": ["benchmark"],
    "screen": "a simulated screen",
    "folds": 3,
    "methods": ["lcd", "salt", "control", "ceiling"],
    "tuned": [],
    "seeds": 2,
    "estimator": "adaptive_rows",
    "changes": "counts",
    "cause_folds": 2,
    "edges": 50,
    "systems": 12,
}


def frame(columns, *rows):
    return pd.DataFrame(rows, columns=columns.split())


@pytest.fixture
def tables(tmp_path):
    """Tables of a small run in which much is to be doubted, by argument."""
    medians = [("lcd", 0.004), ("salt", 0.006), ("control", 0.02), ("ceiling", 0.001)]
    made = {
        "conditions": frame(
            "perturbation n_targets n_cells singles_measured",
            ("control", 0, 90, 0), ("A", 1, 80, 1), ("B", 1, 12, 1), ("A+B", 2, 70, 2),
        ),
        "quality_control": frame(
            "step setting unit before removed after",
            ("all", None, "cells", 260, 8, 252), ("all", None, "genes", 30, 0, 30),
            ("all", None, "perturbations", 3, 0, 3),
        ),
        "perturbations": frame(
            "perturbation n_targets n_cells n_up n_down top_genes",
            ("A", 1, 80, 3, 2, "G1"), ("B", 1, 12, 0, 0, None), ("A+B", 2, 70, 1, 0, "G1"),
        ),
        "targets": frame(
            "target perturbation gene status",
            ("A", "A", "A", "moved"), ("A", "A+B", "A", "moved"), ("B", "B", "B", "did not move"),
            ("B", "A+B", "B", "did not move"), ("C", "C", "C", "not measured"),
        ),
        "fits": frame(
            "fold variant perturbation prior_share lcd_share verdict",
            ("1", "default", "A", 0.1, 0.7, "drift misses it"),
            ("1", "default", "B", None, None, "close to control"),
            ("2", "default", "A", 0.9, 0.8, "prior misses it"),
            ("2", "default", "A+B", 0.1, 0.2, "reproduced"),
        ),
        "summary": frame(
            "method metric n median",
            *((method, "mmd_top_de", 12 - (method == "salt"), value) for method, value in medians),
            *((method, "pearson_delta", 12, 1 - 30 * value) for method, value in medians),
            *((method, "mmd_all", 12, value) for method, value in medians),
        ),
        "win_rates": frame(
            "metric method versus n wins difference_of_medians p_adjusted reason",
            ("mmd_top_de", "lcd", "salt", 11, 8, -0.002, 0.03, ""),
            ("mmd_top_de", "lcd", "control", 12, 12, -0.016, 0.001, ""),
            ("pearson_delta", "lcd", "control", 12, 2, -0.2, 0.9, ""),
        ),
        "calibration": frame(
            "metric duplicate negative bound_discrimination_score",
            ("mmd_top_de", "ceiling", "control", 0.9), ("pearson_delta", "ceiling", "control", 0.8),
            ("mmd_all", "ceiling", "control", 0.3),
        ),
        "by_type": frame(
            "type metric n p_adjusted reason",
            ("all", "mmd_top_de", 9, 0.01, ""), ("synergy", "mmd_top_de", 4, 0.02, ""),
            ("epistasis", "mmd_top_de", 0, None, "none"), ("additivity", "mmd_top_de", 5, 0.3, ""),
        ),
        "edges": frame(
            "rank cause effect value sign_agreement",
            (1, "A", "G1", 0.5, 1.0), (2, "B", "G2", -0.4, 0.5),
        ),
        "validated_edges": frame(
            "rank cause effect target_status",
            (1, "A", "G1", "moved"), (2, "B", "G2", "did not move"),
        ),
        "validation": frame(
            "fraction k probability base_rate null_probability null_p_value",
            (0.01, 4, 0.75, 0.2, 0.7, 0.4), (0.1, 45, 0.5, 0.2, 0.45, 0.2),
        ),
        "responses": frame("perturbation converged", ("A", True), ("B", False)),
        "module_numbers": frame("clusters stability chosen", (3, 0.2, True), (4, 0.9, False)),
        "membership": frame("gene module", ("A", 1), ("B", 1), ("G1", None)),
        "top_terms": frame("module term", (1, "X")),
        "recovery": frame(
            "estimator pairs metric k value base_rate",
            ("direct_effects", "perturbed", "average_precision", None, 0.3, 0.1),
            ("differential_expression", "perturbed", "average_precision", None, 0.4, 0.1),
        ),
        "linear_summary": frame(
            "structure genes percent estimator knows_truth metric median",
            ("erdos_renyi", 100, 30, "lcd_clipr", False, "auroc", 0.7),
            ("erdos_renyi", 100, 100, "lcd_clipr", False, "auroc", 0.92),
            ("erdos_renyi", 100, 100, "linear_cyclic", False, "auroc", 0.81),
            ("erdos_renyi", 100, 100, "true_precision", True, "auroc", 1.0),
        ),
        "systems": frame(
            "structure genes system n_unconverged unconverged", ("erdos_renyi", 100, 1, 2, "gene_1")
        ),
    }  # fmt: skip
    paths = {}
    for name, table in made.items():
        paths[name] = str(tmp_path / f"{name}.tsv")
        write_tsv(table, paths[name])
    return paths


SCREEN = ("conditions", "quality_control", "perturbations", "targets")
BENCHMARK = ("fits", "summary", "win_rates", "calibration", "by_type")
EFFECTS = (
    "edges", "validated_edges", "validation", "responses", "module_numbers", "membership",
    "top_terms", "recovery",
)  # fmt: skip
LINEAR = ("linear_summary", "systems")


def summarised(tables, folder, names, **asked):
    """Lines of a run with these tables."""
    path = folder / "overview.tsv"
    summarise_run.main(
        overview=str(path),
        asked=ASKED | asked,
        looks=method_looks(),
        reference="lcd",
        versus="salt",
        alpha=0.05,
        **{name: tables[name] for name in names},
    )
    return read_tsv(path, dtype=str).fillna("")


def said(lines, part, about):
    """Statements of one part about one section, with their names."""
    own = lines[(lines["part"] == part) & (lines["about"] == about)]
    return [f"{text} [{names}]" for text, names in zip(own["text"], own["names"], strict=True)]


def test_the_screen_is_described_and_what_may_have_failed_is_named(tables, tmp_path):
    lines = summarised(tables, tmp_path, SCREEN)
    data = " ".join(said(lines, "data", "Screen"))
    assert "252 cells and 30 genes" in data
    assert "90 control cells and 3 perturbations (2 singles, 1 double)" in data
    assert "median 70, 12 to 80. The fewest has B" in data
    assert "removed 8 of 260 cells" in data
    doubts = said(lines, "doubt", "Screen")
    assert len(doubts) == 5
    for start, names in (
        ("1 of 3 perturbations have fewer than 50 cells", "B"),
        ("There are 90 control cells", ""),
        ("1 of 3 perturbations change no gene", "B"),
        ("1 of 2 single perturbations whose own gene was tested did not move", "B"),
        ("1 of 3 targets have a gene that was not measured", "C"),
    ):
        assert [line for line in doubts if line.startswith(start) and line.endswith(f"[{names}]")]


def test_the_benchmark_leaves_out_metrics_that_cannot_tell(tables, tmp_path):
    lines = summarised(tables, tmp_path, (*SCREEN, *BENCHMARK))
    results = " ".join(said(lines, "result", "Benchmark"))
    assert "LCD 0.004; Control cells 0.02, Noise ceiling 0.001, SALT 0.006" in results
    assert "better than SALT at 8 of 11" in results
    assert "adjusted P = 0.03" in results
    assert "Best median in 2 metrics that can tell: LCD 2" in results
    doubts = said(lines, "doubt", "Benchmark")
    assert any(
        "1 of 3 metrics cannot tell" in line and "MMD (all genes)" in line for line in doubts
    )
    assert any("worse median than Control cells, a baseline, in 1 of 2" in line for line in doubts)
    assert any("fewer perturbations" in line and "SALT (11)" in line for line in doubts)
    interactions = " ".join(said(lines, "result", "Interactions"))
    assert "9 held-out pairs" in interactions
    assert "synergy 4, additivity 5" in interactions
    assert "for 1 of 2 types: synergy" in interactions
    (few,) = said(lines, "doubt", "Interactions")
    assert few.endswith("[synergy (4)]")


def test_equal_medians_are_counted_for_each_and_no_method_is_ranked_by_non_additivity():
    rows = [
        (metric, method, value)
        for metric, values in {
            "mmd_all": {"lcd": 1.0, "salt": 2.0},
            "discrimination_l2": {"lcd": 1.0, "salt": 1.0},
            "nonadditivity_pearson": {"lcd": 0.2, "salt": 0.9},
        }.items()
        for method, value in values.items()
    ]
    summary = pd.DataFrame(rows, columns=["metric", "method", "median"])
    trusted = [name for name in summary["metric"].unique() if METRICS[name].ranks]
    (line,) = best_by_metric(summary, looks_of(method_looks()), "lcd", trusted)
    assert line.text == (
        "Best median in 2 metrics that can tell, equal ones counted for each: LCD 2, SALT 1."
    )


def test_badly_fit_conditions_are_named(tables, tmp_path):
    lines = summarised(tables, tmp_path, (*SCREEN, *BENCHMARK))
    assert "Reproduced: 1 of 4 training conditions of 2 checked fits" in " ".join(
        said(lines, "result", "Fits")
    )
    doubts = said(lines, "doubt", "Fits")
    assert [line[-4:] for line in doubts] == [" [A]", " [A]", " [B]"]
    assert ["prior" in line for line in doubts] == [True, False, False]


def test_effects_are_doubted_where_the_data_do_not_support_them(tables, tmp_path):
    lines = summarised(tables, tmp_path, (*SCREEN, *EFFECTS), analyses=["effects"])
    results = " ".join(said(lines, "result", "Causal effects"))
    assert "A → G1 (+), B → G2 (−)" in results
    assert "Of the 45 strongest effects that could be tested, 50%" in results
    assert "of all 20%, of random genes of the same causes 45%" in results
    assert "1 gene module with 2 of 3 genes" in results
    assert "Direct effects 0.3, Differential expression 0.4; chance 0.1" in results
    doubts = " ".join(said(lines, "doubt", "Causal effects"))
    for words in (
        "1 of 2 of the strongest effects do not have the same sign", "B → G2",
        "hold no more often than any genes", "start at a gene that its own perturbation did not",
        "limit response of 1 condition was not reached", "adjusted Rand index 0.2",
        "no worse than the estimated effects",
    ):  # fmt: skip
        assert words in doubts
    assert not set(lines["about"]) & {"Benchmark", "Fits", "Interactions", "Linear systems"}


def test_linear_systems_alone_speak_of_no_screen(tables, tmp_path):
    lines = summarised(tables, tmp_path, LINEAR, analyses=["linear_systems"])
    assert set(lines["about"]) == {"Linear systems"}
    assert "12 linear systems" in " ".join(said(lines, "asked", "Linear systems"))
    results = said(lines, "result", "Linear systems")
    assert len(results) == 2, "of the most and of the least perturbed"
    (result,) = (text for text in results if "100 genes, 100% perturbed" in text)
    assert "CLIPR (Eqs. 5-8) 0.92, Linear cyclic 0.81." in result  # the truth is no estimator
    assert "1 of 1 systems" in " ".join(said(lines, "doubt", "Linear systems"))


def test_an_analysis_of_another_name_is_mentioned(tables, tmp_path):
    lines = summarised(tables, tmp_path, SCREEN, analyses=["predict"])
    assert said(lines, "asked", "Predictions")


def pages(tables, folder, names, sections, **asked):
    """Front page and overview of a run."""
    summarised(tables, folder, names, **asked)
    times = folder / "times" / "folds" / "1" / "lcd" / "default"
    times.mkdir(parents=True)
    for name, seconds in (("fit_prior", 12.5), ("predict", 2)):
        (times / f"{name}.tsv").write_text(f"s\tmax_rss\n{seconds}\t300.5\n")
    screen = {name: tables[name] for name in ("conditions", "quality_control") if name in names}
    write_overview.main(
        overview=str(folder / "overview.tsv"),
        overview_page=str(folder / "overview.html"),
        front_page=str(folder / "front_page.html"),
        run="mine",
        benchmarks=str(folder / "times"),
        settings="run: mine\nscreen: {path: <a&b>}\n",
        seed=7,
        sections=sections,
        **screen,
    )
    return [(folder / name).read_text() for name in ("front_page.html", "overview.html")]


def test_the_pages_say_all_lines_and_where_they_come_from(tables, tmp_path):
    front, page = pages(tables, tmp_path, (*SCREEN, *BENCHMARK), ["Benchmark", "Fits", "Screen"])
    lines = read_tsv(tmp_path / "overview.tsv", dtype=str)
    for line in lines["text"]:
        assert html.escape(line) in front
        assert html.escape(line) in page
    files = set(re.findall(r'data-file="results/mine/([^"]+)"', front))
    assert {"benchmark/summary.html", "fits/conditions.html", "figures/pairs.svg"} <= files
    assert all(file.endswith((".svg", ".html")) for file in files)  # tables are no results
    for text in (">12.50<", "lcd, fit prior", "{path: &lt;a&amp;b&gt;}", "root seed"):
        assert text in page
    assert len(re.findall(r"showCategory", front)) == 3


def test_only_the_first_of_many_names_stand_on_the_front_page():
    names = [f"p{i}" for i in range(12)]
    assert write_overview.shortened(", ".join(names)) == ", ".join(names[:8]) + " and 4 more"
    assert write_overview.shortened("a, b") == "a, b"


def test_a_run_without_doubts_says_that_this_proves_nothing(tables, tmp_path):
    write_tsv(frame("structure genes system n_unconverged unconverged",
                    ("erdos_renyi", 100, 1, 0, "none")), tables["systems"])  # fmt: skip
    front, _ = pages(tables, tmp_path, LINEAR, ["Linear systems"], analyses=["linear_systems"])
    assert "do not replace the figures" in front
    assert "held-out" not in front
