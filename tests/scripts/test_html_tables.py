"""Pages with tables: what they hold, how it sorts, and that they need no network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark import aggregate_metrics
from benchmark import write_tables_html as pages
from evaluation.registry import METRICS
from pipeline.html_tables import (
    Column,
    count,
    data_tables,
    number,
    packed,
    page,
    percent,
    section,
    sort_key,
    table,
    text,
)
from pipeline.looks import looks_of
from pipeline.methods import method_looks
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.metrics_fixture import metrics_table

LOOKS = looks_of(method_looks())


class Tables(HTMLParser):
    """Cells of a page's tables, as (classes, key of sorting, text), row by row, and all tags."""

    def __init__(self):
        super().__init__()
        self.rows, self.body, self.tags, self.cell = [], [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = (dict(attrs).get("class", ""), dict(attrs).get("data-order"), [])

    def handle_data(self, data):
        if self.cell:
            self.cell[2].append(data)

    def handle_endtag(self, tag):
        if tag == "tr" and self.tags[-1][0] == "td":
            self.body.append(self.rows[-1])
        if tag in ("td", "th"):
            classes, value, parts = self.cell
            self.rows[-1].append((classes, value, "".join(parts)))
            self.cell = None


def parse(path):
    parser = Tables()
    parser.feed(Path(path).read_text(encoding="utf-8"))
    return parser


@pytest.fixture
def tables(tmp_path):
    """Paths of the tables of a benchmark."""
    write_tsv(metrics_table({"1": ["A+B", "A+C"], "2": ["B+C"]}), tmp_path / "1.tsv")
    names = ("metrics", "summary", "win_rates", "calibration")
    paths = {name: str(tmp_path / f"{name}.tsv") for name in names}
    aggregate_metrics.main(
        tables=[str(tmp_path / "1.tsv")], **paths, folds=["1", "2"], reference="lcd",
        no_methods=["ceiling"], duplicates=["ceiling"], negatives=["control"],
        bootstrap=100, seed=1,
    )  # fmt: skip
    return {name: paths[name] for name in names[1:]}


@pytest.fixture
def written_pages(tables, tmp_path):
    paths = {f"{name}_page": str(tmp_path / f"{name}.html") for name in ("summary", "win_rates")}
    pages.main(**tables, **paths, looks=method_looks(), reference="lcd")
    return {name: parse(path) for name, path in paths.items()}


def test_pages_hold_every_row_of_the_tables_and_nothing_external(tables, written_pages):
    for name, written in written_pages.items():
        rows = read_tsv(tables[name.removesuffix("_page")])
        calibrated = read_tsv(tables["calibration"]) if name == "summary_page" else []
        assert len(written.body) == len(rows) + len(calibrated)
        for _, attributes in written.tags:
            assert not {"src", "href"} & set(attributes)


def test_the_best_median_is_bold_and_never_the_ceiling(tables, written_pages):
    summary = read_tsv(tables["summary"])
    summary = summary[summary["method"] != "ceiling"]
    best = []
    for metric in [m for m in METRICS if m in set(summary["metric"])]:
        own = summary[summary["metric"] == metric].set_index("method")["median"]
        best.append(own.min() if METRICS[metric].direction == "lower" else own.max())
    rows = [row for row in written_pages["summary_page"].rows for cell in row if "best" in cell[0]]
    assert [float(row[2][1]) for row in rows] == pytest.approx(best)


def test_metrics_that_tell_nothing_apart_here_are_grey(tables, tmp_path):
    calibration = read_tsv(tables["calibration"])
    metric = calibration["metric"].iloc[0]
    for score, grey in ((0.49, 1), (0.5, 0)):
        changed = calibration.assign(bound_discrimination_score=0.9)
        changed.loc[changed["metric"] == metric, "bound_discrimination_score"] = score
        write_tsv(changed, tables["calibration"])
        paths = {f"{n}_page": str(tmp_path / f"{n}{score}.html") for n in ("summary", "win_rates")}
        pages.main(**tables, **paths, looks=method_looks(), reference="lcd")
        for path in paths.values():
            content = Path(path).read_text(encoding="utf-8")
            assert content.count('<section class="grey">') == grey
            assert ("beats a negative control in 49% of perturbations" in content) == bool(grey)


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
            "difference_of_medians": [-0.00123456],
            "percent_reduction": [np.nan],
            "p_value": [np.nan],
            "p_adjusted": [np.nan],
            "reason": ["fewer than 5 & so on"],
        }
    )
    columns = pages.win_rate_columns(LOOKS, "lcd")
    content = page("T", "I", pages.by_metric(columns, rates, LOOKS, {}))
    (tmp_path / "p.html").write_text(content, encoding="utf-8")
    row = parse(tmp_path / "p.html").rows[1]
    assert [text for _, _, text in row] == [
        "a<b>", "1", "1", "0", "100%", "−0.001235", "–", "–", "–", "fewer than 5 & so on",
    ]  # fmt: skip
    assert row[7][1] == ""  # sorts last
    assert "<b>" not in content


