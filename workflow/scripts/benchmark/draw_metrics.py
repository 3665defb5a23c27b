"""Figures of the benchmark's metrics: distances, paired comparisons, means."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from pipeline.figures import (
    BAND,
    EXPRESSION,
    MUTED,
    WIDTH,
    draw_methods,
    limits_of,
    linear_threshold,
    new_figure,
    note,
    plain_numbers,
    save,
    scale_distances,
    style,
    width_of,
)
from pipeline.looks import Looks, looks_of
from pipeline.tables import read_tsv

DISTANCE = "mmd_top_de"
PANELS_PER_ROW = 4


def main(
    *,
    metrics: str,
    win_rates: str,
    distances: str,
    pairs: str,
    means: str,
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
    top_genes: int,
) -> None:
    """Draw the figures (SVG).

    Parameters
    ----------
    metrics, win_rates
        Tables over all folds.
    distances, pairs, means
        The SVG files to write.
    looks
        Label, colour and kind of every method, in the order of display.
    reference
        Method that is compared with every other.
    top_genes
        Number of differentially expressed genes that the metrics compare.
    """
    table = read_tsv(metrics, dtype={"fold": str, "method": str, "perturbation": str})
    comparisons = read_tsv(win_rates, dtype={"method": str, "versus": str})
    shown = looks_of(looks)
    with style():
        save(draw_distances(table, shown, top_genes), distances)
        save(draw_pairs(table, comparisons, shown, reference, top_genes), pairs)
        save(draw_means(table, shown, top_genes), means)


def columns_of(metrics: pd.DataFrame, metric: str) -> dict[str, NDArray[np.float64]]:
    """Values of a metric by method; empty where the metric was not computed."""
    own = metrics[metrics["metric"] == metric]
    return {str(method): rows["value"].to_numpy(float) for method, rows in own.groupby("method")}


def not_computed(*names: str) -> Figure:
    """Say that a figure lacks its metrics."""
    return note(f"Not computed in this run (evaluation.metrics): {', '.join(names)}")


def top(genes: int) -> str:
    """Name the genes that the metrics compare."""
    return "top DE gene" if genes == 1 else f"top {genes} DE genes"


def draw_distances(metrics: pd.DataFrame, looks: Looks, top_genes: int) -> Figure:
    """Distance to the observed cells, a column per method and a dot per held-out perturbation."""
    columns = columns_of(metrics, DISTANCE)
    if not columns:
        return not_computed(DISTANCE)
    figure = new_figure(3.3, width_of(len(columns)))
    axes = figure.subplots()
    draw_methods(axes, columns, looks)
    scale_distances(axes, columns, looks)
    axes.set_ylabel(f"MMD, {top(top_genes)}")
    figure.supxlabel(compared(metrics), fontsize=7, color=MUTED)
    return figure


def compared(metrics: pd.DataFrame) -> str:
    """Say how many perturbations and cells stand behind the dots."""
    n = len(metrics[["fold", "perturbation"]].drop_duplicates())
    what = "1 held-out perturbation" if n == 1 else f"{n:,} held-out perturbations"
    predicted, observed = (metrics[side].median() for side in ("n_predicted", "n_observed"))
    return f"{what}; {predicted:,.0f} predicted and {observed:,.0f} observed cells each (medians)"


def draw_means(metrics: pd.DataFrame, looks: Looks, top_genes: int) -> Figure:
    """Error of the mean expression and correlation of the mean vector, per method."""
    panels = {
        "rmse_top_de": f"RMSE of means,\n{top(top_genes)}\n[{EXPRESSION}]",
        "pearson_mean": "Pearson correlation\nof means, all genes",
    }
    computed = {name: columns_of(metrics, name) for name in panels}
    computed = {name: columns for name, columns in computed.items() if columns}
    if not computed:
        return not_computed(*panels)
    widest = max(map(len, computed.values()))
    figure = new_figure(0.5 + 2.5 * len(computed), width_of(widest))
    grid = figure.subplots(len(computed), 1, squeeze=False)[:, 0]
    for axes, (name, columns) in zip(grid, computed.items(), strict=True):
        draw_methods(axes, columns, looks, number=".3f" if name == "rmse_top_de" else ".4f")
        axes.set_ylabel(panels[name])
        if name == "rmse_top_de":
            axes.set_ylim(bottom=0)
    figure.supxlabel(compared(metrics), fontsize=7, color=MUTED)
    return figure


def paired(metrics: pd.DataFrame, looks: Looks) -> pd.DataFrame:
    """Distances with a row per held-out perturbation and a column per method.

    References, such as the noise ceiling, are no methods and are left out.
    """
    references = [name for name in set(metrics["method"]) if looks.kind(name) == "reference"]
    own = metrics[(metrics["metric"] == DISTANCE) & ~metrics["method"].isin(references)]
    return own.pivot(index=["fold", "perturbation"], columns="method", values="value")


def draw_pairs(
    metrics: pd.DataFrame,
    win_rates: pd.DataFrame,
    looks: Looks,
    reference: str,
    top_genes: int,
) -> Figure:
    """Compare one method with every other, perturbation by perturbation.

    Distances are those of the tables, on one scale for all panels: scaled between the methods of
    a perturbation, the best of which would be 0, most dots would lie on an axis.
    """
    if not columns_of(metrics, DISTANCE):
        return not_computed(DISTANCE)
    wide = paired(metrics, looks)
    others = [name for name in looks.in_order(wide.columns) if name != reference]
    if reference not in wide.columns or not others:
        return note("There is no pair of methods to compare.")
    n_rows = -(-len(others) // PANELS_PER_ROW)
    width = WIDTH / PANELS_PER_ROW * min(len(others), PANELS_PER_ROW)
    figure = new_figure(0.55 + 1.95 * n_rows, max(width, 3.2))
    grid = figure.subplots(
        n_rows, min(len(others), PANELS_PER_ROW), squeeze=False, sharex=True, sharey=True
    )
    scale = scale_of_pairs(wide, looks)
    for axes, other in zip(grid.flat, others, strict=False):
        draw_pair(axes, wide, reference, other, win_rates, looks, scale)
        axes.tick_params(labelbottom=True, labelleft=True)
    for axes in grid.flat[len(others) :]:
        axes.set_visible(False)
    distance = f"MMD, {top(top_genes)}"
    figure.supxlabel(f"{distance}, of the method above the panel", fontsize=8)
    figure.supylabel(f"{distance}, of {looks.flat_label(reference)}", fontsize=8)
    figure.legend(handles=keys_of_pairs(looks, reference), loc="outside upper center", ncols=3)
    return figure


def keys_of_pairs(looks: Looks, reference: str) -> list[Line2D]:
    """Legend: which of the two is closer to the observed cells, also told without colours."""
    label, colour = looks.flat_label(reference), looks.look(reference).colour
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4}
    return [
        Line2D([], [], color=colour, label=f"{label} is closer", **dot),
        Line2D([], [], color=MUTED, markerfacecolor="white", label="the other is closer", **dot),
        Line2D([], [], color=MUTED, linewidth=0.7, label="equally close"),
    ]


class Scale(NamedTuple):
    """Limits of the axes of all panels, their ticks, and Matplotlib's name and settings of them."""

    low: float
    high: float
    ticks: list[float] | None
    name: str
    settings: dict[str, float]


