"""Figure of how many genes each perturbation changes, beside what it did to its own genes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from pipeline.figures import BAND, MUTED, limits_of, new_figure, plain_numbers, save, style
from pipeline.tables import read_tsv

SHOWN = 300
"""Perturbations drawn at most, those with most genes."""

BLOCKS = ((40, 1), (120, 2), (SHOWN, 3))
"""Perturbations up to which they stand in one column, in two, in three."""

ROW = {1: (0.155, 7.0), 2: (0.12, 5.5), 3: (0.09, 4.5)}
"""Height of a row in inches and size of its label in points, by number of columns."""

STATUSES = {
    "moved": ("#0072B2", True),
    "moved against the others": ("#D55E00", True),
    "did not move": ("#D55E00", False),
}
"""Colour of an own gene, and whether its dot is filled."""

DIRECTIONS = {"n_up": ("^", "#AA3377", "up"), "n_down": ("v", "#228833", "down")}


def main(*, perturbations: str, targets: str, figure: str, alpha: float) -> None:
    """Draw the figure (SVG).

    Parameters
    ----------
    perturbations, targets
        TSV of :mod:`summarise_perturbations`.
    figure
        SVG to write.
    alpha
        False discovery rate below which a gene is differentially expressed.
    """
    names = {"perturbation": str, "target": str, "gene": str, "top_genes": str}
    with style():
        drawn = draw(read_tsv(perturbations, dtype=names), read_tsv(targets, dtype=names), alpha)
        save(drawn, figure)


def draw(rows: pd.DataFrame, own: pd.DataFrame, alpha: float) -> Figure:
    """Draw a row for each perturbation, the one that changes most genes on top."""
    rows = rows.assign(n_de=rows["n_up"] + rows["n_down"])
    rows = rows.sort_values("n_de", ascending=False, kind="stable", ignore_index=True)
    n_all = len(rows)
    rows = rows.head(SHOWN)
    own = own[own["perturbation"].isin(rows["perturbation"])]
    n_columns = next(columns for most, columns in BLOCKS if len(rows) <= most)
    n_rows = -(-len(rows) // n_columns)
    height, size = ROW[n_columns]
    figure = new_figure(1.1 + height * n_rows)
    grid = figure.subplots(1, 2 * n_columns, squeeze=False)[0]
    changes = limits_of({"own": own["log2_fold_change"], "no change": [0.0]})
    largest = max(int(rows[list(DIRECTIONS)].to_numpy().max()), 1)
    for block in range(n_columns):
        part = rows.iloc[block * n_rows : (block + 1) * n_rows]
        left, right = grid[2 * block : 2 * block + 2]
        for axes in (left, right):
            draw_rows(axes, n_rows)
        left.set_yticks(range(len(part)), part["perturbation"], fontsize=size)
        draw_own_genes(left, part["perturbation"].tolist(), own, changes, size)
        draw_counts(right, part, largest, size, narrow=n_columns == 3)
    figure.suptitle(title_of(n_all, len(rows), alpha), x=0.01, ha="left", fontsize=8.5)
    figure.legend(handles=keys(own), loc="outside lower center", ncols=3)
    return figure


def draw_rows(axes: Axes, n_rows: int) -> None:
    """Prepare axes with a row for each perturbation, every second one shaded."""
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for row in range(0, n_rows, 2):
        axes.axhspan(row - 0.5, row + 0.5, color=BAND, linewidth=0, zorder=-1)


def draw_own_genes(
    axes: Axes, names: Sequence[str], own: pd.DataFrame, limits: tuple[float, float], size: float
) -> None:
    """Draw a dot for each own gene of the perturbations in these rows."""
    axes.axvline(0, color=MUTED, linewidth=0.6, zorder=0)
    part = own[own["perturbation"].isin(names)]
    for status, (colour, filled) in STATUSES.items():
        some = part[part["status"] == status]
        axes.scatter(
            some["log2_fold_change"],
            [names.index(name) for name in some["perturbation"]],
            s=2.2 * size,
            facecolors=colour if filled else "white",
            edgecolors=colour,
            linewidths=0.8,
            zorder=2,
        )
    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(2 if size < 5 else 4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.set_xlabel("Own gene,\nlog2 fold change")


def draw_counts(axes: Axes, part: pd.DataFrame, largest: int, size: float, *, narrow: bool) -> None:
    """Draw the numbers of genes up and down; 0 has a place of its own on the logarithmic axis.

    Narrow axes label 0 and the largest power of ten alone.
    """
    for column, (marker, colour, _) in DIRECTIONS.items():
        axes.scatter(
            part[column], range(len(part)), s=2.2 * size, marker=marker, color=colour,
            linewidths=0, alpha=0.85, zorder=2,
        )  # fmt: skip
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    powers = 10.0 ** np.arange(0, np.log10(largest) + 0.1)
    axes.set_xticks([0, *(powers[-1:] if narrow else powers)])
    axes.xaxis.set_minor_locator(FixedLocator(powers.tolist()))
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.set_xlim(-0.4, 1.3 * largest)
    axes.set_xlabel("DE genes")


def title_of(n_all: int, n_shown: int, alpha: float) -> str:
    """Say what the rows are."""
    number = f"{n_all} perturbations" if n_all != 1 else "1 perturbation"
    which = f"the {n_shown} of {number} with most" if n_shown < n_all else f"{number}, by number of"
    return f"{which[0].upper()}{which[1:]} differentially expressed genes (adjusted P < {alpha:g})"


def keys(own: pd.DataFrame) -> list[Line2D]:
    """Legend: the statuses that occur, and the directions."""
    dots = [
        Line2D(
            [], [], linestyle="", marker="o", markersize=4, markeredgecolor=colour,
            markerfacecolor=colour if filled else "white", label=f"own gene {status}",
        )
        for status, (colour, filled) in STATUSES.items()
        if (own["status"] == status).any()
    ]  # fmt: skip
    return dots + [
        Line2D(
            [], [], linestyle="", marker=marker, markersize=4, color=colour, label=f"genes {way}"
        )
        for marker, colour, way in DIRECTIONS.values()
    ]


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
