"""Figure of the effects between all genes and the responses they are read from, as heat maps."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import anndata as ad
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.effects import read_effects
from pipeline.figures import MUTED, new_figure, number_text, save, style
from pipeline.gene_tree import module_colour, read_tree
from pipeline.observed_changes import read_changes

Matrix = NDArray[np.float64]

# Few dots and few colours make a small file.
DIVERGING, LEVELS = "RdBu_r", 33
MISSING = "#BDBDBD"
MAP_DOTS = 200
"""Dots per inch: two genes a dot where there are a thousand."""
ROBUST_SHARE = 0.995
SIDES = {2: 165.0, 1: 385.0}
"""Width of a map in points, about, by the number of maps beside each other."""
SMALLEST_NAMES, LARGEST_NAMES = 4.0, 6.5
"""Sizes of font in points: below the smaller one, nobody could read the names in print."""
LOWEST = 0.2
"""Height of the flattest map, as a share of its width."""


def main(*, effects: str, order: str, differential_expression: str, figure: str) -> None:
    """Draw the maps (SVG).

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects) of all genes, with ``obs["perturbed"]`` and the
        layers ``initial``, ``limit``, ``pseudoinverse`` and ``limit_expression``, and
        ``var["control_limit"]``.
    order
        TSV of the genes in the order of the tree, with their modules.
    differential_expression
        TSV of tests against control by perturbation and gene.
    figure
        SVG to write.

    Raises
    ------
    InputError
        If the tree is of other genes than the effects.
    """
    matrix = read_effects(effects)
    genes, module_of = read_tree(order, matrix.obs_names)
    changes = read_changes(differential_expression, genes)
    with style():
        maps = draw_maps(maps_of(matrix, genes, changes), genes, module_of)
        with matplotlib.rc_context({"savefig.dpi": MAP_DOTS}):
            save(maps, figure)


class Map(NamedTuple):
    """A matrix to draw, causes x genes in the order of the tree, and what its values are."""

    title: str
    values: Matrix
    causes: list[str]
    label: str
    rows: str = "Perturbed cause"


def maps_of(matrix: ad.AnnData, genes: Sequence[str], changes: pd.DataFrame) -> list[Map]:
    """Matrices of the figure; those of responses have the perturbed causes only.

    Limits are drawn against the control's: measured from the origin, all of them share its offset,
    beside which the responses would not be seen.
    """
    ordered = matrix[list(genes), list(genes)]
    seen = ordered.obs["perturbed"].to_numpy(dtype=bool)
    causes = ordered.obs_names[seen].tolist()

    def rows_of(layer: str) -> Matrix:
        return np.asarray(ordered.layers[layer], dtype=float)[seen]

    limit = rows_of("limit") - ordered.var["control_limit"].to_numpy(dtype=float)
    expected = rows_of("limit_expression")
    observed = changes.reindex(index=causes, columns=list(genes)).to_numpy(dtype=float)
    compared = np.isfinite(expected) & np.isfinite(observed) & different(causes, genes)
    r = correlation(expected[compared], observed[compared])
    agreement = f", r = {number_text(r, '.2f')}" if np.isfinite(r) else ""
    return [
        Map("Direct effects, Aᵀ", np.asarray(ordered.X), list(genes), "Effect", "Cause"),
        Map("Initial responses, Vᵀ", rows_of("initial"), causes, "Drift at the origin"),
        Map("Pseudoinverse of the limits, L⁺", rows_of("pseudoinverse"), causes, "Entry of L⁺"),
        Map("Limit responses, minus control's", limit, causes, "Change of the state"),
        Map("Normalised limit responses", expected, causes, "Change of log1p expression"),
        Map(f"Observed changes{agreement}", observed, causes, "Change of log1p expression"),
    ]


def different(causes: Sequence[str], genes: Sequence[str]) -> NDArray[np.bool_]:
    """Pairs of different genes, causes x genes."""
    return np.asarray(causes, dtype=str)[:, None] != np.asarray(genes, dtype=str)


def correlation(x: Matrix, y: Matrix) -> float:
    """Pearson correlation, NaN where it is undefined."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def colour_limit(own: Map, genes: Sequence[str]) -> float:
    """Magnitude at which the colours of a map end.

    A few entries, and those of a cause on itself, are far larger than the others and would leave
    these without any colour.
    """
    size = np.abs(own.values[np.isfinite(own.values) & different(own.causes, genes)])
    if not size.any():
        return 1.0
    return float(np.quantile(size, ROBUST_SHARE)) or float(size.max())


def diverging() -> Colormap:
    """Blue for negative and red for positive values, grey for missing ones."""
    return matplotlib.colormaps[DIVERGING].resampled(LEVELS).with_extremes(bad=MISSING)


def font_of(names: Sequence[str], points: float) -> float | None:
    """Size of font in which the names stand beside each other, or None where it is too small."""
    size = min(0.95 * points / len(names), LARGEST_NAMES)
    return size if size >= SMALLEST_NAMES else None


