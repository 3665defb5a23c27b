"""Genetic interactions as a page of the report."""

from collections.abc import Mapping

from evaluation.interaction_types import MEASURES, TYPES
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
from pipeline.looks import looks_of
from pipeline.tables import read_tsv


def main(
    *,
    observed: str,
    thresholds: str,
    by_type: str,
    confusion: str,
    interactions_page: str,
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
) -> None:
    """Write the page.

    Parameters
    ----------
    observed, thresholds, by_type, confusion
        Tables over all folds.
    interactions_page
        HTML to write.
    looks
        Label, colour and kind of every method.
    reference
        Method whose confusion stands first.
    """
    pairs = read_tsv(observed, dtype={"fold": str, "perturbation": str})
    compared = read_tsv(by_type, dtype={"reason": str})
    shown = looks_of(looks)
    pairs["types"] = [
        ", ".join(name for name in TYPES if row[name]) for row in pairs.to_dict("records")
    ]
    first = shown.flat_label(str(compared["method"].iloc[0]))
    second = shown.flat_label(str(compared["versus"].iloc[0]))
    parts = [
        section(
            f"{first} against {second}",
            f"{compared['metric'].iloc[0]}; P of a one-sided Wilcoxon signed-rank test, adjusted "
            "over the types",
            table(type_columns(first, second), compared),
        ),
        section(
            "Held-out pairs",
            "as observed; a pair may be of several types",
            table(pair_columns(), pairs),
        ),
        section("Thresholds", "of the types", table(threshold_columns(), read_tsv(thresholds))),
    ]
    counts = read_tsv(confusion, dtype={"method": str})
    order = shown.in_order(counts["method"])
    order = [name for name in order if name == reference] + [n for n in order if n != reference]
    for method in order:
        own = counts[counts["method"] == method]
        wide = own.pivot(index="observed", columns="predicted", values="n").reindex(TYPES)
        wide = wide[list(TYPES)].reset_index()
        wide["n"] = own.groupby("observed")["n_observed"].first().reindex(TYPES).to_numpy()
        columns = [Column("observed", "Observed", text, True), Column("n", "Pairs", count)]
        columns += [Column(name, f"Predicted {name}", count) for name in TYPES]
        parts.append(
            section(
                f"{shown.flat_label(method)}: predicted types",
                "pairs of each observed type with each predicted type",
                table(columns, wide),
            )
        )
    content = page(
        "Genetic interactions",
        "Interactions of held-out pairs both of whose targets were measured alone (Norman et al. "
        "2019): types from the metrics of observed pairs, and how far methods predict them. "
        "Types do not exclude each other. Click a heading to sort.",
        parts,
    )
    write_page(content, interactions_page)


def type_columns(first: str, second: str) -> list[Column]:
    """Columns of the comparison by type."""
    return [
        Column("type", "Type", text, True),
        Column("n", "Pairs", count),
        Column("median", f"{first}, median", number),
        Column("versus_median", f"{second}, median", number),
        Column("win_rate", f"{first} better", percent),
        Column("percent_reduction", "Reduction of median [%]", number),
        Column("p_value", "P", number),
        Column("p_adjusted", "adjusted P", number),
        Column("reason", "No P because", text, True),
    ]


def pair_columns() -> list[Column]:
    """Columns of the observed pairs."""
    return [
        Column("perturbation", "Pair", text, True),
        Column("n_cells", "Cells", count),
        Column("c_a", "c, first", number),
        Column("c_b", "c, second", number),
        *(Column(name, name.capitalize(), number) for name in MEASURES),
        Column("types", "Types", text, True),
    ]


def threshold_columns() -> list[Column]:
    """Columns of the thresholds."""
    return [
        Column("type", "Type", text, True),
        Column("measure", "Metric", text, True),
        Column("side", "Side", text, True),
        Column("threshold", "Threshold", number),
        Column("published", "Configured", number),
        Column("annotated", "Annotated pairs", count),
        Column("source", "From", text, True),
    ]


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
