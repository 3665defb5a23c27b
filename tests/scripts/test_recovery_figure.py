"""The figure of recovery, from synthetic tables of the form that the script writes."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from effects import draw_recovery as script
from effects import score_recovery
from lcd_core.errors import InputError
from pipeline import looks
from pipeline.figures import style
from pipeline.tables import write_tsv
from tests.scripts.drawings import overlapping, texts

ROOT = Path(__file__).parents[2]
BASE_RATES = {"all": 0.05, "perturbed": 0.3}
METRICS = (*score_recovery.AUROCS, "average_precision")


def tables(estimators, seed=0, undefined=()):
    """Scores and curves of estimators; a precision beyond 150 effects for the undefined is NA."""
    rng = np.random.default_rng(seed)
    scores, curves = [], []
    for name in estimators:
        for pairs, rate in BASE_RATES.items():
            scores += [(name, pairs, metric, pd.NA, rng.uniform(0.4, 1), 0.5) for metric in METRICS]
            found = np.cumsum(rng.random(200) < rng.uniform(rate, 1)) / np.arange(1, 201)
            if name in undefined:
                found[150:] = np.nan
            curves += [(name, pairs, k, value, rate) for k, value in enumerate(found, start=1)]
        for metric in ("adjusted_rand_index", "adjusted_rand_index_best"):
            scores.append((name, "modules", metric, pd.NA, rng.uniform(-0.1, 1), 0.0))
    scores.append(("chance", "all", "auroc", pd.NA, 0.5, 0.5))
    return (
        pd.DataFrame(scores, columns=["estimator", "pairs", "metric", "k", "value", "base_rate"]),
        pd.DataFrame(curves, columns=["estimator", "pairs", "k", "precision", "base_rate"]),
    )


SEEDS = [f"lcd_clipr_seed_{number}" for number in (1, 2, 10)]
LOOKS = {
    name: looks.ESTIMATORS[name]
    for name in (
        "lcd_clipr",
        "inverse_pooled_covariance",
        "differential_expression",
        "oriented_differential_expression",
        "oriented_differential_expression_z",
    )
}
ESTIMATORS = ["lcd_clipr", *SEEDS, *list(LOOKS)[1:]]


def draw(folder, scores, curves):
    paths = {name: str(folder / f"{name}.tsv") for name in ("recovery", "curve")}
    write_tsv(scores, paths["recovery"])
    write_tsv(curves, paths["curve"])
    script.main(**paths, figure=str(folder / "figure.svg"))
    return folder / "figure.svg"


def test_every_estimator_of_the_table_has_a_look():
    text = (ROOT / "workflow/scripts/effects/score_recovery.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in text for name in LOOKS)


def test_figure_is_an_svg_with_text_and_the_same_bytes(tmp_path):
    path = draw(tmp_path, *tables(ESTIMATORS))
    first = path.read_bytes()
    assert draw(tmp_path, *tables(ESTIMATORS)).read_bytes() == first
    assert b"<dc:date>" not in first
    assert ElementTree.fromstring(first).tag.endswith("svg")
    written = texts(path)
    for own in LOOKS.values():
        assert own.label in written
    assert "Chance" in written
    assert not any("seed" in text for text in written)


def test_curves_and_markers_show_the_tables():
    scores, curves = tables(ESTIMATORS, undefined=["differential_expression"])
    with style():
        figure = script.draw_recovery(scores, curves)
    precision, perturbed, *panels = figure.axes
    for axes, pairs in ((precision, "all"), (perturbed, "perturbed")):
        drawn = {tuple(np.nan_to_num(line.get_ydata(), nan=-1)) for line in axes.lines}
        for name in ESTIMATORS:
            own = curves[(curves["estimator"] == name) & (curves["pairs"] == pairs)]
            shown = tuple(own["precision"].fillna(-1)) in drawn
            assert shown == (name != "oriented_differential_expression")
        assert (BASE_RATES[pairs],) * 2 in drawn
    for axes, panel in zip(panels, script.PANELS, strict=True):
        drawn = {
            (float(x), float(y), line.get_marker(), line.get_markerfacecolor())
            for line in axes.lines
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        }
        rows = scores[scores["pairs"] == panel.pairs].set_index(["estimator", "metric"])["value"]
        for position, (name, own) in enumerate(LOOKS.items()):
            assert (rows[name, panel.filled], position, own.marker, own.colour) in drawn
            assert (rows[name, panel.hollow], position, own.marker, "white") in drawn
        ticks = {(x, y) for x, y, marker, _ in drawn if marker == "|"}
        assert ticks == {(rows[seed, panel.filled], 0.0) for seed in SEEDS}
        low, high = axes.get_xlim()
        assert all(low < value < high for value, *_ in drawn)


@pytest.mark.parametrize(
    "estimators",
    [
        ESTIMATORS,
        ["lcd_clipr"],
        ["lcd_clipr", "a_method_of_another_name", *(f"lcd_clipr_seed_{i}" for i in range(1, 21))],
    ],
)
def test_texts_do_not_overlap(estimators):
    scores, curves = tables(estimators)
    scores.loc[scores["metric"] == "auroc_positive_negative", "value"] = np.nan
    with style():
        figure = script.draw_recovery(scores, curves)
        FigureCanvasAgg(figure).draw()
        assert overlapping(figure) == []


def test_undefined_scores_are_left_out():
    scores, curves = tables(["lcd_clipr", "differential_expression"])
    scores.loc[scores["pairs"] == "perturbed", "value"] = np.nan
    with style():
        FigureCanvasAgg(script.draw_recovery(scores, curves)).draw()


def test_empty_tables_are_refused(tmp_path):
    scores, curves = tables(ESTIMATORS)
    with pytest.raises(InputError, match="no scores to draw"):
        draw(tmp_path, scores.head(0), curves)
    assert not (tmp_path / "figure.svg").exists()


def test_caption_explains_what_is_drawn():
    text = (ROOT / "workflow/report/effects_recovery.rst").read_text(encoding="utf-8")
    for word in (
        "Thin lines",
        "dashed",
        "Filled",
        "Hollow",
        "hollow",
        "Ticks",
        "squares",
        "recovery.tsv",
    ):
        assert word in text