def draw_maps(maps: Sequence[Map], genes: Sequence[str], module_of: Mapping[str, int]) -> Figure:
    """Draw matrices with the modules along causes and genes, where there are any.

    Two stand in a row, unless the genes could be named only in maps as wide as the page.
    """
    columns = 2
    if font_of(genes, SIDES[2]) is None and font_of(genes, SIDES[1]):
        columns = 1
    n_rows = -(-len(maps) // columns)
    shapes = [1.0 if columns == 2 else max(len(own.causes) / len(genes), LOWEST) for own in maps]
    inches = [3.05 if columns == 2 else 0.95 + SIDES[1] / 72 * shape for shape in shapes]
    figure = new_figure(sum(inches[::columns]))
    grid = figure.subplots(n_rows, columns, squeeze=False, height_ratios=inches[::columns])
    for axes, own, shape in zip(grid.flat, maps, shapes, strict=False):
        axes.set_box_aspect(shape)
        draw_map(axes, own, genes, module_of, (SIDES[columns], SIDES[columns] * shape))
    for axes in grid.flat[len(maps) :]:
        axes.set_visible(False)
    return figure


def draw_map(
    axes: Axes,
    own: Map,
    genes: Sequence[str],
    module_of: Mapping[str, int],
    points: tuple[float, float],
) -> None:
    """Draw one matrix of about so many points, width and height, and what its rows are."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    if not own.causes:
        axes.set_title(own.title)
        axes.text(
            0.5, 0.5, "no cause was perturbed", ha="center", va="center", color=MUTED,
            transform=axes.transAxes,
        )  # fmt: skip
        return
    size = colour_limit(own, genes)
    # Resampled to the size of print when saved, since viewers shrink images each in their own way;
    # values, not colours, are averaged, which keeps the colours few.
    image = axes.imshow(
        enlarged(np.clip(own.values, -size, size), points),
        cmap=diverging(),
        vmin=-size,
        vmax=size,
        aspect="auto",
        interpolation_stage="data",
        extent=(-0.5, own.values.shape[1] - 0.5, own.values.shape[0] - 0.5, -0.5),
    )
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02, aspect=20, extend="both")
    bar.set_label(own.label)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    label_map(axes, own, genes, module_of, points)


def label_map(
    axes: Axes,
    own: Map,
    genes: Sequence[str],
    module_of: Mapping[str, int],
    points: tuple[float, float],
) -> None:
    """Write the names of all causes and of all genes, or their number; and the modules."""
    above = beside = axes
    fonts = font_of(genes, points[0]), font_of(own.causes, points[1])
    if any(module_of.values()):
        strip = 0.028 * SIDES[2]  # points
        wide, high = strip / points[0], strip / points[1]
        above = axes.inset_axes((0, 1 + 0.43 * high, 1, high))
        beside = axes.inset_axes((-1.43 * wide, 0, wide, 1))
        of_genes, of_causes = ([module_of[gene] for gene in own] for own in (genes, own.causes))
        draw_strip(above, of_genes, points[0], horizontal=True, numbers=True)
        draw_strip(beside, of_causes, points[1], horizontal=False, numbers=fonts[1] is None)
    above.set_title(own.title, pad=4)
    for axis, names, font, what, turn in (
        (axes.xaxis, genes, fonts[0], "Gene affected", 90),
        (beside.yaxis, own.causes, fonts[1], own.rows, 0),
    ):
        axis.set_label_text(what if font else f"{what} ({len(names):,}; not named)")
        if font:
            axis.set_ticks(range(len(names)), names, fontstyle="italic")
            axis.set_tick_params(length=0, pad=1, labelsize=font, labelrotation=turn)
    beside.yaxis.labelpad = 2


def enlarged(values: Matrix, points: tuple[float, float]) -> Matrix:
    """Repeat rows and columns that are few, where the others are many.

    Matplotlib smooths both directions of an image where one has less than three dots an entry;
    repeated, few rows beside many columns keep their edges.
    """
    across, down = (side / 72 * MAP_DOTS for side in points)
    n_rows, n_columns = values.shape
    if 3 * n_columns <= across and 3 * n_rows <= down:
        return values
    for axis, (n, dots) in enumerate(((n_rows, down), (n_columns, across))):
        values = values.repeat(max(1, int(np.ceil(2 * dots / n))) if n < dots else 1, axis=axis)
    return values


def draw_strip(
    axes: Axes, modules: Sequence[int], points: float, *, horizontal: bool, numbers: bool
) -> None:
    """Draw the modules along one side of a map, so many points long, with their numbers.

    Numbers that would collide with that of a larger module are left out.
    """
    present = sorted(set(modules))
    codes = np.searchsorted(present, modules)
    axes.imshow(
        codes[None, :] if horizontal else codes[:, None],
        cmap=ListedColormap([module_colour(module) for module in present]),
        vmin=-0.5,
        vmax=len(present) - 0.5,
        aspect="auto",
        interpolation="nearest",
    )
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    if not numbers:
        return
    # The genes of a module are neighbours in the tree, and in any part of its leaves.
    runs, start = [], 0
    for module, members in groupby(modules):
        length = len(list(members))
        if module:
            # half of the room that the number takes, in points
            half = 1.8 * len(str(module)) if horizontal else 2.5
            runs.append((length, module, start + (length - 1) / 2, half / points * len(modules)))
        start += length
    shown = spaced(runs)
    axis: Any = axes.xaxis if horizontal else axes.yaxis
    axis.set_ticks([centre for _, centre in shown], [str(module) for module, _ in shown])
    axis.set_tick_params(length=0, pad=1, labelsize=5.5)
    if horizontal:
        axis.tick_top()


def spaced(runs: Sequence[tuple[int, int, float, float]]) -> list[tuple[int, float]]:
    """Module and centre of the runs whose numbers do not collide, the longest being preferred.

    Runs are length, module, centre, and half of the room of the number.
    """
    shown: list[tuple[int, float, float]] = []
    for _, module, centre, half in sorted(runs, key=lambda run: (-run[0], run[1])):
        if all(abs(centre - other) >= half + room for _, other, room in shown):
            shown.append((module, centre, half))
    return sorted((module, centre) for module, centre, _ in shown)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
