"""Figures of the effects between all genes, from matrices and tables of any shape."""

import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import anndata as ad
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text
from scipy.stats import false_discovery_control

from effects import draw_effects_figures as figures
from effects import enrich_modules, export_effects, find_modules, validate_edges
from lcd_core.errors import InputError
from pipeline import network_layout
from pipeline.figures import style
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.test_figures import overlapping, texts

ROOT = Path(__file__).parents[2]
FIGURES = ("effect_maps", "enrichment", "network", "validation_curves")
GENES = [f"GENE{i}" for i in range(24)]
NEVER = GENES[::6]  # never perturbed
INPUT_TABLES = ("validation", "held_out_validation", "validated_edges", "edges", "top_terms")
NO_TEST = "GENE1"  # perturbed, but missing in the table of tests


def effects_of(genes=GENES, never=NEVER, seed=0, **layers):
    """Effects in two blocks, with the layers that the analysis writes."""
    rng = np.random.default_rng(seed)
    d = len(genes)
    block = np.arange(d) * 3 // d  # the first third is in none
    inside = (block[:, None] == block) & (block > 0)
    strong = rng.uniform(0.5, 1, (d, d)) * rng.choice([-1, 1], (d, d))
    X = np.where(inside, strong, rng.normal(0, 0.01, (d, d)))
    np.fill_diagonal(X, -9)
    perturbed = ~np.isin(genes, never)
    rows = {
        name: np.where(perturbed[:, None], rng.normal(0, 1, (d, d)), np.nan)
        for name in ("initial", "limit", "pseudoinverse", "limit_expression")
    }
    return ad.AnnData(
        X,
        obs=pd.DataFrame({"perturbed": perturbed}, index=list(genes)),
        var=pd.DataFrame(index=list(genes)),
        layers={**rows, **layers},
    )


def screen_tests(effects, seed=1):
    """Tests that follow the effects, of perturbed genes, a drug and a pair."""
    rng = np.random.default_rng(seed)
    genes = effects.var_names
    parts = []
    for name in [*effects.obs_names[effects.obs["perturbed"]], "drug", "GENE2+GENE3"]:
        if name == NO_TEST:
            continue
        change = effects[name].X[0] if name in genes else rng.normal(0, 1, len(genes))
        change = change + rng.normal(0, 0.1, len(genes))
        p_value = np.exp(-8 * np.abs(change))
        parts.append(
            pd.DataFrame(
                {
                    "perturbation": name,
                    "gene": genes,
                    "log_fold_change": change,
                    "p_value": p_value,
                    "p_adjusted": false_discovery_control(p_value),
                }
            )
        )
    return pd.concat(parts)


def write_inputs(folder, effects):
    """Write what the figures read, through the scripts that make it; return the paths."""

    def at(name):
        return str(folder / name)

    write_h5ad(effects, at("effects.h5ad"))
    write_tsv(screen_tests(effects), at("tests.tsv"))
    tables = {name: at(f"{name}.tsv") for name in ("tree", "order", "membership")}
    find_modules.main(effects=at("effects.h5ad"), **tables, cut="number", number=10)
    common = {"differential_expression": at("tests.tsv"), "fractions": [0.01, 0.1, 1], "seed": 1}
    validate_edges.main(
        effects=at("effects.h5ad"),
        edges=at("validated_edges.tsv"),
        validation=at("validation.tsv"),
        **common,
    )
    export_effects.main(
        effects=at("effects.h5ad"),
        membership=at("membership.tsv"),
        annotated=at("annotated.h5ad"),
        edges=at("edges.tsv"),
        graphml=at("network.graphml"),
    )
    paths = {
        "effects": at("annotated.h5ad"),
        "order": at("order.tsv"),
        "differential_expression": at("tests.tsv"),
        **{name: at(f"{name}.tsv") for name in INPUT_TABLES},
    }
    write_h5ad(effects[["GENE9", "GENE14"]].copy(), at("held_out.h5ad"))
    validate_edges.main(
        effects=at("held_out.h5ad"),
        edges=at("held_out_edges.tsv"),
        validation=at("held_out_validation.tsv"),
        **common,
    )
    (folder / "sets.gmt").write_text("\t".join(["GOCC_LAST_BLOCK", "x", *GENES[16:]]))
    enrich_modules.main(
        membership=at("membership.tsv"),
        gene_sets=[at("sets.gmt")],
        table=at("enrichment.tsv"),
        top_table=at("top_terms.tsv"),
    )
    return paths


