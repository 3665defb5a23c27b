"""Figures of predicted combinations: interactions of all pairs, and what to measure next."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from pipeline.figures import INK, MUTED, new_figure, note, save, style
from pipeline.screen import targets_of
from pipeline.tables import read_tsv

Matrix = NDArray[np.float64]

SHOWN = 12
"""Combinations of a reason that are drawn."""

SMALLEST_FONT, LARGEST_FONT = 3.5, 7.0
SIDE = 200.0
"""Points of the side of a map, about."""

MISSING = "#E4E4E4"
ROBUST = 0.99
"""Share of the pairs up to which the colours reach."""

REASONS = {
    "non_additive": ("Most non-additive", "non-additivity"),
    "uncertain": ("Most uncertain", "spread over fits"),
    "wanted": ("Nearest to the wanted change", "{nearest}"),
}
NEAREST = {"cosine": "cosine to the wanted change", "distance": "distance to the wanted change"}


def main(
    *,
    predictions: str,
    candidates: str,
    thresholds: str,
    interactions_figure: str,
    candidates_figure: str,
    nearest_by: str,
) -> None:
    """Draw a clustered map of the predicted interactions of pairs, and the first candidates (SVG).

    Parameters
    ----------
    predictions, candidates, thresholds
        Tables over all fits.
    interactions_figure, candidates_figure
        SVGs to write.
    nearest_by
        What candidates for a wanted change are ranked by.
    """
    table = read_tsv(predictions, dtype={"perturbation": str})
    limits = read_tsv(thresholds).set_index("type")["threshold"].to_dict()
    with style():
        save(draw_interactions(table, limits), interactions_figure)
        named = read_tsv(candidates, dtype={"perturbation": str, "genes": str})
        save(draw_candidates(named, nearest_by), candidates_figure)


def square(table: pd.DataFrame, column: str, targets: list[str]) -> Matrix:
    """Values of pairs, targets x targets, symmetric; NaN where a pair is not predicted."""
    place = {target: i for i, target in enumerate(targets)}
    found = np.full((len(targets), len(targets)), np.nan)
    for name, value in zip(table["perturbation"], table[column], strict=True):
        i, j = (place[target] for target in targets_of(name))
        found[i, j] = found[j, i] = value
    return found


def clustered(values: Matrix) -> list[int]:
    """Order of average linkage by the Euclidean distance of rows.

    Two rows are compared by the columns that both have; where there are none, by the mean distance
    of all.
    """
    n = len(values)
    if n < 3:
        return list(range(n))
    apart = np.full((n, n), np.nan)
    for i in range(n):
        squares = (values[i] - values) ** 2
        there = np.isfinite(squares).sum(axis=1)
        total = np.nansum(squares, axis=1)
        apart[i] = np.sqrt(np.divide(total, there, out=np.full(n, np.nan), where=there > 0))
    np.fill_diagonal(apart, 0.0)
    off = ~np.eye(n, dtype=bool)
    known = apart[off & np.isfinite(apart)]
    apart[~np.isfinite(apart)] = known.mean() if len(known) else 1.0
    condensed = squareform((apart + apart.T) / 2, checks=False)
    return [
        int(i) for i in leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))
    ]


def draw_interactions(table: pd.DataFrame, limits: dict[str, float]) -> Figure:
    """Non-additivity and magnitude of all pairs, targets in the order of their clusters."""
    pairs = table[table["n_targets"] == 2]
    targets = sorted({target for name in pairs["perturbation"] for target in targets_of(name)})
    if len(targets) < 3:
        return note("fewer than three targets are paired: no map of their interactions")
    beyond = square(pairs, "non_additivity", targets)
    order = clustered(beyond)
    names = [targets[i] for i in order]
    measured = square(pairs.assign(own=(pairs["measured_cells"] > 0) * 1.0), "own", targets) == 1
    chosen = np.ix_(order, order)
    magnitude = square(pairs, "magnitude", targets)
    figure = new_figure(4.0)
    left, right = figure.subplots(1, 2)
    top = largest(beyond)
    draw_map(left, beyond[chosen], measured[chosen], names, "viridis", Normalize(0, top))
    left.set_title("Non-additivity")
    bar(figure, left, "length of ab − a − b over genes,\nlog1p(counts per 10,000)")
    if np.isfinite(magnitude).any():
        middle = (limits["suppression"] + limits["synergy"]) / 2
        reach = max(largest(np.abs(magnitude - middle)), limits["synergy"] - middle)
        norm = TwoSlopeNorm(middle, middle - reach, middle + reach)
        draw_map(right, magnitude[chosen], measured[chosen], names, "PuOr_r", norm)
        right.set_title("Magnitude of the interaction")
        bar(figure, right, "√(c_a² + c_b²); suppression below the middle,\nsynergy above")
    else:
        right.set_axis_off()
        right.text(0.5, 0.5, "too few genes with enough counts", ha="center", color=MUTED)
    return figure


def largest(values: Matrix) -> float:
    """Where the colours end: a quantile, since few pairs are far above all others."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, ROBUST)) or 1.0 if len(finite) else 1.0


