"""Figures and HTML tables of the report, from synthetic results of any shape."""

import importlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from benchmark import aggregate_metrics, compute_metrics
from benchmark import draw_benchmark_figures as benchmark
from benchmark import write_tables_html as pages
from evaluation.registry import METRICS
from lcd_core.errors import InputError
from methods.lcd import check_fits
from methods.lcd import draw_training_figures as training
from pipeline.config.prediction import MethodName
from pipeline.figures import (
    draw_methods,
    linear_threshold,
    save,
    scale_distances,
    style,
    thinned,
)
from pipeline.looks import LOOKS, in_order, look
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.predictions_fixture import HELD_OUT, TRAINED, write_fold

ROOT = Path(__file__).parents[2]
METHODS = ("lcd", "control", "random_perturbed", "salt", "mean_combination", "ceiling")
BENCHMARK = ("distances", "pairs", "means", "expression")
TRAINING = ("training_conditions", "predictive_check", "training_curves", "standardised_states")
LEVELS = {
    "ceiling": 0.0004,
    "lcd": 0.005,
    "random_perturbed": 0.007,
    "salt": 0.008,
    "mean_combination": 0.009,
    "control": 0.01,
}


def metrics_table(perturbations, methods=METHODS, seed=0):
    """Values as :mod:`compute_metrics` writes them; ``perturbations`` maps folds to names."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold, names in perturbations.items():
        for name in names:
            difficulty = rng.lognormal(0, 0.5)
            for method in methods:
                level = LEVELS[method]
                value = level * difficulty * rng.lognormal(0, 0.3) + rng.normal(0, 3e-4)
                correlation = 1 - level * rng.lognormal(0, 0.2)
                values = {
                    "mmd_top_de": value,
                    "rmse_top_de": np.sqrt(abs(value)) * 3,
                    "pearson_mean": correlation,
                }
                rows += [
                    (fold, method, name, 2, 2, metric, number, 50, 50)
                    for metric, number in values.items()
                ]
    return pd.DataFrame(rows, columns=aggregate_metrics.COLUMNS)


def training_log(rng, with_evidence):
    steps = np.arange(1, 41) * 100
    falling = 50 * np.exp(-steps / 700) + rng.normal(0, 0.3, len(steps))
    log = pd.DataFrame({"step": steps, "loss": 60 + falling})
    if with_evidence:
        log["evidence"] = -30 - falling / 2
    log["learning_rate"] = 1e-3 * (1 + np.cos(np.pi * steps / 4000)) / 2
    log["gradient_norm"] = rng.lognormal(2, 0.5, len(steps))
    log["seconds"] = rng.uniform(0, 1, len(steps))
    return log


def checks(rng, genes, conditions):
    """The three tables of :mod:`check_fits`, the last two through its own functions."""
    levels = {"prior": 0.0005, "lcd": 0.002, "control": 0.01, "halves": 0.0}
    distances = pd.DataFrame(
        [
            (name, source, metric, level * rng.lognormal(0, 0.5) + rng.normal(0, 2e-4))
            for name in conditions[1:]
            for source, level in levels.items()
            for metric in check_fits.METRICS
        ],
        columns=["perturbation", "source", "metric", "value"],
    )
    rates = rng.lognormal(-1, 3, len(genes))
    tables = [
        check_fits.gene_table(name, genes, rng.poisson(rates, (60, len(genes))), generated)
        for name in conditions
        for generated in [rng.poisson(rates, (80, len(genes)))]
    ]
    scale = rng.lognormal(0, 0.8, len(genes))
    states = [
        check_fits.quantile_table(source, genes, rng.standard_t(2, (500, len(genes))) * scale)
        for source in ("prior", "lcd")
    ]
    return distances, pd.concat(tables), pd.concat(states)


def write_results(folder, n_folds=2, methods=METHODS, held_out=HELD_OUT, trained=TRAINED):
    """Write the results of a run as far as the figures read them; return the folds' names."""
    folds = [str(number + 1) for number in range(n_folds)]
    table = metrics_table({fold: held_out for fold in folds}, methods)
    parts = []
    for fold in folds:
        own = folder / "folds" / fold
        own.mkdir(parents=True)
        inputs = write_fold(own, trained, held_out)
        importlib.import_module("benchmark.test_differential_expression").main(
            train=inputs.train, test=inputs.test, table=str(own / "test_de.tsv")
        )
        for method in [m for m in ("salt", "lcd") if m in methods]:
            # The cells of a fitted model are stood in for by those of another method.
            importlib.import_module(
                "methods.salt.predict" if method == "salt" else "methods.control.predict"
            ).main(
                train=inputs.train,
                test_perturbations=inputs.test_perturbations,
                prediction=str(own / "predictions" / f"{method}.h5ad"),
                n_cells=20,
                seed=1,
            )
        rng = np.random.default_rng(int(fold))
        genes = pd.Index([f"G{i}" for i in range(30)])
        for part, frame in zip(
            ("training_conditions", "genes", "states"), checks(rng, genes, trained), strict=True
        ):
            write_tsv(frame, own / "checks" / f"{part}.tsv")
        write_tsv(training_log(rng, True), own / "prior" / "log.tsv")
        write_tsv(training_log(rng, False), own / "model" / "log.tsv")
        parts.append(str(own / "metrics.tsv"))
        write_tsv(table[table["fold"] == fold], parts[-1])
    aggregate_metrics.main(
        tables=parts,
        metrics=str(folder / "benchmark" / "metrics.tsv"),
        summary=str(folder / "benchmark" / "summary.tsv"),
        win_rates=str(folder / "benchmark" / "win_rates.tsv"),
    )
    return folds


