"""Figures of benchmark and fits, from synthetic results of any shape."""

import importlib
import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.artist import Artist
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from benchmark import aggregate_metrics, draw_expression, draw_metrics
from evaluation.registry import METRICS
from lcd_core.errors import InputError
from methods.lcd import check_fits, draw_fit_checks, draw_training_curves
from pipeline.figures import (
    draw_methods,
    linear_threshold,
    new_figure,
    number_text,
    plain_numbers,
    save,
    scale_distances,
    style,
    thinned,
    width_of,
)
from pipeline.looks import looks_of
from pipeline.methods import method_looks
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.drawings import overlapping, texts
from tests.scripts.metrics_fixture import METHODS, metrics_table
from tests.scripts.predictions_fixture import HELD_OUT, TRAINED, write_fold
from tests.scripts.screens import write_tests

ROOT = Path(__file__).parents[2]
LOOKS = looks_of(method_looks())
BENCHMARK = ("distances", "pairs", "means", "expression")
TRAINING = ("training_conditions", "predictive_check", "training_curves", "standardised_states")


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
        check_fits.genes_of(name, genes, rng.poisson(rates, (60, len(genes))), generated)
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
        write_tests(inputs.train, own / "test_differential_expression.tsv", inputs.test)
        for method in [m for m in ("salt", "lcd") if m in methods]:
            # The cells of a fitted model are stood in for by those of another method.
            importlib.import_module(
                "methods.salt.predict" if method == "salt" else "methods.control.predict"
            ).main(
                train=inputs.train,
                test_perturbations=inputs.test_perturbations,
                prediction=str(own / "predictions" / f"{method}.h5ad"),
                n_cells=20,
                keep="cells",
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
        calibration=str(folder / "benchmark" / "calibration.tsv"),
        folds=folds,
        reference="lcd",
        no_methods=["ceiling"],
        duplicates=["ceiling"],
        negatives=["control"],
        bootstrap=100,
        seed=1,
    )
    return folds


def draw_all(results, folds, out, methods=METHODS, top_genes=4):
    """Draw every figure; return the SVG files by name."""

    def of_folds(name):
        return [str(results / "folds" / fold / name) for fold in folds]

    shown = [method for method in ("salt", "lcd") if method in methods]
    paths = {name: str(out / f"{name}.svg") for name in BENCHMARK + TRAINING}
    common = {
        "metrics": str(results / "benchmark" / "metrics.tsv"),
        "looks": method_looks(),
        "reference": "lcd",
        "top_genes": top_genes,
    }
    draw_metrics.main(
        win_rates=str(results / "benchmark" / "win_rates.tsv"),
        **common,
        **{name: paths[name] for name in ("distances", "pairs", "means")},
    )
    draw_expression.main(
        train=of_folds("train.h5ad"),
        test=of_folds("test.h5ad"),
        differential_expression=of_folds("test_differential_expression.tsv"),
        predictions=[
            str(results / "folds" / fold / "predictions" / f"{method}.h5ad")
            for fold in folds
            for method in shown
        ],
        folds=folds,
        shown_methods=shown,
        expression=paths["expression"],
        **common,
    )
    draw_training_curves.main(
        prior_logs=of_folds("prior/log.tsv"),
        drift_logs=of_folds("model/log.tsv"),
        training_curves=paths["training_curves"],
        folds=folds,
    )
    draw_fit_checks.main(
        tables=of_folds("checks/training_conditions.tsv"),
        genes=of_folds("checks/genes.tsv"),
        states=of_folds("checks/states.tsv"),
        folds=folds,
        looks=method_looks(),
        **{name: paths[name] for name in TRAINING if name != "training_curves"},
    )
    return paths


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
        assert set(LOOKS.look(method).label.split("\n")) <= set(shown)
        median = np.median(own.loc[own["method"] == method, "value"])
        assert f"{median:.2g}".replace("-", "−") in shown or f"{median:.2g}" in shown


def test_distances_say_how_many_perturbations_and_cells_were_compared(run):
    results, _, paths = run
    table = read_tsv(results / "benchmark" / "metrics.tsv", dtype={"fold": str})
    n = len(table.groupby(["fold", "perturbation"]))
    expected = f"{n} held-out perturbations; 50 predicted and 50 observed cells each (medians)"
    assert expected in texts(paths["distances"])
    assert expected in texts(paths["means"])


def test_pairs_state_the_wins_of_the_table(run):
    results, _, paths = run
    rates = read_tsv(results / "benchmark" / "win_rates.tsv")
    own = rates[(rates["metric"] == "mmd_top_de") & (rates["versus"] != "ceiling")]
    shown = " | ".join(texts(paths["pairs"]))
    assert len(own) == 4
    for row in own.itertuples():
        assert f"wins {row.wins} of {row.n} ({100 * row.win_rate:.0f}%)" in shown


