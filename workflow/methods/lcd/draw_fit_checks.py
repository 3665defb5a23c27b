"""Figures of how well priors and diffusions reproduce what they were trained on."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from pipeline.figures import (
    BAND,
    FOLDS_LABELLED,
    INK,
    MUTED,
    WIDTH,
    draw_column,
    limits_of,
    new_figure,
    note,
    plain_numbers,
    save,
    scale_distances,
    spread,
    style,
    thinned,
)
from pipeline.looks import Looks, looks_of
from pipeline.tables import read_tsv

SOURCES = ["control", "prior", "lcd", "halves"]
DISTANCES = {"mmd_top_de": "MMD, top DE genes", "mmd_all": "MMD, all genes"}
DENSITY = LinearSegmentedColormap.from_list("density", ["#A6C8E4", "#2F6DB2", "#0B2545"])
NAMED = {"prior": "center", "lcd": "left"}
"""Columns whose worst condition is named, and the part of the name that stands at its dot."""
NAME_LETTER = 0.045
"""Width of a letter of such a name in inches."""
LEAST_ROOM = 0.9
"""Inches of a fold below which nothing is named in it."""
LINEAR_STATES = 15
"""Standardised states beyond which their axis becomes logarithmic."""


def main(
    *,
    tables: Sequence[str],
    genes: Sequence[str],
    states: Sequence[str],
    training_conditions: str,
    predictive_check: str,
    standardised_states: str,
    folds: Sequence[str],
    looks: Mapping[str, Mapping[str, str]],
) -> None:
    """Draw the checks of the fits of all folds (SVG).

    Parameters
    ----------
    tables, genes, states
        Checks of the fits, in the order of ``folds``.
    training_conditions, predictive_check, standardised_states
        The SVG files to write.
    folds
        Names of the folds.
    looks
        Label, colour and kind of every method.
    """

    def read(paths: Sequence[str], **options: object) -> dict[str, pd.DataFrame]:
        names = {"perturbation": str, "gene": str, "source": str}
        return {
            fold: read_tsv(path, dtype=names, **options)
            for fold, path in zip(folds, paths, strict=True)
        }

    shown = looks_of(looks)
    with style():
        save(draw_training_conditions(read(tables), shown), training_conditions)
        # The largest table, of all genes in all conditions: its names are not needed.
        pairs = read(genes, usecols=lambda name: name.startswith(("observed_", "generated_")))
        save(draw_predictive_check(list(pairs.values())), predictive_check)
        save(draw_states(read(states), shown), standardised_states)


def draw_training_conditions(tables: dict[str, pd.DataFrame], looks: Looks) -> Figure:
    """Distance of reproduced to observed training conditions, a group of columns per fold."""
    merged = pd.concat([table.assign(fold=fold) for fold, table in tables.items()])
    metrics = [name for name in DISTANCES if name in set(merged["metric"])]
    sources = [name for name in SOURCES if name in set(merged["source"])]
    if not metrics or not sources:
        return note("There is no training condition beside the control.")
    figure = new_figure(0.6 + 2.2 * len(metrics))
    grid = figure.subplots(len(metrics), 1, squeeze=False, sharex=True)[:, 0]
    for axes, metric in zip(grid, metrics, strict=True):
        draw_sources(axes, merged[merged["metric"] == metric], list(tables), sources, looks)
        axes.set_ylabel(DISTANCES[metric])
    grid[-1].set_xticks(range(len(tables)), thinned(list(tables), FOLDS_LABELLED))
    grid[-1].set_xlabel("Fold")
    figure.legend(
        handles=[Patch(facecolor=looks.look(s).colour, label=looks.flat_label(s)) for s in sources],
        loc="outside upper center",
        ncols=len(sources),
    )
    return figure


def draw_sources(
    axes: Axes,
    rows: pd.DataFrame,
    folds: Sequence[str],
    sources: Sequence[str],
    looks: Looks,
) -> None:
    """Draw the groups of columns of one metric."""
    step = 0.84 / len(sources)
    groups = rows.groupby(["fold", "source"])["value"]
    columns = {key: values.to_numpy(float) for key, values in groups}
    for group, fold in enumerate(folds):
        for index, source in enumerate(sources):
            centre = group + (index - (len(sources) - 1) / 2) * step
            draw_column(
                axes,
                centre,
                columns.get((fold, source), []),
                looks.look(source).colour,
                width=0.8 * step,
                reference=looks.kind(source) == "reference",
            )
            if source in NAMED:
                own = rows[(rows["fold"] == fold) & (rows["source"] == source)]
                name_worst(axes, own, centre, 0.8 * step, NAMED[source], WIDTH / len(folds))
        if group:
            axes.axvline(group - 0.5, color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xlim(-0.5, len(folds) - 0.5)
    axes.tick_params(axis="x", length=0)
    by_source = {
        str(source): own.to_numpy(float) for source, own in rows.groupby("source")["value"]
    }
    scale_distances(axes, by_source, looks)


def name_worst(
    axes: Axes, rows: pd.DataFrame, centre: float, width: float, side: str, room: float
) -> None:
    """Write its name at the worst condition of a column, where ``room`` inches have space for it.

    Names stand above the dot, or at the side where there is no column with names.
    """
    known = rows[np.isfinite(rows["value"])]
    if known.empty:
        return
    worst = known.loc[known["value"].idxmax()]
    if room < LEAST_ROOM or NAME_LETTER * len(worst["perturbation"]) > 0.45 * room:
        return
    above = side == "center"
    axes.annotate(
        worst["perturbation"],
        (centre + spread(len(known), width)[-1], worst["value"]),
        (0, 3) if above else (3, 0),
        textcoords="offset points",
        ha=side,
        va="bottom" if above else "center",
        fontsize=5.5,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4},
        zorder=4,
    )


def draw_predictive_check(tables: Sequence[pd.DataFrame]) -> Figure:
    """Observed and generated mean, variance and zero fraction of every gene and condition."""
    merged = pd.concat(tables)
    figure = new_figure(2.45)
    grid = figure.subplots(1, 3)
    drawn = [
        draw_logarithmic(grid[0], merged, "mean", "Mean [counts per cell]"),
        draw_logarithmic(grid[1], merged, "variance", "Variance [counts² per cell]"),
        draw_linear(grid[2], merged, "zeros", "Fraction of zeros"),
    ]
    shared = LogNorm(1, max(10.0, *(np.asarray(part.get_array()).max() for part in drawn)))
    for part in drawn:
        part.set_norm(shared)
    bar = figure.colorbar(drawn[0], ax=grid, shrink=0.75, pad=0.01, aspect=18)
    bar.set_label("Pairs of gene and condition")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    bar.outline.set_visible(False)
    return figure


def draw_density(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> PolyCollection:
    """Draw a hexagonal grid of counts with the diagonal; both axes share their limits."""
    low, high = limits_of({"x": x, "y": y})
    drawn = axes.hexbin(
        x, y, gridsize=45, extent=(low, high, low, high), mincnt=1, cmap=DENSITY, linewidths=0.1
    )
    axes.plot([low, high], [low, high], color=INK, linewidth=0.7)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    return drawn


def draw_logarithmic(axes: Axes, table: pd.DataFrame, field: str, title: str) -> PolyCollection:
    """Draw on logarithms, with zeros in a band of their own below the smallest positive value."""
    pair = table[[f"observed_{field}", f"generated_{field}"]].dropna().to_numpy(float)
    positive = pair[pair > 0]
    smallest = float(np.log10(positive.min())) if len(positive) else 0.0
    zero = smallest - 0.8
    with np.errstate(divide="ignore"):
        logarithms = np.where(pair > 0, np.log10(pair), zero)
    drawn = draw_density(axes, logarithms[:, 0], logarithms[:, 1])
    low, high = axes.get_xlim()
    shift = np.log10(2)
    for sign in (-1, 1):
        axes.plot(
            [low, high], [low + sign * shift, high + sign * shift],
            color=MUTED, linewidth=0.6, linestyle=(0, (4, 3)),
        )  # fmt: skip
    first, last = int(np.ceil(smallest - 0.1)), int(np.floor(high))
    decades = list(range(first, last + 1, 1 + (last - first) // 4))
    ticks, labels = [float(d) for d in decades], [f"$10^{{{d}}}$" for d in decades]
    if (pair <= 0).any():
        ticks, labels = [zero, *ticks], ["0", *labels]
        edge = smallest - 0.4
        axes.axvspan(low, edge, color=BAND, linewidth=0, zorder=-1)
        axes.axhspan(low, edge, color=BAND, linewidth=0, zorder=-1)
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    name_axes(axes, title)
    return drawn


def draw_linear(axes: Axes, table: pd.DataFrame, field: str, title: str) -> PolyCollection:
    """Draw on the values themselves, fractions between 0 and 1."""
    drawn = draw_density(
        axes,
        table[f"observed_{field}"].to_numpy(float),
        table[f"generated_{field}"].to_numpy(float),
    )
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    name_axes(axes, title)
    return drawn


def name_axes(axes: Axes, title: str) -> None:
    """Observed on x, generated on y."""
    axes.set_title(title)
    axes.set_xlabel("Observed")
    axes.set_ylabel("Generated by prior")


def draw_states(tables: dict[str, pd.DataFrame], looks: Looks) -> Figure:
    """Quantile ranges of standardised states, gene by gene, of prior and diffusion."""
    figure = new_figure(4.2)
    grid = figure.subplots(2, 1, sharex=True, sharey=True)
    start, starts = 0, []
    for table in tables.values():
        by_source = {str(source): own.set_index("gene") for source, own in table.groupby("source")}
        genes = by_source["prior"]["q50"].sort_values(kind="stable").index
        for axes, source in zip(grid, ("prior", "lcd"), strict=True):
            draw_ranges(axes, by_source[source].loc[genes], start, looks.look(source).colour)
        starts.append(start)
        start += len(genes)
    for axes, source in zip(grid, ("prior", "lcd"), strict=True):
        axes.set_title("Prior" if source == "prior" else "Diffusion (LCD)")
        for left in starts[1:]:
            axes.axvline(left, color=MUTED, linewidth=0.6, linestyle=":")
        axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    furthest = max(float(t[["minimum", "maximum"]].abs().to_numpy().max()) for t in tables.values())
    if furthest > LINEAR_STATES:
        grid[0].set_yscale("symlog", linthresh=3, linscale=1.5)
        marks = [m * 10.0**power for power in range(1, 20) for m in (0.3, 1.0)]  # 3, 10, 30, ...
        marks = [mark for mark in marks if mark <= furthest]
        ticks = [0.0, *marks[:: -(-len(marks) // 3)]]
        grid[0].set_yticks(sorted({*ticks, *(-tick for tick in ticks[1:])}))
        grid[0].yaxis.set_minor_locator(NullLocator())
        grid[0].yaxis.set_major_formatter(plain_numbers())
    grid[1].set_xlim(0, start)
    middles = (np.array(starts) + np.array([*starts[1:], start])) / 2
    grid[1].set_xticks(middles, thinned([f"fold {name}" for name in tables], FOLDS_LABELLED // 2))
    grid[1].tick_params(axis="x", length=0)
    grid[1].set_xlabel("Genes of each fold, by the median of the prior")
    figure.supylabel("Standardised state [standard deviations]", fontsize=8)
    shades = {"median": 1.0, "25% to 75%": 0.75, "1% to 99%": 0.4, "minimum to maximum": 0.15}
    figure.legend(
        handles=[Patch(facecolor=INK, alpha=a, label=name) for name, a in shades.items()],
        loc="outside upper center",
        ncols=4,
    )
    return figure


def draw_ranges(axes: Axes, quantiles: pd.DataFrame, start: int, colour: str) -> None:
    """Draw nested ranges of one fold's genes, from ``start`` on."""
    edges = np.arange(start, start + len(quantiles) + 1)
    shades = [("minimum", "maximum", 0.15), ("q01", "q99", 0.3), ("q25", "q75", 0.55)]
    for low, high, alpha in shades:
        axes.fill_between(
            edges,
            np.append(quantiles[low], quantiles[low].iloc[-1]),
            np.append(quantiles[high], quantiles[high].iloc[-1]),
            step="post",
            color=colour,
            alpha=alpha,
            linewidth=0,
            rasterized=len(quantiles) > 500,
        )
    axes.stairs(quantiles["q50"], edges, baseline=None, color=INK, linewidth=0.8)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
