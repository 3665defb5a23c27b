"""Tables as self-contained HTML pages: searched, sorted and paged without any network.

Rows are plain HTML, readable and printable without scripts. DataTables, from the bundle that
itables brings along, is embedded once per page and adds the rest in the browser.
"""

import gzip
import html
import math
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import itables
import pandas as pd

from lcd_core.atomic import atomic

ROWS_PER_PAGE = 25
FEWEST_SEARCHED = 10
"""Rows up to which a table is seen at a glance and needs no search."""

LONG = 40
"""Letters beyond which the text of a column is broken into lines."""

STYLE = """
body { font: 13px/1.45 system-ui, "Helvetica Neue", Arial, sans-serif; color: #222; margin: 20px; }
h1 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 14px; max-width: 60em; color: #555; }
main { display: flex; flex-wrap: wrap; gap: 30px 44px; align-items: flex-start; }
section { max-width: 100%; }
section.grey { opacity: 0.55; }
h2 { font-size: 14px; margin: 0; }
small { display: block; color: #6e6e6e; margin-bottom: 6px; }
div.dt-container { width: fit-content; max-width: 100%; font-size: 12px; color: #555; }
div.dt-container div.dt-layout-row { margin: 4px 0; }
div.dt-container div.dt-layout-table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; color: #222; }
table.dataTable > thead > tr > th, table.dataTable > tbody > tr > td
  { padding: 3px 10px; text-align: right; white-space: nowrap; }
table.dataTable > thead > tr > th
  { border-bottom: 1.5px solid #222; font-weight: 600; white-space: normal;
    vertical-align: bottom; }
table.dataTable > thead > tr > th div.dt-column-header { align-items: flex-end; }
table.dataTable > tbody > tr > td
  { border-top: 0; border-bottom: 1px solid #e4e4e4; font-variant-numeric: tabular-nums; }
table.dataTable > thead > tr > th.text, table.dataTable > tbody > tr > td.text
  { text-align: left; }
table.dataTable > tbody > tr > td.long
  { white-space: normal; min-width: 22em; max-width: 44em; overflow-wrap: anywhere; }
table.dataTable > tbody > tr > td.best { font-weight: 700; }
table.dataTable > tbody > tr.reference > td { color: #6e6e6e; font-style: italic; }
@media print {
  @page { size: landscape; margin: 12mm; }
  body { margin: 0; font-size: 10px; }
  main { display: block; }
  section { margin-bottom: 16px; }
  h2, small { break-after: avoid; }
  table { font-size: 9px; }
  tr { break-inside: avoid; }
  div.dt-container div.dt-layout-table { overflow: visible; }
  table.dataTable > thead > tr > th, table.dataTable > tbody > tr > td { padding: 1px 5px; }
  table.dataTable > tbody > tr > td.long { min-width: 0; }
  .dt-search, .dt-length, .dt-info, .dt-paging, .dt-column-order { display: none !important; }
}
"""

UNPACK = """
const unpacked = async packed => {
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};
"""
"""Script that reads what :func:`packed` writes."""

SCRIPT = """
const code = encodeURIComponent(await unpacked("%s"));
const { default: DataTable } = await import(`data:text/javascript,${code}`);

// Numbers are compared by data-order; cells without one stay last in either direction.
const numerically = direction => (a, b) =>
  a === "" || b === "" ? (a === "") - (b === "") : direction * (a - b);
DataTable.type("numeric", { order: { asc: numerically(1), desc: numerically(-1) } });

const tables = [...document.querySelectorAll("main table")].map(table => new DataTable(table, {
  order: [],
  autoWidth: false,
  columnDefs: [{ targets: "text", type: "string" }, { targets: "_all", type: "numeric" }],
  lengthMenu: [25, 100, { label: "all", value: -1 }],
  layout: {
    topStart: table.dataset.searching === "true" ? "search" : null,
    topEnd: table.dataset.paging === "true" ? "pageLength" : null,
    bottomStart: table.dataset.paging === "true" ? "info" : null,
    bottomEnd: table.dataset.paging === "true" ? "paging" : null,
  },
  language: {
    search: "", searchPlaceholder: "Search", lengthMenu: "_MENU_ rows a page",
    info: "Rows _START_ to _END_ of _TOTAL_", infoEmpty: "No rows", infoFiltered: "(of _MAX_)",
    zeroRecords: "No row matches", emptyTable: "No rows",
  },
}));

// Paper has no pages to turn.
let lengths = [];
addEventListener("beforeprint", () => {
  lengths = tables.map(table => table.page.len());
  for (const table of tables) table.page.len(-1).draw();
});
addEventListener("afterprint", () =>
  tables.forEach((table, index) => table.page.len(lengths[index]).draw()));
"""


class Column(NamedTuple):
    """A column of a page.

    Attributes
    ----------
    field
        Field of the table.
    heading
        What stands above.
    read
        How a value reads.
    is_text
        Whether it is text, and not a number.
    sorted_by
        Field with the numbers by which it sorts, if these are not its own.
    """

    field: str
    heading: str
    read: Callable[[object], str]
    is_text: bool = False
    sorted_by: str | None = None


