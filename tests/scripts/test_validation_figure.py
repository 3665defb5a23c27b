"""Curves of how often effects hold, from synthetic rates."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from effects import draw_validation as script
from pipeline.figures import style
from pipeline.tables import write_tsv
from tests.scripts.drawings import overlapping, texts
from tests.scripts.effects_fixture import draw


def rates(conviction, conviction_high=None, p_value=0.001, base_rate=0.1):
    n = len(conviction)
    conviction = np.array(conviction, dtype=float)
    high = conviction * 1.3 if conviction_high is None else np.array(conviction_high, dtype=float)
    return pd.DataFrame(
        {
            "fraction": np.logspace(-4, -1, n),
            "n_edges": 1234,
            "k": np.arange(1, n + 1),
            "base_rate": base_rate,
            "probability": np.linspace(0.9, 0.3, n),
            "low": np.linspace(0.7, 0.2, n),
            "high": np.linspace(0.95, 0.4, n),
            "lift": np.linspace(9, 3, n),
            "lift_low": np.linspace(7, 2, n),
            "lift_high": np.linspace(9.5, 4, n),
            "conviction": conviction,
            "conviction_low": conviction * 0.7,
            "conviction_high": high,
            "p_value": p_value,
            "null_probability": np.linspace(0.5, 0.25, n),
            "in_degree_probability": np.linspace(0.4, 0.15, n),
        }
    )


def curves(**tables):
    with style():
        figure = script.draw_validation(tables)
        assert overlapping(figure) == []
    return figure


def labels_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def markers_of(axes):
    """Offsets of the markers of all sets of causes, carets left out."""
    return [own for own in axes.collections if own.get_zorder() == 3]


def test_all_and_held_out_causes_are_drawn_with_their_base_rates():
    held_out = rates([4, 3, 2], base_rate=0.2)
    figure = curves(all=rates([9, 5, 2]), held_out=held_out)
    probability, lift, conviction = figure.axes
    assert len(markers_of(probability)) == 2
    np.testing.assert_allclose(
        markers_of(probability)[1].get_offsets()[:, 1], held_out["probability"]
    )
    lines = [line.get_ydata()[0] for line in probability.lines if line.get_linestyle() == "--"]
    assert lines == [0.1, 0.2]
    for axes in (lift, conviction):
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [1]
    assert labels_of(figure)[:2] == [
        "All causes (1,234 edges)", "Held-out causes (1,234 edges)"
    ]  # fmt: skip
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    assert [text.get_text() for text in lift.get_xticklabels()] == ["0.01%", "10%"]


def test_what_the_causes_and_the_genes_alone_would_give_is_drawn_beside_it():
    tables = {"all": rates([9, 5, 2]), "held_out": rates([4, 3, 2]).assign(null_probability=0.3)}
    figure = curves(**tables)
    probability, lift, conviction = figure.axes
    for index, (name, table) in enumerate(tables.items()):
        x = markers_of(probability)[index].get_offsets()[:, 0]
        for style_of_line, column in (("-.", "null_probability"), (":", "in_degree_probability")):
            (line,) = (
                line
                for line in probability.lines
                if line.get_linestyle() == style_of_line
                and line.get_color() == script.CAUSES[name][1]
            )
            np.testing.assert_allclose(line.get_ydata(), table[column])
            np.testing.assert_allclose(line.get_xdata(), x)
    for axes in (lift, conviction):
        assert not [line for line in axes.lines if line.get_linestyle() in ("-.", ":")]
    styles = {
        text.get_text(): handle.get_linestyle()
        for text, handle in zip(
            figure.legends[0].get_texts(), figure.legends[0].legend_handles, strict=True
        )
    }
    assert styles["same causes, any gene"] == "-."
    assert styles["same genes, any cause"] == ":"


def test_a_screen_without_testable_edges_says_so(tmp_path):
    empty = rates([9, 5, 2]).head(0)
    for tables in ({"all": empty}, {"all": empty, "held_out": empty}):
        figure = curves(**tables)
        assert figure.axes == []
        assert figure.texts[0].get_text().startswith("No edge can be tested")
    write_tsv(empty, tmp_path / "empty.tsv")
    path = draw("validation", {"validation": str(tmp_path / "empty.tsv")}, tmp_path)
    assert texts(path)[0].startswith("No edge can be tested")


def test_causes_of_which_nothing_can_be_tested_are_left_out():
    figure = curves(all=rates([9, 5, 2]), held_out=rates([4.0]).head(0))
    assert len(markers_of(figure.axes[0])) == 1
    assert not any("Held-out" in label for label in labels_of(figure))


@pytest.mark.parametrize("absent", [None, []])
def test_held_out_causes_are_optional(inputs, tmp_path, absent):
    shown = " ".join(texts(draw("validation", inputs, tmp_path, held_out_validation=absent)))
    assert "All causes" in shown
    assert "Held-out" not in shown


def test_without_held_out_causes_there_is_one_curve():
    assert len(markers_of(curves(all=rates([9, 5, 2])).axes[0])) == 1


def test_intervals_are_those_of_the_table():
    table = rates([9, 5, 2])
    axes = curves(all=table).axes[0]
    segments = np.array(axes.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, 0, 1], table["low"])
    np.testing.assert_allclose(segments[:, 1, 1], table["high"])


def test_infinite_convictions_stand_on_their_own_tick():
    table = rates([np.inf, 5, 2], conviction_high=[np.inf, np.inf, 3])
    table.loc[0, "conviction_low"] = np.inf  # every resample is validated, too
    axes = curves(all=table, held_out=rates([4, 3, 2])).axes[2]
    ticks = dict(
        zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True)
    )
    drawn = markers_of(axes)[0].get_offsets()[:, 1]
    assert drawn[0] == ticks["∞"]
    assert drawn[1:].tolist() == [5, 2]
    assert ticks["∞"] < axes.get_ylim()[1]
    assert max(value for name, value in ticks.items() if name != "∞") < ticks["∞"]
    carets = [own for own in axes.collections if own.get_clip_on() is False]
    assert [len(own.get_offsets()) for own in carets] == [1, 0]  # the finite one, without an end


def test_only_infinite_or_undefined_values():
    axes = curves(all=rates([np.inf] * 3)).axes[2]
    assert "∞" in [text.get_text() for text in axes.get_yticklabels()]
    undefined = rates([np.nan] * 3, base_rate=0.0).assign(lift=np.nan)
    for axes in curves(all=undefined).axes[1:]:
        assert len(markers_of(axes)[0].get_offsets()) == 0


def test_an_interval_far_beyond_its_value_does_not_stretch_the_axis():
    axes = curves(all=rates([9, 5, 2], conviction_high=[400, 8, 3])).axes[2]
    assert 9 < axes.get_ylim()[1] < 20


def test_markers_that_are_not_significant_are_hollow():
    axes = curves(all=rates([9, 5, 2], p_value=[0.001, 0.3, 0.009])).axes[0]
    faces = [to_hex(own) for own in markers_of(axes)[0].get_facecolors()]
    assert faces == [script.CAUSES["all"][1].lower(), "#ffffff", script.CAUSES["all"][1].lower()]


def test_fractions_that_are_the_same_edges_are_drawn_once():
    table = rates([9, 5, 2]).assign(k=[1, 1, 30])
    axes = curves(all=table).axes[0]
    x = markers_of(axes)[0].get_offsets()[:, 0]
    np.testing.assert_allclose(x, table["fraction"][1:])


@pytest.mark.parametrize("highest", [1.3, 2.0, 4.0, 9.0, 60.0])
@pytest.mark.parametrize("infinite", [False, True])
def test_ticks_of_lift_and_conviction_have_what_chance_gives(highest, infinite):
    table = rates([np.inf if infinite else highest, highest, 1.05], conviction_high=[highest] * 3)
    table = table.assign(lift=[highest, highest, 1.05], lift_high=highest)
    for axes in curves(all=table).axes[1:]:
        shown = [text.get_text() for text in axes.get_yticklabels()]
        assert "1" in shown
        assert dict(zip(shown, axes.get_yticks(), strict=True))["1"] == 1


def test_one_fraction_and_fractions_that_are_no_powers_of_ten():
    one = curves(all=rates([2.0])).axes[0]
    assert [text.get_text() for text in one.get_xticklabels()] == ["0.01%"]
    table = rates([3, 2]).assign(fraction=[0.02, 0.3])
    assert [t.get_text() for t in curves(all=table).axes[0].get_xticklabels()] == ["2%", "30%"]