def draw_all(results, folds, out, methods=METHODS, top_genes=4):
    """Draw every figure; return the SVG files by name."""

    def of_folds(name):
        return [str(results / "folds" / fold / name) for fold in folds]

    shown = [method for method in ("salt", "lcd") if method in methods]
    paths = {name: str(out / f"{name}.svg") for name in BENCHMARK + TRAINING}
    benchmark.main(
        metrics=str(results / "benchmark" / "metrics.tsv"),
        win_rates=str(results / "benchmark" / "win_rates.tsv"),
        train=of_folds("train.h5ad"),
        test=of_folds("test.h5ad"),
        differential_expression=of_folds("test_de.tsv"),
        predictions=[
            str(results / "folds" / fold / "predictions" / f"{method}.h5ad")
            for fold in folds
            for method in shown
        ],
        folds=folds,
        shown_methods=shown,
        top_genes=top_genes,
        **{name: paths[name] for name in BENCHMARK},
    )
    training.main(
        prior_logs=of_folds("prior/log.tsv"),
        drift_logs=of_folds("model/log.tsv"),
        tables=of_folds("checks/training_conditions.tsv"),
        genes=of_folds("checks/genes.tsv"),
        states=of_folds("checks/states.tsv"),
        folds=folds,
        **{name: paths[name] for name in TRAINING},
    )
    return paths


def texts(path):
    """All text of an SVG, a string per element."""
    root = ElementTree.parse(path).getroot()
    elements = root.iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()).strip() for element in elements]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    folds = write_results(results)
    return results, folds, draw_all(results, folds, tmp_path_factory.mktemp("figures"))


def test_every_figure_is_an_svg_with_text_and_without_a_date(run):
    for path in run[2].values():
        content = Path(path).read_text()
        assert ElementTree.fromstring(content).tag.endswith("svg")
        assert texts(path)
        assert "<dc:date>" not in content


def test_the_same_tables_give_the_same_bytes(run, tmp_path):
    results, folds, first = run
    matplotlib.rcParams["font.size"] = 20  # what a session has set must not matter
    try:
        again = draw_all(results, folds, tmp_path)
    finally:
        matplotlib.rcdefaults()
    for name, path in first.items():
        assert Path(path).read_bytes() == Path(again[name]).read_bytes(), name


def test_distances_show_each_method_with_its_median(run):
    results, _, paths = run
    shown = texts(paths["distances"])
    table = read_tsv(results / "benchmark" / "metrics.tsv", dtype={"fold": str})
    own = table[table["metric"] == "mmd_top_de"]
    for method in METHODS:
        assert set(look(method).label.split("\n")) <= set(shown)
        median = np.median(own.loc[own["method"] == method, "value"])
        assert f"{median:.2g}".replace("-", "−") in shown or f"{median:.2g}" in shown


def test_pairs_state_the_wins_of_the_table(run):
    results, _, paths = run
    rates = read_tsv(results / "benchmark" / "win_rates.tsv")
    own = rates[(rates["metric"] == "mmd_top_de") & (rates["versus"] != "ceiling")]
    shown = " | ".join(texts(paths["pairs"]))
    assert len(own) == 4
    for row in own.itertuples():
        assert f"wins {row.wins} of {row.n} ({100 * row.win_rate:.0f}%)" in shown


