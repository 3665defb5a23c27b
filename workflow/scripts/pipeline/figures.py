"""The style of every figure: fonts, sizes, columns of dots, scales, and saving.

Figures are built on :class:`matplotlib.figure.Figure` itself, without pyplot and its global state,
inside :func:`style`. The same data give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator
from numpy.typing import ArrayLike, NDArray

from lcd_core.atomic import atomic
from pipeline.looks import Looks

WIDTH = 7.2
"""Width of a figure in inches: two columns of a journal page."""

LETTER = 0.062
"""Width of a letter of a tick label in inches."""

FOLDS_LABELLED = 20
"""Folds above whose number labels are thinned."""

FEWEST_IN_A_BOX = 5
"""Values from which on a column gets a box."""

INK = "#222222"
MUTED = "#6E6E6E"
BAND = "#EFEFEF"

EXPRESSION = "log1p(counts per 10,000)"
"""Unit of expression, as axes name it."""

STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same layout everywhere
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "savefig.dpi": 300,  # of rasterised parts
    "svg.fonttype": "none",  # text stays text: searchable, editable, small
    "svg.hashsalt": "lcd-pipeline",
}


FORMULA = re.compile(r"\$(\\mathdefault\{|[0-9.]*(\\times)?10\^\{)[^$A-Za-z]*\}\$")
"""What tick labels have of mathematics."""


def style() -> AbstractContextManager[None]:
    """Style in which figures are made and saved."""
    return matplotlib.rc_context(STYLE)


def save(figure: Figure, path: str | Path) -> None:
    """Write an SVG without a date; the same figure gives the same bytes.

    Dollar signs in names from the data are dollar signs; powers of ten are formulas.
    """
    for text in figure.findobj(Text):
        words = text.get_text()
        if "$" in words and not FORMULA.search(words):
            text.set_parse_math(False)
    with atomic(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, sizes in inches, that arranges its axes without overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def width_of(columns: int) -> float:
    """Width in inches of a figure with so many methods side by side."""
    return min(WIDTH, 1.0 + 1.1 * max(columns, 2))


def note(message: str) -> Figure:
    """Return a figure that says why there is nothing to show."""
    figure = new_figure(1.0)
    figure.text(0.5, 0.5, message, ha="center", va="center", color=MUTED)
    return figure


def draw_column(
    axes: Axes,
    position: float,
    values: ArrayLike,
    colour: str,
    *,
    width: float = 0.7,
    reference: bool = False,
) -> None:
    """Draw one dot per value and, where there are enough, a box of median and quartiles.

    Whiskers reach the farthest values within 1.5 interquartile ranges. A few values have no
    quartiles worth the name: they get a line at their median, and a single one no more than a dot.

    Parameters
    ----------
    axes
        Where to draw.
    position, width
        Centre and width of the column, in units of the x axis.
    values
        Values, (n,); those that are not finite are left out.
    colour
        Colour of the dots.
    reference
        Hollow dots, for what is no method.
    """
    finite = np.sort(np.asarray(values, dtype=float))
    finite = finite[np.isfinite(finite)]
    n = len(finite)
    if n == 0:
        return
    axes.scatter(
        position + spread(n, width),
        finite,
        s=float(np.clip(40 / np.sqrt(n), 2.5, 14)),
        facecolors="none" if reference else colour,
        edgecolors=colour,
        linewidths=(0.6 if n <= 100 else 0.35) if reference else 0,
        alpha=0.75 if n <= 100 else 0.6,
        rasterized=n > 1000,
        zorder=2,
    )
    if 1 < n < FEWEST_IN_A_BOX:
        ends = position + np.array([-0.3, 0.3]) * width
        axes.plot(ends, [np.median(finite)] * 2, color=INK, linewidth=1.8, zorder=3)
    if n < FEWEST_IN_A_BOX:
        return
    line = {"color": INK, "linewidth": 0.8}
    axes.boxplot(
        [finite],
        positions=[position],
        widths=width,
        showfliers=False,
        manage_ticks=False,
        boxprops=line,
        whiskerprops=line,
        capprops=line,
        medianprops={"color": INK, "linewidth": 1.8},
        zorder=3,
    )


def spread(n: int, width: float) -> NDArray[np.float64]:
    """Places of n dots of a column, from the lowest to the highest, about its centre, (n,).

    The golden ratio spreads neighbours in rank evenly over the width, without any randomness.
    """
    if n == 1:
        return np.zeros(1)
    return width * 0.85 * (np.arange(1, n + 1) * (np.sqrt(5) - 1) / 2 % 1 - 0.5)


def median(values: ArrayLike) -> float:
    """Median of the finite values, NaN if there are none."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else float("nan")


