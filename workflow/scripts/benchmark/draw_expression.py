"""Figure of one held-out perturbation, gene by gene: predicted and observed expression."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from lcd_core.errors import InputError
from pipeline.figures import BAND, EXPRESSION, INK, new_figure, note, save, style
from pipeline.looks import Looks, looks_of
from pipeline.predictions import labels_of, read_prediction
from pipeline.screen import CONTROL, lognorm, read_screen, targets_of
from pipeline.tables import read_tsv

DISTANCE = "mmd_top_de"
"""Metric by which the perturbation is chosen."""
GENES_SHOWN = 20
GENES_PER_ROW = 12


def main(
    *,
    metrics: str,
    train: Sequence[str],
    test: Sequence[str],
    differential_expression: Sequence[str],
    predictions: Sequence[str],
    expression: str,
    folds: Sequence[str],
    shown_methods: Sequence[str],
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
    top_genes: int,
) -> None:
    """Choose a perturbation, read its cells from its fold, and draw them (SVG).

    Parameters
    ----------
    metrics
        Table over all folds.
    train, test, differential_expression
        Per fold, in the order of ``folds``.
    predictions
        For each fold those of ``shown_methods``, in that order.
    expression
        SVG to write.
    folds
        Names of the folds.
    shown_methods
        Methods whose cells are shown gene by gene.
    looks
        Label, colour and kind of every method, in the order of display.
    reference
        Method at whose median distance the perturbation is chosen.
    top_genes
        Number of differentially expressed genes that the metrics compare.
    """
    table = read_tsv(metrics, dtype={"fold": str, "method": str, "perturbation": str})
    shown = looks_of(looks)
    chosen = choose_perturbation(table, reference)
    with style():
        if chosen is None:
            missing = f"{DISTANCE} of {shown.flat_label(reference)}"
            save(note(f"Not computed in this run (evaluation.metrics): {missing}"), expression)
            return
        fold, perturbation = chosen
        place = list(folds).index(fold)
        first = place * len(shown_methods)
        own = predictions[first : first + len(shown_methods)]
        targets, cells = cells_of(
            perturbation,
            train=train[place],
            test=test[place],
            differential_expression=differential_expression[place],
            predictions=dict(zip(shown_methods, own, strict=True)),
            looks=shown,
            top_genes=top_genes,
        )
        save(draw_expression(perturbation, fold, targets, cells, shown), expression)


def choose_perturbation(metrics: pd.DataFrame, method: str) -> tuple[str, str] | None:
    """Fold and name of the held-out perturbation with the method's median distance.

    Of an even number the lower of the two in the middle; ties go by name. None where the method
    has no distance.
    """
    own = metrics[(metrics["metric"] == DISTANCE) & (metrics["method"] == method)].dropna(
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


def cells_of(
    perturbation: str,
    *,
    train: str,
    test: str,
    differential_expression: str,
    predictions: Mapping[str, str],
    looks: Looks,
    top_genes: int,
) -> tuple[list[str], dict[str, pd.DataFrame]]:
    """Targets among the genes, and log-normalised cells x genes of each source, as they are drawn.

    Parameters
    ----------
    perturbation
        A held-out perturbation.
    train, test, differential_expression
        Files of its fold.
    predictions
        Prediction of the fold by method.
    looks
        Order of the methods.
    top_genes
        Number of differentially expressed genes that the metrics compare.
    """
    tests = read_tsv(differential_expression, dtype={"perturbation": str, "gene": str})
    targets, strongest = genes_to_show(tests, perturbation, top_genes)
    genes = [*targets, *strongest]
    trained, observed = read_screen(train), read_screen(test)

    def frame(values: NDArray[np.float32]) -> pd.DataFrame:
        return pd.DataFrame(values, columns=trained.var_names)[genes]

    cells = {CONTROL: frame(lognorm(trained.X[labels_of(trained) == CONTROL]))}
    names = np.unique(labels_of(observed)).tolist()
    for method, path in predictions.items():
        predicted = read_prediction(path, trained.var_names, names)
        if predicted.has_cells and predicted.predicted([perturbation]):
            cells[method] = frame(predicted.lognorm(predicted.rows(perturbation)))
    cells = {name: cells[name] for name in looks.in_order(cells)}
    cells["observed"] = frame(lognorm(observed.X[labels_of(observed) == perturbation]))
    return targets, cells


def draw_expression(
    perturbation: str,
    fold: str,
    targets: Sequence[str],
    cells: dict[str, pd.DataFrame],
    looks: Looks,
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
    looks
        Labels and colours of the sources.
    """
    colours = {name: fill(name, looks) for name in cells}
    genes = list(next(iter(cells.values())).columns)
    n_rows = -(-len(genes) // GENES_PER_ROW)
    per_row = -(-len(genes) // n_rows)
    figure = new_figure(0.7 + 1.75 * n_rows)
    grid = figure.subplots(n_rows, 1, squeeze=False, sharey=True)[:, 0]
    for row, axes in enumerate(grid):
        own = genes[row * per_row : (row + 1) * per_row]
        for index, (name, frame) in enumerate(cells.items()):
            draw_boxes(axes, frame[own], colours[name], index, len(cells))
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
    handles = [
        Patch(
            facecolor=colour,
            edgecolor=INK,
            label=f"{looks.flat_label(name)} (n = {len(cells[name]):,})",
        )
        for name, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw_boxes(axes: Axes, frame: pd.DataFrame, colour: str, index: int, count: int) -> None:
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
        boxprops={"facecolor": colour, "edgecolor": INK, "linewidth": 0.5},
        whiskerprops=line,
        capprops={"linewidth": 0},
        medianprops={"color": INK, "linewidth": 1.3},
        showmeans=True,  # of sparse genes most boxes lie at zero, their means do not
        meanprops={
            "marker": "o",
            "markersize": 3,
            "markerfacecolor": colour,
            "markeredgecolor": INK,
            "markeredgewidth": 0.5,
        },
    )


def fill(name: str, looks: Looks) -> str:
    """Colour of a box; that of the observed cells is white, so that its median shows."""
    return "white" if name == "observed" else looks.look(name).colour


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