def test_normalised_distances_against_loops():
    table = metrics_table({"1": ["A+B", "A+C"], "2": ["A+B"]})
    table.loc[(table["fold"] == "2") & (table["metric"] == "mmd_top_de"), "value"] = 0.5
    table.loc[(table["perturbation"] == "A+C") & (table["method"] == "salt"), "value"] = np.nan
    scaled = benchmark.normalise(table)
    assert list(scaled.index) == [("1", "A+B"), ("2", "A+B")]  # a method has no value at A+C
    assert "ceiling" not in scaled.columns
    assert (scaled.loc[("2", "A+B")] == 0).all()  # all methods agree
    own = table[(table["fold"] == "1") & (table["perturbation"] == "A+B")]
    own = own[(own["metric"] == "mmd_top_de") & (own["method"] != "ceiling")]
    values = dict(zip(own["method"], own["value"], strict=True))
    low, high = min(values.values()), max(values.values())
    for method, value in values.items():
        assert scaled.loc[("1", "A+B"), method] == pytest.approx((value - low) / (high - low))


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([0.3, 0.1, 0.2], "p2"),
        ([0.4, 0.1, 0.3, 0.2], "p3"),  # 0.2, the lower of 0.2 and 0.3
        ([0.1], "p0"),
        ([0.3, float("nan"), 0.2, 0.1], "p2"),
        ([0.2, 0.2, 0.2, 0.1], "p0"),  # 0.1 (p3), then equal values by name
    ],
)
def test_the_perturbation_shown_is_the_median_one(values, chosen):
    rows = [
        ("1", method, f"p{i}", "mmd_top_de", value if method == "lcd" else 1 - value)
        for i, value in enumerate(values)
        for method in ("lcd", "salt")
    ]
    table = pd.DataFrame(rows, columns=["fold", "method", "perturbation", "metric", "value"])
    assert benchmark.choose_perturbation(table) == ("1", chosen)


def test_expression_shows_the_chosen_perturbation_targets_first(run):
    results, _, paths = run
    table = read_tsv(results / "benchmark" / "metrics.tsv", dtype={"fold": str})
    fold, name = benchmark.choose_perturbation(table)
    shown = texts(paths["expression"])
    assert f"{name} (fold {fold})" in shown
    tests = read_tsv(results / "folds" / fold / "test_de.tsv")
    own = tests[tests["perturbation"] == name].sort_values("rank")["gene"].tolist()
    assert [text for text in shown if text in own] == own[:4]
    assert {"Control cells", "SALT", "LCD", "Observed"} <= set(shown)


def test_targets_that_are_modelled_stand_apart():
    table = pd.DataFrame(
        {"perturbation": "B+X", "gene": ["A", "B", "C", "D"], "rank": [3, 2, 1, 4]}
    )
    assert benchmark.genes_to_show(table, "B+X", 3) == (["B"], ["C", "A"])
    with pytest.raises(InputError, match="missing"):
        benchmark.genes_to_show(table, "A+B", 3)


def test_one_fold_one_perturbation_and_few_methods(tmp_path):
    methods = ("lcd", "control")
    folds = write_results(tmp_path, 1, methods, ["A+B"], ["control", "A", "B"])
    paths = draw_all(tmp_path, folds, tmp_path / "figures", methods)
    assert "SALT" not in " ".join(texts(paths["distances"]) + texts(paths["expression"]))
    assert "LCD wins" in " ".join(texts(paths["pairs"]))


def test_a_figure_without_its_metric_says_so():
    table = metrics_table({"1": ["A+B"]})
    table = table[table["metric"] == "pearson_mean"]
    with style():
        for figure in (
            benchmark.draw_distances(table, 20),
            benchmark.draw_pairs(table, pd.DataFrame()),
        ):
            assert "mmd_top_de" in figure.texts[0].get_text()
        assert len(benchmark.draw_means(table, 20).axes) == 1
        alone = metrics_table({"1": ["A+B"]}, ("lcd", "ceiling"))
        assert "no pair" in benchmark.draw_pairs(alone, pd.DataFrame()).texts[0].get_text()


