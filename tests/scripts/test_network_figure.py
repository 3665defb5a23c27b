"""Networks of the strongest effects, of any shape."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from effects import draw_network as script
from pipeline import network_layout
from pipeline.figures import WIDTH, style
from pipeline.gene_tree import module_colour
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.drawings import overlapping, texts
from tests.scripts.effects_fixture import GENES, NEVER, NO_TEST, draw


def edges_of(pairs, **columns):
    values = np.linspace(2, 1, len(pairs)) * np.where(np.arange(len(pairs)) % 2, -1, 1)
    table = pd.DataFrame(pairs, columns=["cause", "effect"])
    return table.assign(value=values, **columns)


def network(edges, states=None, perturbed=(), module_of=None):
    names = set(edges["cause"]) | set(edges["effect"])
    states = ["validated"] * len(edges) if states is None else states
    modules = dict.fromkeys(names, 0) | (module_of or {})
    with style():
        return script.draw_network(edges, states, set(perturbed), modules, 0.05)


def arrows_of(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]


def boxes_of(figure):
    """Boxes by gene, as extents (left, right, low, high) in inches."""
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    names = [text.get_text() for text in figure.axes[0].texts if text.get_text() != "?"]
    return dict(zip(names, patches, strict=True))


SHAPES = {
    "star": [("HUB", f"GENE{i}") for i in range(50)],
    "small star": [("HUB", f"GENE{i}") for i in range(12)],
    "pairs": [(f"GENE{2 * i}", f"GENE{2 * i + 1}") for i in range(50)],
    "dense": [(f"G{i}", f"G{j}") for i in range(8) for j in range(8) if i != j][:50],
    "ring": [(f"GENE{i}", f"GENE{(i + 1) % 12}") for i in range(12)],
    "two hubs": [("A", f"GENE{i}") for i in range(12)] + [("B", f"GENE{i}") for i in range(9, 20)],
    "one": [("A", "B")],
    "both ways": [("A", "B"), ("B", "A")],
    "long names": [("NAME_OF_A_TARGET_THAT_IS_LONG", f"ENSG0000012345{i}.7") for i in range(6)],
}


@pytest.mark.parametrize("pairs", SHAPES.values(), ids=SHAPES)
def test_boxes_and_their_names_lie_apart_on_the_page(pairs):
    figure = network(edges_of(pairs))
    assert len(arrows_of(figure)) == len(pairs)
    assert overlapping(figure) == []
    width, height = WIDTH - 0.2, figure.axes[0].get_ylim()[0]
    extents = [patch.get_bbox() for patch in boxes_of(figure).values()]
    for i, own in enumerate(extents):
        assert own.x0 >= -1e-6
        assert own.x1 <= width + 1e-6
        assert min(own.y0, own.y1) >= -1e-6
        assert max(own.y0, own.y1) <= height + 1e-6
        assert not any(own.overlaps(other) for other in extents[i + 1 :])


def test_edges_show_sign_and_validation_and_boxes_what_was_perturbed():
    edges = edges_of([("A", "B"), ("B", "C"), ("X", "Y")])
    states = ["validated", "not_validated", "not_testable"]
    figure = network(edges, states, perturbed=["A", "B"], module_of={"A": 1})
    colours = [to_hex(arrow.get_edgecolor()) for arrow in arrows_of(figure)]
    assert colours == [script.STATES[state][0].lower() for state in states]
    heads = [type(arrow.get_arrowstyle()).__name__ for arrow in arrows_of(figure)]
    assert heads == ["CurveFilledB", "BarAB", "CurveFilledB"]
    widths = [arrow.get_linewidth() for arrow in arrows_of(figure)]
    assert widths == sorted(widths, reverse=True)
    boxes = boxes_of(figure)
    solid = [gene for gene, box in boxes.items() if box.get_linestyle() in ("-", "solid")]
    assert sorted(solid) == ["A", "B"]
    assert to_hex(boxes["B"].get_facecolor()) == "#ffffff"
    assert to_hex(boxes["A"].get_facecolor()) not in ("#ffffff", module_colour(1).lower())


def test_widths_and_their_legend_are_those_of_the_score():
    edges = edges_of([("A", "B"), ("B", "C"), ("C", "D")], score=[0.5, -8.0, 3.0])
    figure = network(edges)
    widths = [arrow.get_linewidth() for arrow in arrows_of(figure)]
    # 0.7 to 2.3 points over magnitudes from 0.5 to 8
    np.testing.assert_allclose(widths, [0.7, 2.3, 0.7 + 1.6 * 2.5 / 7.5])
    (legend,) = (own for own in figure.legends if own.get_title().get_text() == "Score")
    assert [text.get_text() for text in legend.get_texts()] == ["0.5", "8"]


def test_each_state_is_looked_up():
    edges = edges_of([("A", "B"), ("A", "C"), ("B", "A"), ("X", "B")])
    tested = pd.DataFrame(
        {"cause": ["B", "A", "A"], "effect": ["C", "C", "B"], "validated": [True, False, True]}
    )
    expected = ["validated", "not_validated", "not_testable", "not_testable"]
    assert script.edge_states(edges, tested) == expected


def test_edges_of_causes_without_tests_cannot_be_tested(inputs):
    tested = read_tsv(inputs["validated_edges"])
    tests = read_tsv(inputs["differential_expression"])
    tests = tests[tests["perturbation"].isin(GENES) & (tests["perturbation"] != tests["gene"])]
    tests = tests.rename(columns={"perturbation": "cause", "gene": "effect"})
    expected = np.where(tests["p_adjusted"] < 0.05, "validated", "not_validated")
    assert script.edge_states(tests, tested) == expected.tolist()
    assert set(expected) == {"validated", "not_validated"}
    pairs = [(NO_TEST, "GENE2"), (NO_TEST, "GENE3"), (NEVER[0], "GENE2"), ("GENE2", NO_TEST)]
    states = script.edge_states(edges_of(pairs), tested)
    assert states[:3] == ["not_testable"] * 3
    assert states[3] != "not_testable"  # as a cause alone


def test_causes_that_were_never_perturbed_are_not_drawn(inputs, tmp_path):
    """Some of their effects are among the strongest, but no test can contradict them."""
    edges = read_tsv(inputs["edges"])
    untestable = read_tsv(Path(inputs["edges"]).with_name("untestable_edges.tsv"))
    assert untestable["value"].abs().max() > edges["value"].abs().min()
    assert untestable["cause"].isin(NEVER).all()
    assert not edges["cause"].isin(NEVER).any()
    shown = texts(draw("network", inputs, tmp_path))
    assert set(shown) & set(GENES) == {*edges["cause"], *edges["effect"]}


def test_only_the_strongest_edges_are_drawn(inputs, tmp_path):
    shown = texts(draw("network", inputs, tmp_path, n_edges=3))
    strongest = read_tsv(inputs["edges"]).head(3)
    assert set(shown) & set(GENES) == {*strongest["cause"], *strongest["effect"]}


def test_uncertain_signs_are_marked_where_there_are_several_seeds():
    pairs = [("A", "B"), ("B", "A"), ("C", "D")]
    figure = network(edges_of(pairs, sign_agreement=[1.0, 2 / 3, np.nan]))
    assert [text.get_text() for text in figure.axes[0].texts].count("?") == 1
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "sign differs between seeds" in labels
    one_seed = network(edges_of(pairs))
    labels = [text.get_text() for legend in one_seed.legends for text in legend.get_texts()]
    assert "sign differs between seeds" not in labels


def test_two_edges_between_the_same_genes_are_bent_apart():
    first, second = arrows_of(network(edges_of([("A", "B"), ("B", "A")])))
    assert first.get_connectionstyle().rad == second.get_connectionstyle().rad != 0


def test_an_edge_passes_the_boxes_of_other_genes():
    places = {name: np.array([x, 0.0]) for name, x in (("A", 0), ("B", 1), ("C", 2))}
    sizes = {name: np.array([0.4, 0.2]) for name in places}
    assert network_layout.choose_bend("A", "B", places, sizes, mutual=False) == 0
    bend = network_layout.choose_bend("A", "C", places, sizes, mutual=False)
    middle = network_layout.curve(places["A"], places["C"], bend)[10]
    assert abs(middle[1]) > 0.1


def test_effects_of_zero_are_no_edges(inputs, tmp_path):
    write_tsv(read_tsv(inputs["edges"]).assign(value=0.0), tmp_path / "edges.tsv")
    path = draw("network", inputs, tmp_path, edges=str(tmp_path / "edges.tsv"))
    assert texts(path) == ["There are no edges to draw."]
