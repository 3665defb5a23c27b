"""How well each training condition is reproduced, worst first: a table, and a page of it."""

from collections.abc import Sequence

import numpy as np
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
from pipeline.screen import CONTROL, targets_of
from pipeline.tables import read_tsv, write_tsv

METRIC = "mmd_top_de"
SOURCES = ["control", "prior", "lcd", "halves"]
MOST_LEFT = 0.5
"""Share of the control's distance above which a condition counts as missed."""

SCATTERS = 3.0
"""How many times the scatter the control's distance has to be, for a share of it to say much."""

REPRODUCED, CLOSE = "reproduced", "close to control"
PRIOR_MISSES, DRIFT_MISSES = "prior misses it", "drift misses it"
VERDICTS = [PRIOR_MISSES, DRIFT_MISSES, REPRODUCED, CLOSE]
COLUMNS = [
    "fold", "variant", "perturbation", "n_targets", "n_cells", *SOURCES, "prior_share",
    "lcd_share", "verdict",
]  # fmt: skip

CONDITIONS = [
    Column("fold", "Fold", text, True),
    Column("variant", "Variant", text, True),
    Column("perturbation", "Perturbation", text, True),
    Column("n_targets", "Targets", count),
    Column("n_cells", "Cells", count),
    Column("control", "MMD, control", number),
    Column("prior", "Prior", number),
    Column("lcd", "LCD", number),
    Column("halves", "Halves", number),
    Column("prior_share", "Prior over control", percent),
    Column("lcd_share", "LCD over control", percent),
    Column("verdict", "Verdict", text, True),
]
FITS = [
    Column("fold", "Fold", text, True),
    Column("variant", "Variant", text, True),
    Column("n", "Conditions", count),
    *(Column(verdict, verdict.capitalize(), count) for verdict in VERDICTS),
    Column("prior_share", "Median prior over control", percent),
    Column("lcd_share", "Median LCD over control", percent),
]


def main(
    *,
    tables: Sequence[str],
    screen_conditions: str,
    conditions: str,
    conditions_page: str,
    folds: Sequence[str],
    variants: Sequence[str],
) -> None:
    """Write every training condition of every checked fit with a verdict.

    Parameters
    ----------
    tables
        Distances of reproduced to observed training conditions, a table per fit.
    screen_conditions
        TSV of the conditions of the screen with their numbers of cells.
    conditions
        TSV to write: the fields of :data:`COLUMNS`, worst first.
    conditions_page
        HTML page to write.
    folds, variants
        Fold and variant of each fit.
    """
    screen = read_tsv(screen_conditions, dtype={"perturbation": str})
    cells = screen.set_index("perturbation")["n_cells"]
    parts = [
        judged(read_tsv(path, dtype={"perturbation": str, "source": str}), cells).assign(
            fold=fold, variant=variant
        )
        for path, fold, variant in zip(tables, folds, variants, strict=True)
    ]
    rows = worst_first(pd.concat(parts, ignore_index=True))[COLUMNS]
    write_tsv(rows, conditions)
    write_page(page_of(rows), conditions_page)


def judged(distances: pd.DataFrame, cells: pd.Series) -> pd.DataFrame:
    """Distances of one fit, a row per condition, with what is left of the control's, and a verdict.

    Where control cells are no farther from the observed ones than the scatter of the estimate
    allows, there is no change that could be reproduced.

    Parameters
    ----------
    distances
        Fields ``perturbation``, ``source``, ``metric`` and ``value``.
    cells
        Cells by condition.
    """
    own = distances[distances["metric"] == METRIC]
    rows = own.pivot(index="perturbation", columns="source", values="value")
    rows = rows.reindex(columns=SOURCES).rename_axis(columns=None)
    rows = rows.loc[[name for name in rows.index if name != CONTROL]].reset_index()
    names = rows["perturbation"]
    rows.insert(1, "n_targets", [len(targets_of(name)) for name in names])
    rows.insert(2, "n_cells", cells.reindex(names).to_numpy())
    told = rows["control"] > SCATTERS * scatter_of(rows["halves"])
    for source in ("prior", "lcd"):
        rows[f"{source}_share"] = (rows[source] / rows["control"]).where(told)
    rows["verdict"] = np.select(
        [~told, rows["prior_share"] > MOST_LEFT, rows["lcd_share"] > MOST_LEFT],
        [CLOSE, PRIOR_MISSES, DRIFT_MISSES],
        REPRODUCED,
    )
    return rows


def scatter_of(halves: pd.Series) -> float:
    """Standard deviation of the estimate where samples agree, from the median magnitude; 0 if none.

    Halves have half of the cells, so this is rather too large than too small.
    """
    known = halves.dropna().abs()
    return 1.4826 * float(known.median()) if len(known) else 0.0


def worst_first(rows: pd.DataFrame) -> pd.DataFrame:
    """Order by what is left of the control's distance; conditions close to control come last."""
    worst = rows[["prior_share", "lcd_share"]].max(axis=1).fillna(-np.inf)
    order = np.lexsort([rows["perturbation"], rows["fold"], -worst])
    return rows.iloc[order].reset_index(drop=True)


def page_of(rows: pd.DataFrame) -> str:
    """Write the page: counts of the verdicts for each fit, and all conditions."""
    by_fit = rows.groupby(["fold", "variant"], sort=False)
    fits = by_fit["verdict"].value_counts().unstack(fill_value=0).reindex(columns=VERDICTS)
    fits = fits.fillna(0).astype(int).assign(n=by_fit.size())
    fits = fits.join(by_fit[["prior_share", "lcd_share"]].median()).reset_index()
    fits = fits.sort_values(["fold", "variant"], kind="stable", ignore_index=True)
    return page(
        "How well training conditions are reproduced",
        "Squared maximum mean discrepancy to the observed cells of the condition on its most "
        "differentially expressed genes: of control cells, of counts generated from the learned "
        "prior, of counts sampled from the diffusion (LCD), and of one half of the observed cells "
        f"to the other. A condition is missed where more than {MOST_LEFT:.0%} of the control's "
        "distance is left; where the control's distance is no larger than "
        f"{SCATTERS:g} times the scatter of the halves, there is no change to reproduce. "
        "Click a heading to sort.",
        [
            section("Fits", "training conditions by verdict", table(FITS, fits)),
            section(
                "Training conditions",
                "worst first; with several folds a condition occurs once in each that trains on it",
                table(CONDITIONS, rows),
            ),
        ],
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
