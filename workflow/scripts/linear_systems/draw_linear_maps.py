"""Figures of single linear systems: effects and shifts, true and estimated, entry by entry."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcd_core.files import load_tensors
from pipeline.figures import INK, MUTED, new_figure, note, number_text, save, style
from pipeline.linear_systems import EFFECTS, read_system
from pipeline.looks import STRUCTURES, estimator

Matrix = NDArray[np.float64]
ESTIMATE = estimator("lcd_clipr")
COLOUR_MAP = "RdBu_r"
MOST_DOTS = 20_000


def main(
    *,
    systems: Sequence[str],
    effects: Sequence[str],
    effect_maps: str,
    shift_maps: str,
    threshold: float,
) -> None:
    """Draw both figures (SVG).

    Parameters
    ----------
    systems, effects
        ``system.safetensors`` and ``effects.safetensors`` of the systems shown.
    effect_maps, shift_maps
        The SVG files to write.
    threshold
        Size from which on an effect counts as one, drawn where effects are.
    """
    shown = [read_shown(*paths) for paths in zip(systems, effects, strict=True)]
    with style():
        save(draw_effects(shown, threshold), effect_maps)
        save(draw_shifts(shown), shift_maps)


class Shown(NamedTuple):
    """One system, true and estimated; genes and perturbations in the order of display."""

    title: str
    true_effects: Matrix
    effects: Matrix
    true_shifts: Matrix
    shifts: Matrix
    targets: NDArray[np.int64]


def read_shown(system: str, effects: str) -> Shown:
    """Read a system and its estimate; genes with the largest outgoing effects come first."""
    truth, own = read_system(system)
    tensors, estimate = load_tensors(effects, EFFECTS)
    outgoing = np.abs(truth.effects - np.diag(np.diag(truth.effects))).sum(axis=0)
    order = np.argsort(-outgoing, kind="stable")
    position = np.argsort(order)
    used = np.flatnonzero(estimate["used"])
    targets = position[truth.targets[used]]
    rows = np.argsort(targets)
    columns = np.ix_(order, rows)
    title = (
        f"{STRUCTURES[own['structure']]}, {own['genes']} genes, {len(truth.targets)} perturbed, "
        f"system {own['system']}"
    )
    return Shown(
        title,
        truth.effects[np.ix_(order, order)],
        tensors["effects"].numpy()[np.ix_(order, order)],
        truth.shift_matrix[:, used][columns],
        tensors["shifts"].numpy()[columns],
        targets[rows],
    )


def draw_effects(shown: Sequence[Shown], threshold: float) -> Figure:
    """True and estimated effects, transposed: causes on rows; and one against the other."""
    figure = new_figure(0.3 + 2.5 * len(shown))
    for part, own in zip(figure.subfigures(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        part.suptitle(own.title, fontsize=8.5)
        grid = part.subplots(1, 3, width_ratios=[1, 1, 0.95])
        other = ~np.eye(len(own.effects), dtype=bool)
        size = float(np.abs(own.true_effects[other]).max())
        for axes, matrix, title in (
            (grid[0], own.true_effects, "True"),
            (grid[1], own.effects, ESTIMATE.label),
        ):
            image = draw_map(axes, matrix.T, size, title, x="Gene affected", y="Cause")
        bar = part.colorbar(image, ax=grid[:2], shrink=0.8, pad=0.02, aspect=18, extend="both")
        bar.set_label("Effect")
        bar.outline.set_visible(False)
        absent = own.true_effects == 0
        draw_pairs(grid[2], own.true_effects, own.effects, other & ~absent, other & absent)
        for level in (-threshold, threshold):
            grid[2].axhline(level, color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
        grid[2].set_xlabel("True effect")
        grid[2].set_ylabel(ESTIMATE.label)
    return figure if shown else note("There is no system to show.")


def draw_shifts(shown: Sequence[Shown]) -> Figure:
    """True and implied shifts of the perturbations: perturbations on rows."""
    figure = new_figure(0.3 + 2.5 * len(shown))
    for part, own in zip(figure.subfigures(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        part.suptitle(own.title, fontsize=8.5)
        grid = part.subplots(1, 3, width_ratios=[1, 1, 0.95])
        size = float(np.abs(own.true_shifts).max())
        for axes, matrix, title in (
            (grid[0], own.true_shifts, "True"),
            (grid[1], own.shifts, ESTIMATE.label),
        ):
            image = draw_map(axes, matrix.T, size, title, x="Gene", y="Perturbation")
        bar = part.colorbar(image, ax=grid[:2], shrink=0.8, pad=0.02, aspect=18, extend="both")
        bar.set_label("Shift")
        bar.outline.set_visible(False)
        target = np.zeros(own.shifts.shape, dtype=bool)
        target[own.targets, np.arange(len(own.targets))] = True
        draw_pairs(grid[2], own.true_shifts, own.shifts, target, ~target)
        grid[2].set_xlabel("True shift")
        grid[2].set_ylabel(ESTIMATE.label)
    return figure if shown else note("There is no system to show.")


def draw_map(axes: Axes, matrix: Matrix, size: float, title: str, *, x: str, y: str) -> Any:
    """Draw a matrix in colours from ``-size`` to ``size``."""
    image = axes.imshow(matrix, cmap=COLOUR_MAP, vmin=-size, vmax=size, interpolation="nearest")
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    return image


def draw_pairs(
    axes: Axes,
    true: Matrix,
    estimate: Matrix,
    present: NDArray[np.bool_],
    absent: NDArray[np.bool_],
) -> None:
    """Draw estimates against true values, and the spread of those whose true value is zero."""
    low, middle, high = (
        np.quantile(estimate[absent], [0.05, 0.5, 0.95]) if absent.any() else [0] * 3
    )
    axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.6, zorder=0)
    # an even selection, since a vector of a million dots helps nobody
    chosen = np.flatnonzero(present)[:: -(-int(present.sum()) // MOST_DOTS) or 1]
    axes.scatter(
        true.ravel()[chosen],
        estimate.ravel()[chosen],
        s=3,
        color=ESTIMATE.colour,
        alpha=0.5,
        linewidths=0,
        rasterized=len(chosen) > 1000,
    )
    axes.errorbar(
        [0], [middle], yerr=[[middle - low], [high - middle]], color=INK, marker="o", markersize=3,
        capsize=2,
    )  # fmt: skip
    correlation = (
        np.corrcoef(true[present], estimate[present])[0, 1] if present.sum() > 1 else np.nan
    )
    axes.set_title(f"r = {number_text(correlation, '.2f')} where not 0")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