def draw_map(
    axes: Axes, values: Matrix, measured: NDArray[np.bool_], names: list[str], cmap: str, norm: Any
) -> None:
    """One map; dots are pairs that were measured."""
    colours = matplotlib.colormaps[cmap].with_extremes(bad=MISSING)
    axes.imshow(values, cmap=colours, norm=norm, interpolation="nearest", aspect="equal")
    i, j = np.nonzero(measured)
    size = float(np.clip((SIDE / len(names) / 3) ** 2, 0.5, 12))
    axes.scatter(j, i, s=size, c="white", edgecolors=INK, linewidths=0.3)
    font = min(0.95 * SIDE / len(names), LARGEST_FONT)
    if font >= SMALLEST_FONT or len(names) <= SIDE / 2:
        font = max(font, 2.0)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
        axes.set_yticks(range(len(names)), names, fontsize=font)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{len(names)} targets")
    axes.tick_params(length=0, pad=1)
    axes.spines[:].set_visible(False)


def bar(figure: Figure, axes: Axes, label: str) -> None:
    """Colour bar below a map."""
    made = figure.colorbar(axes.images[0], ax=axes, location="bottom", shrink=0.7, extend="max")
    made.set_label(label)
    made.outline.set_visible(False)  # type: ignore[operator]


def draw_candidates(table: pd.DataFrame, nearest_by: str) -> Figure:
    """First combinations of each reason, with their spread over fits; hollow ones are measured."""
    reasons = [name for name in REASONS if (table["reason"] == name).any()]
    figure = new_figure(0.9 + 0.19 * SHOWN)
    for axes, reason in zip(np.atleast_1d(figure.subplots(1, len(reasons))), reasons, strict=True):
        own = table[table["reason"] == reason].head(SHOWN)
        place = np.arange(len(own))
        sd = own["sd"].to_numpy(dtype=float)
        there = np.isfinite(sd)
        axes.errorbar(
            own["value"][there],
            place[there],
            xerr=sd[there],
            fmt="none",
            ecolor=INK,
            elinewidth=0.8,
        )
        faces = ["white" if done else INK for done in own["measured"]]
        axes.scatter(own["value"], place, s=22, c=faces, edgecolors=INK, linewidths=0.9, zorder=3)
        additive = own["additive"].to_numpy(dtype=float)
        if np.isfinite(additive).any():
            axes.scatter(additive, place, s=22, marker="|", c=MUTED, zorder=2)
        axes.set_yticks(place, own["perturbation"].tolist(), fontsize=6.5)
        axes.set_ylim(len(own) - 0.5, -0.5)
        title, label = REASONS[reason]
        axes.set_title(title)
        axes.set_xlabel(label.format(nearest=NEAREST[nearest_by]))
    return figure


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