def scale_of_pairs(wide: pd.DataFrame, looks: Looks) -> Scale:
    """Fit one scale to all distances: linear, or logarithmic where they span much more.

    Where some are not positive, the axis is linear about zero, as that of the distances.
    """
    values = wide.to_numpy(float)
    values = values[np.isfinite(values)]
    threshold = linear_threshold({name: wide[name] for name in wide}, looks)
    if threshold is None or len(values) == 0:
        return Scale(*limits_of({"all": values}, margin=0.06), None, "linear", {})
    smallest, largest = float(values.min()), float(values.max())
    first = np.ceil(np.log10(max(smallest, 2 * threshold)))
    powers = (10.0 ** np.arange(first, np.floor(np.log10(1.4 * largest)) + 1)).tolist()
    if smallest > 0:
        return Scale(smallest / 1.4, 1.4 * largest, powers, "log", {})
    low = min(1.4 * smallest, -0.5 * threshold)
    below = [-(10.0 ** np.floor(np.log10(-smallest)))] if smallest < -2 * threshold else []
    settings = {"linthresh": threshold, "linscale": 0.5}
    return Scale(low, 1.4 * largest, [*below, 0.0, *powers], "symlog", settings)


def draw_pair(
    axes: Axes,
    wide: pd.DataFrame,
    reference: str,
    other: str,
    win_rates: pd.DataFrame,
    looks: Looks,
    scale: Scale,
) -> None:
    """Draw one panel: the other method on x, the one that is compared on y."""
    both = wide[[other, reference]].dropna().to_numpy(float)
    x, y = both[:, 0], both[:, 1]
    low, high = scale.low, scale.high
    axes.fill_between([low, high], [low, high], low, color=BAND, linewidth=0, zorder=0)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.7, zorder=1)
    colour = looks.look(reference).colour
    axes.scatter(
        x,
        y,
        s=float(np.clip(400 / max(len(x), 1), 4, 16)),
        facecolors=np.where(y < x, colour, "white").tolist(),
        edgecolors=np.where(y < x, colour, MUTED).tolist(),
        alpha=0.85,
        linewidths=0.7,
        clip_on=False,
        zorder=2,
    )
    row = win_rates[
        (win_rates["metric"] == DISTANCE)
        & (win_rates["method"] == reference)
        & (win_rates["versus"] == other)
    ]
    title = looks.flat_label(other)
    if len(row) == 1:
        wins, n = int(row["wins"].iloc[0]), int(row["n"].iloc[0])
        share = f" ({100 * wins / n:.0f}%)" if n else ""
        title += f"\n{looks.flat_label(reference)} wins {wins} of {n}{share}"
    axes.set_title(title, fontsize=7.5)
    axes.set_xscale(scale.name, **scale.settings)
    axes.set_yscale(scale.name, **scale.settings)
    axes.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    for axis in (axes.xaxis, axes.yaxis):
        if scale.ticks is None:
            axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        else:
            axis.set_major_locator(FixedLocator(scale.ticks))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(plain_numbers())


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
