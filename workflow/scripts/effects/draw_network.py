"""Figure of the strongest effects between genes, as a network."""

from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend_handler import HandlerPatch
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from pipeline.effects import read_effects
from pipeline.figures import INK, MUTED, WIDTH, new_figure, note, number_text, save, style
from pipeline.gene_tree import module_colour, read_tree
from pipeline.network_layout import Point, curve, place
from pipeline.tables import read_tsv

FONT_NODE = 6.5
LEGEND_INCHES = 0.78
GREEN, VERMILLION, GREY = "#009E73", "#D55E00", "#8C8C8C"
STATES = {
    "validated": (GREEN, "validated"),
    "not_validated": (VERMILLION, "not validated"),
    "not_testable": (GREY, "not testable"),
}
ACTIVATION = "-|>,head_length=0.55,head_width=0.28"
REPRESSION = "|-|,widthA=0,widthB=0.45"


def main(
    *,
    effects: str,
    order: str,
    validated_edges: str,
    edges: str,
    figure: str,
    alpha: float,
    n_edges: int,
) -> None:
    """Draw the strongest edges (SVG).

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects) of all genes, with ``obs["perturbed"]``.
    order
        TSV of the genes in the order of the tree, with their modules.
    validated_edges
        TSV of the strongest edges that could be tested, at least as many as are drawn.
    edges
        TSV of the strongest edges of all.
    figure
        SVG to write.
    alpha
        False discovery rate of the differential expression.
    n_edges
        Edges drawn.

    Raises
    ------
    InputError
        If the tree is of other genes than the effects.
    """
    matrix = read_effects(effects)
    _, module_of = read_tree(order, matrix.obs_names)
    perturbed = set(matrix.obs_names[matrix.obs["perturbed"].to_numpy(dtype=bool)])
    types = {"cause": str, "effect": str}
    strongest = read_tsv(edges, dtype=types).query("value != 0").head(n_edges)
    states = edge_states(strongest, read_tsv(validated_edges, dtype=types))
    with style():
        save(draw_network(strongest, states, perturbed, module_of, alpha), figure)


def edge_states(edges: pd.DataFrame, tested: pd.DataFrame) -> list[str]:
    """Return whether each edge is validated, not validated, or cannot be tested."""
    found = tested.set_index(["cause", "effect"])["validated"].to_dict()
    states = []
    for cause, effect in zip(edges["cause"], edges["effect"], strict=True):
        held = found.get((cause, effect))
        states.append("not_testable" if held is None else "validated" if held else "not_validated")
    return states


def draw_network(
    edges: pd.DataFrame,
    states: Sequence[str],
    perturbed: set[str],
    module_of: Mapping[str, int],
    alpha: float,
) -> Figure:
    """Draw the strongest edges as a network; lengths are in inches throughout."""
    if edges.empty:
        return note("There are no edges to draw.")
    pairs = list(zip(edges["cause"], edges["effect"], strict=True))
    graph = nx.DiGraph(pairs)
    sizes = {gene: box_of(gene) for gene in graph}
    places, bends, height = place(graph, sizes, WIDTH - 0.2)
    figure = new_figure(height + LEGEND_INCHES + 0.2)
    figure.set_layout_engine("none")
    low, high = np.array([LEGEND_INCHES + 0.1, height]) / figure.get_figheight()
    axes = figure.add_axes((0.1 / WIDTH, low, 1 - 0.2 / WIDTH, high))
    axes.set(xlim=(0, WIDTH - 0.2), ylim=(height, 0))
    axes.set_axis_off()
    boxes = {}
    for gene in graph:
        colour = shade(module_of[gene])
        boxes[gene] = draw_gene(axes, gene, places[gene], sizes[gene], colour, gene in perturbed)
    size = edges["score" if "score" in edges else "value"].abs().to_numpy(float)
    widths = 0.7 + 1.6 * (size - size.min()) / (np.ptp(size) or 1.0)
    uncertain = uncertain_signs(edges)
    for (cause, effect), value, state, width, unsure in zip(
        pairs, edges["value"], states, widths, uncertain, strict=True
    ):
        bend = bends[cause, effect]
        axes.add_patch(
            FancyArrowPatch(
                tuple(places[cause]),
                tuple(places[effect]),
                patchA=boxes[cause],
                patchB=boxes[effect],
                shrinkA=0,
                shrinkB=2.5,
                connectionstyle=f"arc3,rad={-bend}",
                clip_on=False,
                **arrow(value, STATES[state][0], width),
            )
        )
        if unsure:
            mark(axes, curve(places[cause], places[effect], bend)[10])
    legends(figure, alpha, size, uncertain=bool(uncertain.any()))
    return figure


def uncertain_signs(edges: pd.DataFrame) -> NDArray[np.bool_]:
    """Edges whose sign is not the same for all training seeds; none with one seed."""
    if "sign_agreement" not in edges:
        return np.zeros(len(edges), dtype=bool)
    return edges["sign_agreement"].to_numpy(float) < 1