def draw(inputs, folder, **settings):
    outputs = {name: str(folder / f"{name}.svg") for name in FIGURES}
    figures.main(**inputs, **outputs, **settings)
    return outputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"), effects_of())


@pytest.fixture(scope="module")
def drawn(inputs, tmp_path_factory):
    return draw(inputs, tmp_path_factory.mktemp("figures"))


def test_every_figure_is_an_svg_with_text_and_without_a_date(drawn):
    for path in drawn.values():
        content = Path(path).read_text()
        assert ElementTree.fromstring(content).tag.endswith("svg")
        assert texts(path)
        assert "<dc:date>" not in content


def test_the_same_inputs_give_the_same_bytes(inputs, drawn, tmp_path):
    matplotlib.rcParams["font.size"] = 20  # what a session has set must not matter
    try:
        again = draw(inputs, tmp_path)
    finally:
        matplotlib.rcdefaults()
    for name, path in drawn.items():
        assert Path(path).read_bytes() == Path(again[name]).read_bytes(), name


def test_a_tree_of_other_genes_is_refused(inputs, tmp_path):
    order = read_tsv(inputs["order"])
    write_tsv(order.replace({"gene": {"GENE3": "OTHER"}}), tmp_path / "order.tsv")
    with pytest.raises(InputError, match=r"(?s)not those of the effects.*GENE3.*OTHER"):
        draw({**inputs, "order": str(tmp_path / "order.tsv")}, tmp_path)


# Maps


def maps(effects, tests=None, genes=None):
    genes = list(effects.obs_names if genes is None else genes)
    table = screen_tests(effects) if tests is None else tests
    changes = table.pivot(index="perturbation", columns="gene", values="log_fold_change")
    return {own.title.split(",")[0]: own for own in figures.maps_of(effects, genes, changes)}


def drawn_maps(effects, module_of):
    with style():
        return figures.draw_maps(list(maps(effects).values()), list(effects.obs_names), module_of)


