"""Figures of how well causal effects of linear systems are recovered: all, and the strongest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.figures import MUTED, new_figure, save, style
from pipeline.looks import STRUCTURES, Estimator, estimator, estimators_in_order
from pipeline.tables import read_tsv

Matrix = NDArray[np.float64]
TYPES = {"structure": str, "estimator": str, "metric": str, "k": "Int64"}
TOP_METRICS = {
    "f1_among@k": "F1 among the\nk strongest",
    "f1@k": "F1, the others\nabsent",
    "pearson@k": "Pearson correlation\nwith true effects",
}
CHANCE = 0.5


def main(*, scores: str, summary: str, auroc: str, top_effects: str, threshold: float) -> None:
    """Draw both figures (SVG).

    Parameters
    ----------
    scores, summary
        TSV of all scores and of their medians.
    auroc, top_effects
        The SVG files to write.
    threshold
        Size from which on an effect counts as one, which the caption names.
    """
    table, medians = read_tsv(scores, dtype=TYPES), read_tsv(summary, dtype=TYPES)
    with style():
        save(draw_auroc(table), auroc)
        save(draw_top_effects(medians), top_effects)


def structures_in(table: pd.DataFrame) -> list[str]:
    """Structures of a table in the order of display."""
    return [name for name in STRUCTURES if name in set(table["structure"])]


def estimators_in(table: pd.DataFrame) -> list[str]:
    """Estimators of a table in the order of display."""
    return estimators_in_order(table["estimator"])


def diffusion_scale(table: pd.DataFrame) -> str:
    """Diffusion scale of the systems, as every figure states it."""
    return "σ = " + ", ".join(f"{sigma:.4g}" for sigma in sorted(set(table["sigma"])))


def draw_auroc(scores: pd.DataFrame) -> Figure:
    """AUROC against the number of perturbed genes: rows are sizes, columns structures."""
    rows = scores[scores["metric"] == "auroc"]
    sizes, structures = sorted(set(rows["genes"])), structures_in(rows)
    figure = new_figure(1.1 + 1.9 * len(sizes))
    grid = figure.subplots(len(sizes), len(structures), squeeze=False, sharey=True, sharex="row")
    for row, size in enumerate(sizes):
        for axes, structure in zip(grid[row], structures, strict=True):
            own = rows[(rows["genes"] == size) & (rows["structure"] == structure)]
            draw_against_perturbed(axes, own)
            axes.set_title(f"{STRUCTURES[structure]}, {size} genes")
            axes.set_xlabel("Perturbed genes")
        grid[row][0].set_ylabel("AUROC")
    lowest = float(rows["value"].min())
    grid[0][0].set_ylim(min(CHANCE, lowest) - 0.03, 1.02)
    legend(figure, rows)
    return figure


def draw_against_perturbed(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw medians with 10th to 90th percentiles, and one dot per system, at each number."""
    numbers = sorted(set(rows["n_perturbed"]))
    names = estimators_in(rows)
    step = 0.4 / len(names)
    for index, name in enumerate(names):
        own = rows[rows["estimator"] == name].groupby("n_perturbed")["value"]
        values = [own.get_group(number).to_numpy(float) for number in numbers]
        x = np.arange(len(numbers)) + (index - (len(names) - 1) / 2) * step
        draw_line(axes, x, values, estimator(name))
    axes.axhline(CHANCE, color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    axes.set_xlim(-0.6, len(numbers) - 0.4)


def draw_line(
    axes: Axes, x: NDArray[np.floating], values: Sequence[Matrix], look: Estimator
) -> None:
    """Draw a line through medians, bars of percentiles and a faint dot per system."""
    middle = np.array([np.nanmedian(own) for own in values])
    low, high = (np.array([np.nanquantile(own, share) for own in values]) for share in (0.1, 0.9))
    for position, own in zip(x, values, strict=True):
        axes.scatter(
            np.full(len(own), position), own, s=4, color=look.colour, alpha=0.4, linewidths=0
        )
    axes.errorbar(
        x,
        middle,
        yerr=[middle - low, high - middle],
        color=look.colour,
        marker=look.marker,
        markersize=4,
        markerfacecolor="white" if look.hollow else look.colour,
        markeredgewidth=0.9,
        linewidth=0.7,
        elinewidth=0.9,
        linestyle=":" if look.hollow else "-",
    )


def draw_top_effects(summary: pd.DataFrame) -> Figure:
    """Scores of the k strongest effects against k, at the largest number of perturbed genes."""
    most = summary["percent"].max()
    rows = summary[(summary["percent"] == most) & summary["metric"].isin(TOP_METRICS)]
    panels = [
        (structure, size)
        for structure in structures_in(rows)
        for size in sorted(set(rows.loc[rows["structure"] == structure, "genes"]))
    ]
    figure = new_figure(1.2 + 1.6 * len(TOP_METRICS))
    grid = figure.subplots(len(TOP_METRICS), len(panels), squeeze=False, sharey="row", sharex="col")
    for column, (structure, size) in enumerate(panels):
        own = rows[(rows["structure"] == structure) & (rows["genes"] == size)]
        for axes, metric in zip(grid[:, column], TOP_METRICS, strict=True):
            draw_against_k(axes, own[own["metric"] == metric])
        grid[0, column].set_title(f"{STRUCTURES[structure]}\n{size} genes")
        grid[-1, column].set_xlabel("k / genes")
    for axes, label in zip(grid[:, 0], TOP_METRICS.values(), strict=True):
        axes.set_ylabel(label)
    legend(figure, rows)
    return figure


def draw_against_k(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw medians and a band from the 10th to the 90th percentile."""
    for name in estimators_in(rows):
        own, look = rows[rows["estimator"] == name].sort_values("k"), estimator(name)
        x = (own["k"] / own["genes"]).to_numpy(float)
        axes.fill_between(x, own["p10"], own["p90"], color=look.colour, alpha=0.12, linewidth=0)
        axes.plot(
            x,
            own["median"],
            color=look.colour,
            marker=look.marker,
            markersize=3.5,
            markerfacecolor="white" if look.hollow else look.colour,
            linestyle=":" if look.hollow else "-",
        )
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    axes.set_xscale("log")
    shares = sorted(set(rows["k"] / rows["genes"]))
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()


def legend(figure: Figure, rows: pd.DataFrame) -> None:
    """Name the estimators above the panels, and the diffusion scale with them."""
    handles: list[Any] = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=4,
            markerfacecolor="white" if look.hollow else look.colour,
            linestyle=":" if look.hollow else "-",
            label=look.label if look.knows == "samples" else f"{look.label} (knows {look.knows})",
        )
        for look in map(estimator, estimators_in(rows))
    ]
    handles.append(Line2D([], [], linestyle="none", label=diffusion_scale(rows)))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
