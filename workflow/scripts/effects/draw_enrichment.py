"""Figure of the gene sets that are over-represented in the modules of the effects."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from pipeline.figures import new_figure, note, plain_numbers, save, style
from pipeline.gene_tree import module_colour, read_tree
from pipeline.tables import read_tsv
from pipeline.term_names import readable

Matrix = NDArray[np.float64]

LETTERS = {1: (58, 2), 2: (37, 3)}
"""Letters of a line and lines of a name, by the number of columns of the figure."""
MOST_IN_A_COLUMN = 60
"""Terms above whose number the modules stand in two columns."""


def main(*, order: str, top_terms: str, enrichment: str, figure: str, alpha: float) -> None:
    """Draw the strongest terms of each module (SVG).

    Parameters
    ----------
    order
        TSV of the genes in the order of the tree, with their modules.
    top_terms
        TSV of each module's strongest terms.
    enrichment
        TSV of all tests, for what there is to say where no term is enriched.
    figure
        SVG to write.
    alpha
        False discovery rate of the terms.
    """
    terms, tests = (
        read_tsv(path, dtype={"term": str, "collection": str}) for path in (top_terms, enrichment)
    )
    with style():
        if terms.empty:
            save(note(nothing_enriched(tests, alpha)), figure)
        else:
            save(draw_terms(terms, alpha, read_tree(order).genes), figure)


def nothing_enriched(tests: pd.DataFrame, alpha: float) -> str:
    """Say what was tested, and how close the closest term came."""
    if tests.empty:
        return "There are no modules whose genes could be tested for gene sets."
    said = (
        f"No module has a term with adjusted P < {alpha:g}: {tests['module'].nunique():,} modules "
        f"and {tests['term'].nunique():,} terms, {len(tests):,} tests."
    )
    first = tests.loc[tests["p_adjusted"].idxmin()]
    closest = readable(first["term"], first["collection"], frozenset(), *LETTERS[1])
    return (
        f"{said}\nThe smallest adjusted P is {first['p_adjusted']:.2g}: module {first['module']}, "
        f"{first['overlap']} of {first['term_size']} genes of\n{closest}"
    )


class Bars(NamedTuple):
    """Scales of the bars: where infinite odds ratios end, and the colours of P."""

    infinite: float
    strength: Normalize
    colours: Colormap


def scale_bars(terms: pd.DataFrame, alpha: float) -> Bars:
    """Fit the scales to all terms; infinite odds ratios end beyond all others."""
    odds = terms["odds_ratio"].to_numpy(float)
    infinite = float(odds[np.isfinite(odds)].max(initial=2.0)) ** 1.12
    weakest = -np.log10(alpha)
    strongest = max(float(strength_of(terms).max()), weakest + 1)
    blues = ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.3, 1, 64)))
    return Bars(infinite, Normalize(weakest, strongest), blues)


def strength_of(terms: pd.DataFrame) -> Matrix:
    """Negative decadic logarithm of the adjusted P."""
    p_adjusted = terms["p_adjusted"].to_numpy(float)
    return -np.log10(np.maximum(p_adjusted, np.finfo(float).tiny))


def draw_terms(terms: pd.DataFrame, alpha: float, symbols: Sequence[str] = ()) -> Figure:
    """Odds ratios of each module's strongest terms, a bar per term; ``symbols`` are genes."""
    if terms.empty:
        return note(f"No module has a term with adjusted P < {alpha:g}.")
    n_columns = 1 if len(terms) <= MOST_IN_A_COLUMN or terms["module"].nunique() == 1 else 2
    known = frozenset(symbols)
    names = [
        readable(term, collection, known, *LETTERS[n_columns])
        for term, collection in zip(terms["term"], terms["collection"], strict=True)
    ]
    modules = [rows for _, rows in terms.assign(name=names).groupby("module", sort=False)]
    below = np.cumsum([layout_of(rows)[1] for rows in modules])
    first = len(modules)
    if n_columns == 2:
        first = 1 + int(np.abs(below[:-1] - below[-1] / 2).argmin())
    parts = [modules[:first], modules[first:]][:n_columns]
    height = float(max(below[first - 1], below[-1] - below[first - 1]))

    figure = new_figure(0.85 + 0.128 * height)
    grid = figure.subplots(1, n_columns, squeeze=False)[0]
    bars = scale_bars(terms, alpha)
    for axes, part in zip(grid, parts, strict=True):
        draw_modules(axes, part, bars)
        axes.set_ylim(height, 0)
    bar = figure.colorbar(
        ScalarMappable(bars.strength, bars.colours),
        ax=grid.tolist(),
        location="top",
        shrink=0.9 if n_columns == 1 else 0.5,
        aspect=40,
        pad=0.01,
        anchor=(0.5, 0.0),
    )
    bar.set_label("−log₁₀ adjusted P")
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def layout_of(rows: pd.DataFrame) -> tuple[Matrix, float]:
    """Positions of the terms below the heading of their module, and the height of all.

    One unit is a line of text.
    """
    lines = rows["name"].str.count("\n").to_numpy(int) + 1
    ends = 1.15 + np.cumsum(lines + 0.25)
    return ends - 0.25 - lines / 2, float(ends[-1]) + 0.45