def images_of(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_maps_have_the_order_of_the_tree_and_perturbed_causes_only():
    effects = effects_of()
    order = np.random.default_rng(2).permutation(GENES).tolist()
    own = maps(effects, genes=order)
    seen = [gene for gene in order if gene not in NEVER]
    assert own["Direct effects"].causes == order
    np.testing.assert_array_equal(own["Direct effects"].values, effects[order, order].X)
    for title, layer in (
        ("Initial responses", "initial"),
        ("Pseudoinverse of the limits", "pseudoinverse"),
        ("Limit responses", "limit"),
        ("Normalised limit responses", "limit_expression"),
    ):
        assert own[title].causes == seen
        np.testing.assert_array_equal(own[title].values, effects[seen, order].layers[layer])


def test_observed_changes_come_from_the_table_and_lack_what_was_not_tested(inputs):
    effects = effects_of()
    changes = figures.read_changes(inputs["differential_expression"], GENES)
    own = figures.maps_of(effects, GENES, changes)[-1]
    tests = read_tsv(inputs["differential_expression"]).set_index(["perturbation", "gene"])
    for cause, row in zip(own.causes, own.values, strict=True):
        if cause == NO_TEST:
            assert np.isnan(row).all()
        else:
            np.testing.assert_allclose(row, tests.loc[cause, "log_fold_change"].loc[GENES])
    assert "drug" in changes.index
    assert not {"drug", "GENE2+GENE3"} & set(own.causes)


def test_the_correlation_is_that_of_pairs_of_different_genes():
    effects = effects_of()
    own = maps(effects)
    pairs = []
    tests = screen_tests(effects).set_index(["perturbation", "gene"])["log_fold_change"]
    for cause in own["Limit responses"].causes:
        for gene in GENES:
            if cause not in (gene, NO_TEST):
                expected = effects[cause, gene].layers["limit_expression"][0, 0]
                pairs.append((expected, tests[cause, gene]))
    r = np.corrcoef(np.array(pairs).T)[0, 1]
    title = own["Observed changes"].title
    assert title == f"Observed changes, r = {r:.2f}".replace("-", "−")
    assert np.isnan(figures.correlation(np.ones(5), np.arange(5.0)))


def test_colours_end_at_a_robust_limit_that_no_cause_has_on_itself():
    values = np.diag([100.0] * 40) + np.linspace(-1, 1, 1600).reshape(40, 40)
    values[0, 1] = 50.0
    names = [f"g{i}" for i in range(40)]
    own = figures.Map("", values, names, "")
    assert figures.colour_limit(own, names) == pytest.approx(0.995, abs=0.01)
    sparse = np.zeros((40, 40))
    sparse[3, 4] = -2.0
    assert figures.colour_limit(own._replace(values=sparse), names) == 2.0
    assert figures.colour_limit(own._replace(values=np.full((40, 40), np.nan)), names) == 1.0
    assert figures.colour_limit(own._replace(values=np.eye(40)), names) == 1.0


def test_a_map_is_one_image_with_symmetric_colours_and_grey_where_missing():
    effects = effects_of()
    figure = drawn_maps(effects, dict.fromkeys(GENES, 0))
    grid = [axes for axes in figure.axes if axes.get_box_aspect() == 1]
    assert len(grid) == 6
    for axes, own in zip(grid, maps(effects).values(), strict=True):
        (image,) = axes.images
        low, high = image.get_clim()
        assert low == -high
        np.testing.assert_allclose(
            np.ma.filled(image.get_array(), np.nan), np.clip(own.values, low, high)
        )
        assert to_hex(image.get_cmap()(np.nan)) == figures.MISSING.lower()
        assert to_hex(image.to_rgba(0.0)) == "#f7f7f7"  # the middle one


def test_strips_show_the_modules_of_causes_and_genes():
    effects = effects_of()
    module_of = {gene: (0 if i < 8 else 1 if i < 16 else 2) for i, gene in enumerate(GENES)}
    strips = [
        image
        for image in drawn_maps(effects, module_of).findobj(AxesImage)
        if 1 in image.get_array().shape
    ]
    assert len(strips) == 12
    for image in strips:
        names = GENES
        if image.get_array().size < len(GENES):
            names = [gene for gene in GENES if gene not in NEVER]
        colours = [to_hex(own) for own in image.to_rgba(np.ravel(image.get_array()))]
        assert colours == [figures.module_colour(module_of[gene]).lower() for gene in names]


def test_few_genes_are_named_and_modules_numbered(drawn, inputs):
    shown = texts(drawn["effect_maps"])
    for gene in GENES:
        assert shown.count(gene) == (7 if gene in NEVER else 12)
    modules = read_tsv(inputs["order"], dtype={"module": "Int64"})["module"].dropna().unique()
    assert len(modules) == 2
    assert {"1", "2"} <= set(shown)


def test_many_genes_are_counted_and_not_named():
    genes = [f"GENE{i}" for i in range(150)]
    effects = effects_of(genes, genes[::3])
    figure = drawn_maps(effects, {gene: 1 + i // 30 for i, gene in enumerate(genes)})
    shown = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    assert not set(genes) & set(shown)
    assert {"Cause (150)", "Perturbed cause (100)", "Gene affected (150)"} <= set(shown)
    assert shown.count("5") == 12
    assert overlapping(figure) == []


def test_numbers_of_small_modules_give_way():
    runs = [(3, 1, 1.0, 2.0), (40, 2, 4.0, 2.0), (30, 3, 9.0, 2.0), (2, 4, 12.9, 2.0)]
    assert figures.spaced(runs) == [(2, 4.0), (3, 9.0)]


def test_maps_of_a_thousand_genes_are_a_small_file(tmp_path):
    genes = [f"GENE{i}" for i in range(1000)]
    effects = effects_of(genes, genes[:100])
    own = figures.maps_of(effects, genes, pd.DataFrame(index=[], columns=genes))
    with style():
        figure = figures.draw_maps(own, genes, dict.fromkeys(genes, 0))
        with matplotlib.rc_context({"savefig.dpi": figures.MAP_DOTS}):
            figures.save(figure, tmp_path / "maps.svg")
    assert own[-1].title == "Observed changes"  # nothing to correlate with
    assert (tmp_path / "maps.svg").stat().st_size < 4e6  # nothing but noise


def test_neither_modules_nor_perturbed_causes():
    effects = effects_of(never=GENES)
    changes = pd.DataFrame(index=["drug"], columns=GENES, dtype=float)
    with style():
        figure = figures.draw_maps(
            figures.maps_of(effects, GENES, changes), GENES, dict.fromkeys(GENES, 0)
        )
    shown = [text.get_text() for text in figure.findobj(Text)]
    assert shown.count("no cause was perturbed") == 5
    assert "1" not in shown
    strips = [image for image in images_of(figure) if 1 in image.get_array().shape]
    assert {to_hex(image.to_rgba(0)) for image in strips} <= {figures.NO_MODULE.lower()}


# Terms


def terms_of(n_modules, per_module=5, odds_ratio=12.0):
    rows = [
        (module, "c5", f"GOBP_A_RATHER_LONG_NAME_OF_A_PROCESS_{module}_{term}", 20, 30, 7,
         odds_ratio * (1 + term), 10.0 ** -(3 + term))
        for module in range(1, n_modules + 1)
        for term in range(per_module)
    ]  # fmt: skip
    names = ["module", "collection", "term", "module_size", "term_size", "overlap",
             "odds_ratio", "p_adjusted"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def test_terms_are_shown_with_their_overlap_under_their_module(drawn, inputs):
    terms = read_tsv(inputs["top_terms"])
    assert len(terms) == 1
    row = terms.iloc[0]
    shown = texts(drawn["enrichment"])
    assert f"Module {row['module']}, {row['module_size']} genes" in shown
    assert "Last block (GO CC)" in [text.replace(figures.NO_BREAK, " ") for text in shown]
    overlap = f"{row['overlap']}/{row['term_size']}"
    assert any(text.endswith(overlap) for text in shown)
    assert np.isinf(row["odds_ratio"]) == any(text.startswith("∞") for text in shown)


def test_bars_have_the_odds_ratios_and_infinite_ones_go_beyond():
    terms = terms_of(2)
    terms.loc[3, "odds_ratio"] = np.inf
    with style():
        axes = figures.draw_terms(terms, 0.01).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    finite = np.isfinite(terms["odds_ratio"])
    np.testing.assert_allclose(np.array(ends)[finite], terms["odds_ratio"][finite])
    assert ends[3] > terms["odds_ratio"][finite].max()
    assert [text.get_text() for text in axes.texts].count("∞   7/30") == 1
    shades = [bar.get_facecolor()[0] for bar in axes.patches[:5]]
    assert shades == sorted(shades, reverse=True)  # the smaller P, the darker


@pytest.mark.parametrize("odds_ratio", [12.0, 1.01, np.inf])
@pytest.mark.parametrize(("n_modules", "n_columns"), [(1, 1), (12, 1), (40, 2)])
def test_many_modules_need_more_height_and_nothing_overlaps(n_modules, n_columns, odds_ratio):
    with style():
        figure = figures.draw_terms(terms_of(n_modules, odds_ratio=odds_ratio), 0.01)
        one = figures.draw_terms(terms_of(1), 0.01)
        assert overlapping(figure) == []
    assert len(figure.axes) == n_columns + 1  # and the colour bar
    assert figure.get_figheight() >= one.get_figheight()
    headings = [text for axes in figure.axes for text in axes.texts if "Module" in text.get_text()]
    assert len(headings) == n_modules


def test_without_terms_the_figure_says_so():
    with style():
        figure = figures.draw_terms(terms_of(1).head(0), 0.02)
    assert figure.texts[0].get_text() == "No module has a term with adjusted P < 0.02."


@pytest.mark.parametrize("absent", [None, []])
def test_gene_sets_and_held_out_causes_are_optional(inputs, tmp_path, absent):
    paths = draw({**inputs, "top_terms": absent, "held_out_validation": absent}, tmp_path)
    assert "No gene sets" in texts(paths["enrichment"])[0]
    assert "All causes" in " ".join(texts(paths["validation_curves"]))
    assert "Held-out" not in " ".join(texts(paths["validation_curves"]))


@pytest.mark.parametrize(
    ("term", "collection", "expected"),
    [
        ("GOCC_CYTOSOLIC_RIBOSOME", "c5.go.cc", "Cytosolic ribosome (GO CC)"),
        (
            "KEGG_MEDICUS_REFERENCE_EGF_JAK_CASCADE",
            "c2",
            "Reference EGF JAK cascade (KEGG Medicus)",
        ),
        ("REACTOME_MRNA_SPLICING_BY_TP53", "c2", "mRNA splicing by TP53 (Reactome)"),
        ("WP_ROLE_OF_RHOXF_IN_X", "c2", "Role of RHOXF in X (WikiPathways)"),
        ("module 3 of the simulation", "modules", "module 3 of the simulation (modules)"),
        ("GOBP_", "x", "Gobp (x)"),
    ],
)
def test_names_of_terms_are_readable(term, collection, expected):
    shown = figures.readable(term, collection, frozenset({"RHOXF"}))
    assert shown.replace(figures.NO_BREAK, " ") == expected


@pytest.mark.parametrize("letters", [37, 58])
@pytest.mark.parametrize("term", ["GOBP_" + "REGULATION_OF_" * 20, "GOBP_" + "X" * 200])
def test_long_names_are_shortened_to_their_lines(term, letters):
    lines = figures.readable(term, "c5", frozenset(), letters, 2).split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= letters
    assert "…" in "".join(lines)
    assert lines[-1].endswith(f"(GO{figures.NO_BREAK}BP)")


# Network


def edges_of(pairs, **columns):
    values = np.linspace(2, 1, len(pairs)) * np.where(np.arange(len(pairs)) % 2, -1, 1)
    table = pd.DataFrame(pairs, columns=["cause", "effect"])
    return table.assign(value=values, **columns)


def network(edges, states=None, perturbed=(), module_of=None):
    names = set(edges["cause"]) | set(edges["effect"])
    states = ["validated"] * len(edges) if states is None else states
    modules = dict.fromkeys(names, 0) | (module_of or {})
    with style():
        return figures.draw_network(edges, states, set(perturbed), modules, 0.05)


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
    width, height = figures.WIDTH - 0.2, figure.axes[0].get_ylim()[0]
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
    assert colours == [figures.STATES[state][0].lower() for state in states]
    heads = [type(arrow.get_arrowstyle()).__name__ for arrow in arrows_of(figure)]
    assert heads == ["CurveFilledB", "BarAB", "CurveFilledB"]
    widths = [arrow.get_linewidth() for arrow in arrows_of(figure)]
    assert widths == sorted(widths, reverse=True)
    boxes = boxes_of(figure)
    solid = [gene for gene, box in boxes.items() if box.get_linestyle() in ("-", "solid")]
    assert sorted(solid) == ["A", "B"]
    assert to_hex(boxes["B"].get_facecolor()) == "#ffffff"
    assert to_hex(boxes["A"].get_facecolor()) not in ("#ffffff", figures.module_colour(1).lower())


def test_each_state_is_looked_up():
    edges = edges_of([("A", "B"), ("A", "C"), ("X", "B")])
    tested = pd.DataFrame({"cause": ["A", "A"], "effect": ["B", "C"], "validated": [True, False]})
    changes = pd.DataFrame(1.0, ["A", "drug"], ["A", "B", "C", "X"])
    expected = ["validated", "not_validated", "not_testable"]
    assert figures.edge_states(edges, tested, changes) == expected
    with pytest.raises(InputError, match=r"(?s)could be tested.*A on C"):
        figures.edge_states(edges, tested.head(1), changes)


def test_edges_of_causes_never_perturbed_cannot_be_tested(inputs, drawn):
    edges = read_tsv(inputs["edges"])
    changes = figures.read_changes(inputs["differential_expression"], GENES)
    states = figures.edge_states(edges, read_tsv(inputs["validated_edges"]), changes)
    untestable = edges["cause"].isin([*NEVER, NO_TEST])
    assert 0 < untestable.sum() < len(edges)
    assert [state == "not_testable" for state in states] == untestable.tolist()
    assert {*edges["cause"], *edges["effect"]} <= set(texts(drawn["network"]))


def test_only_the_strongest_edges_are_drawn(inputs, tmp_path):
    shown = texts(draw(inputs, tmp_path, n_edges=3)["network"])
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
    path = draw({**inputs, "edges": str(tmp_path / "edges.tsv")}, tmp_path)["network"]
    assert texts(path) == ["There are no edges to draw."]


# Validation


def rates(conviction, conviction_high=None, p_value=0.001, base_rate=0.1):
    n = len(conviction)
    conviction = np.array(conviction, dtype=float)
    high = conviction * 1.3 if conviction_high is None else np.array(conviction_high, dtype=float)
    return pd.DataFrame(
        {
            "fraction": np.logspace(-4, -1, n),
            "n_edges": 1234,
            "base_rate": base_rate,
            "probability": np.linspace(0.9, 0.3, n),
            "low": np.linspace(0.7, 0.2, n),
            "high": np.linspace(0.95, 0.4, n),
            "lift": np.linspace(9, 3, n),
            "lift_low": np.linspace(7, 2, n),
            "lift_high": np.linspace(9.5, 4, n),
            "conviction": conviction,
            "conviction_low": conviction * 0.7,
            "conviction_high": high,
            "p_value": p_value,
        }
    )


def curves(**tables):
    with style():
        figure = figures.draw_validation(tables)
        assert overlapping(figure) == []
    return figure


def labels_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def markers_of(axes):
    """Offsets of the markers of all sets of causes, carets left out."""
    return [own for own in axes.collections if own.get_zorder() == 3]


def test_all_and_held_out_causes_are_drawn_with_their_base_rates():
    held_out = rates([4, 3, 2], base_rate=0.2)
    figure = curves(all=rates([9, 5, 2]), held_out=held_out)
    probability, lift, conviction = figure.axes
    assert len(markers_of(probability)) == 2
    np.testing.assert_allclose(
        markers_of(probability)[1].get_offsets()[:, 1], held_out["probability"]
    )
    lines = [line.get_ydata()[0] for line in probability.lines if line.get_linestyle() == "--"]
    assert lines == [0.1, 0.2]
    for axes in (lift, conviction):
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [1]
    assert labels_of(figure)[:2] == [
        "All causes (1,234 edges)", "Held-out causes (1,234 edges)"
    ]  # fmt: skip
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    assert [text.get_text() for text in lift.get_xticklabels()] == ["0.01%", "10%"]


def test_without_held_out_causes_there_is_one_curve():
    assert len(markers_of(curves(all=rates([9, 5, 2])).axes[0])) == 1


def test_intervals_are_those_of_the_table():
    table = rates([9, 5, 2])
    axes = curves(all=table).axes[0]
    segments = np.array(axes.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, 0, 1], table["low"])
    np.testing.assert_allclose(segments[:, 1, 1], table["high"])


def test_infinite_convictions_stand_on_their_own_tick():
    table = rates([np.inf, 5, 2], conviction_high=[np.inf, np.inf, 3])
    table.loc[0, "conviction_low"] = np.inf  # every resample is validated, too
    axes = curves(all=table, held_out=rates([4, 3, 2])).axes[2]
    ticks = dict(
        zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True)
    )
    drawn = markers_of(axes)[0].get_offsets()[:, 1]
    assert drawn[0] == ticks["∞"]
    assert drawn[1:].tolist() == [5, 2]
    assert ticks["∞"] < axes.get_ylim()[1]
    assert max(value for name, value in ticks.items() if name != "∞") < ticks["∞"]
    carets = [own for own in axes.collections if own.get_clip_on() is False]
    assert [len(own.get_offsets()) for own in carets] == [1, 0]  # the finite one, without an end


def test_only_infinite_or_undefined_values():
    axes = curves(all=rates([np.inf] * 3)).axes[2]
    assert "∞" in [text.get_text() for text in axes.get_yticklabels()]
    undefined = rates([np.nan] * 3, base_rate=0.0).assign(lift=np.nan)
    for axes in curves(all=undefined).axes[1:]:
        assert len(markers_of(axes)[0].get_offsets()) == 0


def test_an_interval_far_beyond_its_value_does_not_stretch_the_axis():
    axes = curves(all=rates([9, 5, 2], conviction_high=[400, 8, 3])).axes[2]
    assert 9 < axes.get_ylim()[1] < 20


def test_markers_that_are_not_significant_are_hollow():
    axes = curves(all=rates([9, 5, 2], p_value=[0.001, 0.3, 0.009])).axes[0]
    faces = [to_hex(own) for own in markers_of(axes)[0].get_facecolors()]
    assert faces == [figures.CAUSES["all"][1].lower(), "#ffffff", figures.CAUSES["all"][1].lower()]


def test_one_fraction_and_fractions_that_are_no_powers_of_ten():
    one = curves(all=rates([2.0])).axes[0]
    assert [text.get_text() for text in one.get_xticklabels()] == ["0.01%"]
    table = rates([3, 2]).assign(fraction=[0.02, 0.3])
    assert [t.get_text() for t in curves(all=table).axes[0].get_xticklabels()] == ["2%", "30%"]


# Captions


def test_captions_ask_for_no_other_params_than_main_has():
    for name in ("maps", "enrichment", "network", "validation"):
        caption = (ROOT / "workflow" / "report" / f"effects_{name}.rst").read_text(encoding="utf-8")
        asked = set(re.findall(r"snakemake\.params\.(\w+)", caption))
        assert asked <= set(inspect.signature(figures.main).parameters)
        assert caption.startswith("**")
