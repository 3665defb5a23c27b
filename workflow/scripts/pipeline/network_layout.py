"""Where the boxes of a network go and how its edges bend, without overlaps; in inches."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Point = NDArray[np.float64]

BOX_GAP, LINKED_GAP, PART_GAP = 0.1, 0.34, 0.26
EDGE_INCHES = 0.66
HIGHEST = 6.0
"""Height in inches that a connected part of the network takes at most where it can be spread."""


class Part(NamedTuple):
    """Layout of a connected part of the network within its frame."""

    centres: dict[str, Point]
    bends: dict[tuple[str, str], float]
    frame: Point


def place(
    graph: nx.DiGraph, sizes: Mapping[str, Point], width: float
) -> tuple[dict[str, Point], dict[tuple[str, str], float], float]:
    """Centres of all genes, bends of all edges, and the height they need."""
    # Subgraphs of networkx have no order of their own; these have that of the edges.
    parts = [
        place_part(nx.DiGraph([edge for edge in graph.edges if edge[0] in names]), sizes, width)
        for names in nx.weakly_connected_components(graph)
    ]
    # Highest first, each as far up, then left, as the skyline of those before it allows.
    parts.sort(key=lambda part: (-round(part.frame[1], 6), -part.frame[0]))
    step = 0.02
    skyline = np.zeros(int(width / step) + 1)
    centres: dict[str, Point] = {}
    bends: dict[tuple[str, str], float] = {}
    used = 0.0
    for part in parts:
        columns = min(int(np.ceil((part.frame[0] + PART_GAP) / step)), len(skyline))
        tops = np.lib.stride_tricks.sliding_window_view(skyline, columns).max(axis=1)
        left = int(tops.argmin())
        corner = np.array([left * step, tops[left]])
        centres |= {gene: centre + corner for gene, centre in part.centres.items()}
        bends |= part.bends
        skyline[left : left + columns] = tops[left] + part.frame[1] + PART_GAP
        used = max(used, corner[0] + part.frame[0])
    margin = np.array([(width - used) / 2, 0])
    centres = {gene: centre + margin for gene, centre in centres.items()}
    return centres, bends, float(skyline.max()) - PART_GAP


def place_part(part: nx.DiGraph, sizes: Mapping[str, Point], width: float) -> Part:
    """Lay out a connected part: a hub with its neighbours around it, or any other graph."""
    linked = part.to_undirected()
    # The stronger edges were added first; of two linked genes the cause is the hub.
    genes = sorted(part, key=lambda gene: (-linked.degree[gene], -part.out_degree[gene]))
    boxes = np.array([sizes[gene] for gene in genes])
    if linked.number_of_edges() == len(genes) - 1 == linked.degree[genes[0]]:
        centres = around(boxes)
    else:
        centres = spread(linked, genes, boxes, width)
    gaps = np.where(nx.to_numpy_array(linked, nodelist=genes) > 0, LINKED_GAP, BOX_GAP)
    centres = separate(centres, boxes, gaps, width)
    places = dict(zip(genes, centres, strict=True))
    bends = {
        (cause, effect): choose_bend(cause, effect, places, sizes, part.has_edge(effect, cause))
        for cause, effect in part.edges
    }
    curves = [curve(places[a], places[b], bend) for (a, b), bend in bends.items()]
    drawn = np.concatenate([centres - boxes / 2, centres + boxes / 2, *curves])
    corner = drawn.min(axis=0)
    places = {gene: centre - corner for gene, centre in places.items()}
    return Part(places, bends, drawn.max(axis=0) - corner)


def around(boxes: Matrix) -> Matrix:
    """Centres of a hub, the first, and of its neighbours on rings around it.

    Boxes are wider than high, so that more of them fit beside the hub than above or below. With
    two rings, the edges to the outer one pass between the boxes of the inner one.
    """
    n = len(boxes) - 1
    wide, high = boxes.max(axis=0) + BOX_GAP
    turn = np.linspace(0, 2 * np.pi, 2001)
    across = wide * np.abs(np.sin(turn)) + high * np.abs(np.cos(turn))
    room = np.concatenate([[0], np.cumsum((1 / across)[1:] * np.diff(turn))])
    angles = np.interp(np.arange(n) / n * room[-1], room, turn)
    rings = 1 if n <= 20 else 2
    towards = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    nearest = np.abs(towards) @ (boxes.max(axis=0) + LINKED_GAP)
    radii = np.maximum(nearest, n * (1.1 if rings == 1 else 0.6) / room[-1])
    radii += (np.arange(n) % rings) * (np.abs(towards) @ [wide, 2 * high])
    return np.concatenate([[[0.0, 0.0]], radii[:, None] * towards])


def spread(part: nx.Graph, genes: Sequence[str], boxes: Matrix, width: float) -> Matrix:
    """Centres by graph distance, as far apart as their boxes need and the page allows."""
    layout = nx.kamada_kawai_layout(part)
    centres = np.array([layout[gene] for gene in genes])
    centres -= centres.mean(axis=0)
    # The longer direction lies along the page, which is wider than high, as the boxes are.
    directions = np.linalg.svd(centres, full_matrices=False)[2]
    directions *= np.sign(directions[[0, 1], np.abs(directions).argmax(axis=1)])[:, None]
    centres = centres @ directions.T
    place_of = dict(zip(genes, centres, strict=True))
    lengths = [np.linalg.norm(place_of[a] - place_of[b]) for a, b in part.edges]
    length = EDGE_INCHES * max(1.0, len(lengths) / len(genes)) ** 0.6  # room for many edges
    centres *= length / np.mean(lengths) * np.array([1.25, 0.85])
    most = np.array([width, HIGHEST]) - boxes.max(axis=0)
    reach = (boxes[:, None] + boxes) / 2 + BOX_GAP
    for _ in range(20):
        overlaps = (np.abs(centres[:, None] - centres) < reach).all(axis=2).sum() - len(genes)
        wider = centres * 1.08
        if not overlaps or (np.ptp(wider, axis=0) > most).any():
            break
        centres = wider
    return centres


def separate(centres: Matrix, boxes: Matrix, gaps: Matrix, width: float) -> Matrix:
    """Move boxes apart, within ``width``, until each pair has its gap."""
    reach = (boxes[:, None] + boxes) / 2 + gaps[..., None]  # n x n x 2
    index = np.arange(len(boxes))
    first = np.sign(index[:, None] - index)  # which way two at the same place go
    extent = np.ptp(centres[:, 0]) + boxes[:, 0].max()
    centres = centres * [min(1.0, width / extent), 1.0]
    for _ in range(500):
        away = centres[:, None] - centres
        missing = reach - np.abs(away)
        overlap = (missing > 1e-6).all(axis=2) & (first != 0)
        if not overlap.any():
            break
        along = missing.argmin(axis=2)[..., None] == np.arange(2)
        direction = np.where(away == 0, first[..., None], np.sign(away))
        centres = centres + 0.55 * (direction * missing * along * overlap[..., None]).sum(axis=1)
        half = width / 2 - boxes[:, 0] / 2
        centres[:, 0] = np.clip(centres[:, 0], -half, half)
    return centres


def curve(start: Point, end: Point, bend: float) -> Matrix:
    """Points along an edge that is bent by a share of its length, (21, 2)."""
    t = np.linspace(0, 1, 21)[:, None]
    across = np.array([end[1] - start[1], start[0] - end[0]])
    control = (start + end) / 2 + bend * across
    points: Matrix = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return points


def choose_bend(
    cause: str,
    effect: str,
    places: Mapping[str, Point],
    sizes: Mapping[str, Point],
    mutual: bool,
) -> float:
    """Return the least bend that leads an edge past the boxes of other genes.

    Two edges between the same genes are bent to different sides.
    """
    others = [gene for gene in places if gene not in (cause, effect)]
    bends = [0.16, 0.3, 0.45] if mutual else [0, 0.15, -0.15, 0.3, -0.3, 0.45, -0.45]
    if not others:
        return bends[0]
    centres = np.array([places[gene] for gene in others])
    halves = np.array([sizes[gene] for gene in others]) / 2 + 0.03

    def covered(bend: float) -> int:
        points = curve(places[cause], places[effect], bend)
        return int((np.abs(points[:, None] - centres) < halves).all(axis=2).sum())

    return min(bends, key=covered)