def test_dots_of_the_pairs_are_the_distances_of_the_table():
    table = metrics_table({"1": ["A+B", "A+C"], "2": ["A+B"]})
    table.loc[(table["perturbation"] == "A+C") & (table["method"] == "salt"), "value"] = np.nan
    comparisons = aggregate_metrics.win_rate_table(table, "lcd")
    with style():
        figure = draw_metrics.draw_pairs(table, comparisons, LOOKS, "lcd", 4)
    own = table[table["metric"] == "mmd_top_de"].set_index(["method", "fold", "perturbation"])
    assert len(figure.axes) == 4  # the noise ceiling is no method
    for axes in figure.axes:
        label = axes.get_title().split("\n")[0]
        other = next(m for m in METHODS if LOOKS.flat_label(m) == label)
        expected = [
            (own.loc[(other, fold, name), "value"], own.loc[("lcd", fold, name), "value"])
            for fold, name in (("1", "A+B"), ("1", "A+C"), ("2", "A+B"))
            if other != "salt" or name != "A+C"  # where a method has no value there is no dot
        ]
        (dots,) = (each for each in axes.collections if each.get_zorder() == 2)
        np.testing.assert_allclose(dots.get_offsets(), expected)
        faces = [to_hex(face) for face in dots.get_facecolors()]
        lcd = LOOKS.look("lcd").colour.lower()
        assert faces == [lcd if y < x else "#ffffff" for x, y in expected]
    assert next(text.get_text() for text in figure.legends[0].get_texts()) == "LCD is closer"


def test_dots_of_the_pairs_lie_within_their_axes():
    table = metrics_table({str(fold): [f"p{fold}+{i}" for i in range(30)] for fold in range(3)})
    is_control = table["method"] == "control"
    table.loc[is_control, "value"] *= 50  # a logarithmic axis, with values about zero
    table.loc[(table["metric"] == "mmd_top_de") & (table["value"] < 3e-3), "value"] -= 3e-3
    comparisons = aggregate_metrics.win_rate_table(table, "lcd")
    with style():
        figure = draw_metrics.draw_pairs(table, comparisons, LOOKS, "lcd", 4)
        assert overlapping(figure) == []
    for axes in figure.axes:
        assert axes.get_xscale() == axes.get_yscale() == "symlog"
        low, high = axes.get_xlim()
        assert axes.get_ylim() == (low, high)
        (dots,) = (each for each in axes.collections if each.get_zorder() == 2)
        assert low < np.min(dots.get_offsets())
        assert np.max(dots.get_offsets()) < high


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
    assert draw_expression.choose_perturbation(table, "lcd") == ("1", chosen)


def test_expression_shows_the_chosen_perturbation_targets_first(run):
    results, _, paths = run
    table = read_tsv(results / "benchmark" / "metrics.tsv", dtype={"fold": str})
    fold, name = draw_expression.choose_perturbation(table, "lcd")
    shown = texts(paths["expression"])
    assert f"{name} (fold {fold})" in shown
    tests = read_tsv(results / "folds" / fold / "test_differential_expression.tsv")
    own = tests[tests["perturbation"] == name].sort_values("rank")["gene"].tolist()
    assert [text for text in shown if text in own] == own[:4]
    numbers = {"Control cells": 30, "SALT": 20, "LCD": 20, "Observed": 30}
    assert {f"{label} (n = {n})" for label, n in numbers.items()} <= set(shown)


def test_targets_that_are_modelled_stand_apart():
    table = pd.DataFrame(
        {"perturbation": "B+X", "gene": ["A", "B", "C", "D"], "rank": [3, 2, 1, 4]}
    )
    assert draw_expression.genes_to_show(table, "B+X", 3) == (["B"], ["C", "A"])
    with pytest.raises(InputError, match="missing"):
        draw_expression.genes_to_show(table, "A+B", 3)


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
            draw_metrics.draw_distances(table, LOOKS, 20),
            draw_metrics.draw_pairs(table, pd.DataFrame(), LOOKS, "lcd", 20),
        ):
            assert "mmd_top_de" in figure.texts[0].get_text()
        assert len(draw_metrics.draw_means(table, LOOKS, 20).axes) == 1
        alone = metrics_table({"1": ["A+B"]}, ("lcd", "ceiling"))
        figure = draw_metrics.draw_pairs(alone, pd.DataFrame(), LOOKS, "lcd", 20)
        assert "no pair" in figure.texts[0].get_text()


def test_a_method_without_any_defined_value_is_marked():
    table = metrics_table({"1": ["A+B", "A+C"]})
    table.loc[table["method"] == "salt", "value"] = np.nan
    with style():
        distances = draw_metrics.draw_distances(table, LOOKS, 20)
        drawn = [text.get_text() for text in distances.axes[0].texts]
        assert drawn.count("undefined") == 1
        comparisons = aggregate_metrics.win_rate_table(table, "lcd")
        draw_metrics.draw_pairs(table, comparisons, LOOKS, "lcd", 20)
        means = draw_metrics.draw_means(table, LOOKS, 20)
        assert "LCD" in means.axes[0].get_xticklabels()[-2].get_text()


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
            draw_metrics.draw_distances(table, LOOKS, 20),
            draw_metrics.draw_pairs(table, comparisons, LOOKS, "lcd", 20),
            draw_metrics.draw_means(table, LOOKS, 20),
            draw_fit_checks.draw_training_conditions(by_fold(p[0] for p in parts), LOOKS),
            draw_fit_checks.draw_predictive_check([p[1] for p in parts]),
            draw_fit_checks.draw_states(by_fold(p[2] for p in parts), LOOKS),
            draw_training_curves.draw_curves(
                by_fold(log.assign(evidence=-log["loss"]) for log in logs), by_fold(logs)
            ),
        ]
        for figure in figures:
            assert overlapping(figure) == []


