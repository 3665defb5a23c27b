"""Figure of a simulated screen: how well estimators recover its true effects and modules."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from lcd_core.errors import InputError
from pipeline.figures import BAND, MUTED, new_figure, plain_numbers, save, style
from pipeline.looks import Estimator, estimator, estimators_in_order
from pipeline.tables import read_tsv

TYPES = {"estimator": str, "pairs": str, "metric": str, "k": "Int64"}
SEED = re.compile(r"(.*)_seed_\d+")
CHANCE = "chance"

SAME_RANKING = {"oriented_differential_expression": "differential_expression"}
"""Estimators that differ from another in signs alone, and so not in the precision."""

PAIRS = {"all": "All pairs of genes", "perturbed": "Pairs whose cause was perturbed alone"}


class Panel(NamedTuple):
    """Scores of the estimators: the metrics of filled and of hollow markers, and what they are."""

    pairs: str
    title: str
    filled: str
    hollow: str
    legend: str
    chance: float


BY_SIGN = "auroc", "auroc_present", "filled: by sign, hollow: link or none", 0.5
PANELS = (
    Panel("all", "AUROC, all pairs", *BY_SIGN),
    Panel("perturbed", "AUROC, cause perturbed", *BY_SIGN),
    Panel(
        "modules",
        "Modules, adjusted Rand index",
        "adjusted_rand_index",
        "adjusted_rand_index_best",
        "filled: same number, hollow: best cut",
        0.0,
    ),
)


def main(*, recovery: str, curve: str, figure: str) -> None:
    """Draw precision against the number of effects, and one score per estimator (SVG).

    Parameters
    ----------
    recovery, curve
        The tables of :mod:`score_recovery`.
    figure
        SVG to write.
    """
    scores, curves = read_tsv(recovery, dtype=TYPES), read_tsv(curve, dtype=TYPES)
    if scores.empty or curves.empty:
        raise InputError("there are no scores to draw", where=f"{recovery}, {curve}")
    with style():
        save(draw_recovery(scores, curves), figure)


def seeds_of(name: str, table: pd.DataFrame) -> list[str]:
    """Estimators of single seeds of the ensemble ``name``, in the order of the table."""
    return [
        other
        for other in pd.unique(table["estimator"])
        if (match := SEED.fullmatch(other)) and match[1] == name
    ]


def estimators_in(table: pd.DataFrame) -> list[str]:
    """Estimators in the order of display, single seeds and chance left out."""
    names = [name for name in pd.unique(table["estimator"]) if not SEED.fullmatch(name)]
    return estimators_in_order(set(names) - {CHANCE})


def draw_recovery(scores: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """Top: precision of the k strongest effects. Bottom: AUROC and agreement of modules."""
    names = estimators_in(scores)
    figure = new_figure(3.6 + 0.24 * len(names))
    heights = [2.55, 1.05 + 0.24 * len(names)]
    top, bottom = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    grid = top.subplots(1, len(PAIRS), sharey=True)
    for axes, (pairs, title) in zip(grid, PAIRS.items(), strict=True):
        draw_precision(axes, curves[curves["pairs"] == pairs])
        axes.set_title(title)
    grid[0].set_ylabel("Precision")
    top.legend(
        handles=[handle(estimator(name)) for name in names if name not in SAME_RANKING]
        + [Line2D([], [], color=MUTED, linestyle=(0, (4, 3)), label="Chance")],
        loc="outside upper center",
        ncols=3,
    )
    grid = bottom.subplots(1, len(PANELS), sharey=True)
    for axes, panel in zip(grid, PANELS, strict=True):
        draw_scores(axes, scores[scores["pairs"] == panel.pairs], names, panel)
        axes.set_xlim(left=lowest(scores, panel))
    return figure


def handle(own: Estimator) -> Line2D:
    """Line of an estimator in the legend."""
    return Line2D([], [], color=own.colour, linewidth=1.6, label=own.label)


def draw_precision(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw precision against k, single seeds faint, and the base rate."""
    for name in reversed(estimators_in(rows)):  # the first on top
        if name in SAME_RANKING:
            continue
        colour = estimator(name).colour
        for seed in seeds_of(name, rows):
            own = rows[rows["estimator"] == seed]
            axes.plot(
                own["k"].astype(int), own["precision"], color=colour, linewidth=0.5, alpha=0.4
            )
        own = rows[rows["estimator"] == name]
        axes.plot(own["k"].astype(int), own["precision"], color=colour, linewidth=1.4)
    base_rate = float(rows["base_rate"].iloc[0])
    axes.axhline(base_rate, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    longest = int(rows["k"].max())
    axes.set_xlim(1, longest)
    axes.set_xticks([1, *range(50, longest + 1, 50)])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("k strongest effects")


def draw_scores(axes: Axes, rows: pd.DataFrame, names: list[str], panel: Panel) -> None:
    """Draw one row of markers per estimator, the first on top."""
    for position, name in enumerate(names):
        own = estimator(name)
        for metric, face in ((panel.hollow, "white"), (panel.filled, own.colour)):
            values = rows[rows["metric"] == metric].set_index("estimator")["value"]
            axes.plot(
                values.get(name, np.nan), position, own.marker, markersize=5, color=own.colour,
                markerfacecolor=face, markeredgewidth=1.0, zorder=4,
            )  # fmt: skip
            seeds = values.reindex(seeds_of(name, rows)).to_numpy(float)
            if face != "white" and len(seeds):
                axes.plot(
                    seeds, np.full(len(seeds), position), "|", color=own.colour, markersize=6,
                    markeredgewidth=0.7, zorder=3,
                )  # fmt: skip
        if position % 2 == 0:
            axes.axhspan(position - 0.5, position + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.axvline(panel.chance, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(names)), [estimator(name).label for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(right=1.03)
    axes.xaxis.set_major_locator(MultipleLocator(0.25))
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.set_xlabel(panel.legend, fontsize=7)
    axes.set_title(panel.title)


def lowest(scores: pd.DataFrame, panel: Panel) -> float:
    """Left end of a panel's axis, shared by the panels of one metric; chance always shows."""
    values = scores.loc[scores["metric"].isin([panel.filled, panel.hollow]), "value"]
    return float(np.nanmin([panel.chance, *values])) - 0.04


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
