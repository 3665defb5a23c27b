"""Figures of the linear systems: recovery of causal effects, and effects and shifts themselves."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lcd_core.atomic import atomic
from lcd_core.files import load_tensors
from pipeline.figures import INK, MUTED, new_figure, note, save, style
from pipeline.linear_systems import EFFECTS, read_system
from pipeline.tables import read_tsv

Matrix = NDArray[np.float64]
TYPES = {"structure": str, "estimator": str, "metric": str, "k": "Int64"}


class Estimator(NamedTuple):
    """How an estimator is drawn; hollow markers know the truth, squares the targets."""

    label: str
    colour: str
    marker: str = "o"
    hollow: bool = False


ESTIMATORS = {
    "lcd_clipr": Estimator("LCD-CLIPR", "#D55E00"),
    "inverse_pooled_covariance": Estimator("Inverse pooled covariance", "#0072B2"),
    "linear_cyclic": Estimator("Linear cyclic (knows targets)", "#009E73", "s"),
    "differential_expression": Estimator("Differential expression (knows targets)", "#8C8C8C", "s"),
    "oriented_differential_expression": Estimator(
        "Oriented diff. expression (knows targets)", "#CC79A7", "s"
    ),
    "true_precision": Estimator("True precision matrix (knows truth)", "#56B4E9", "D", True),
    "clipr_exact_drift": Estimator("CLIPR on the exact drift (knows truth)", "#222222", "D", True),
}
STRUCTURES = {"power_law": "Power law", "erdos_renyi": "Erdős-Rényi"}
TOP_METRICS = {
    "f1_among@k": "F1 among the\nk strongest",
    "f1@k": "F1, the others\nabsent",
    "pearson@k": "Pearson correlation\nwith true effects",
}
SHOWN = ["auroc", "f1", "pearson@k", "f1@k", "f1_among@k", "precision@k"]
CHANCE = 0.5
COLOUR_MAP = "RdBu_r"
MOST_DOTS = 20_000
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Linear systems: summary per estimator</title>
<style>
body {{ font: 13px/1.45 system-ui, Arial, sans-serif; color: #222; margin: 20px; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 3px 10px; text-align: right; white-space: nowrap; border: 0; }}
th {{ font-weight: 600; }}
thead th {{ border-bottom: 1.5px solid #222; }}
td {{ border-bottom: 1px solid #e4e4e4; font-variant-numeric: tabular-nums; }}
</style></head>
<body>
<h1>Linear systems: summary per estimator</h1>
<p>Median over the systems of a setting, and in brackets the 10th and 90th percentile;
k is {k} times the number of genes.</p>
{table}
</body></html>
"""


def main(
    *,
    scores: str,
    summary: str,
    systems: Sequence[str],
    effects: Sequence[str],
    auroc: str,
    top_effects: str,
    effect_maps: str,
    shift_maps: str,
    summary_page: str,
    threshold: float,
) -> None:
    """Draw four figures (SVG) and write the summary as a page.

    Parameters
    ----------
    scores, summary
        TSV of all scores and of their medians.
    systems, effects
        ``system.safetensors`` and ``effects.safetensors`` of the systems shown entry by entry.
    threshold
        Size from which on an effect counts as one, drawn where effects are.
    """
    table, medians = read_tsv(scores, dtype=TYPES), read_tsv(summary, dtype=TYPES)
    shown = [read_shown(*paths) for paths in zip(systems, effects, strict=True)]
    with style():
        save(draw_auroc(table), auroc)
        save(draw_top_effects(medians), top_effects)
        save(draw_effects(shown, threshold), effect_maps)
        save(draw_shifts(shown), shift_maps)
    with atomic(summary_page) as temporary:
        temporary.write_text(page(medians), encoding="utf-8", newline="\n")


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


def structures_in(table: pd.DataFrame) -> list[str]:
    """Structures of a table in the order of display."""
    return [name for name in STRUCTURES if name in set(table["structure"])]


