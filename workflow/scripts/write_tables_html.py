"""The benchmark tables as self-contained HTML pages for the report."""

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lcd_core.metrics import METRICS, Metric
from pipeline.files import atomic
from pipeline.looks import REFERENCES, flat_label, in_order
from pipeline.tables import read_tsv

STYLE = """
body { font: 13px/1.45 system-ui, "Helvetica Neue", Arial, sans-serif; color: #222; margin: 20px; }
h1 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 14px; max-width: 60em; color: #555; }
main { display: flex; flex-wrap: wrap; gap: 26px 40px; align-items: flex-start; }
h2 { font-size: 14px; margin: 0; }
small { color: #6e6e6e; }
table { border-collapse: collapse; margin-top: 6px; }
th, td { padding: 3px 10px; text-align: right; white-space: nowrap; }
th { border-bottom: 1.5px solid #222; cursor: pointer; font-weight: 600; user-select: none; }
th:hover, th:focus { background: #f3f3f3; }
th[aria-sort=ascending]::after { content: " \\25B4"; }
th[aria-sort=descending]::after { content: " \\25BE"; }
td { border-bottom: 1px solid #e4e4e4; font-variant-numeric: tabular-nums; }
.text { text-align: left; }
.best { font-weight: 700; }
.reference td { color: #6e6e6e; font-style: italic; }
"""

# Numbers are compared by data-value; cells without a number stay last in either direction.
SORT = """
for (const head of document.querySelectorAll("th")) {
  const sort = () => {
    const table = head.closest("table"), column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = head.classList.contains("text") ? x.localeCompare(y) : x - y;
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
"""


class Column(NamedTuple):
    """A column of a page: field of the table, heading, and how a value reads."""

    field: str
    heading: str
    read: Callable[[object], str]


def number(value: object) -> str:
    """Four significant digits; a dash where there is no number."""
    figure = float(str(value))
    if math.isnan(figure):
        return "–"
    return f"{figure:#.4g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e")


def count(value: object) -> str:
    """A whole number."""
    return f"{int(str(value)):,}"


def percent(value: object) -> str:
    """A proportion as a percentage."""
    share = float(str(value))
    return "–" if math.isnan(share) else f"{100 * share:.0f}%"


def text(value: object) -> str:
    """Text as it is."""
    return "" if pd.isna(value) else str(value)


def method(value: object) -> str:
    """Label of a method."""
    return flat_label(str(value))


SUMMARY = [
    Column("method", "Method", method),
    Column("n", "n", count),
    Column("median", "Median", number),
    Column("q25", "25%", number),
    Column("q75", "75%", number),
    Column("mean", "Mean", number),
]
WIN_RATES = [
    Column("versus", "LCD against", method),
    Column("n", "n", count),
    Column("wins", "LCD better", count),
    Column("ties", "Equal", count),
    Column("win_rate", "Win rate", percent),
    Column("median_difference", "Median difference", number),
    Column("percent_reduction", "Reduction of median [%]", number),
    Column("p_value", "P", number),
    Column("reason", "No P because", text),
]
TEXTS = (method, text)


def cell(column: Column, value: object, *, best: bool) -> str:
    """One cell, with the value by which it sorts."""
    shown = column.read(value)
    key = shown if column.read in TEXTS else "" if pd.isna(value) else f"{float(str(value)):.9g}"
    names = " ".join(["text"] * (column.read in TEXTS) + ["best"] * best)
    attribute = f' class="{names}"' if names else ""
    return f'<td{attribute} data-value="{html.escape(key)}">{html.escape(shown)}</td>'


def heading(column: Column) -> str:
    """One heading; the keyboard reaches it too."""
    attribute = ' class="text"' if column.read in TEXTS else ""
    return f'<th scope="col" tabindex="0"{attribute}>{html.escape(column.heading)}</th>'


def section(metric: Metric, columns: Sequence[Column], rows: pd.DataFrame) -> str:
    """One metric: its name, direction and unit, and its rows, methods in order of display."""
    name = columns[0].field
    order = {label: position for position, label in enumerate(in_order(rows[name]))}
    rows = rows.sort_values(name, key=lambda names: names.map(order))
    best = best_method(metric, rows) if "median" in rows else None
    # A column of reasons that are all empty would only take room.
    kept = [c for c in columns if c.read is not text or rows[c.field].map(text).any()]
    heads = "".join(map(heading, kept))
    lines = []
    for _, row in rows.iterrows():
        own = row[name] == best
        cells = "".join(cell(c, row[c.field], best=own and c.field == "median") for c in kept)
        attribute = ' class="reference"' if row[name] in REFERENCES else ""
        lines.append(f"<tr{attribute}>{cells}</tr>")
    unit = "" if metric.unit == "none" else f", in {html.escape(metric.unit)}"
    body = "\n".join(lines)
    return (
        f"<section>\n<h2>{html.escape(metric.title)}</h2>\n"
        f"<small>{metric.direction} is better{unit}</small>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</section>"
    )


def best_method(metric: Metric, rows: pd.DataFrame) -> object:
    """Method with the best median, references aside; None if no median is defined."""
    medians = rows[~rows["method"].isin(REFERENCES)].set_index("method")["median"].dropna()
    if medians.empty:
        return None
    return medians.idxmin() if metric.direction == "lower" else medians.idxmax()


def page(title: str, introduction: str, columns: Sequence[Column], table: pd.DataFrame) -> str:
    """The whole page, metrics in the order of the registry."""
    sections = [
        section(METRICS[name], columns, table[table["metric"] == name])
        for name in METRICS
        if name in set(table["metric"])
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{html.escape(title)}</title>',
            f"<style>{STYLE}</style></head>",
            f"<body>\n<h1>{html.escape(title)}</h1>\n<p>{html.escape(introduction)}</p>",
            "<main>",
            *sections,
            "</main>",
            f"<script>{SORT}</script>",
            "</body></html>\n",
        ]
    )


def write_text(content: str, path: str | Path) -> None:
    """Write a page, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


def main(*, summary: str, win_rates: str, summary_page: str, win_rates_page: str) -> None:
    """Write a page for the summary per method and one for the paired comparisons."""
    names = {"method": str, "metric": str, "versus": str, "reason": str}
    summaries, comparisons = (read_tsv(path, dtype=names) for path in (summary, win_rates))
    write_text(
        page(
            "Summary per method",
            "Median, quartiles and mean over the n held-out perturbations of all folds. The best "
            "median of each metric is bold; the noise ceiling, one half of the observed cells "
            "against the other, is a reference and no method. Click a heading to sort.",
            SUMMARY,
            summaries,
        ),
        summary_page,
    )
    write_text(
        page(
            "LCD against every other method",
            "Paired on the n held-out perturbations of all folds. The difference is LCD minus the "
            "other method; P is that of a one-sided Wilcoxon signed-rank test that LCD is better, "
            "not adjusted for the number of comparisons. Click a heading to sort.",
            WIN_RATES,
            comparisons,
        ),
        win_rates_page,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
