"""Figures of the benchmark's metrics: distances, paired comparisons, means."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from pipeline.figures import (
    BAND,
    EXPRESSION,
    MUTED,
    WIDTH,
    draw_methods,
    new_figure,
    note,
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
        save(draw_pairs(table, comparisons, shown, reference), pairs)
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
    return figure


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
    figure = new_figure(0.5 + 2.1 * len(computed), width_of(widest))
    grid = figure.subplots(len(computed), 1, squeeze=False)[:, 0]
    for axes, (name, columns) in zip(grid, computed.items(), strict=True):
        draw_methods(axes, columns, looks, number=".3f" if name == "rmse_top_de" else ".4f")
        axes.set_ylabel(panels[name])
        if name == "rmse_top_de":
            axes.set_ylim(bottom=0)
    return figure


def normalise(metrics: pd.DataFrame, looks: Looks) -> pd.DataFrame:
    """Distances by perturbation and method, scaled so that the best method is 0, the worst 1.

    A row per perturbation at which every method has a value; references are no methods. Where all
    methods agree, all are 0.
    """
    references = [name for name in set(metrics["method"]) if looks.kind(name) == "reference"]
    own = metrics[(metrics["metric"] == DISTANCE) & ~metrics["method"].isin(references)]
    wide = own.pivot(index=["fold", "perturbation"], columns="method", values="value").dropna()
    span = wide.max(axis=1) - wide.min(axis=1)
    return wide.sub(wide.min(axis=1), axis=0).div(span.where(span > 0, 1.0), axis=0)


def draw_pairs(
    metrics: pd.DataFrame, win_rates: pd.DataFrame, looks: Looks, reference: str
) -> Figure:
    """Compare one method with every other, perturbation by perturbation."""
    if not columns_of(metrics, DISTANCE):
        return not_computed(DISTANCE)
    scaled = normalise(metrics, looks)
    others = [name for name in looks.in_order(scaled.columns) if name != reference]
    if reference not in scaled.columns or not others:
        return note("There is no pair of methods to compare.")
    n_rows = -(-len(others) // PANELS_PER_ROW)
    width = WIDTH / PANELS_PER_ROW * min(len(others), PANELS_PER_ROW)
    figure = new_figure(0.3 + 2.05 * n_rows, width + 0.2)
    grid = figure.subplots(n_rows, min(len(others), PANELS_PER_ROW), squeeze=False)
    for axes, other in zip(grid.flat, others, strict=False):
        draw_pair(axes, scaled, reference, other, win_rates, looks)
    for axes in grid.flat[len(others) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"{looks.flat_label(reference)}, normalised MMD")
    return figure


def draw_pair(
    axes: Axes,
    scaled: pd.DataFrame,
    reference: str,
    other: str,
    win_rates: pd.DataFrame,
    looks: Looks,
) -> None:
    """Draw one panel: the other method on x, the one that is compared on y."""
    x, y = scaled[other].to_numpy(), scaled[reference].to_numpy()
    high = max([0.02, *x, *y]) * 1.06  # the worst methods would squeeze the others into a corner
    ends = [-0.06 * high, high]
    axes.fill_between(ends, ends, ends[0], color=BAND, linewidth=0, zorder=0)
    axes.plot(ends, ends, color=MUTED, linewidth=0.7, zorder=1)
    axes.scatter(
        x,
        y,
        s=float(np.clip(400 / max(len(x), 1), 4, 16)),
        c=np.where(y < x, looks.look(reference).colour, looks.look(other).colour),
        alpha=0.8,
        linewidths=0,
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
    axes.set_xlabel(f"{looks.flat_label(other)},\nnormalised MMD")
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