def estimators_in(table: pd.DataFrame) -> list[str]:
    """Estimators of a table in the order of display."""
    return [name for name in ESTIMATORS if name in set(table["estimator"])]


def diffusion_scale(table: pd.DataFrame) -> str:
    """Diffusion scale of the systems, as every figure states it."""
    return "σ = " + ", ".join(f"{sigma:.4g}" for sigma in sorted(set(table["sigma"])))


def draw_auroc(scores: pd.DataFrame) -> Figure:
    """AUROC against the number of perturbed genes: rows are sizes, columns structures."""
    rows = scores[scores["metric"] == "auroc"]
    sizes, structures = sorted(set(rows["genes"])), structures_in(rows)
    figure = new_figure(1.1 + 1.9 * len(sizes))
    grid = figure.subplots(len(sizes), len(structures), squeeze=False, sharey=True, sharex="row")
    for row, size in enumerate(sizes):
        for axes, structure in zip(grid[row], structures, strict=True):
            own = rows[(rows["genes"] == size) & (rows["structure"] == structure)]
            draw_against_perturbed(axes, own)
            axes.set_title(f"{STRUCTURES[structure]}, {size} genes")
            axes.set_xlabel("Perturbed genes")
        grid[row][0].set_ylabel("AUROC")
    lowest = float(rows["value"].min())
    grid[0][0].set_ylim(min(CHANCE, lowest) - 0.03, 1.02)
    legend(figure, rows)
    return figure


def draw_against_perturbed(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw medians with 10th to 90th percentiles, and one dot per system, at each number."""
    numbers = sorted(set(rows["n_perturbed"]))
    names = estimators_in(rows)
    step = 0.4 / len(names)
    for index, name in enumerate(names):
        own = rows[rows["estimator"] == name].groupby("n_perturbed")["value"]
        values = [own.get_group(number).to_numpy(float) for number in numbers]
        x = np.arange(len(numbers)) + (index - (len(names) - 1) / 2) * step
        draw_line(axes, x, values, ESTIMATORS[name])
    axes.axhline(CHANCE, color=MUTED, linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    axes.set_xlim(-0.6, len(numbers) - 0.4)


def draw_line(
    axes: Axes, x: NDArray[np.floating], values: Sequence[Matrix], look: Estimator
) -> None:
    """Draw a line through medians, bars of percentiles and a faint dot per system."""
    middle = np.array([np.nanmedian(own) for own in values])
    low, high = (np.array([np.nanquantile(own, share) for own in values]) for share in (0.1, 0.9))
    for position, own in zip(x, values, strict=True):
        axes.scatter(
            np.full(len(own), position), own, s=4, color=look.colour, alpha=0.4, linewidths=0
        )
    axes.errorbar(
        x,
        middle,
        yerr=[middle - low, high - middle],
        color=look.colour,
        marker=look.marker,
        markersize=4,
        markerfacecolor="white" if look.hollow else look.colour,
        markeredgewidth=0.9,
        linewidth=0.7,
        elinewidth=0.9,
        linestyle=":" if look.hollow else "-",
    )


def draw_top_effects(summary: pd.DataFrame) -> Figure:
    """Scores of the k strongest effects against k, at the largest number of perturbed genes."""
    most = summary["percent"].max()
    rows = summary[(summary["percent"] == most) & summary["metric"].isin(TOP_METRICS)]
    panels = [
        (structure, size)
        for structure in structures_in(rows)
        for size in sorted(set(rows.loc[rows["structure"] == structure, "genes"]))
    ]
    figure = new_figure(1.2 + 1.6 * len(TOP_METRICS))
    grid = figure.subplots(len(TOP_METRICS), len(panels), squeeze=False, sharey="row", sharex="col")
    for column, (structure, size) in enumerate(panels):
        own = rows[(rows["structure"] == structure) & (rows["genes"] == size)]
        for axes, metric in zip(grid[:, column], TOP_METRICS, strict=True):
            draw_against_k(axes, own[own["metric"] == metric])
        grid[0, column].set_title(f"{STRUCTURES[structure]}\n{size} genes")
        grid[-1, column].set_xlabel("k / genes")
    for axes, label in zip(grid[:, 0], TOP_METRICS.values(), strict=True):
        axes.set_ylabel(label)
    legend(figure, rows)
    return figure


def draw_against_k(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw medians and a band from the 10th to the 90th percentile."""
    for name in estimators_in(rows):
        own, look = rows[rows["estimator"] == name].sort_values("k"), ESTIMATORS[name]
        x = (own["k"] / own["genes"]).to_numpy(float)
        axes.fill_between(x, own["p10"], own["p90"], color=look.colour, alpha=0.12, linewidth=0)
        axes.plot(
            x,
            own["median"],
            color=look.colour,
            marker=look.marker,
            markersize=3.5,
            markerfacecolor="white" if look.hollow else look.colour,
            linestyle=":" if look.hollow else "-",
        )
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    axes.set_xscale("log")
    shares = sorted(set(rows["k"] / rows["genes"]))
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()


def legend(figure: Figure, rows: pd.DataFrame) -> None:
    """Name the estimators above the panels, and the diffusion scale with them."""
    handles: list[Any] = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=4,
            markerfacecolor="white" if look.hollow else look.colour,
            linestyle=":" if look.hollow else "-",
            label=look.label,
        )
        for look in (ESTIMATORS[name] for name in estimators_in(rows))
    ]
    handles.append(Line2D([], [], linestyle="none", label=diffusion_scale(rows)))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)


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
            (grid[1], own.effects, "LCD-CLIPR"),
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
        grid[2].set_ylabel("LCD-CLIPR")
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
            (grid[1], own.shifts, "LCD-CLIPR"),
        ):
            image = draw_map(axes, matrix.T, size, title, x="Gene", y="Perturbation")
        bar = part.colorbar(image, ax=grid[:2], shrink=0.8, pad=0.02, aspect=18, extend="both")
        bar.set_label("Shift")
        bar.outline.set_visible(False)
        target = np.zeros(own.shifts.shape, dtype=bool)
        target[own.targets, np.arange(len(own.targets))] = True
        draw_pairs(grid[2], own.true_shifts, own.shifts, target, ~target)
        grid[2].set_xlabel("True shift")
        grid[2].set_ylabel("LCD-CLIPR")
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
        color=ESTIMATORS["lcd_clipr"].colour,
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
    axes.set_title(f"r = {correlation:.2f} where not 0")


