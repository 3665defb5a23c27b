"""The tables of the causal effects as one self-contained HTML page for the report."""

import pandas as pd

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
from pipeline.tables import read_tsv

SHOWN_METRICS = (
    "auroc",
    "auroc_present",
    "average_precision",
    "precision@k",
    "adjusted_rand_index",
)
EDGES = [
    Column("rank", "Rank", count),
    Column("cause", "Cause", text, True),
    Column("effect", "Gene affected", text, True),
    Column("value", "Effect", number),
    Column("low", "95% from", number),
    Column("high", "to", number),
    Column("score", "Score", number),
    Column("resolution", "Selected", percent),
    Column("sd", "SD over fits", number),
    Column("sign_agreement", "Same sign", percent),
    Column("observed_lfc", "Observed log change", number),
    Column("own_lfc", "of the cause", number),
    Column("p_adjusted", "Adjusted P", number),
    Column("validated", "Validated", text, True),
    Column("sign_agrees", "Sign agrees", text, True),
    Column("target_status", "Cause", text, True),
]
VALIDATION = [
    Column("causes", "Causes", text, True),
    Column("share", "Top fraction", text, True),
    Column("k", "Effects", count),
    Column("n_causes", "Their causes", count),
    Column("n_validated", "Validated", count),
    Column("probability", "P(DE | cause)", number),
    Column("interval", "95% interval", text, True),
    Column("base_rate", "Base rate", number),
    Column("lift", "Lift", number),
    Column("conviction", "Conviction", number),
    Column("p_value", "P", number),
    Column("null_probability", "Within causes", number),
    Column("null_p_value", "P within causes", number),
    Column("n_signed", "Signs known", count),
    Column("sign_agreement", "Signs agree", percent),
]
TERMS = [
    Column("module", "Module", count),
    Column("term", "Term", text, True),
    Column("collection", "Collection", text, True),
    Column("overlap", "Overlap", count),
    Column("module_size", "Genes of module", count),
    Column("term_size", "Genes of term", count),
    Column("odds_ratio", "Odds ratio", number),
    Column("p_adjusted", "Adjusted P", number),
    Column("genes", "Genes", text, True),
]
RECOVERY = [
    Column("estimator", "Estimator", text, True),
    Column("pairs", "Pairs", text, True),
    Column("name", "Metric", text, True),
    Column("value", "Value", number),
    Column("base_rate", "Chance", number),
]


def main(
    *,
    edges: str,
    untestable_edges: str,
    validated_edges: str,
    validation: str,
    tables_page: str,
    held_out_validation: str | None = None,
    top_terms: str | None = None,
    recovery: str | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    edges, untestable_edges, validated_edges, validation
        TSV of the strongest effects of causes that were perturbed, of the others, of those that
        could be tested with what was observed, and of their validation.
    tables_page
        HTML page to write.
    held_out_validation, top_terms, recovery
        TSV of the same for held-out causes, of the modules' gene sets, and of the scores against
        the truth, where there are such.
    """
    untestable = read_tsv(untestable_edges, dtype={"cause": str, "effect": str})
    parts = [
        section(
            "The strongest effects of perturbed genes",
            "mean over the fits, by score",
            strongest(edges, validated_edges),
        ),
        section(
            "The strongest effects of genes that were never perturbed",
            "nothing in this screen can contradict them",
            table([column for column in EDGES if column.field in untestable], untestable),
        ),
        section(
            "Validation by differential expression",
            "shares of the strongest effects that could be tested",
            table(VALIDATION, shares(validation, held_out_validation)),
        ),
    ]
    if top_terms:
        rows = read_tsv(top_terms, dtype={"term": str, "collection": str, "genes": str})
        note = "by odds ratio" if len(rows) else "no term is enriched"
        parts.append(section("Gene sets of the modules", note, table(TERMS, rows)))
    if recovery:
        parts.append(
            section("Recovery of the truth", "higher is better", table(RECOVERY, scores(recovery)))
        )
    content = page(
        "Causal effects",
        "Tables behind the figures of the causal effects; the captions there say how to read them. "
        "Click a heading to sort; long tables can be searched and paged through.",
        parts,
    )
    write_page(content, tables_page)


def strongest(edges: str, validated_edges: str) -> str:
    """Table of the strongest effects with what was observed, where it was."""
    names = {"cause": str, "effect": str}
    rows, tested = read_tsv(edges, dtype=names), read_tsv(validated_edges, dtype=names)
    observed = ["observed_lfc", "own_lfc", "p_adjusted", "validated"]
    observed += ["sign_agrees", "target_status"]
    rows = rows.merge(tested[["cause", "effect", *observed]], how="left", on=["cause", "effect"])
    for column, unknown in (("validated", "not testable"), ("sign_agrees", "not known")):
        rows[column] = [unknown if pd.isna(own) else "yes" if own else "no" for own in rows[column]]
    return table([column for column in EDGES if column.field in rows], rows)


def shares(validation: str, held_out_validation: str | None) -> pd.DataFrame:
    """Rows of the validation, held-out causes last."""
    each = [read_tsv(validation).assign(causes="all")]
    if held_out_validation:
        each.append(read_tsv(held_out_validation).assign(causes="held out"))
    rows = pd.concat(each, ignore_index=True)
    rows["share"] = [f"{100 * fraction:g}%" for fraction in rows["fraction"]]
    rows["interval"] = [
        f"{low:.3f} to {high:.3f}" for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    return rows


def scores(recovery: str) -> pd.DataFrame:
    """Main scores against the truth; single seeds are left out."""
    rows = read_tsv(recovery, dtype={"estimator": str, "metric": str, "k": "Int64"})
    rows = rows[rows["metric"].isin(SHOWN_METRICS) & ~rows["estimator"].str.contains("_seed_")]
    rows = rows.assign(
        name=[
            metric.replace("@k", f"@{k}") if metric.endswith("@k") else metric
            for metric, k in zip(rows["metric"], rows["k"], strict=True)
        ]
    )
    return rows.sort_values(["pairs", "metric", "k"], kind="stable")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