def test_axis_is_linear_until_values_span_an_order_of_magnitude():
    def threshold(columns):
        return linear_threshold(columns, LOOKS)

    assert threshold({"a": [0.01, 0.02], "b": [0.03]}) is None
    assert threshold({"a": [0.0004, 0.0006], "b": [0.03, 0.05]}) == pytest.approx(1e-4)
    assert threshold({"a": [-0.001, -0.002], "b": [np.nan]}) is None
    assert threshold({"a": [-0.001], "b": [0.02, 0.3], "c": [0.01]}) == pytest.approx(1e-2)
    assert threshold({"a": [0.01], "b": [0.02], "ceiling": [1e-5]}) is None
    # Negative values show the scatter of the estimate, below which nothing is told apart.
    assert threshold({"a": [0.0004], "b": [0.03], "ceiling": [-0.003]}) is None
    assert threshold({"a": [0.0004], "b": [0.3], "ceiling": [-0.003]}) == pytest.approx(1e-3)


@pytest.mark.parametrize("largest", [0.03, 3.0])  # linear, logarithmic
def test_every_distance_lies_inside_the_axis(largest):
    columns = {"control": [0.05, largest], "salt": [0.004, 0.009], "ceiling": [-0.02, 0.0001]}
    axes = Figure().subplots()
    draw_methods(axes, columns, LOOKS)
    scale_distances(axes, columns, LOOKS)
    low, high = axes.get_ylim()
    assert low < -0.02
    assert high > max(largest, 0.05)
    assert axes.get_yscale() == ("linear" if largest < 1 else "symlog")


def test_long_training_tables_are_averaged_over_consecutive_rows(monkeypatch):
    monkeypatch.setattr(draw_training_curves, "POINTS", 2)
    log = pd.DataFrame({"step": [10, 20, 30, 40, 50], "loss": [1.0, 2, 6, 4, 8]})
    condensed = draw_training_curves.condensed
    assert condensed(log).to_dict("list") == {"step": [30, 50], "loss": [3, 6]}
    assert condensed(log.head(2)).to_dict("list") == {"step": [10, 20], "loss": [1, 2]}


def test_negative_numbers_have_a_minus_sign():
    assert number_text(-0.001) == "−0.001"
    assert number_text(1.23456e-5, ".2g") == "1.2e−05"
    assert plain_numbers()(-30.0, 0) == "−30"


def test_labels_are_thinned_evenly():
    assert thinned(["1", "2", "3"], 3) == ["1", "2", "3"]
    assert thinned([str(i) for i in range(7)], 3) == ["0", "", "", "3", "", "", "6"]


def test_every_caption_of_the_rules_exists():
    rules = (ROOT / "workflow/rules/figures.smk").read_text()
    captions = re.findall(r'caption="\.\./report/(\w+\.rst)"', rules)
    assert len(captions) == len(set(captions)) == len(BENCHMARK + TRAINING) + 4  # pages
    for name in captions:
        assert (ROOT / "workflow/report" / name).exists()


class BrokenArtist(Artist):
    def draw(self, renderer):
        raise ValueError("cannot be drawn")


def test_nothing_is_left_when_saving_fails(tmp_path):
    figure = Figure()
    figure.add_artist(BrokenArtist())
    with style(), pytest.raises(ValueError, match="cannot be drawn"):
        save(figure, tmp_path / "x.svg")
    assert list(tmp_path.iterdir()) == []


def test_the_registry_and_the_evaluation_agree_on_what_is_drawn():
    assert {draw_metrics.DISTANCE, "rmse_top_de", "pearson_mean"} <= set(METRICS)
    assert draw_expression.DISTANCE == draw_metrics.DISTANCE
    assert set(draw_fit_checks.DISTANCES) == set(check_fits.METRICS)


@pytest.mark.parametrize(("number", "slanted"), [(4, False), (14, True)])
def test_names_of_many_methods_slant_and_do_not_touch(number, slanted):
    looks = looks_of({})
    with style():
        figure = new_figure(3.0, width_of(number))
        axes = figure.subplots()
        columns = {f"a_method_{i:02}": [0.1, 0.2, 0.3] for i in range(number)}
        draw_methods(axes, columns, looks)
        figure.canvas.draw()
        labels = axes.get_xticklabels()
        assert all((label.get_rotation() > 0) == slanted for label in labels)
        if not slanted:
            boxes = [label.get_window_extent() for label in labels]
            assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_the_legend_of_many_variants_stays_within_the_figure():
    rng = np.random.default_rng(1)
    logs = {f"{i} no_measurement_model": training_log(rng, True) for i in range(8)}
    with style():
        figure = draw_training_curves.draw_curves(logs, logs)
        figure.canvas.draw()
        box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
