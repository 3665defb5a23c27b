"""Tables as self-contained HTML pages for the report: click a heading to sort."""

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lcd_core.atomic import atomic

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
    """A column of a page: field of the table, heading, how a value reads, and whether as text."""

    field: str
    heading: str
    read: Callable[[object], str]
    is_text: bool = False


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


def cell(column: Column, value: object, *, best: bool) -> str:
    """One cell, with the value by which it sorts."""
    shown = column.read(value)
    key = shown if column.is_text else "" if pd.isna(value) else f"{float(str(value)):.9g}"
    names = " ".join(["text"] * (column.is_text) + ["best"] * best)
    attribute = f' class="{names}"' if names else ""
    return f'<td{attribute} data-value="{html.escape(key)}">{html.escape(shown)}</td>'


def heading(column: Column) -> str:
    """One heading; the keyboard reaches it too."""
    attribute = ' class="text"' if column.is_text else ""
    return f'<th scope="col" tabindex="0"{attribute}>{html.escape(column.heading)}</th>'


def table(columns: Sequence[Column], rows: pd.DataFrame) -> str:
    """Rows of a table; nothing is marked."""
    heads = "".join(map(heading, columns))
    lines = [
        "<tr>" + "".join(cell(c, row[c.field], best=False) for c in columns) + "</tr>"
        for _, row in rows.iterrows()
    ]
    return assembled(heads, lines)


def assembled(heads: str, lines: Sequence[str]) -> str:
    """A table of its headings and rows."""
    body = "\n".join(lines)
    return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def section(title: str, note: str, content: str) -> str:
    """A part of a page: heading, a note in small print, and a table."""
    return (
        f"<section>\n<h2>{html.escape(title)}</h2>\n<small>{html.escape(note)}</small>\n"
        f"{content}\n</section>"
    )


def page(title: str, introduction: str, sections: Sequence[str]) -> str:
    """The whole page."""
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
