"""Every held-out perturbation, by choice, as one self-contained HTML page for the report."""

import html
import json
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.one_perturbation import Perturbation, perturbations_of
from benchmark.perturbation_page import STYLE, part_of
from pipeline.html_tables import (
    Column,
    count,
    number,
    packed,
    page,
    section,
    table,
    text,
    write_page,
)
from pipeline.looks import Looks, looks_of
from pipeline.tables import read_tsv

MOST = 100
"""Perturbations on the page; of more, so many evenly spaced from the best to the worst."""

LARGEST = 1_000_000
"""Letters of all of them, compressed, that leave room for the rest of the page in 1.5 MiB, which
is what Chromium shows within a report; with many genes fewer perturbations fit."""

DISTANCE = "mmd_top_de"
SCRIPT = """
const parts = JSON.parse(await unpacked(document.getElementById("parts").textContent));
const article = document.querySelector("article");
const choice = document.querySelector(".choice");
const select = choice.querySelector("select");
const show = index => {
  const chosen = (index + parts.length) % parts.length;
  article.innerHTML = parts[chosen];
  select.selectedIndex = chosen;
};
select.addEventListener("change", () => show(select.selectedIndex));
choice.querySelector(".before").addEventListener("click", () => show(select.selectedIndex - 1));
choice.querySelector(".after").addEventListener("click", () => show(select.selectedIndex + 1));
const numbers = new Map([...select.options].map((option, place) => [option.text, place]));
document.querySelector("main").addEventListener("click", event => {
  const cell = event.target.closest("tbody td.text");
  if (cell && numbers.has(cell.textContent)) {
    show(numbers.get(cell.textContent));
    choice.scrollIntoView({ behavior: "smooth" });
  }
});
choice.hidden = false;
show(Number(choice.dataset.first));
"""


def main(
    *,
    metrics: str,
    targets: str,
    train: Sequence[str],
    test: Sequence[str],
    differential_expression: Sequence[str],
    predictions: Sequence[str],
    held_out_page: str,
    folds: Sequence[str],
    shown_methods: Sequence[str],
    values: Sequence[str | None],
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
    alpha: float,
) -> None:
    """Write the page.

    Parameters
    ----------
    metrics
        Table over all folds.
    targets
        TSV of the own genes of perturbations.
    train, test, differential_expression
        Per fold, in the order of ``folds``.
    predictions
        For each fold those of ``shown_methods``, in that order.
    held_out_page
        HTML page to write.
    folds
        Names of the folds.
    shown_methods
        Methods whose predictions are shown, and the kind of their values where their files do not
        say it.
    values
        What the predictions of each method hold; None reads it from them.
    looks
        Label, colour and kind of every method, in the order of display.
    reference
        Method by which perturbations are ordered.
    alpha
        False discovery rate below which a gene is differentially expressed.
    """
    names = {"fold": str, "method": str, "perturbation": str, "metric": str}
    scores = read_tsv(metrics, dtype=names)
    own_genes = read_tsv(targets, dtype={"target": str, "perturbation": str, "gene": str})
    shown = looks_of(looks)
    wide = distances(scores, shown_methods, shown)
    chosen = evenly(wide, reference)
    articles, rows = [], []
    for place, fold in enumerate(folds):
        first = place * len(shown_methods)
        paths = dict(
            zip(shown_methods, predictions[first : first + len(shown_methods)], strict=True)
        )
        kinds = dict(zip(shown_methods, values, strict=True))
        wanted = [name for own_fold, name in chosen if own_fold == fold]
        for one in perturbations_of(
            fold, wanted, train[place], test[place], differential_expression[place], paths, kinds,
            shown, own_genes,
        ):  # fmt: skip
            own = scores[(scores["fold"] == fold) & (scores["perturbation"] == one.name)]
            label = one.name if len(folds) == 1 else f"{one.name} (fold {fold})"
            articles.append((label, part_of(one, shown, own, alpha)))
            rows.append(row_of(one, label, wide, alpha))
    order = sorted(that_fit(articles, rows, reference), key=lambda i: articles[i][0])
    articles = [articles[i] for i in order]
    table_rows = pd.DataFrame([rows[i] for i in order])
    first_shown = median_row(table_rows, reference)
    logging.info("%d of %d held-out perturbations on the page", len(articles), len(wide))
    write_page(
        whole_page(articles, table_rows, len(wide), shown_methods, shown, first_shown),
        held_out_page,
    )


