"""The summary of the linear systems as a self-contained HTML page for the report."""

import numpy as np
import pandas as pd

from pipeline.html_tables import Column, count, page, section, table, text, write_page
from pipeline.looks import STRUCTURES, estimator, estimators_in_order
from pipeline.tables import read_tsv

TYPES = {"structure": str, "estimator": str, "metric": str, "k": "Int64"}
METRICS = {
    "auroc": "AUROC",
    "f1": "F1",
    "pearson@k": "Pearson, k strongest",
    "f1@k": "F1, others absent",
    "f1_among@k": "F1 among the k strongest",
    "precision@k": "Precision of the k strongest",
}
SETTING = [
    Column("structure", "Structure", lambda name: STRUCTURES[str(name)], True),
    Column("genes", "Genes", count),
    Column("n_perturbed", "Perturbed", count),
    Column("sigma", "σ", lambda value: f"{float(str(value)):.4g}"),
    Column("estimator", "Estimator", lambda name: estimator(str(name)).label, True),
    Column("knows", "Knows", text, True),
]


def main(*, summary: str, summary_page: str) -> None:
    """Write the page.

    Parameters
    ----------
    summary
        TSV of medians and percentiles over the systems of a setting.
    summary_page
        HTML page to write.
    """
    rows = read_tsv(summary, dtype=TYPES)
    multiple = middle_multiple(rows)
    write_page(
        page(
            "Linear systems: summary per estimator",
            "Median over the systems of a setting, and in brackets the 10th and 90th percentile. "
            "Click a heading to sort, numbers by their median.",
            [
                section(
                    "Scores against the true effects",
                    f"higher is better; k is {multiple:g} times the number of genes",
                    table([*SETTING, *metric_columns(rows)], by_setting(rows, multiple)),
                )
            ],
        ),
        summary_page,
    )


def middle_multiple(rows: pd.DataFrame) -> float:
    """Of the numbers k of strongest effects the middle one, as a multiple of the genes."""
    multiples = sorted(set((rows["k"] / rows["genes"]).dropna()))
    return float(multiples[len(multiples) // 2])


def metric_columns(rows: pd.DataFrame) -> list[Column]:
    """Columns of the metrics that there are, sorted by the median."""
    return [
        Column(name, heading, text, sorted_by=f"{name} median")
        for name, heading in METRICS.items()
        if name in set(rows["metric"])
    ]


def by_setting(rows: pd.DataFrame, multiple: float) -> pd.DataFrame:
    """A row per setting and estimator, with the words and the median of each metric.

    Parameters
    ----------
    rows
        The summary, a row per setting, estimator, metric and k.
    multiple
        The k to show, as a multiple of the number of genes.
    """
    per_gene = rows["k"] / rows["genes"]
    rows = rows[rows["metric"].isin(METRICS) & (per_gene.isna() | (per_gene == multiple))]
    places = {name: place for place, name in enumerate(estimators_in_order(rows["estimator"]))}
    rows = rows.assign(
        words=[
            "–" if n == 0 else f"{median:.3f} ({low:.3f} to {high:.3f})".replace("-", "−")
            for median, low, high, n in zip(
                rows["median"], rows["p10"], rows["p90"], rows["n"], strict=True
            )
        ],
        knows=np.select(
            [rows["knows_truth"], rows["knows_targets"]], ["truth", "targets"], "samples"
        ),
        place=rows["estimator"].map(places),
    )
    index = ["structure", "genes", "n_perturbed", "sigma", "place", "estimator", "knows"]
    words, medians = (
        rows.pivot(index=index, columns="metric", values=field) for field in ("words", "median")
    )
    return words.fillna("–").join(medians.add_suffix(" median")).reset_index()


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
