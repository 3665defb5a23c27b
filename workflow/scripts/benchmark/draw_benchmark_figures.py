"""Figures of the benchmark: distances, paired comparisons, means, one perturbation in detail."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from lcd_core.errors import InputError
from pipeline.figures import (
    BAND,
    INK,
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
from pipeline.looks import REFERENCES, flat_label, in_order, look
from pipeline.predictions import labels_of, read_prediction
from pipeline.screen import CONTROL, lognorm, read_screen, targets_of
from pipeline.tables import read_tsv

MODEL = "lcd"
DISTANCE = "mmd_top_de"
EXPRESSION = "log1p(counts per 10,000)"
GENES_SHOWN = 20
GENES_PER_ROW = 12
PANELS_PER_ROW = 4


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


def draw_distances(metrics: pd.DataFrame, top_genes: int) -> Figure:
    """Distance to the observed cells, a column per method and a dot per held-out perturbation."""
    columns = columns_of(metrics, DISTANCE)
    if not columns:
        return not_computed(DISTANCE)
    figure = new_figure(3.3, width_of(len(columns)))
    axes = figure.subplots()
    draw_methods(axes, columns)
    scale_distances(axes, columns)
    axes.set_ylabel(f"MMD, {top(top_genes)}")
    return figure


def draw_means(metrics: pd.DataFrame, top_genes: int) -> Figure:
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
        draw_methods(axes, columns, number=".3f" if name == "rmse_top_de" else ".4f")
        axes.set_ylabel(panels[name])
        if name == "rmse_top_de":
            axes.set_ylim(bottom=0)
    return figure


def normalise(metrics: pd.DataFrame) -> pd.DataFrame:
    """Distances by perturbation and method, scaled so that the best method is 0, the worst 1.

    A row per perturbation at which every method has a value; references are no methods. Where all
    methods agree, all are 0.
    """
    own = metrics[(metrics["metric"] == DISTANCE) & ~metrics["method"].isin(REFERENCES)]
    wide = own.pivot(index=["fold", "perturbation"], columns="method", values="value").dropna()
    span = wide.max(axis=1) - wide.min(axis=1)
    return wide.sub(wide.min(axis=1), axis=0).div(span.where(span > 0, 1.0), axis=0)


def draw_pairs(metrics: pd.DataFrame, win_rates: pd.DataFrame) -> Figure:
    """Compare the model with every other method, perturbation by perturbation."""
    if not columns_of(metrics, DISTANCE):
        return not_computed(DISTANCE)
    scaled = normalise(metrics)
    others = [name for name in in_order(scaled.columns) if name != MODEL]
    if MODEL not in scaled.columns or not others:
        return note("There is no pair of methods to compare.")
    n_rows = -(-len(others) // PANELS_PER_ROW)
    width = WIDTH / PANELS_PER_ROW * min(len(others), PANELS_PER_ROW)
    figure = new_figure(0.3 + 2.05 * n_rows, width + 0.2)
    grid = figure.subplots(n_rows, min(len(others), PANELS_PER_ROW), squeeze=False)
    for axes, other in zip(grid.flat, others, strict=False):
        draw_pair(axes, scaled, other, win_rates)
    for axes in grid.flat[len(others) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"{flat_label(MODEL)}, normalised MMD")
    return figure


def draw_pair(axes: Axes, scaled: pd.DataFrame, other: str, win_rates: pd.DataFrame) -> None:
    """Draw one panel: the other method on x, the model on y."""
    x, y = scaled[other].to_numpy(), scaled[MODEL].to_numpy()
    high = max([0.02, *x, *y]) * 1.06  # the worst methods would squeeze the others into a corner
    ends = [-0.06 * high, high]
    axes.fill_between(ends, ends, ends[0], color=BAND, linewidth=0, zorder=0)
    axes.plot(ends, ends, color=MUTED, linewidth=0.7, zorder=1)
    axes.scatter(
        x,
        y,
        s=float(np.clip(400 / max(len(x), 1), 4, 16)),
        c=np.where(y < x, look(MODEL).colour, look(other).colour),
        alpha=0.8,
        linewidths=0,
        clip_on=False,
        zorder=2,
    )
    row = win_rates[
        (win_rates["metric"] == DISTANCE)
        & (win_rates["method"] == MODEL)
        & (win_rates["versus"] == other)
    ]
    title = flat_label(other)
    if len(row) == 1:
        wins, n = int(row["wins"].iloc[0]), int(row["n"].iloc[0])
        share = f" ({100 * wins / n:.0f}%)" if n else ""
        title += f"\nLCD wins {wins} of {n}{share}"
    axes.set_title(title, fontsize=7.5)
    axes.set_xlabel(f"{flat_label(other)},\nnormalised MMD")
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def choose_perturbation(metrics: pd.DataFrame) -> tuple[str, str] | None:
    """Fold and name of the held-out perturbation with the model's median distance.

    Of an even number the lower of the two in the middle; ties go by name. None where the model has
    no distance.
    """
    own = metrics[(metrics["metric"] == DISTANCE) & (metrics["method"] == MODEL)].dropna(
        subset="value"
    )
    if own.empty:
        return None
    ordered = own.sort_values(["value", "perturbation", "fold"], kind="stable")
    row = ordered.iloc[(len(ordered) - 1) // 2]
    return str(row["fold"]), str(row["perturbation"])


def genes_to_show(
    table: pd.DataFrame, perturbation: str, top_genes: int
) -> tuple[list[str], list[str]]:
    """Targets that are modelled genes, and the strongest DE genes beside them by rank."""
    own = table[table["perturbation"] == perturbation].sort_values("rank")
    if own.empty:
        raise InputError(
            "a held-out perturbation is missing",
            where="table of differential expression, perturbation",
            found=perturbation,
        )
    modelled = own["gene"].tolist()
    targets = [target for target in targets_of(perturbation) if target in modelled]
    strongest = modelled[: min(top_genes, GENES_SHOWN)]
    return targets, [gene for gene in strongest if gene not in targets]


def draw_expression(
    perturbation: str, fold: str, targets: Sequence[str], cells: dict[str, pd.DataFrame]
) -> Figure:
    """Draw paired box plots of expression, gene by gene.

    Parameters
    ----------
    perturbation, fold
        What is shown, for the title.
    targets
        Perturbed genes, the first columns of the frames.
    cells
        Per source, in the order of drawing, log-normalised cells x genes.
    """
    genes = list(next(iter(cells.values())).columns)
    n_rows = -(-len(genes) // GENES_PER_ROW)
    per_row = -(-len(genes) // n_rows)
    figure = new_figure(0.7 + 1.75 * n_rows)
    grid = figure.subplots(n_rows, 1, squeeze=False, sharey=True)[:, 0]
    for row, axes in enumerate(grid):
        own = genes[row * per_row : (row + 1) * per_row]
        for index, (name, frame) in enumerate(cells.items()):
            draw_boxes(axes, frame[own], name, index, len(cells))
        axes.set_xlim(-0.6, per_row - 0.4)
        axes.set_xticks(range(len(own)), own)
        axes.tick_params(axis="x", length=0)
        for tick, gene in zip(axes.get_xticklabels(), own, strict=True):
            tick.set_fontstyle("italic")
            tick.set_fontsize(7 if max(map(len, own)) <= 8 else 5.5)
            tick.set_fontweight("bold" if gene in targets else "normal")
        shaded = sum(gene in targets for gene in own)
        if shaded:
            axes.axvspan(-0.6, shaded - 0.5, color=BAND, linewidth=0, zorder=-1)
        for left in range(len(own) - 1):
            axes.axvline(left + 0.5, color=BAND, linewidth=0.6, zorder=0)
    figure.supylabel(f"Expression [{EXPRESSION}]", fontsize=8)
    figure.suptitle(f"{perturbation} (fold {fold})", fontsize=8.5)
    handles = [Patch(facecolor=fill(name), edgecolor=INK, label=flat_label(name)) for name in cells]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw_boxes(axes: Axes, frame: pd.DataFrame, name: str, index: int, count: int) -> None:
    """Draw the boxes of one source at every gene, the index-th of ``count`` in each group."""
    step = 0.84 / count
    line = {"color": INK, "linewidth": 0.6}
    axes.boxplot(
        list(frame.to_numpy().T),
        positions=np.arange(frame.shape[1]) + (index - (count - 1) / 2) * step,
        widths=0.8 * step,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": fill(name), "edgecolor": INK, "linewidth": 0.5},
        whiskerprops=line,
        capprops={"linewidth": 0},
        medianprops={"color": INK, "linewidth": 1.3},
        showmeans=True,  # of sparse genes most boxes lie at zero, their means do not
        meanprops={
            "marker": "o",
            "markersize": 3,
            "markerfacecolor": fill(name),
            "markeredgecolor": INK,
            "markeredgewidth": 0.5,
        },
    )


def fill(name: str) -> str:
    """Colour of a box; that of the observed cells is white, so that its median shows."""
    return "white" if name == "observed" else look(name).colour


def expression_figure(
    table: pd.DataFrame,
    *,
    train: Sequence[str],
    test: Sequence[str],
    differential_expression: Sequence[str],
    predictions: Sequence[str],
    folds: Sequence[str],
    shown_methods: Sequence[str],
    top_genes: int,
) -> Figure:
    """Choose the perturbation, read its cells from its fold, and draw them."""
    chosen = choose_perturbation(table)
    if chosen is None:
        return not_computed(f"{DISTANCE} of {MODEL}")
    fold, perturbation = chosen
    place = list(folds).index(fold)
    tests = read_tsv(differential_expression[place], dtype={"perturbation": str, "gene": str})
    targets, strongest = genes_to_show(tests, perturbation, top_genes)
    genes = [*targets, *strongest]
    trained, observed = read_screen(train[place]), read_screen(test[place])

    def frame(values: NDArray[np.float32]) -> pd.DataFrame:
        return pd.DataFrame(values, columns=trained.var_names)[genes]

    cells = {"control": frame(lognorm(trained.X[labels_of(trained) == CONTROL]))}
    names = np.unique(labels_of(observed)).tolist()
    own = predictions[place * len(shown_methods) : (place + 1) * len(shown_methods)]
    for method, path in zip(shown_methods, own, strict=True):
        predicted = read_prediction(path, trained.var_names, names)
        if predicted.has_cells:
            cells[method] = frame(predicted.lognorm(predicted.rows(perturbation)))
    cells = {name: cells[name] for name in in_order(cells)}
    cells["observed"] = frame(lognorm(observed.X[labels_of(observed) == perturbation]))
    return draw_expression(perturbation, fold, targets, cells)


def main(
    *,
    metrics: str,
    win_rates: str,
    train: Sequence[str],
    test: Sequence[str],
    differential_expression: Sequence[str],
    predictions: Sequence[str],
    distances: str,
    pairs: str,
    means: str,
    expression: str,
    folds: Sequence[str],
    shown_methods: Sequence[str],
    top_genes: int,
) -> None:
    """Draw the figures of the benchmark.

    Parameters
    ----------
    metrics, win_rates
        Tables over all folds.
    train, test, differential_expression
        Per fold, in the order of ``folds``.
    predictions
        For each fold those of ``shown_methods``, in that order.
    distances, pairs, means, expression
        The SVG files to write.
    folds
        Names of the folds.
    shown_methods
        Methods whose cells are shown gene by gene.
    top_genes
        Number of differentially expressed genes that the metrics compare.
    """
    table = read_tsv(metrics, dtype={"fold": str, "method": str, "perturbation": str})
    comparisons = read_tsv(win_rates, dtype={"method": str, "versus": str})
    with style():
        save(draw_distances(table, top_genes), distances)
        save(draw_pairs(table, comparisons), pairs)
        save(draw_means(table, top_genes), means)
        detail = expression_figure(
            table,
            train=train,
            test=test,
            differential_expression=differential_expression,
            predictions=predictions,
            folds=folds,
            shown_methods=shown_methods,
            top_genes=top_genes,
        )
        save(detail, expression)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