def number(value: object) -> str:
    """Four significant digits; a dash where there is no number."""
    figure = float(str(value))
    if math.isnan(figure):
        return "–"
    shown = f"{figure:#.4g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e")
    return shown.replace("inf", "∞")


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


def table(
    columns: Sequence[Column],
    rows: pd.DataFrame,
    *,
    best: tuple[str, Collection[int]] | None = None,
    references: Collection[int] = (),
) -> str:
    """Write a table, with search and paging if it is long.

    Parameters
    ----------
    columns
        What is shown.
    rows
        Fields of the columns, a row each.
    best
        Field and numbers of the rows of cells in bold.
    references
        Numbers of the rows in grey italics.
    """
    marks = {column.field: classes(column, rows) for column in columns}
    heads = "".join(map(heading, columns))
    lines = []
    for place, row in enumerate(rows.to_dict("records")):
        bold = best[0] if best is not None and place in best[1] else None
        cells = [
            cell(column, row, marks[column.field] + ["best"] * (column.field == bold))
            for column in columns
        ]
        attribute = ' class="reference"' if place in references else ""
        lines.append(f"<tr{attribute}>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return (
        f'<table class="display" {options(len(rows))}>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def options(n_rows: int) -> str:
    """Options of DataTables: what a short table can do without is left out."""
    own = {
        "page-length": str(ROWS_PER_PAGE),
        "paging": str(n_rows > ROWS_PER_PAGE).lower(),
        "searching": str(n_rows > FEWEST_SEARCHED).lower(),
    }
    return " ".join(f'data-{name}="{value}"' for name, value in own.items())


def heading(column: Column) -> str:
    """One heading."""
    attribute = ' class="text"' if column.is_text else ""
    return f'<th scope="col"{attribute}>{html.escape(column.heading)}</th>'


def classes(column: Column, rows: pd.DataFrame) -> list[str]:
    """Style classes of the cells of a column."""
    if not column.is_text:
        return []
    longest = max((len(column.read(value)) for value in rows[column.field]), default=0)
    return ["text", "long"] if longest > LONG else ["text"]


def cell(column: Column, row: Mapping[Any, Any], marks: Sequence[str]) -> str:
    """One cell of some classes, with the number by which it sorts."""
    shown = html.escape(column.read(row[column.field]))
    attributes = ' class="' + " ".join(marks) + '"' if marks else ""
    if not column.is_text:
        attributes += f' data-order="{sort_key(row[column.sorted_by or column.field])}"'
    return f"<td{attributes}>{shown}</td>"


def sort_key(value: object) -> str:
    """Write a number as JavaScript reads it; empty where there is none."""
    if pd.isna(value):
        return ""
    return f"{float(str(value)):.9g}".replace("inf", "Infinity")


def section(title: str, note: str, content: str, *, grey: bool = False) -> str:
    """A part of a page: heading, a note in small print, and a table; pale if ``grey``."""
    attribute = ' class="grey"' if grey else ""
    return (
        f"<section{attribute}>\n<h2>{html.escape(title)}</h2>\n<small>{html.escape(note)}</small>\n"
        f"{content}\n</section>"
    )


def packed(text: str) -> str:
    """Compress text, as letters that :data:`UNPACK` reads; the same text gives the same letters.

    A report holds its pages as addresses of data, and Chromium shows none beyond 2 MiB.
    """
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def page(
    title: str,
    introduction: str,
    sections: Sequence[str],
    *,
    below: Sequence[str] = (),
    style: str = "",
    script: str = "",
) -> str:
    """Write the whole page.

    Parameters
    ----------
    title, introduction
        What stands on top.
    sections
        Parts with tables, which DataTables sorts and searches.
    below
        What follows them as it is.
    style, script
        What a page has of its own, of style sheet and of script, which runs before the tables are
        set up.
    """
    data_script, data_style = data_tables()
    own = [f'<script type="module">{UNPACK}{script}</script>'] if script else []
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{html.escape(title)}</title>',
            f"<style>{data_style}</style>",
            f"<style>{STYLE}{style}</style></head>",
            f"<body>\n<h1>{html.escape(title)}</h1>\n<p>{html.escape(introduction)}</p>",
            "<main>",
            *sections,
            "</main>",
            *below,
            *own,
            f'<script type="module">{UNPACK}{SCRIPT % packed(data_script)}</script>',
            "</body></html>\n",
        ]
    )


@cache
def data_tables() -> tuple[str, str]:
    """Script and style sheet of DataTables, from the offline bundle of itables."""
    script = Path(itables.options.dt_bundle)
    return tuple(path.read_text("utf-8") for path in (script, script.with_suffix(".css")))  # type: ignore[return-value]


def write_page(content: str, path: str | Path) -> None:
    """Write a page, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")
