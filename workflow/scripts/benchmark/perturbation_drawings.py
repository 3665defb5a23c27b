"""Drawings of one perturbation: its cells gene by gene, and predicted against observed changes.

They are plain SVG within a page, since a page has one of them for each perturbation: boxes of a
hundred perturbations take megabytes, and minutes, with a plotting library.
"""

import html
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.one_perturbation import OBSERVED, Perturbation
from pipeline.figures import EXPRESSION, INK, MUTED, number_text
from pipeline.looks import Looks
from pipeline.screen import targets_of

NAMED = 6
"""Genes named in the panels of changes, those with the largest observed or predicted change."""

ROW, BAR = 7.0, 5.0
"""Height of the row of a source, and of its box, in pixels."""

NAMES, SCALE = 96.0, 520.0
"""Widths of the names of genes and of the axis of expression, in pixels."""

PANEL = 230.0
"""Side of a panel of changes, in pixels."""


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    """A drawing of some size in pixels, which shrinks with its page."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'xmlns="http://www.w3.org/2000/svg" role="img">{"".join(parts)}</svg>'
    )


def written(x: float, y: float, text: str, attributes: str = "") -> str:
    """Text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{html.escape(text)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    """A line."""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def ticks_of(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two ends; that of zero has no sign."""
    size = (high - low) or 1.0
    step = 10.0 ** np.floor(np.log10(size / most))
    step = next(step * m for m in (1, 2, 5, 10) if size / (step * m) <= most)
    first = np.ceil(low / step - 1e-9)
    return [float(step * k) + 0.0 for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]


def colour_of(name: str, looks: Looks) -> str:
    """Colour of a source; observed cells are white, so that their median shows."""
    return "#FFFFFF" if name == OBSERVED else looks.look(name).colour


def boxes(own: Perturbation, looks: Looks) -> str:
    """Draw the cells of every source at every gene shown, a row for each."""
    genes = own.shown_genes()
    names = [name for name in own.cells if name not in own.profiles]
    quantiles = {
        name: np.quantile(own.cells[name][genes].to_numpy(), [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
        for name in names
    }
    means = {name: frame[genes].to_numpy().mean(axis=0) for name, frame in own.cells.items()}
    high = max(max(float(q[-1].max()) for q in quantiles.values()), 1e-6)
    high = max(high, max(float(mean.max()) for mean in means.values())) * 1.02
    group = ROW * len(own.cells) + 5
    top = 20.0
    height = top + group * len(genes) + 34
    targets = set(targets_of(own.name))

    def at(value: float) -> float:
        return NAMES + SCALE * value / high

    parts, x = [], NAMES
    for name in own.cells:  # legend
        colour = colour_of(name, looks)
        label = "Observed" if name == OBSERVED else looks.flat_label(name)
        parts.append(
            f'<rect x="{x:.1f}" y="3" width="9" height="9" fill="{colour}" stroke="{INK}" '
            'stroke-width=".6"/>'
        )
        parts.append(written(x + 13, 11, label))
        x += 22 + 6.2 * len(label)
    for index, gene in enumerate(genes):
        start = top + index * group
        if index % 2 == 0:
            parts.append(
                f'<rect x="0" y="{start:.1f}" width="{NAMES + SCALE + 8:.0f}" '
                f'height="{group:.1f}" fill="#F4F4F4"/>'
            )
        weight = ' font-weight="700"' if gene in targets else ""
        middle = start + group / 2 + 3.5
        parts.append(
            written(
                NAMES - 6, middle, shortened(gene), f'text-anchor="end" font-style="italic"{weight}'
            )
        )
        for row, name in enumerate(own.cells):
            y = start + 2.5 + ROW * row + ROW / 2
            colour = colour_of(name, looks)
            if name in quantiles:
                low, q25, q50, q75, top_end = (float(q) for q in quantiles[name][:, index])
                parts.append(line(at(low), y, at(top_end), y, INK, 0.7))
                parts.append(
                    f'<rect x="{at(q25):.1f}" y="{y - BAR / 2:.1f}" '
                    f'width="{max(at(q75) - at(q25), 0.1):.1f}" height="{BAR:g}" fill="{colour}" '
                    f'stroke="{INK}" stroke-width=".5"/>'
                )
                parts.append(line(at(q50), y - BAR / 2, at(q50), y + BAR / 2, INK, 1.6))
            parts.append(
                f'<circle cx="{at(float(means[name][index])):.1f}" cy="{y:.1f}" r="2" '
                f'fill="{colour}" stroke="{INK}" stroke-width=".6"/>'
            )
    bottom = top + group * len(genes)
    parts.append(line(NAMES, bottom, NAMES + SCALE, bottom, INK, 0.8))
    for tick in ticks_of(0, high):
        parts.append(line(at(tick), bottom, at(tick), bottom + 4, INK, 0.8))
        parts.append(written(at(tick), bottom + 14, number_text(tick), 'text-anchor="middle"'))
    parts.append(
        written(
            NAMES + SCALE / 2, bottom + 28, f"Expression [{EXPRESSION}]", 'text-anchor="middle"'
        )
    )
    return svg(NAMES + SCALE + 10, height, parts)


def shortened(gene: str, most: int = 14) -> str:
    """A name that fits beside the axis."""
    return gene if len(gene) <= most else f"{gene[: most - 1]}…"


def panels(own: Perturbation, looks: Looks, alpha: float) -> str:
    """Draw predicted against observed changes, a panel for each method, on shared axes."""
    changes = own.changes()
    known = changes.to_numpy()
    low, high = min(float(known.min()), 0.0), max(float(known.max()), 0.0)
    room = 0.06 * ((high - low) or 1.0)
    low, high = low - room, high + room
    left, gap = 44.0, 62.0
    parts = []
    for index, method in enumerate(own.methods):
        start = index * (PANEL + gap)
        parts.append(panel(own, changes, method, looks, alpha, (low, high), start, left))
    height = len(own.methods) * (PANEL + gap)
    return svg(left + PANEL + 40, max(height, 10.0), parts)


def panel(
    own: Perturbation,
    changes: pd.DataFrame,
    method: str,
    looks: Looks,
    alpha: float,
    ends: tuple[float, float],
    start: float,
    left: float,
) -> str:
    """Draw one panel of changes, whose upper edge is at ``start``."""
    low, high = ends
    top = start + 18

    def across(value: float) -> float:
        return left + PANEL * (value - low) / (high - low)

    def down(value: float) -> float:
        return top + PANEL * (high - value) / (high - low)

    observed, predicted = changes[OBSERVED], changes[method]
    tested = own.tests["p_adjusted"].reindex(changes.index) < alpha
    colour = looks.look(method).colour
    r = correlation(observed.to_numpy(float), predicted.to_numpy(float))
    shown = f", r = {number_text(r, '.2f')}" if np.isfinite(r) else ", no correlation defined"
    parts = [
        written(left, start + 11, f"{looks.flat_label(method)}{shown}", 'font-weight="600"'),
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{PANEL:.0f}" height="{PANEL:.0f}" '
        f'fill="none" stroke="{INK}" stroke-width=".8"/>',
        line(across(low), down(low), across(high), down(high), MUTED, 0.8),
        line(across(0), top, across(0), top + PANEL, "#CCCCCC", 0.7),
        line(left, down(0), left + PANEL, down(0), "#CCCCCC", 0.7),
    ]
    for which, fill in ((~tested, "none"), (tested, colour)):
        dots = "".join(
            f"M{across(x) - 2:.1f} {down(y):.1f}a2 2 0 1 0 4 0a2 2 0 1 0-4 0"
            for x, y in zip(observed[which], predicted[which], strict=True)
        )
        if dots:
            edge = MUTED if fill == "none" else INK
            parts.append(f'<path d="{dots}" fill="{fill}" stroke="{edge}" stroke-width=".5"/>')
    size = changes[[OBSERVED, method]].abs().max(axis=1)
    places = {gene: (across(observed[gene]), down(predicted[gene])) for gene in changes.index}
    parts += names_at(size.nlargest(NAMED).index.tolist(), places, left + 0.7 * PANEL)
    for tick in ticks_of(low, high, 5):
        parts.append(line(across(tick), top + PANEL, across(tick), top + PANEL + 4, INK, 0.8))
        below = top + PANEL + 14
        parts.append(written(across(tick), below, number_text(tick), 'text-anchor="middle"'))
        parts.append(line(left - 4, down(tick), left, down(tick), INK, 0.8))
        parts.append(written(left - 6, down(tick) + 3.5, number_text(tick), 'text-anchor="end"'))
    parts.append(
        written(
            left + PANEL / 2,
            top + PANEL + 28,
            "Observed change, log1p(counts per 10,000)",
            'text-anchor="middle"',
        )
    )
    parts.append(
        f'<text transform="translate(10 {top + PANEL / 2:.1f}) rotate(-90)" '
        'text-anchor="middle">Predicted change, log1p(counts per 10,000)</text>'
    )
    return "".join(parts)


def names_at(
    genes: Sequence[str], places: Mapping[str, tuple[float, float]], right: float
) -> list[str]:
    """Write names beside their dots, to the left of those beyond ``right``.

    Names that would run into one that is there already, of a larger change, are left out.
    """
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for gene in genes:
        x, y = places[gene]
        width = 5.2 * len(gene) + 4
        start = x - 4 - width if x > right else x + 4
        if any(start < e and s < start + width and abs(y - v) < 9 for s, e, v in taken):
            continue
        taken.append((start, start + width, y))
        anchor = f'x="{x - 4:.1f}" text-anchor="end"' if x > right else f'x="{x + 4:.1f}"'
        parts.append(
            f'<text {anchor} y="{y + 3:.1f}" font-size="9" font-style="italic">'
            f"{html.escape(gene)}</text>"
        )
    return parts


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson correlation, NaN where it is undefined."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
