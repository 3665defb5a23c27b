"""Figures of the effects between all genes: maps, enriched terms, strongest edges, validation."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import anndata as ad
import matplotlib
import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend_handler import HandlerPatch
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.figures import BAND, INK, MUTED, WIDTH, new_figure, note, save, style, thinned
from pipeline.network_layout import Point, curve, place
from pipeline.tables import read_tsv

Matrix = NDArray[np.float64]

# Colours of Okabe and Ito 2008; modules are numbered along the tree, so that neighbours differ.
MODULE_COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
NO_MODULE = "#DCDCDC"
GREEN, VERMILLION, GREY = "#009E73", "#D55E00", "#8C8C8C"

# Maps. Few dots and few colours make a small file.
DIVERGING, LEVELS = "RdBu_r", 33
MISSING = "#BDBDBD"
MAP_DOTS = 200
"""Dots per inch: two genes a dot where there are a thousand."""
ROBUST_SHARE = 0.995
MAP_POINTS = 165.0
"""Side of a map in points where genes are named, about."""
SMALLEST_NAMES = 3.0
"""Size of font in points below which genes are not named."""

# Terms. Prefixes of MSigDB's names are read as the source of a term.
SOURCES = {
    "GOBP_": "GO BP", "GOCC_": "GO CC", "GOMF_": "GO MF", "REACTOME_": "Reactome",
    "KEGG_MEDICUS_": "KEGG Medicus", "KEGG_": "KEGG", "WP_": "WikiPathways", "PID_": "PID",
    "BIOCARTA_": "BioCarta", "HALLMARK_": "Hallmark",
}  # fmt: skip
ACRONYMS = [
    "ATPase", "cAMP", "cGMP", "CREB", "GTPase", "lncRNA", "MAPK", "miRNA", "mRNA", "mTOR", "NADH",
    "NADPH", "ncRNA", "Ras", "Rho", "RNAs", "rRNA", "SARS", "snoRNA", "snRNA", "SREBP", "tRNA",
]  # fmt: skip
SHORT_WORDS = {
    "A", "AGE", "ALL", "AN", "AND", "ARM", "AS", "AT", "BY", "DUE", "END", "EYE", "FAT", "FOR",
    "GAP", "IN", "ITS", "KEY", "LOW", "NEW", "NON", "NOT", "OF", "OFF", "ON", "ONE", "OR", "OUT",
    "PER", "PRE", "SUB", "TAU", "THE", "TO", "TWO", "UP", "USE", "VIA",
}  # fmt: skip
LETTERS = {1: (58, 2), 2: (37, 3)}
"""Letters of a line and lines of a name, by the number of columns of the figure."""
MOST_IN_A_COLUMN = 60
"""Terms above whose number the modules stand in two columns."""
NO_BREAK = "\u00a0"

# Edges
FONT_NODE = 6.5
LEGEND_INCHES = 0.78
STATES = {
    "validated": (GREEN, "validated"),
    "not_validated": (VERMILLION, "not validated"),
    "not_testable": (GREY, "not testable"),
}
ACTIVATION = "-|>,head_length=0.55,head_width=0.28"
REPRESSION = "|-|,widthA=0,widthB=0.45"

# Validation
RATES = {
    "probability": ("low", "high", "P(DE | predicted cause)"),
    "lift": ("lift_low", "lift_high", "Lift"),
    "conviction": ("conviction_low", "conviction_high", "Conviction"),
}
CAUSES = {"all": ("All causes", "#0072B2", "o"), "held_out": ("Held-out causes", "#D55E00", "s")}
SIGNIFICANT = 0.01
DASHES = (0, (4, 3))


def main(
    *,
    effects: str,
    order: str,
    differential_expression: str,
    validation: str,
    validated_edges: str,
    edges: str,
    effect_maps: str,
    enrichment: str,
    network: str,
    validation_curves: str,
    top_terms: str | None = None,
    held_out_validation: str | None = None,
    alpha: float = 0.05,
    enrichment_alpha: float = 0.01,
    n_edges: int = 50,
) -> None:
    """Draw four figures (SVG).

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects) of all genes, with ``obs["perturbed"]`` and the
        layers ``initial``, ``limit``, ``pseudoinverse`` and ``limit_expression``.
    order
        TSV of the genes in the order of the tree, with their modules.
    differential_expression
        TSV of tests against control by perturbation and gene.
    validation, held_out_validation
        TSV with one row per top fraction of the edges: of all causes, and, where there are any,
        of causes whose perturbations the models had not seen.
    validated_edges
        TSV of the strongest edges that could be tested, at least as many as are drawn.
    edges
        TSV of the strongest edges of all.
    effect_maps, enrichment, network, validation_curves
        The SVG files to write.
    top_terms
        TSV of each module's strongest terms; none where no gene sets are configured.
    alpha
        False discovery rate of the differential expression.
    enrichment_alpha
        False discovery rate of the terms.
    n_edges
        Edges drawn.
    """
    matrix = read_effects(effects)
    leaves = read_tsv(order, dtype={"gene": str, "module": "Int64"})
    genes, modules = leaves["gene"].tolist(), leaves["module"].fillna(0).astype(int).tolist()
    if sorted(genes) != sorted(matrix.obs_names):
        raise InputError(
            "the genes of the tree are not those of the effects",
            where=order,
            found=sorted(set(genes).symmetric_difference(matrix.obs_names)),
            remedy="find the modules of these effects again",
        )
    module_of = dict(zip(genes, modules, strict=True))
    perturbed = set(matrix.obs_names[matrix.obs["perturbed"].to_numpy(dtype=bool)])
    changes = read_changes(differential_expression, genes)
    types = {"cause": str, "effect": str}
    strongest = read_tsv(edges, dtype=types).query("value != 0").head(n_edges)
    states = edge_states(strongest, read_tsv(validated_edges, dtype=types), changes)
    tables = {"all": validation, "held_out": held_out_validation}
    rates = {name: read_tsv(path) for name, path in tables.items() if path}
    with style():
        maps = draw_maps(maps_of(matrix, genes, changes), genes, module_of)
        with matplotlib.rc_context({"savefig.dpi": MAP_DOTS}):
            save(maps, effect_maps)
        if top_terms:
            terms = read_tsv(top_terms, dtype={"term": str, "collection": str})
            save(draw_terms(terms, enrichment_alpha, genes), enrichment)
        else:
            save(note("No gene sets are configured, so no module is tested."), enrichment)
        save(draw_network(strongest, states, perturbed, module_of, alpha), network)
        save(draw_validation(rates), validation_curves)


def read_changes(path: str, genes: Sequence[str]) -> pd.DataFrame:
    """Log fold changes, perturbations x genes, NaN where there is no test."""
    tests = read_tsv(
        path,
        usecols=["perturbation", "gene", "log_fold_change"],
        dtype={"perturbation": "category", "gene": "category"},
    )
    rows, columns = tests["perturbation"].cat, tests["gene"].cat
    values = np.full((len(rows.categories), len(columns.categories)), np.nan)
    values[rows.codes, columns.codes] = tests["log_fold_change"]
    table = pd.DataFrame(values, list(rows.categories), list(columns.categories))
    return table.reindex(columns=list(genes))


def module_colour(module: int) -> str:
    """Colour of a module, from 1; grey for none."""
    return MODULE_COLOURS[(module - 1) % len(MODULE_COLOURS)] if module > 0 else NO_MODULE


class Map(NamedTuple):
    """A matrix to draw, causes x genes in the order of the tree, and what its values are."""

    title: str
    values: Matrix
    causes: list[str]
    label: str
    rows: str = "Perturbed cause"


def maps_of(matrix: ad.AnnData, genes: Sequence[str], changes: pd.DataFrame) -> list[Map]:
    """Matrices of the figure; those of responses have the perturbed causes only."""
    ordered = matrix[list(genes), list(genes)]
    seen = ordered.obs["perturbed"].to_numpy(dtype=bool)
    causes = ordered.obs_names[seen].tolist()

    def rows_of(layer: str) -> Matrix:
        return np.asarray(ordered.layers[layer], dtype=float)[seen]

    expected = rows_of("limit_expression")
    observed = changes.reindex(index=causes, columns=list(genes)).to_numpy(dtype=float)
    compared = np.isfinite(expected) & np.isfinite(observed) & different(causes, genes)
    r = correlation(expected[compared], observed[compared])
    agreement = f", r = {r:.2f}".replace("-", "−") if np.isfinite(r) else ""
    return [
        Map("Direct effects, Aᵀ", np.asarray(ordered.X), list(genes), "Effect", "Cause"),
        Map("Initial responses, Vᵀ", rows_of("initial"), causes, "Drift at the origin"),
        Map("Pseudoinverse of the limits, L⁺", rows_of("pseudoinverse"), causes, "Entry of L⁺"),
        Map("Limit responses, Lᵀ", rows_of("limit"), causes, "Change of the state"),
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


def draw_maps(maps: Sequence[Map], genes: Sequence[str], module_of: Mapping[str, int]) -> Figure:
    """Draw matrices, two in a row, with the modules along causes and genes."""
    n_rows = -(-len(maps) // 2)
    figure = new_figure(3.05 * n_rows)
    grid = figure.subplots(n_rows, 2, squeeze=False)
    for axes, own in zip(grid.flat, maps, strict=False):
        draw_map(axes, own, genes, module_of)
    for axes in grid.flat[len(maps) :]:
        axes.set_visible(False)
    return figure


def draw_map(axes: Axes, own: Map, genes: Sequence[str], module_of: Mapping[str, int]) -> None:
    """Draw one matrix, its genes by name where there is room and by module in any case."""
    axes.set_box_aspect(1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    if not own.causes:
        axes.set_title(own.title)
        axes.text(0.5, 0.5, "no cause was perturbed", ha="center", va="center", color=MUTED)
        return
    size = colour_limit(own, genes)
    # Resampled to the size of print when saved, since viewers shrink images each in their own way;
    # values, not colours, are averaged, which keeps the colours few.
    image = axes.imshow(
        enlarged(np.clip(own.values, -size, size)),
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

    above = axes.inset_axes((0, 1.012, 1, 0.028))
    beside = axes.inset_axes((-0.04, 0, 0.028, 1))
    named = 0.95 * MAP_POINTS / len(genes) >= SMALLEST_NAMES
    numbered = any(module_of.values())
    of_genes, of_causes = ([module_of[gene] for gene in own] for own in (genes, own.causes))
    draw_strip(above, of_genes, horizontal=True, numbers=numbered)
    draw_strip(beside, of_causes, horizontal=False, numbers=numbered and not named)
    above.set_title(own.title, pad=4)
    if named:
        for axis, names, turn in ((axes.xaxis, genes, 90), (beside.yaxis, own.causes, 0)):
            axis.set_ticks(range(len(names)), names)
            font = min(0.95 * MAP_POINTS / len(names), 6.5)
            axis.set_tick_params(length=0, pad=1, labelsize=font, labelrotation=turn)
            for label in axis.get_ticklabels():
                label.set_fontstyle("italic")
    axes.set_xlabel("Gene affected" if named else f"Gene affected ({len(genes):,})")
    beside.set_ylabel(own.rows if named else f"{own.rows} ({len(own.causes):,})", labelpad=2)


def enlarged(values: Matrix) -> Matrix:
    """Repeat rows and columns that are few, where the others are many.

    Matplotlib smooths both directions of an image where one has less than three dots an entry;
    repeated, few rows beside many columns keep their edges.
    """
    dots = MAP_POINTS / 72 * MAP_DOTS
    if 3 * max(values.shape) <= dots:
        return values
    rows, columns = (max(1, int(np.ceil(2 * dots / n))) if n < dots else 1 for n in values.shape)
    return values.repeat(rows, axis=0).repeat(columns, axis=1)


def draw_strip(axes: Axes, modules: Sequence[int], *, horizontal: bool, numbers: bool) -> None:
    """Draw the modules along one side of a map, their numbers where they do not collide."""
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
            # half of the room that the number takes, as a share of the strip
            half = 0.011 * len(str(module)) if horizontal else 0.015
            runs.append((length, module, start + (length - 1) / 2, half * len(modules)))
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


def readable(
    term: str,
    collection: str,
    symbols: frozenset[str] = frozenset(),
    letters: int = 58,
    lines: int = 2,
) -> str:
    """Name of a term as a phrase with its source, wrapped and, if it must be, shortened.

    Names in MSigDB's capitals are put into lower case but for ``symbols`` of genes and what looks
    like one or like an acronym: words with digits, without vowels, or of up to three letters.
    """
    source, words = collection, term
    for prefix, own in SOURCES.items():
        if term.startswith(prefix) and len(term) > len(prefix):
            source, words = own, term.removeprefix(prefix)
            break
    parts = words.replace("_", " ").split()
    if words.isupper():
        parts = [word if word in symbols else cased(word) for word in parts]
        if parts[0].islower():
            parts[0] = parts[0].capitalize()
    source = source.replace(" ", NO_BREAK)
    phrase = " ".join(parts)
    wrapped = textwrap.wrap(f"{phrase} ({source})", letters)
    room = lines * letters - len(source) - 3
    while len(wrapped) > lines and room > 10:
        # one word longer than the room would leave nothing but the dots
        shorter = textwrap.shorten(phrase, room, placeholder=" …")
        shorter = shorter if len(shorter) > 2 else phrase[:room] + "…"
        wrapped = textwrap.wrap(f"{shorter} ({source})", letters)
        room -= 4
    return "\n".join(wrapped)


def cased(word: str) -> str:
    """Case of a word that is written in capitals."""
    symbol = any(map(str.isdigit, word)) or not set("AEIOUY") & set(word) or len(word) <= 3
    lower = word.lower() if word in SHORT_WORDS or not symbol else word
    return next((own for own in ACRONYMS if own.upper() == word), lower)


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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.set_xlabel("Odds ratio")
    if not np.isfinite(odds).any():
        axes.set_xticks([])
        axes.xaxis.set_minor_locator(NullLocator())


def edge_states(edges: pd.DataFrame, tested: pd.DataFrame, changes: pd.DataFrame) -> list[str]:
    """Return whether each edge is validated, not validated, or cannot be tested.

    Raises
    ------
    InputError
        If an edge could be tested but is not listed among those that were.
    """
    found = tested.set_index(["cause", "effect"])["validated"].to_dict()
    states = []
    for cause, effect in zip(edges["cause"], edges["effect"], strict=True):
        if (cause, effect) in found:
            states.append("validated" if found[cause, effect] else "not_validated")
            continue
        if cause in changes.index and np.isfinite(changes.at[cause, effect]):
            raise InputError(
                "an edge to draw could be tested, but is not in the list of tested edges",
                found=f"{cause} on {effect}, {len(tested)} edges listed",
                remedy="list at least as many tested edges as are drawn",
            )
        states.append("not_testable")
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
    size = edges["value"].abs().to_numpy(float)
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
        "Magnitude": [
            Line2D([], [], color=INK, linewidth=width, label=f"{end:.2g}")
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


def draw_validation(rates: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw P(DE | predicted cause), lift and conviction against the share of edges predicted."""
    figure = new_figure(2.75)
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
        Line2D([], [], color=INK, marker="o", markersize=4, markerfacecolor="white",
               linestyle="none", label=f"P ≥ {SIGNIFICANT:g} (Fisher)"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


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
    if measure != "probability":
        axes.axhline(1, color=MUTED, linestyle=DASHES, linewidth=0.8, zorder=0)
    if ends.infinity < ends.top:
        size = ends.top - ends.infinity
        ticks = np.asarray(MaxNLocator(5).tick_values(ends.bottom, ends.infinity))
        ticks = ticks[(ticks >= ends.bottom) & (ticks < ends.infinity - size)]
        axes.set_yticks([*ticks, ends.infinity], [*(f"{tick:g}" for tick in ticks), "∞"])
        axes.axhspan(ends.infinity - size / 2, ends.top, color=BAND, linewidth=0, zorder=-1)
    axes.set_ylim(ends.bottom, ends.top)


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
