"""The benchmark tables as self-contained HTML pages for the report."""

from collections.abc import Sequence

import pandas as pd

from evaluation.registry import METRICS, Metric
from pipeline.html_tables import (
    Column,
    assembled,
    cell,
    count,
    heading,
    number,
    page,
    percent,
    section,
    text,
    write_text,
)
from pipeline.looks import REFERENCES, flat_label, in_order
from pipeline.tables import read_tsv


def method(value: object) -> str:
    """Label of a method."""
    return flat_label(str(value))


SUMMARY = [
    Column("method", "Method", method, True),
    Column("n", "n", count),
    Column("median", "Median", number),
    Column("q25", "25%", number),
    Column("q75", "75%", number),
    Column("mean", "Mean", number),
]
WIN_RATES = [
    Column("versus", "LCD against", method, True),
    Column("n", "n", count),
    Column("wins", "LCD better", count),
    Column("ties", "Equal", count),
    Column("win_rate", "Win rate", percent),
    Column("median_difference", "Median difference", number),
    Column("percent_reduction", "Reduction of median [%]", number),
    Column("p_value", "P", number),
    Column("reason", "No P because", text, True),
]


def of_metric(metric: Metric, columns: Sequence[Column], rows: pd.DataFrame) -> str:
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
    unit = "" if metric.unit == "none" else f", in {metric.unit}"
    note = f"{metric.direction} is better{unit}"
    return section(metric.title, note, assembled(heads, lines))


def best_method(metric: Metric, rows: pd.DataFrame) -> object:
    """Method with the best median, references aside; None if no median is defined."""
    medians = rows[~rows["method"].isin(REFERENCES)].set_index("method")["median"].dropna()
    if medians.empty:
        return None
    return medians.idxmin() if metric.direction == "lower" else medians.idxmax()


def by_metric(columns: Sequence[Column], table: pd.DataFrame) -> list[str]:
    """Parts of a page, metrics in the order of the registry."""
    return [
        of_metric(METRICS[name], columns, table[table["metric"] == name])
        for name in METRICS
        if name in set(table["metric"])
    ]


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
            by_metric(SUMMARY, summaries),
        ),
        summary_page,
    )
    write_text(
        page(
            "LCD against every other method",
            "Paired on the n held-out perturbations of all folds. The difference is LCD minus the "
            "other method; P is that of a one-sided Wilcoxon signed-rank test that LCD is better, "
            "not adjusted for the number of comparisons. Click a heading to sort.",
            by_metric(WIN_RATES, comparisons),
        ),
        win_rates_page,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