def linear_threshold(
    columns: Mapping[str, ArrayLike], looks: Looks, ratio: float = 15.0
) -> float | None:
    """Threshold of a symmetric logarithmic axis for distances, or None where a linear one does.

    Distances are told apart down to the smallest positive median of a method, but not below the
    scatter of the estimate, which its negative values show and a logarithm would only magnify. A
    linear axis does while the largest value is less than ``ratio`` times that; otherwise the
    threshold is the power of ten below it. References scatter around zero and count as scatter
    alone.
    """
    told = [column for name, column in columns.items() if looks.kind(name) != "reference"]
    medians = [median(column) for column in told]
    medians = [middle for middle in medians if middle > 0]
    lowest, largest = limits_of(columns, margin=0)
    if not medians:
        return None
    smallest = max(min(medians), -lowest)
    return None if largest < ratio * smallest else float(10 ** np.floor(np.log10(smallest)))


def scale_distances(axes: Axes, columns: Mapping[str, ArrayLike], looks: Looks) -> None:
    """Fit the y axis to distances of several methods: linear, or logarithmic if they differ much.

    An unbiased estimate of a distance may fall below zero: zero is marked, and the linear part of
    a logarithmic axis is shaded.
    """
    threshold = linear_threshold(columns, looks)
    low, high = limits_of(columns, margin=0)
    low, high = min(low, 0.0), max(high, 0.0)
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    if threshold is not None:
        axes.set_yscale("symlog", linthresh=threshold, linscale=0.5)
        axes.axhspan(-threshold, threshold, color=BAND, linewidth=0, zorder=-1)
        for set_locator, digits in (
            (axes.yaxis.set_major_locator, [1]),
            (axes.yaxis.set_minor_locator, list(range(2, 10))),
        ):
            set_locator(SymmetricalLogLocator(base=10, linthresh=threshold, subs=digits))
        axes.yaxis.set_major_formatter(plain_numbers())
    # The margin is the same share of the axis on either scale.
    scale = axes.yaxis.get_transform()
    ends = scale.transform([low, high])
    margin = 0.04 * (ends[1] - ends[0]) or 1.0
    axes.set_ylim(*scale.inverted().transform([ends[0] - margin, ends[1] + margin]))


def draw_methods(
    axes: Axes, columns: Mapping[str, ArrayLike], looks: Looks, *, number: str = ".2g"
) -> None:
    """Draw a column per method in the order of display, and write its median above.

    Baselines and references stand apart behind dotted lines; a dashed line goes through the
    median of a reference, such as the noise ceiling. ``number`` is the format of the medians.
    """
    names = looks.in_order(columns)
    for position, name in enumerate(names):
        reference = looks.kind(name) == "reference"
        draw_column(axes, position, columns[name], looks.look(name).colour, reference=reference)
        middle = median(columns[name])
        text = number_text(middle, number) if np.isfinite(middle) else "undefined"
        write_above(axes, position, text, "center")
        if reference and np.isfinite(middle):
            axes.axhline(middle, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    for left, (before, after) in enumerate(pairwise(names)):
        if looks.kind(before) != looks.kind(after):
            axes.axvline(left + 0.5, color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xlim(-0.6, len(names) - 0.4)
    label_columns(axes, [looks.look(name).label for name in names])
    axes.tick_params(axis="x", length=0)
    write_above(axes, -0.6, "median ", "right", color=MUTED)


def label_columns(axes: Axes, labels: Sequence[str]) -> None:
    """Name columns at 0, 1, ..., slanted and on one line where they would touch each other."""
    room = width_of(len(labels)) / (len(labels) + 1)  # inches; one more for the y axis
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    if longest * LETTER > room:
        flat = [label.replace("\n", " ") for label in labels]
        axes.set_xticks(range(len(labels)), flat, rotation=35, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(labels)), labels)


def write_above(axes: Axes, position: float, text: str, alignment: str, **font: Any) -> None:
    """Write on a line above the axes, high enough to clear the tick label at their upper end."""
    axes.annotate(
        text,
        (position, 1),
        (0, 6),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha=alignment,
        va="bottom",
        fontsize=7,
        annotation_clip=False,
        **font,
    )


def thinned(labels: Sequence[str], most: int) -> list[str]:
    """Keep every k-th label so that at most ``most`` remain; the others become empty."""
    step = max(1, -(-len(labels) // most))
    return [label if index % step == 0 else "" for index, label in enumerate(labels)]


def number_text(value: float, digits: str = "g") -> str:
    """Write a number as text, with the minus sign that Matplotlib's own labels have."""
    return f"{value:{digits}}".replace("-", "−")


def plain_numbers() -> FuncFormatter:
    """Labels of ticks without powers of ten, for an axis; each axis needs its own."""
    return FuncFormatter(lambda value, _: number_text(value))


def limits_of(columns: Mapping[str, ArrayLike], margin: float = 0.04) -> tuple[float, float]:
    """Limits of an axis that shows all finite values, with a margin; 0 and 1 without any."""
    values = np.concatenate([np.ravel(np.asarray(own, dtype=float)) for own in columns.values()])
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = margin * ((high - low) or max(abs(high), 1.0))
    return low - room, high + room
