"""What there is to say of a screen: its cells, and perturbations that may have failed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from overview.lines import DATA, DOUBT, Line, count, joined, share
from pipeline.screen import CONTROL
from pipeline.tables import read_tsv

FEW_CELLS = 50
"""Cells below which a condition says little: halves of 25 are what metrics compare."""

FEW_CONTROLS = 200
"""Control cells below which tests of every perturbation share too small a yardstick."""

ABOUT = "Screen"
FIGURE = "figures/differential_expression.svg"
TABLE = "screen/differential_expression.html"
STILL, AGAINST, REMOVED, UNMEASURED = (
    "did not move", "moved against the others", "removed", "not measured"
)  # fmt: skip


def screen_lines(files: Mapping[str, Any], alpha: float) -> Iterator[Line]:
    """Say what a screen is, and what to doubt about it.

    Parameters
    ----------
    files
        Paths of ``quality_control``, ``conditions``, ``perturbations`` and ``targets``.
    alpha
        False discovery rate of the differential expression.
    """
    conditions = read_tsv(files["conditions"], dtype={"perturbation": str})
    quality = read_tsv(files["quality_control"], dtype={"step": str, "unit": str})
    changed = read_tsv(files["perturbations"], dtype={"perturbation": str, "top_genes": str})
    own = read_tsv(files["targets"], dtype={"target": str, "perturbation": str, "gene": str})
    yield from sizes(conditions, quality)
    yield from few_cells(conditions)
    yield from unchanged(changed, alpha)
    yield from failed(own)


def sizes(conditions: pd.DataFrame, quality: pd.DataFrame) -> Iterator[Line]:
    """Cells, genes and conditions, and what quality control removed."""
    total = quality[quality["step"] == "all"].set_index("unit")
    perturbed = conditions[conditions["perturbation"] != CONTROL]
    n_control = int(conditions.loc[conditions["perturbation"] == CONTROL, "n_cells"].sum())
    by_size = perturbed["n_targets"].value_counts().sort_index()
    kinds = {1: "single", 2: "double", 3: "triple"}
    parts = [
        f"{n:,} {kinds.get(size, f'of {size} targets')}{'s' if n != 1 and size in kinds else ''}"
        for size, n in by_size.items()
    ]
    yield Line(
        DATA,
        ABOUT,
        f"{int(conditions['n_cells'].sum()):,} cells and {int(total.at['genes', 'after']):,} "
        f"genes after quality control: {n_control:,} control cells and "
        f"{count(len(perturbed), 'perturbation')} ({', '.join(parts)}).",
        file="screen/conditions.tsv",
    )
    if len(perturbed):
        cells = perturbed["n_cells"]
        fewest = perturbed.sort_values(["n_cells", "perturbation"]).iloc[0]
        spread = f"{int(cells.min()):,} to {int(cells.max()):,}"
        text = f"Cells of a perturbation: median {cells.median():,.0f}, {spread}."
        if cells.min() < cells.max():
            text += f" The fewest has {fewest['perturbation']}."
        yield Line(DATA, ABOUT, text, file="screen/conditions.tsv")
    removed = [
        f"{int(row.removed):,} of {int(row.before):,} {row.Index}"
        for row in total.itertuples()
        if row.removed
    ]
    said = " and ".join(removed) if removed else "nothing"
    yield Line(
        DATA, ABOUT, f"Quality control removed {said}.", file="screen/quality_control.tsv"
    )  # fmt: skip


def few_cells(conditions: pd.DataFrame) -> Iterator[Line]:
    """Conditions with few cells."""
    control = conditions["perturbation"] == CONTROL
    few = conditions[~control & (conditions["n_cells"] < FEW_CELLS)].sort_values("n_cells")
    if len(few):
        yield Line(
            DOUBT,
            ABOUT,
            f"{share(len(few), int((~control).sum()))} perturbations have fewer than {FEW_CELLS} "
            "cells: their tests, their fits and their scores are noisy.",
            joined(few["perturbation"]),
            "read metrics of these with care, or leave them out: "
            "quality_control.min_cells_per_perturbation",
            "screen/conditions.tsv",
        )
    n_control = int(conditions.loc[control, "n_cells"].sum())
    if n_control < FEW_CONTROLS:
        yield Line(
            DOUBT,
            ABOUT,
            f"There are {count(n_control, 'control cell')}, with which every perturbation is "
            "compared.",
            advice="differential expression and all changes share their noise; more control cells "
            "are the cheapest improvement of a screen",
            file="screen/conditions.tsv",
        )


def unchanged(changed: pd.DataFrame, alpha: float) -> Iterator[Line]:
    """Perturbations without a differentially expressed gene."""
    none = changed[changed["n_up"] + changed["n_down"] == 0]
    if len(none):
        yield Line(
            DOUBT,
            ABOUT,
            f"{share(len(none), len(changed))} perturbations change no gene (adjusted P < "
            f"{alpha:g}): to a model they are control cells, and a prediction of control cells "
            "does well on them.",
            joined(none["perturbation"]),
            "look at their cells and at their own genes before counting them as evidence",
            FIGURE,
        )


def failed(own: pd.DataFrame) -> Iterator[Line]:
    """Perturbations that did not move their own gene, and targets whose gene is not there."""
    singles = own[~own["perturbation"].str.contains("+", regex=False)]
    tested = singles[singles["status"].isin([STILL, AGAINST, "moved"])]
    for status, text in (
        (STILL, "did not move their own gene"),
        (AGAINST, "moved their own gene in the other direction than most"),
    ):
        names = tested.loc[tested["status"] == status, "perturbation"].drop_duplicates()
        if len(names):
            yield Line(
                DOUBT,
                ABOUT,
                f"{share(len(names), tested['perturbation'].nunique())} single perturbations "
                f"whose own gene was tested {text}: they may have failed.",
                joined(names),
                "do not read their effects as those of their target",
                FIGURE,
            )
    gone = own[own["status"].isin([REMOVED, UNMEASURED])]["target"].drop_duplicates()
    if len(gone):
        yield Line(
            DOUBT,
            ABOUT,
            f"{share(len(gone), own['target'].nunique())} targets have a gene that was not "
            "measured or that quality control removed: whether they were hit cannot be seen.",
            joined(gone),
            "see removed_by in screen/targets.tsv; screen.target_genes names genes of targets "
            "that are no genes",
            "screen/targets.tsv",
        )