def test_references_are_grey_and_the_compared_method_is_named(written_pages):
    summary = written_pages["summary_page"]
    grey = [tag for tag, attributes in summary.tags if attributes.get("class") == "reference"]
    assert len(grey) == sum(row[0][2] == "Noise ceiling" for row in summary.body) > 0
    heads = [cell[2] for cell in written_pages["win_rates_page"].rows[0]]
    assert heads[:3] == ["LCD against", "n", "LCD better"]


@pytest.mark.parametrize(
    ("value", "shown", "key"),
    [
        (-0.00123456, "−0.001235", "-0.00123456"),
        (1.5e-12, "1.500e−12", "1.5e-12"),
        (2.0e-5, "2.000e−5", "2e-05"),
        (3e8, "3.000e8", "300000000"),
        (float("inf"), "∞", "Infinity"),
        (float("-inf"), "−∞", "-Infinity"),
        (float("nan"), "–", ""),
    ],
)
def test_numbers_read_well_and_sort_by_their_value(value, shown, key):
    assert number(value) == shown
    assert sort_key(value) == key


def test_counts_and_shares():
    assert count(1234567) == "1,234,567"
    assert percent(0.256) == "26%"
    assert percent(float("nan")) == "–"
    assert text(None) == ""


@pytest.mark.parametrize(
    ("n_rows", "searching", "paging"), [(10, False, False), (25, True, False), (26, True, True)]
)
def test_long_tables_are_searched_and_paged(n_rows, searching, paging):
    rows = pd.DataFrame({"a": range(n_rows)})
    opening = table([Column("a", "A", count)], rows).split(">")[0]
    assert f'data-searching="{str(searching).lower()}"' in opening
    assert f'data-paging="{str(paging).lower()}"' in opening
    assert 'data-page-length="25"' in opening


def test_a_column_sorts_by_another_field_where_it_is_told_to():
    rows = pd.DataFrame({"words": ["0.5 (0.4 to 0.6)"], "middle": [0.5]})
    shown = table([Column("words", "Words", text, sorted_by="middle")], rows)
    assert '<td data-order="0.5">0.5 (0.4 to 0.6)</td>' in shown


def test_only_long_text_is_broken_into_lines():
    rows = pd.DataFrame({"short": ["A;B"], "genes": [";".join(["GENE"] * 20)]})
    shown = table([Column(name, name, text, True) for name in rows], rows)
    assert re.findall(r'<td class="([^"]+)">', shown) == ["text", "text long"]


def test_a_page_holds_its_script_once_and_asks_nobody_for_anything():
    own = table([Column("a", "A", count)], pd.DataFrame({"a": [1, 2]}))
    content = page("Title & more", "Words", [section("One", "", own), section("Two", "", own)])
    assert content == page("Title & more", "Words", [section(n, "", own) for n in ("One", "Two")])
    assert content.count(packed(data_tables()[0])) == 1
    assert content.count("<table") == 2
    assert len(content) < 0.4e6
    readable = content.replace(packed(data_tables()[0]), "")
    readable = re.sub(r"base64,[A-Za-z0-9+/=]+", "", readable)
    assert not re.search(r"https?:|//\w+\.|@import|url\((?!data:)|src=|href=", readable)
    assert "<title>Title &amp; more</title>" in content
