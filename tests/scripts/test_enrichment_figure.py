"""Bars of the modules' terms, and how the names of terms read."""

import numpy as np
import pandas as pd
import pytest

from effects import draw_enrichment as script
from pipeline.figures import style
from pipeline.tables import read_tsv, write_tsv
from pipeline.term_names import NO_BREAK, readable
from tests.scripts.drawings import overlapping, texts
from tests.scripts.effects_fixture import draw


def terms_of(n_modules, per_module=5, odds_ratio=12.0):
    rows = [
        (module, "c5", f"GOBP_A_RATHER_LONG_NAME_OF_A_PROCESS_{module}_{term}", 20, 30, 7,
         odds_ratio * (1 + term), 10.0 ** -(3 + term))
        for module in range(1, n_modules + 1)
        for term in range(per_module)
    ]  # fmt: skip
    names = ["module", "collection", "term", "module_size", "term_size", "overlap",
             "odds_ratio", "p_adjusted"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def test_terms_are_shown_with_their_overlap_under_their_module(inputs, tmp_path):
    terms = read_tsv(inputs["top_terms"])
    assert len(terms) == 1
    row = terms.iloc[0]
    shown = texts(draw("enrichment", inputs, tmp_path))
    assert f"Module {row['module']}, {row['module_size']} genes" in shown
    assert "Last block (GO CC)" in [text.replace(NO_BREAK, " ") for text in shown]
    overlap = f"{row['overlap']}/{row['term_size']}"
    assert any(text.endswith(overlap) for text in shown)
    assert np.isinf(row["odds_ratio"]) == any(text.startswith("∞") for text in shown)


def test_bars_have_the_odds_ratios_and_infinite_ones_go_beyond():
    terms = terms_of(2)
    terms.loc[3, "odds_ratio"] = np.inf
    with style():
        axes = script.draw_terms(terms, 0.01).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    finite = np.isfinite(terms["odds_ratio"])
    np.testing.assert_allclose(np.array(ends)[finite], terms["odds_ratio"][finite])
    assert ends[3] > terms["odds_ratio"][finite].max()
    assert [text.get_text() for text in axes.texts].count("∞   7/30") == 1
    shades = [bar.get_facecolor()[0] for bar in axes.patches[:5]]
    assert shades == sorted(shades, reverse=True)  # the smaller P, the darker


@pytest.mark.parametrize("odds_ratio", [12.0, 1.01, np.inf])
@pytest.mark.parametrize(("n_modules", "n_columns"), [(1, 1), (12, 1), (40, 2)])
def test_many_modules_need_more_height_and_nothing_overlaps(n_modules, n_columns, odds_ratio):
    with style():
        figure = script.draw_terms(terms_of(n_modules, odds_ratio=odds_ratio), 0.01)
        one = script.draw_terms(terms_of(1), 0.01)
        assert overlapping(figure) == []
    assert len(figure.axes) == n_columns + 1  # and the colour bar
    assert figure.get_figheight() >= one.get_figheight()
    headings = [text for axes in figure.axes for text in axes.texts if "Module" in text.get_text()]
    assert len(headings) == n_modules


def test_without_terms_the_figure_says_so():
    with style():
        figure = script.draw_terms(terms_of(1).head(0), 0.02)
    assert figure.texts[0].get_text() == "No module has a term with adjusted P < 0.02."


def test_where_nothing_is_enriched_the_figure_says_what_was_tested(inputs, tmp_path):
    tests = read_tsv(inputs["enrichment"])
    none = tmp_path / "none.tsv"
    write_tsv(read_tsv(inputs["top_terms"]).head(0), none)
    shown = texts(draw("enrichment", inputs, tmp_path, top_terms=str(none)))
    assert f"{len(tests)} tests" in shown[0]
    smallest = tests.loc[tests["p_adjusted"].idxmin()]
    assert f"{smallest['p_adjusted']:.2g}: module {smallest['module']}" in " ".join(shown)
    write_tsv(tests.head(0), tmp_path / "no_tests.tsv")
    empty = {"top_terms": str(none), "enrichment": str(tmp_path / "no_tests.tsv")}
    assert "no modules" in texts(draw("enrichment", inputs, tmp_path, **empty))[0]


@pytest.mark.parametrize(
    ("term", "collection", "expected"),
    [
        ("GOCC_CYTOSOLIC_RIBOSOME", "c5.go.cc", "Cytosolic ribosome (GO CC)"),
        (
            "KEGG_MEDICUS_REFERENCE_EGF_JAK_CASCADE",
            "c2",
            "Reference EGF JAK cascade (KEGG Medicus)",
        ),
        ("REACTOME_MRNA_SPLICING_BY_TP53", "c2", "mRNA splicing by TP53 (Reactome)"),
        ("WP_ROLE_OF_RHOXF_IN_X", "c2", "Role of RHOXF in X (WikiPathways)"),
        ("module 3 of the simulation", "modules", "module 3 of the simulation (modules)"),
        ("GOBP_", "x", "Gobp (x)"),
    ],
)
def test_names_of_terms_are_readable(term, collection, expected):
    shown = readable(term, collection, frozenset({"RHOXF"}))
    assert shown.replace(NO_BREAK, " ") == expected


@pytest.mark.parametrize("letters", [37, 58])
@pytest.mark.parametrize("term", ["GOBP_" + "REGULATION_OF_" * 20, "GOBP_" + "X" * 200])
def test_long_names_are_shortened_to_their_lines(term, letters):
    lines = readable(term, "c5", frozenset(), letters, 2).split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= letters
    assert "…" in "".join(lines)
    assert lines[-1].endswith(f"(GO{NO_BREAK}BP)")