def draw_modules(axes: Axes, modules: Sequence[pd.DataFrame], bars: Bars) -> None:
    """Draw the modules of one column below each other."""
    start = 0.0
    y: list[float] = []
    edge = axes.get_yaxis_transform()
    beside = edge + ScaledTranslation(-5 / 72, 0, axes.figure.dpi_scale_trans)
    for rows in modules:
        positions, height = layout_of(rows)
        module, size = int(rows["module"].iloc[0]), int(rows["module_size"].iloc[0])
        axes.annotate(
            f"Module {module}, {size} genes",
            (0, start + 0.5),
            (-10, 0),
            xycoords=edge,
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=7,
            weight="bold",
            annotation_clip=False,
        )
        axes.plot(
            [0, 0],
            [start + 1.1, start + height - 0.6],
            color=module_colour(module),
            linewidth=5,
            solid_capstyle="butt",
            transform=beside,
            clip_on=False,
        )
        y += (start + positions).tolist()
        start += height
    terms = pd.concat(modules)
    draw_bars(axes, terms, np.array(y), bars)
    axes.set_yticks(y, terms["name"], fontsize=6.5, linespacing=1.0)
    axes.tick_params(axis="y", length=0, pad=10)


def draw_bars(axes: Axes, terms: pd.DataFrame, y: Matrix, bars: Bars) -> None:
    """Draw odds ratios as bars, their adjusted P as colour, and the overlaps behind them.

    Over-represented terms have odds ratios above 1, where the bars start.
    """
    odds = terms["odds_ratio"].to_numpy(float)
    ends = np.where(np.isfinite(odds), odds, bars.infinite)
    colours = bars.colours(bars.strength(strength_of(terms)))
    axes.barh(y, ends - 1, 0.85, left=1, color=colours, linewidth=0)
    for position, end, odd, overlap, size in zip(
        y, ends, odds, terms["overlap"], terms["term_size"], strict=True
    ):
        text = f"{overlap}/{size}" if np.isfinite(odd) else f"∞   {overlap}/{size}"
        behind: dict[str, Any] = {
            "xy": (end, position),
            "textcoords": "offset points",
            "va": "center",
        }
        axes.annotate(text, xytext=(3, 0), fontsize=6.5, **behind)
        if not np.isfinite(odd):  # the bar is broken off
            axes.annotate("/", xytext=(-4, 0), color="white", weight="bold", ha="right", **behind)
    axes.set_xscale("log")
    axes.set_xlim(1, bars.infinite)
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.set_xlabel("Odds ratio")
    if not np.isfinite(odds).any():
        axes.set_xticks([])
        axes.xaxis.set_minor_locator(NullLocator())


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
