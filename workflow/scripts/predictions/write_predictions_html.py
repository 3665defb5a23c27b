"""Predicted combinations as a page of the report."""

from evaluation.interaction_types import MEASURES
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

REASONS = {
    "non_additive": (
        "To measure next: most non-additive",
        "length over genes of the predicted change less the sum of those under the targets alone",
    ),
    "uncertain": (
        "To measure next: most uncertain",
        "length over genes of the standard deviation of the predicted change over fits",
    ),
    "wanted": (
        "To measure next: nearest to the wanted change",
        "{nearest}; additive: of the sum of the predicted changes under the targets alone",
    ),
}
NEAREST = {
    "cosine": "cosine of the angle between the predicted and the wanted change, 1 at best",
    "distance": "Euclidean distance of the predicted from the wanted change, 0 at best",
}


def main(
    *, predictions: str, candidates: str, thresholds: str, predictions_page: str, nearest_by: str
) -> None:
    """Write the page.

    Parameters
    ----------
    predictions, candidates, thresholds
        Tables over all fits.
    predictions_page
        HTML to write.
    nearest_by
        What candidates for a wanted change are ranked by.
    """
    words = {"perturbation": str, "strongest_genes": str, "non_additive_genes": str, "types": str}
    combinations = read_tsv(predictions, dtype=words)
    listed = read_tsv(candidates, dtype={"perturbation": str, "genes": str})
    parts = []
    for reason, (title, about) in REASONS.items():
        own = listed[listed["reason"] == reason]
        if len(own):
            parts.append(
                section(
                    title,
                    about.format(nearest=NEAREST[nearest_by]),
                    table(candidate_columns(reason, nearest_by), own),
                )
            )
    parts.append(
        section(
            "All combinations",
            "lengths over genes, in log1p(counts per 10,000); ± standard deviations over fits",
            table(columns(wanted=bool(combinations[nearest_by].notna().any())), combinations),
        )
    )
    limits = read_tsv(thresholds)
    parts.append(section("Thresholds", "of the types of pairs", table(threshold_columns(), limits)))
    content = page(
        "Predicted combinations",
        "What models of all conditions of the screen predict for combinations of its targets, "
        "against the singles as the same models predict them. A combination that has measured "
        "cells was seen in training. Differences smaller than the spread over fits say nothing. "
        "Click a heading to sort.",
        parts,
    )
    write_page(content, predictions_page)


def candidate_columns(reason: str, nearest_by: str) -> list[Column]:
    """Columns of what to measure next."""
    value = {"non_additive": "Non-additivity", "uncertain": "Spread", "wanted": nearest_by}
    found = [
        Column("rank", "Rank", count),
        Column("perturbation", "Combination", text, True),
        Column("value", value[reason].capitalize(), number),
    ]
    if reason != "uncertain":
        found.append(Column("sd", "±", number))
    if reason == "wanted":
        found.append(Column("additive", "Additive", number))
    return [
        *found,
        Column("measured_cells", "Measured cells", count),
        Column("genes", "Genes", text, True),
    ]


def columns(*, wanted: bool) -> list[Column]:
    """Columns of all combinations."""
    near = [Column("cosine", "Cosine to wanted", number)] if wanted else []
    near += [Column("distance", "Distance to wanted", number)] if wanted else []
    return [
        Column("perturbation", "Combination", text, True),
        Column("measured_cells", "Measured cells", count),
        Column("size", "Change", number),
        Column("spread", "Spread", number),
        Column("non_additivity", "Non-additivity", number),
        Column("non_additivity_sd", "±", number),
        *near,
        *(Column(name, name.capitalize(), number) for name in MEASURES),
        Column("types", "Types", text, True),
        Column("type_agreement", "Fits that agree", percent),
        Column("strongest_genes", "Strongest genes", text, True),
        Column("non_additive_genes", "Non-additive genes", text, True),
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