def page(summary: pd.DataFrame) -> str:
    """Medians as an HTML page, a row per setting and estimator; of the k, the middle one."""
    rows = summary[summary["metric"].isin(SHOWN)].copy()
    per_gene = rows["k"] / rows["genes"]
    multiples = sorted(set(per_gene.dropna()))
    middle = multiples[len(multiples) // 2]
    rows = rows[per_gene.isna() | (per_gene == middle)]
    rows["text"] = [
        "–" if n == 0 else f"{median:.3f} ({low:.3f} to {high:.3f})".replace("-", "−")
        for median, low, high, n in zip(
            rows["median"], rows["p10"], rows["p90"], rows["n"], strict=True
        )
    ]
    rows["knows"] = np.select(
        [rows["knows_truth"], rows["knows_targets"]], ["truth", "targets"], "samples"
    )
    rows["order"] = rows["estimator"].map({name: i for i, name in enumerate(ESTIMATORS)})
    rows["estimator"] = [ESTIMATORS[name].label.split(" (")[0] for name in rows["estimator"]]
    rows["structure"] = rows["structure"].map(STRUCTURES)
    rows["sigma"] = rows["sigma"].map("{:.4g}".format)
    index = ["structure", "genes", "n_perturbed", "sigma", "order", "estimator", "knows"]
    wide = (
        pd.pivot(rows, index=index, columns="metric", values="text")
        .reset_index()
        .rename_axis(columns=None)
    )
    table = wide[[name for name in [*index, *SHOWN] if name in wide and name != "order"]]
    return PAGE.format(table=table.to_html(index=False, na_rep="–", border=0), k=f"{middle:g}")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
