"""Figure of how many clusters the tree of the modules is cut into, and what other cuts give."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures import INK, MUTED, new_figure, note, save, style
from pipeline.tables import read_tsv

CURVES = {
    "silhouette": ("#0072B2", "-", "separation: mean silhouette over all genes"),
    "stability": ("#D55E00", "-", "stability: adjusted Rand index between seeds"),
    "score": (INK, (0, (4, 2)), "score: their product"),
}
COUNTS = {"modules": "Modules", "genes": "Genes"}


def main(*, numbers: str, figure: str, cut: str, min_size: int) -> None:
    """Draw the scores of every number of clusters, the chosen one marked (SVG).

    Parameters
    ----------
    numbers
        TSV of :mod:`find_modules`, one number of clusters a row.
    figure
        SVG to write.
    cut
        How the number was chosen.
    min_size
        Genes of the smallest module.
    """
    with style():
        save(draw_numbers(read_tsv(numbers), cut, min_size), figure)


def draw_numbers(table: pd.DataFrame, cut: str, min_size: int) -> Figure:
    """Draw separation and stability above, and how many modules of how many genes there are below.

    Numbers of clusters that leave fewer than two modules say nothing, and are shown only as far
    as the chosen one is among them.
    """
    chosen = table[table["chosen"]]
    scored = table[table["silhouette"].notna()]
    if scored.empty:
        return note(f"No cut of the tree has two modules of {min_size} genes or more.")
    ends = pd.concat([scored["clusters"], chosen["clusters"]])
    shown = table[table["clusters"].between(ends.min(), ends.max())]
    figure = new_figure(3.9)
    grid = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1, 1])
    draw_scores(grid[0], shown)
    for axes, (column, label) in zip(grid[1:], COUNTS.items(), strict=True):
        axes.plot(
            shown["clusters"], shown[column], color=MUTED, drawstyle="steps-mid", linewidth=1.2
        )
        axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes in grid:
        for number in chosen["clusters"]:
            axes.axvline(number, color=INK, linewidth=0.8, zorder=0)
    grid[0].set_title(title_of(chosen, cut, len(table)), loc="left")
    grid[-1].set_xlabel("Clusters that the tree is cut into, small ones counted")
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    return figure


def draw_scores(axes: Axes, shown: pd.DataFrame) -> None:
    """Draw the curves that there are; with a single seed the silhouette is the score."""
    several = shown["stability"].notna().any()
    for column, (colour, line, label) in CURVES.items():
        if several or column == "silhouette":
            dots = "o" if len(shown) <= 60 else ""
            axes.plot(
                shown["clusters"], shown[column], color=colour, linestyle=line, marker=dots,
                markersize=2.5, label=label,
            )  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    top = np.nanmax(shown[["silhouette", "stability"]].to_numpy(float))
    room = 1.55 if several else 1.35  # the legend, of one line or three, is above the curves
    axes.set_ylim(top=max(room * float(top), 0.1))
    axes.legend(loc="upper right", ncols=1)
    axes.set_ylabel("Score")


def title_of(chosen: pd.DataFrame, cut: str, n_genes: int) -> str:
    """Say in words what the chosen cut gives."""
    if chosen.empty:
        return "No cut has a score above 0: no modules"
    own = chosen.iloc[0]
    modules = f"{own['modules']} module{'' if own['modules'] == 1 else 's'}"
    members = f"{own['genes']} of {n_genes} genes"
    return f"Chosen by {cut}: {own['clusters']} clusters, {modules} with {members}"


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
