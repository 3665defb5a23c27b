"""Figures of genetic interactions: metrics predicted against observed, and accuracy by type."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.interaction_types import MEASURE_OF, MEASURES, TYPES
from evaluation.registry import METRICS
from pipeline.figures import (
    MUTED,
    draw_column,
    label_columns,
    new_figure,
    note,
    number_text,
    save,
    style,
    write_above,
)
from pipeline.looks import Looks, looks_of
from pipeline.tables import read_tsv

KEY = ["fold", "perturbation"]
NOTHING = "No held-out pair has both of its targets measured alone."


def main(
    *,
    observed: str,
    predicted: str,
    thresholds: str,
    by_type: str,
    metrics: str,
    measures_figure: str,
    types_figure: str,
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
    versus: str,
    metric: str,
) -> None:
    """Draw the figures (SVG).

    Parameters
    ----------
    observed, predicted, thresholds, by_type, metrics
        Tables over all folds.
    measures_figure, types_figure
        SVG to write.
    looks
        Label, colour and kind of every method.
    reference, versus
        The methods that are shown.
    metric
        What the types are compared by.
    """
    names = {"fold": str, "method": str, "perturbation": str}
    own = read_tsv(observed, dtype=names)
    others = read_tsv(predicted, dtype=names)
    limits = read_tsv(thresholds).set_index("type")
    shown = looks_of(looks)
    values = read_tsv(metrics, dtype=names | {"metric": str})
    with style():
        save(draw_measures(own, others, limits, shown, [reference, versus]), measures_figure)
        save(draw_types(own, values, read_tsv(by_type), shown, metric), types_figure)


def draw_measures(
    observed: pd.DataFrame,
    predicted: pd.DataFrame,
    thresholds: pd.DataFrame,
    looks: Looks,
    methods: list[str],
) -> Figure:
    """Metrics of interactions, predicted against observed, a row per method."""
    if observed.empty:
        return note(NOTHING)
    methods = [name for name in methods if name in set(predicted["method"])]
    if not methods:
        return note("Of the compared methods there are profiles alone, and no interactions.")
    figure = new_figure(1.9 * len(methods) + 0.2)
    grid = figure.subplots(len(methods), len(MEASURES), squeeze=False)
    truth = observed.set_index(KEY)
    for row, method in zip(grid, methods, strict=True):
        own = predicted[predicted["method"] == method].set_index(KEY).reindex(truth.index)
        for axes, measure in zip(row, MEASURES, strict=True):
            limits = [
                thresholds.loc[name, "threshold"]
                for name, decides in MEASURE_OF.items()
                if decides == measure
            ]
            draw_measure(axes, truth[measure], own[measure], limits, looks.look(method).colour)
            axes.set_xlabel(f"{measure.capitalize()}, observed")
        row[0].set_ylabel(f"{looks.flat_label(method)}, predicted")
    return figure


def draw_measure(
    axes: Axes, observed: pd.Series, predicted: pd.Series, thresholds: list[float], colour: str
) -> None:
    """Draw one metric, with the thresholds of its types on both axes."""
    x, y = observed.to_numpy(float), predicted.to_numpy(float)
    there = np.isfinite(x) & np.isfinite(y)
    high = 1.05 * max([*x[there], *y[there], *thresholds, 1e-6])
    low = min(0.0, *(0.0, *x[there], *y[there]))
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.7, zorder=1)
    for limit in thresholds:
        for line in (axes.axvline, axes.axhline):
            line(limit, color=MUTED, linewidth=0.7, linestyle=":", zorder=0)
    axes.scatter(x[there], y[there], s=12, c=colour, alpha=0.8, linewidths=0, zorder=2)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.locator_params(nbins=4)


def draw_types(
    observed: pd.DataFrame, metrics: pd.DataFrame, by_type: pd.DataFrame, looks: Looks, metric: str
) -> Figure:
    """Two methods on the pairs of each observed type, with the reduction of the median."""
    if observed.empty:
        return note(NOTHING)
    methods = [by_type["method"].iloc[0], by_type["versus"].iloc[0]]
    wide = metrics[metrics["metric"] == metric].pivot(index=KEY, columns="method", values="value")
    figure = new_figure(3.2)
    axes = figure.subplots()
    labels = []
    for place, name in enumerate(TYPES):
        pairs = observed[observed[name]]
        own = wide.reindex(pd.MultiIndex.from_frame(pairs[KEY]))
        for method, shift in zip(methods, (-0.2, 0.2), strict=True):
            if method in own:
                draw_column(axes, place + shift, own[method], looks.look(method).colour, width=0.36)
        row = by_type[by_type["type"] == name].iloc[0]
        labels.append(f"{name.capitalize()}\n(n = {int(row['n'])})")
        reduction = row["percent_reduction"]
        text = "" if pd.isna(reduction) else f"{number_text(-reduction, '+.0f')}%"
        write_above(axes, place, text, "center")
    label_columns(axes, labels)
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    axes.set_xlim(-0.6, len(TYPES) - 0.4)
    axes.set_ylabel(METRICS[metric].title)
    handles = [
        axes.scatter([], [], c=looks.look(name).colour, s=14, label=looks.flat_label(name))
        for name in methods
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
