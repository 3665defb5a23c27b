"""Figure of the training of priors and drifts: what each step recorded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from pipeline.figures import (
    FOLDS_LABELLED,
    LETTER,
    MUTED,
    WIDTH,
    limits_of,
    new_figure,
    plain_numbers,
    save,
    style,
    thinned,
)
from pipeline.tables import read_tsv

RECORDS = {
    "loss": "Loss",
    "evidence": "Log evidence\n[nats per cell]",
    "gradient_norm": "Gradient norm",
    "learning_rate": "Learning rate",
}
SETTLED = 0.1
"""Share of the steps after which the axes of a training curve are fitted to it."""
POINTS = 200
"""Points of a training curve; of more the lines of several folds could not be told apart."""
FOLD_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222"]


def main(
    *,
    prior_logs: Sequence[str],
    drift_logs: Sequence[str],
    training_curves: str,
    folds: Sequence[str],
) -> None:
    """Draw the training of all folds (SVG).

    Parameters
    ----------
    prior_logs, drift_logs
        Training tables, in the order of ``folds``.
    training_curves
        SVG to write.
    folds
        Names of the folds.
    """
    priors, drifts = (
        {fold: read_tsv(path) for fold, path in zip(folds, paths, strict=True)}
        for paths in (prior_logs, drift_logs)
    )
    with style():
        save(draw_curves(priors, drifts), training_curves)


def draw_curves(priors: dict[str, pd.DataFrame], drifts: dict[str, pd.DataFrame]) -> Figure:
    """Records of training, a row per quantity and a column per fit, a line per fold."""
    figure = new_figure(5.6)
    grid = figure.subplots(len(RECORDS), 2, sharex="col")
    colours = fold_colours(list(priors))
    for column, (title, logs) in enumerate({"Priors": priors, "Drift": drifts}.items()):
        for row, (field, label) in enumerate(RECORDS.items()):
            axes = grid[row, column]
            if all(field not in log for log in logs.values()):
                axes.text(
                    0.5, 0.5, f"no {field}: the drift's loss\nis a score-matching error",
                    transform=axes.transAxes, ha="center", va="center", color=MUTED,
                )  # fmt: skip
                axes.spines[:].set_visible(False)
                axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
                continue
            draw_record(axes, logs, field, colours)
            axes.set_ylabel(label)
        grid[0, column].set_title(title)
        grid[-1, column].set_xlabel("Optimizer step")
    figure.align_ylabels()
    labelled = [name for name in thinned(list(priors), FOLDS_LABELLED) if name]
    longest = max(len(f"fold {name}") for name in labelled)
    most = max(1, min(8, int(WIDTH / (LETTER * longest + 0.45))))  # that fit beside each other
    figure.legend(
        handles=[Line2D([], [], color=colours[name], label=f"fold {name}") for name in labelled],
        loc="outside upper center",
        ncols=-(-len(labelled) // -(-len(labelled) // most)),  # rows of equal length
    )
    return figure


def draw_record(
    axes: Axes, logs: dict[str, pd.DataFrame], field: str, colours: dict[str, str]
) -> None:
    """Draw one quantity of all folds; the limits are those of the settled part of the curves."""
    settled = []
    for fold, log in ((fold, condensed(log)) for fold, log in logs.items()):
        axes.plot(log["step"], log[field], color=colours[fold], linewidth=0.9, alpha=0.85)
        settled.append(log.loc[log["step"] >= SETTLED * log["step"].max(), field])
    values = pd.concat(settled).to_numpy(float)
    finite = values[np.isfinite(values)]
    if field == "gradient_norm" and len(finite) and finite.min() > 0:
        axes.set_yscale("log")
        axes.set_ylim(finite.min() / 1.5, finite.max() * 1.5)
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        for decades, digits in (
            (30, [1, 3]),
            (5, [1, 2, 5]),
        ):  # label within decades if they are few
            if finite.max() / finite.min() < decades:
                axes.yaxis.set_major_locator(LogLocator(subs=digits, numticks=6))
        axes.yaxis.set_major_formatter(plain_numbers())
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(limits_of({field: values}, margin=0.08))
        axes.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def condensed(log: pd.DataFrame) -> pd.DataFrame:
    """Average consecutive rows so that at most :data:`POINTS` remain, each at its last step."""
    n = len(log)
    groups = log.groupby(np.arange(n) * min(n, POINTS) // n)
    return groups.mean().assign(step=groups["step"].last())


def fold_colours(folds: Sequence[str]) -> dict[str, str]:
    """One colour per fold; where they are many, shades in their order."""
    if len(folds) <= len(FOLD_COLOURS):
        return dict(zip(folds, FOLD_COLOURS, strict=False))
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(folds)))
    return {fold: to_hex(shade) for fold, shade in zip(folds, shades, strict=True)}


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