def test_a_method_without_any_defined_value_is_marked():
    table = metrics_table({"1": ["A+B", "A+C"]})
    table.loc[table["method"] == "salt", "value"] = np.nan
    with style():
        drawn = [text.get_text() for text in benchmark.draw_distances(table, 20).axes[0].texts]
        assert drawn.count("undefined") == 1
        benchmark.draw_pairs(table, aggregate_metrics.win_rate_table(table, "lcd"))
        assert "LCD" in benchmark.draw_means(table, 20).axes[0].get_xticklabels()[-2].get_text()


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of drawn texts whose boxes overlap."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    beyond = set()  # ticks outside the limits of their axis are kept but not drawn
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        ticks = axis.get_major_ticks() + axis.get_minor_ticks()
        beyond |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    found = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text not in beyond
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer).padded(-1)) for text in found]
    return [
        (a, b)
        for i, (a, first) in enumerate(boxes)
        for b, second in boxes[i + 1 :]
        if first.overlaps(second)
    ]


def test_overlaps_are_found():
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.5, 0.51, "two")
    assert overlapping(figure) == [("one", "two")]


def test_hundreds_of_perturbations_and_many_folds_leave_labels_apart():
    perturbations = {str(fold): [f"p{fold}+{i}" for i in range(30)] for fold in range(24)}
    table = metrics_table(perturbations)
    comparisons = aggregate_metrics.win_rate_table(table, "lcd")
    rng = np.random.default_rng(0)
    conditions = ["control", *(f"p{i}" for i in range(20))]
    genes = pd.Index([f"G{i}" for i in range(30)])
    parts = [checks(rng, genes, conditions) for _ in perturbations]
    logs = [training_log(rng, False) for _ in perturbations]

    def by_fold(frames):
        return dict(zip(perturbations, frames, strict=True))

    with style():
        figures = [
            benchmark.draw_distances(table, 20),
            benchmark.draw_pairs(table, comparisons),
            benchmark.draw_means(table, 20),
            training.draw_training_conditions(by_fold(p[0] for p in parts)),
            training.draw_predictive_check([p[1] for p in parts]),
            training.draw_states(by_fold(p[2] for p in parts)),
            training.draw_curves(
                by_fold(log.assign(evidence=-log["loss"]) for log in logs), by_fold(logs)
            ),
        ]
        for figure in figures:
            assert overlapping(figure) == []


def test_axis_is_linear_until_values_span_an_order_of_magnitude():
    assert linear_threshold({"a": [0.01, 0.02], "b": [0.03]}) is None
    assert linear_threshold({"a": [0.0004, 0.0006], "b": [0.03, 0.05]}) == pytest.approx(1e-4)
    assert linear_threshold({"a": [-0.001, -0.002], "b": [np.nan]}) is None
    assert linear_threshold({"a": [-0.001], "b": [0.02, 0.3], "c": [0.01]}) == pytest.approx(1e-2)
    assert linear_threshold({"a": [0.01], "b": [0.02], "ceiling": [1e-5]}) is None
    # Negative values show the scatter of the estimate, below which nothing is told apart.
    assert linear_threshold({"a": [0.0004], "b": [0.03], "ceiling": [-0.003]}) is None
    assert linear_threshold({"a": [0.0004], "b": [0.3], "ceiling": [-0.003]}) == pytest.approx(1e-3)


@pytest.mark.parametrize("largest", [0.03, 3.0])  # linear, logarithmic
def test_every_distance_lies_inside_the_axis(largest):
    columns = {"control": [0.05, largest], "salt": [0.004, 0.009], "ceiling": [-0.02, 0.0001]}
    axes = Figure().subplots()
    draw_methods(axes, columns)
    scale_distances(axes, columns)
    low, high = axes.get_ylim()
    assert low < -0.02
    assert high > max(largest, 0.05)
    assert axes.get_yscale() == ("linear" if largest < 1 else "symlog")


def test_long_training_tables_are_averaged_over_consecutive_rows(monkeypatch):
    monkeypatch.setattr(training, "POINTS", 2)
    log = pd.DataFrame({"step": [10, 20, 30, 40, 50], "loss": [1.0, 2, 6, 4, 8]})
    assert training.condensed(log).to_dict("list") == {"step": [30, 50], "loss": [3, 6]}
    assert training.condensed(log.head(2)).to_dict("list") == {"step": [10, 20], "loss": [1, 2]}


def test_labels_are_thinned_evenly():
    assert thinned(["1", "2", "3"], 3) == ["1", "2", "3"]
    assert thinned([str(i) for i in range(7)], 3) == ["0", "", "", "3", "", "", "6"]