def box_of(gene: str) -> Point:
    """Width and height of a gene's box."""
    font = FontProperties(family="DejaVu Sans", style="italic")
    text = TextPath((0, 0), gene, size=FONT_NODE, prop=font).get_extents().width
    return np.array([(text + 8) / 72, (FONT_NODE + 6) / 72])


def arrow(value: float, colour: str, width: float) -> dict[str, Any]:
    """Look of an edge: an arrow activates, a bar represses."""
    return {
        "arrowstyle": ACTIVATION if value > 0 else REPRESSION,
        "mutation_scale": 6 + 1.5 * width,
        "color": colour,
        "linewidth": width,
        "capstyle": "butt",
        "joinstyle": "miter",
    }


def draw_gene(
    axes: Axes, gene: str, centre: Point, size: Point, colour: Any, perturbed: bool
) -> FancyBboxPatch:
    """Draw a gene as a box with its name."""
    box = FancyBboxPatch(
        tuple(centre - size / 2),
        size[0],
        size[1],
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor=colour,
        zorder=3,
        clip_on=False,
        **outline(perturbed),
    )
    axes.add_patch(box)
    axes.text(
        centre[0],
        centre[1],
        gene,
        ha="center",
        va="center_baseline",
        fontsize=FONT_NODE,
        style="italic",
        zorder=4,
    )
    return box


def outline(perturbed: bool) -> dict[str, Any]:
    """Outline of a gene, dashed where it was never perturbed."""
    if perturbed:
        return {"edgecolor": INK, "linewidth": 0.9}
    return {"edgecolor": MUTED, "linewidth": 0.8, "linestyle": (0, (2.5, 1.5))}


def shade(module: int) -> str | tuple[float, float, float]:
    """Light colour of a module; white for none."""
    if module <= 0:
        return "white"
    red, green, blue = (1 - 0.3 * (1 - part) for part in to_rgb(module_colour(module)))
    return red, green, blue


def mark(axes: Axes, centre: Point) -> None:
    """Mark an edge whose sign is uncertain."""
    disc: dict[str, Any] = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "linewidth": 0}
    axes.text(
        centre[0],
        centre[1],
        "?",
        ha="center",
        va="center",
        fontsize=5.5,
        weight="bold",
        bbox=disc,
        zorder=2.5,
    )


def legends(figure: Figure, alpha: float, size: NDArray[np.float64], *, uncertain: bool) -> None:
    """Explain edges and boxes below the network."""

    def edge(value: float, label: str) -> FancyArrowPatch:
        return FancyArrowPatch((0, 0), (1, 0), label=label, **arrow(value, INK, 1.1))

    def gene(seen: bool, label: str) -> FancyBboxPatch:
        return FancyBboxPatch((0, 0), 1, 1, facecolor="white", label=label, **outline(seen))

    ends = sorted({float(size.min()), float(size.max())})
    widths = [0.7, 2.3][: len(ends)]
    signs: list[Any] = [edge(1, "activates"), edge(-1, "represses")]
    if uncertain:
        unsure = Line2D([], [], color=INK, marker="$?$", markersize=4, linestyle="none")
        unsure.set_label("sign differs between seeds")
        signs.append(unsure)
    groups: dict[str, list[Any]] = {
        f"DE under the cause (adj. P < {alpha:g})": [
            Line2D([], [], color=colour, linewidth=1.6, label=label)
            for colour, label in STATES.values()
        ],
        "Predicted effect": signs,
        "Score": [
            Line2D([], [], color=INK, linewidth=width, label=number_text(end, ".2g"))
            for width, end in zip(widths, ends, strict=True)
        ],
        "Gene": [gene(True, "perturbed"), gene(False, "never perturbed")],
    }
    for left, (title, handles) in zip((0.02, 0.36, 0.635, 0.79), groups.items(), strict=True):
        legend = figure.legend(
            handles=handles,
            title=title,
            title_fontsize=7.5,
            alignment="left",
            loc="upper left",
            bbox_to_anchor=(left, (LEGEND_INCHES - 0.03) / figure.get_figheight()),
            borderaxespad=0,
            handler_map={
                FancyArrowPatch: HandlerPatch(patch_func=legend_arrow),
                FancyBboxPatch: HandlerPatch(patch_func=legend_box),
            },
        )
        legend.set_in_layout(False)


def legend_arrow(
    orig_handle: Any, xdescent: float, ydescent: float, width: float, height: float, **_: Any
) -> FancyArrowPatch:
    """Edge of a legend."""
    middle = height / 2 - ydescent
    return FancyArrowPatch(
        (-xdescent, middle),
        (width - xdescent, middle),
        arrowstyle=orig_handle.get_arrowstyle(),
        mutation_scale=orig_handle.get_mutation_scale(),
        shrinkA=0,
        shrinkB=0,
    )


def legend_box(
    xdescent: float, ydescent: float, width: float, height: float, **_: Any
) -> FancyBboxPatch:
    """Box of a legend."""
    corner = (-xdescent, -ydescent)
    return FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=2")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
