"""The benchmark tables as self-contained HTML pages for the report."""

from collections.abc import Mapping, Sequence

import pandas as pd

from evaluation.calibration import not_to_be_trusted
from evaluation.registry import METRICS, Metric
from pipeline.html_tables import (
    Column,
    count,
    number,
    page,
    percent,
    section,
    table,
    text,
    write_page,
)
from pipeline.looks import Looks, looks_of
from pipeline.tables import read_tsv


def summary_columns(looks: Looks) -> list[Column]:
    """Columns of the summary, a row per method."""
    return [
        Column("method", "Method", lambda name: looks.flat_label(str(name)), True),
        Column("n", "n", count),
        Column("median", "Median", number),
        Column("median_low", "95% low", number),
        Column("median_high", "95% high", number),
        Column("q25", "25%", number),
        Column("q75", "75%", number),
        Column("mean", "Mean", number),
    ]


def win_rate_columns(looks: Looks, reference: str) -> list[Column]:
    """Columns of the comparisons of a method, a row per other method."""
    label = looks.flat_label(reference)
    return [
        Column("versus", f"{label} against", lambda name: looks.flat_label(str(name)), True),
        Column("n", "n", count),
        Column("wins", f"{label} better", count),
        Column("ties", "Equal", count),
        Column("win_rate", "Win rate", percent),
        Column("difference_of_medians", "Difference of medians", number),
        Column("percent_reduction", "Reduction of median [%]", number),
        Column("p_value", "P", number),
        Column("p_adjusted", "Adjusted P", number),
        Column("reason", "No P because", text, True),
    ]


def calibration_columns(looks: Looks) -> list[Column]:
    """Columns of the calibration, a row per metric."""

    def label(name: object) -> str:
        return looks.flat_label(str(name))

    return [
        Column("metric", "Metric", lambda name: METRICS[str(name)].title, True),
        Column("duplicate", "Duplicate", label, True),
        Column("negative", "Negative control", label, True),
        Column("n", "n", count),
        Column("dynamic_range_fraction", "Dynamic range fraction", number),
        Column("bound_discrimination_score", "Bound discrimination score", number),
    ]


def of_metric(
    metric: Metric,
    columns: Sequence[Column],
    rows: pd.DataFrame,
    looks: Looks,
    score: float | None,
) -> str:
    """One metric: its name, direction and unit, and its rows, methods in order of display.

    With a ``score``, which is below what makes a metric worth reading, it is grey.
    """
    name = columns[0].field
    order = {label: position for position, label in enumerate(looks.in_order(rows[name]))}
    rows = rows.sort_values(name, key=lambda names: names.map(order)).reset_index(drop=True)
    # A column of reasons that are all empty would only take room.
    kept = [c for c in columns if c.read is not text or rows[c.field].map(text).any()]
    references = rows.index[[looks.kind(method) == "reference" for method in rows[name]]]
    best = best_rows(metric, rows.drop(index=references)) if "median" in rows else []
    unit = "" if metric.unit == "none" else f", in {metric.unit}"
    content = table(
        kept,
        rows,
        best=("median", best) if best else None,
        references=references.tolist(),
    )
    remark = f"{metric.direction} is better{unit}"
    if score is not None:
        remark += (
            f"; not calibrated here: a duplicate of the observed cells beats a negative control in "
            f"{percent(score)} of perturbations"
        )
    return section(metric.title, remark, content, grey=score is not None)


def best_rows(metric: Metric, rows: pd.DataFrame) -> list[int]:
    """Labels of the rows with the best median; none by a metric that does not rank methods."""
    medians = rows["median"].dropna()
    if medians.empty or not metric.ranks:
        return []
    return [int(label) for label in metric.best(medians)]


def by_metric(
    columns: Sequence[Column], rows: pd.DataFrame, looks: Looks, doubtful: Mapping[str, float]
) -> list[str]:
    """Parts of a page, metrics in the order of the registry."""
    return [
        of_metric(METRICS[name], columns, rows[rows["metric"] == name], looks, doubtful.get(name))
        for name in METRICS
        if name in set(rows["metric"])
    ]


def main(
    *,
    summary: str,
    win_rates: str,
    calibration: str,
    summary_page: str,
    win_rates_page: str,
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
) -> None:
    """Write a page for the summary per method and one for the paired comparisons.

    Parameters
    ----------
    summary, win_rates, calibration
        TSV of the summary per method, of the comparisons, and of the calibration of metrics.
    summary_page, win_rates_page
        HTML pages to write.
    looks
        Label, colour and kind of every method, in the order of display.
    reference
        Method with which every other is compared.
    """
    names = {"method": str, "metric": str, "versus": str, "reason": str}
    summaries, comparisons = (read_tsv(path, dtype=names) for path in (summary, win_rates))
    shown = looks_of(looks)
    label = shown.flat_label(reference)
    calibrated = read_tsv(calibration)
    doubtful = not_to_be_trusted(calibrated)
    parts = by_metric(summary_columns(shown), summaries, shown, doubtful)
    if len(calibrated):
        parts.append(
            section(
                "Calibration of the metrics",
                "how well they tell a duplicate of the observed cells from a negative control on "
                "these data",
                table(calibration_columns(shown), calibrated),
            )
        )
    write_page(
        page(
            "Summary per method",
            "Median, quartiles and mean over the n held-out perturbations of all folds. The best "
            "median of each metric is bold, with its 95% bootstrap interval over perturbations; "
            "the noise ceiling, one half of the observed cells against the other, and the "
            "interpolated duplicate are references and no methods. Metrics in grey tell duplicates "
            "of the observed cells from negative controls no better than chance. Click a heading "
            "to sort.",
            parts,
        ),
        summary_page,
    )
    write_page(
        page(
            f"{label} against every other method",
            f"Paired on the n held-out perturbations of all folds. The difference is {label} minus "
            "the other method; P is that of a one-sided Wilcoxon signed-rank test that "
            f"{label} is better, adjusted for the number of methods within each metric (Holm). "
            "Click a heading to sort.",
            by_metric(win_rate_columns(shown, reference), comparisons, shown, doubtful),
        ),
        win_rates_page,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
