"""Figure of how many clusters the tree is cut into."""

import numpy as np
import pandas as pd
import pytest

from effects import draw_module_numbers as script
from pipeline.figures import style
from tests.scripts.drawings import overlapping


def table_of(chosen, *, several=True, scored=(3, 7), d=12):
    clusters = np.arange(1, d + 1)
    table = pd.DataFrame({"clusters": clusters, "modules": 2, "genes": d - clusters + 1})
    known = (clusters >= scored[0]) & (clusters <= scored[1])
    table["silhouette"] = np.where(known, 0.1 + 0.01 * clusters, np.nan)
    table["stability"] = np.where(known & several, 0.5, np.nan)
    table["score"] = table["silhouette"] * (0.5 if several else 1)
    return table.assign(chosen=clusters == chosen)


def draw(table, cut="auto"):
    with style():
        return script.draw_numbers(table, cut, 5)


def test_the_chosen_number_is_marked_in_every_panel_and_said():
    figure = draw(table_of(5))
    for axes in figure.axes:
        assert [5, 5] in [list(line.get_xdata()) for line in axes.lines]
    title = figure.axes[0].get_title(loc="left")
    assert title == "Chosen by auto: 5 clusters, 2 modules with 8 of 12 genes"
    assert overlapping(figure) == []


@pytest.mark.parametrize(("several", "curves"), [(True, 3), (False, 1)])
def test_curves_are_those_of_the_table(several, curves):
    table = table_of(5, several=several)
    axes = draw(table).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(lines) == curves == len(axes.get_legend().get_texts())
    for line, column in zip(lines, script.CURVES, strict=False):
        assert list(line.get_xdata()) == [3, 4, 5, 6, 7]
        np.testing.assert_array_equal(line.get_ydata(), table[column][2:7])


def test_a_cut_without_a_score_is_shown_where_it_is():
    axes = draw(table_of(10), "number").axes[0]
    assert max(axes.lines[0].get_xdata()) == 10


def test_what_there_is_to_say_without_modules():
    assert "no modules" in draw(table_of(None)).axes[0].get_title(loc="left")
    nothing = draw(table_of(None, scored=(20, 20)))
    assert nothing.texts[0].get_text() == "No cut of the tree has two modules of 5 genes or more."