def test_every_method_of_the_configuration_has_a_look_of_its_own():
    methods = get_args(MethodName)
    assert set(methods) <= set(LOOKS)
    assert len({LOOKS[method].colour for method in methods}) == len(methods)
    assert in_order([*methods, "new"])[-3:] == ["new", "lcd", "ceiling"]


def test_every_caption_of_the_rules_exists():
    rules = (ROOT / "workflow/rules/figures.smk").read_text()
    captions = re.findall(r'caption="\.\./report/(\w+\.rst)"', rules)
    assert len(captions) == len(set(captions)) == len(BENCHMARK + TRAINING) + 2
    for name in captions:
        assert (ROOT / "workflow/report" / name).exists()


def test_nothing_is_left_when_saving_fails(tmp_path):
    figure = Figure()
    figure.text(0.5, 0.5, "$\\unknowncommand$")
    with style(), pytest.raises(ValueError, match="unknowncommand"):
        save(figure, tmp_path / "x.svg")
    assert list(tmp_path.iterdir()) == []


class Tables(HTMLParser):
    """Cells of a page's tables, as (classes of the cell, text), row by row; other tags' names."""

    def __init__(self):
        super().__init__()
        self.rows, self.tags, self.cell = [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = (dict(attrs).get("class", ""), dict(attrs).get("data-value"), [])

    def handle_data(self, data):
        if self.cell:
            self.cell[2].append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            classes, value, parts = self.cell
            self.rows[-1].append((classes, value, "".join(parts)))
            self.cell = None


def parse(path):
    parser = Tables()
    parser.feed(Path(path).read_text(encoding="utf-8"))
    return parser


@pytest.fixture
def written_pages(run, tmp_path):
    tables = {name: str(run[0] / "benchmark" / f"{name}.tsv") for name in ("summary", "win_rates")}
    paths = {f"{name}_page": str(tmp_path / f"{name}.html") for name in tables}
    pages.main(**tables, **paths)
    return {name: parse(path) for name, path in paths.items()}


def test_pages_hold_every_row_of_the_tables_and_nothing_external(run, written_pages):
    for name, page in written_pages.items():
        table = read_tsv(run[0] / "benchmark" / f"{name.removesuffix('_page')}.tsv")
        body = [row for row in page.rows if row[0][1] is not None]
        assert len(body) == len(table)
        for _, attributes in page.tags:
            assert not {"src", "href"} & set(attributes)


def test_the_best_median_is_bold_and_never_the_ceiling(run, written_pages):
    summary = read_tsv(run[0] / "benchmark" / "summary.tsv")
    summary = summary[summary["method"] != "ceiling"]
    best = []
    for metric in [m for m in METRICS if m in set(summary["metric"])]:
        own = summary[summary["metric"] == metric].set_index("method")["median"]
        best.append(own.min() if METRICS[metric].direction == "lower" else own.max())
    rows = [row for row in written_pages["summary_page"].rows for cell in row if "best" in cell[0]]
    assert [float(row[2][1]) for row in rows] == pytest.approx(best)


def test_missing_numbers_are_dashes_and_text_is_escaped(tmp_path):
    rates = pd.DataFrame(
        {
            "metric": ["mmd_top_de"],
            "method": ["lcd"],
            "versus": ["a<b>"],
            "n": [1],
            "wins": [1],
            "ties": [0],
            "win_rate": [1.0],
            "median_difference": [-0.00123456],
            "percent_reduction": [np.nan],
            "p_value": [np.nan],
            "reason": ["fewer than 5 & so on"],
        }
    )
    content = pages.page("T", "I", pages.by_metric(pages.WIN_RATES, rates))
    (tmp_path / "p.html").write_text(content, encoding="utf-8")
    row = parse(tmp_path / "p.html").rows[1]
    assert [text for _, _, text in row] == [
        "a<b>", "1", "1", "0", "100%", "−0.001235", "–", "–", "fewer than 5 & so on",
    ]  # fmt: skip
    assert row[6][1] == ""  # sorts last
    assert "<b>" not in content


def test_the_registry_and_the_evaluation_agree_on_what_is_drawn():
    assert {benchmark.DISTANCE, "rmse_top_de", "pearson_mean"} <= set(METRICS)
    assert set(training.DISTANCES) == set(check_fits.METRICS)
    assert compute_metrics.LAYER == benchmark.LAYER