def distances(scores: pd.DataFrame, methods: Sequence[str], looks: Looks) -> pd.DataFrame:
    """Distances by fold and perturbation, a column for each method shown, control and ceiling."""
    own = scores[scores["metric"] == DISTANCE]
    wide = own.pivot(index=["fold", "perturbation"], columns="method", values="value")
    everything = scores[["fold", "perturbation"]].drop_duplicates()
    columns = looks.in_order([*methods, "control", "ceiling"])
    return wide.reindex(
        index=pd.MultiIndex.from_frame(everything), columns=[c for c in columns if c in wide]
    ).sort_index()


def evenly(wide: pd.DataFrame, reference: str) -> list[tuple[str, str]]:
    """Fold and name of those to show; of too many, evenly by the distance of the reference."""
    if len(wide) <= MOST:
        return [(str(fold), str(name)) for fold, name in wide.index]
    order = wide[reference].sort_values(kind="stable").index if reference in wide else wide.index
    at = np.unique(np.linspace(0, len(order) - 1, MOST).round().astype(int))
    return [(str(fold), str(name)) for fold, name in order[at]]


def that_fit(
    articles: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, object]], reference: str
) -> list[int]:
    """Numbers of the parts to keep so that they fit on the page: evenly, from best to worst."""
    size = len(packed("".join(content for _, content in articles)))
    kept = max(1, len(articles) * LARGEST // max(size, LARGEST))
    by_distance = pd.Series([row.get(reference, np.nan) for row in rows], dtype=float)
    order = by_distance.sort_values(kind="stable").index
    return [int(order[i]) for i in np.unique(np.linspace(0, len(order) - 1, kept).round())
            .astype(int)]  # fmt: skip


def row_of(one: Perturbation, label: str, wide: pd.DataFrame, alpha: float) -> dict[str, object]:
    """Row of the table by which one is chosen."""
    own = wide.loc[(one.fold, one.name)]
    return {
        "perturbation": label,
        "n_cells": one.n_cells,
        "n_de": int((one.tests["p_adjusted"] < alpha).sum()),
        **{str(method): value for method, value in own.items()},
    }


def median_row(rows: pd.DataFrame, reference: str) -> int:
    """Place of the perturbation shown first: the one at the reference's median distance."""
    if rows.empty or reference not in rows or rows[reference].isna().all():
        return 0
    ordered = rows[reference].dropna().sort_values(kind="stable").index
    return int(ordered[(len(ordered) - 1) // 2])


def whole_page(
    articles: Sequence[tuple[str, str]],
    rows: pd.DataFrame,
    n_all: int,
    methods: Sequence[str],
    looks: Looks,
    first: int,
) -> str:
    """The table of all perturbations, the choice, and a part for each."""
    columns = [
        Column("perturbation", "Perturbation", text, True),
        Column("n_cells", "Cells", count),
        Column("n_de", "DE genes", count),
        *(
            Column(name, f"MMD, {looks.flat_label(name)}", number)
            for name in rows.columns[3:]
        ),
    ]  # fmt: skip
    note = f"{n_all:,} held-out perturbations"
    if n_all > len(articles):
        note += f", of which {len(articles):,} are here, evenly spaced by distance"
    options = "".join(f"<option>{html.escape(label)}</option>" for label, _ in articles)
    chooser = (
        f'<div class="choice" data-first="{first}" hidden>'
        f"<label>Perturbation <select>{options}</select></label> "
        '<button class="before">Previous</button> <button class="after">Next</button></div>'
    )
    each = [f"<h2>{html.escape(label)}</h2>\n{content}" for label, content in articles]
    parts = f'<script type="text/plain" id="parts">{packed(json.dumps(each))}</script>'
    noscript = "<noscript>Without scripts, the table above is all there is.</noscript>"
    names = ", ".join(looks.flat_label(name) for name in looks.in_order(methods))
    return page(
        "Held-out perturbations",
        f"Observed cells beside control cells and predictions ({names}). Choose a perturbation by "
        "its name in the table, which can be sorted and searched, or in the list below it.",
        [section("Distances", note + "; squared MMD on the top DE genes", table(columns, rows))],
        below=[chooser, f"<article>{noscript}</article>", parts],
        style=STYLE,
        script=SCRIPT,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
