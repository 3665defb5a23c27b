"""Figure of how often predicted effects hold, by differential expression."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from pipeline.figures import BAND, INK, MUTED, new_figure, note, number_text, save, style, thinned
from pipeline.tables import read_tsv

RATES = {
    "probability": ("low", "high", "P(DE | predicted cause)"),
    "lift": ("lift_low", "lift_high", "Lift"),
    "conviction": ("conviction_low", "conviction_high", "Conviction"),
}
CAUSES = {"all": ("All causes", "#0072B2", "o"), "held_out": ("Held-out causes", "#D55E00", "s")}
SIGNIFICANT = 0.01
DASHES = (0, (4, 3))
WITHIN: Literal["-."] = "-."
DEGREE: Literal[":"] = ":"
REFERENCES = {"null_probability": WITHIN, "in_degree_probability": DEGREE}


def main(
    *, validation: str, figure: str, alpha: float, held_out_validation: str | None = None
) -> None:
    """Draw P(DE | predicted cause), lift and conviction (SVG).

    Parameters
    ----------
    validation, held_out_validation
        TSV with one row per top fraction of the edges: of all causes, and, where there are any,
        of causes whose perturbations the models had not seen.
    figure
        SVG to write.
    alpha
        False discovery rate of the differential expression, which the caption names.
    """
    tables = {"all": validation, "held_out": held_out_validation}
    rates = {name: read_tsv(path) for name, path in tables.items() if path}
    with style():
        save(draw_validation(rates), figure)


def draw_validation(rates: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw P(DE | predicted cause), lift and conviction against the share of edges predicted."""
    rates = {name: different_numbers(table) for name, table in rates.items() if len(table)}
    if not rates:
        return note("No edge can be tested: no modelled gene was perturbed alone")
    figure = new_figure(2.9)
    for axes, measure in zip(figure.subplots(1, len(RATES)), RATES, strict=True):
        draw_measure(axes, rates, measure)
        axes.set_ylabel(RATES[measure][2])
        axes.set_xlabel("Top fraction of edges")
        scale_shares(axes, rates)
    handles = []
    for name, table in rates.items():
        label, colour, marker = CAUSES[name]
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=4))
        handles[-1].set_label(f"{label} ({int(table['n_edges'].iloc[0]):,} edges)")
    handles += [
        Line2D([], [], color=MUTED, linestyle=DASHES, linewidth=0.8, label="base rate"),
        Line2D([], [], color=MUTED, linestyle=WITHIN, linewidth=1.1, label="same causes, any gene"),
        Line2D([], [], color=MUTED, linestyle=DEGREE, linewidth=1.1, label="same genes, any cause"),
        Line2D([], [], color=INK, marker="o", markersize=4, markerfacecolor="white",
               linestyle="none", label=f"P ≥ {SIGNIFICANT:g} (Fisher)"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def different_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the largest of the fractions that are one and the same number of edges."""
    return table.drop_duplicates("k", keep="last")


class Ends(NamedTuple):
    """Ends of an axis; infinite values are drawn at ``infinity``, below the upper one."""

    bottom: float
    top: float
    infinity: float


def ends_of(rates: Mapping[str, pd.DataFrame], measure: str) -> Ends:
    """Fit an axis to values and lower ends of intervals, and to upper ends not far beyond.

    Where nearly all predicted edges are validated, the upper end of a conviction says nothing.
    """
    low, high, _ = RATES[measure]
    table = pd.concat(rates.values())
    finite = table[[measure, low]].to_numpy(float)
    finite = finite[np.isfinite(finite)]
    largest = float(finite.max(initial=1.0))
    near = table[high].to_numpy(float)
    near = near[near <= 1.6 * largest]
    top = 1.0 if measure == "probability" else float(near.max(initial=max(largest, 1.2)))
    bottom = 0.0
    if measure == "conviction":
        lowest = float(finite.min(initial=1.0))
        bottom = lowest - 0.1 * (top - lowest)
    size = top - bottom
    if np.isposinf(table[measure]).any():
        return Ends(bottom, top + 0.3 * size, top + 0.15 * size)
    return Ends(bottom, top + 0.07 * size, top + 0.07 * size)


def draw_measure(axes: Axes, rates: Mapping[str, pd.DataFrame], measure: str) -> None:
    """Draw one measure with its intervals, for all sets of causes.

    Intervals that leave the axis end in a caret; infinite values stand on a band at its top.
    """
    ends = ends_of(rates, measure)
    for index, (name, table) in enumerate(rates.items()):
        shift = 10 ** (0.12 * (index - (len(rates) - 1) / 2))
        draw_rates(axes, table, measure, ends, name, shift)
        if measure == "probability":
            base = float(table["base_rate"].iloc[0])
            axes.axhline(base, color=CAUSES[name][1], linestyle=DASHES, linewidth=0.8, zorder=0)
            for column, dashes in REFERENCES.items():
                axes.plot(
                    table["fraction"] * shift, table[column], dashes, color=CAUSES[name][1],
                    linewidth=1.1, alpha=0.7, zorder=1,
                )  # fmt: skip
    label_measure(axes, measure, ends)
    axes.set_ylim(ends.bottom, ends.top)


def label_measure(axes: Axes, measure: str, ends: Ends) -> None:
    """Write the ticks of a measure: 1, what chance gives, and infinity are among them."""
    ticks = np.asarray(MaxNLocator(5).tick_values(ends.bottom, ends.infinity))
    if measure != "probability":
        axes.axhline(1, color=MUTED, linestyle=DASHES, linewidth=0.8, zorder=0)
        step = float(np.diff(ticks).min())
        ticks = np.sort(np.append(ticks[np.abs(ticks - 1) > 0.45 * step], 1.0))
    size = ends.top - ends.infinity
    highest = ends.infinity - size if size > 0 else ends.top
    ticks = ticks[(ticks >= ends.bottom) & (ticks <= highest)]
    places, labels = ticks.tolist(), [number_text(tick) for tick in ticks]
    if size > 0:
        places, labels = [*places, ends.infinity], [*labels, "∞"]
        axes.axhspan(ends.infinity - size / 2, ends.top, color=BAND, linewidth=0, zorder=-1)
    axes.set_yticks(places, labels)


def draw_rates(
    axes: Axes, table: pd.DataFrame, measure: str, ends: Ends, name: str, shift: float
) -> None:
    """Draw one measure of one set of causes; hollow markers are not significant."""
    low, high, _ = RATES[measure]
    _, colour, marker = CAUSES[name]
    table = table.dropna(subset=[measure])
    x = table["fraction"].to_numpy(float) * shift
    values, lower, upper = (table[column].to_numpy(float) for column in (measure, low, high))
    infinite = np.isposinf(values)
    drawn = np.where(infinite, ends.infinity, values)
    beyond = ~infinite & (upper > ends.top)
    upper = np.minimum(upper, np.where(infinite, ends.infinity, ends.top))
    axes.vlines(x, np.minimum(lower, ends.infinity), upper, color=colour, linewidth=0.9)
    axes.plot(x, drawn, color=colour, linewidth=0.7, alpha=0.6)
    axes.scatter(
        x,
        drawn,
        s=16,
        marker=marker,
        c=np.where(table["p_value"] < SIGNIFICANT, colour, "white"),
        edgecolors=colour,
        linewidths=0.9,
        zorder=3,
    )
    top = np.full(beyond.sum(), ends.top)
    axes.scatter(x[beyond], top, s=14, marker="^", color=colour, linewidths=0, clip_on=False)


def scale_shares(axes: Axes, rates: Mapping[str, pd.DataFrame]) -> None:
    """Make the x axis logarithmic, with powers of ten in percent where there are two of them."""
    shares = sorted({share for table in rates.values() for share in table["fraction"]})
    tens = [share for share in shares if np.isclose(np.log10(share) % 1, [0, 1]).any()]
    ticks = tens if len(tens) > 1 else shares
    axes.set_xscale("log")
    axes.set_xticks(ticks, thinned([f"{100 * share:.3g}%" for share in ticks], 5), fontsize=7)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(shares[0] / 1.8, shares[-1] * 1.8)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
