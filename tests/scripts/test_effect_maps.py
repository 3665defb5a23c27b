"""Heat maps of effects and responses, from matrices of any shape."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.text import Text

from effects import draw_effect_maps as script
from pipeline.figures import save, style
from pipeline.gene_tree import module_colour
from pipeline.observed_changes import read_changes
from pipeline.tables import read_tsv
from tests.scripts.drawings import overlapping, texts
from tests.scripts.effects_fixture import (
    GENES,
    NEVER,
    NO_TEST,
    draw,
    effects_of,
    screen_tests,
)


def maps(effects, tests=None, genes=None):
    genes = list(effects.obs_names if genes is None else genes)
    table = screen_tests(effects) if tests is None else tests
    changes = table.pivot(index="perturbation", columns="gene", values="log_fold_change")
    return {own.title.split(",")[0]: own for own in script.maps_of(effects, genes, changes)}


def drawn_maps(effects, module_of):
    with style():
        return script.draw_maps(list(maps(effects).values()), list(effects.obs_names), module_of)


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
        ("Normalised limit responses", "limit_expression"),
    ):
        assert own[title].causes == seen
        np.testing.assert_array_equal(own[title].values, effects[seen, order].layers[layer])


def test_limits_are_drawn_against_the_controls():
    effects = effects_of()
    order = np.random.default_rng(3).permutation(GENES).tolist()
    own = maps(effects, genes=order)["Limit responses"]
    for cause, row in zip(own.causes, own.values, strict=True):
        for gene, value in zip(order, row, strict=True):
            limit = effects[cause, gene].layers["limit"][0, 0]
            assert value == limit - effects.var.loc[gene, "control_limit"]


def test_observed_changes_come_from_the_table_and_lack_what_was_not_tested(inputs):
    effects = effects_of()
    changes = read_changes(inputs["differential_expression"], GENES)
    own = script.maps_of(effects, GENES, changes)[-1]
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
    assert np.isnan(script.correlation(np.ones(5), np.arange(5.0)))


def test_colours_end_at_a_robust_limit_that_no_cause_has_on_itself():
    values = np.diag([100.0] * 40) + np.linspace(-1, 1, 1600).reshape(40, 40)
    values[0, 1] = 50.0
    names = [f"g{i}" for i in range(40)]
    own = script.Map("", values, names, "")
    assert script.colour_limit(own, names) == pytest.approx(0.995, abs=0.01)
    sparse = np.zeros((40, 40))
    sparse[3, 4] = -2.0
    assert script.colour_limit(own._replace(values=sparse), names) == 2.0
    assert script.colour_limit(own._replace(values=np.full((40, 40), np.nan)), names) == 1.0
    assert script.colour_limit(own._replace(values=np.eye(40)), names) == 1.0


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
        assert to_hex(image.get_cmap()(np.nan)) == script.MISSING.lower()
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
        assert colours == [module_colour(module_of[gene]).lower() for gene in names]


def test_few_genes_are_named_and_modules_numbered(inputs, tmp_path):
    shown = texts(draw("maps", inputs, tmp_path))
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
    assert {
        "Cause (150; not named)",
        "Perturbed cause (100; not named)",
        "Gene affected (150; not named)",
    } <= set(shown)
    assert shown.count("5") == 12
    assert overlapping(figure) == []


def test_few_causes_are_named_beside_many_genes():
    genes = [f"GENE{i}" for i in range(150)]
    seen = genes[::15]
    effects = effects_of(genes, [gene for gene in genes if gene not in seen])
    figure = drawn_maps(effects, {gene: 1 + i // 30 for i, gene in enumerate(genes)})
    shown = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    for gene in genes:
        assert shown.count(gene) == (5 if gene in seen else 0)
    assert {"Perturbed cause", "Gene affected (150; not named)"} <= set(shown)
    assert overlapping(figure) == []


@pytest.mark.parametrize("step", [1, 10])
def test_genes_that_two_maps_beside_each_other_cannot_name_get_the_width_of_the_page(step):
    genes = [f"GENE{i}" for i in range(80)]
    effects = effects_of(genes, [gene for i, gene in enumerate(genes) if i % step])
    figure = drawn_maps(effects, dict.fromkeys(genes, 0))
    grid = [axes for axes in figure.axes if len(axes.get_xticklabels()) == len(genes)]
    assert [axes.get_subplotspec().get_gridspec().get_geometry() for axes in grid] == [(6, 1)] * 6
    labels = [text for axes in grid for text in axes.get_xticklabels()]
    assert [text.get_text() for text in labels] == genes * 6
    assert min(text.get_fontsize() for text in labels) >= script.SMALLEST_NAMES
    assert overlapping(figure) == []


def test_names_are_all_there_or_none():
    assert script.font_of(["g"] * 10, 165.0) == script.LARGEST_NAMES
    assert script.font_of(["g"] * 39, 165.0) >= script.SMALLEST_NAMES
    assert script.font_of(["g"] * 40, 165.0) is None


def test_numbers_of_small_modules_give_way():
    runs = [(3, 1, 1.0, 2.0), (40, 2, 4.0, 2.0), (30, 3, 9.0, 2.0), (2, 4, 12.9, 2.0)]
    assert script.spaced(runs) == [(2, 4.0), (3, 9.0)]


def test_maps_of_a_thousand_genes_are_a_small_file(tmp_path):
    genes = [f"GENE{i}" for i in range(1000)]
    effects = effects_of(genes, genes[:100])
    own = script.maps_of(effects, genes, pd.DataFrame(index=[], columns=genes))
    with style():
        figure = script.draw_maps(own, genes, dict.fromkeys(genes, 0))
        with matplotlib.rc_context({"savefig.dpi": script.MAP_DOTS}):
            save(figure, tmp_path / "maps.svg")
    assert own[-1].title == "Observed changes"  # nothing to correlate with
    assert (tmp_path / "maps.svg").stat().st_size < 4e6  # nothing but noise


def test_neither_modules_nor_perturbed_causes():
    effects = effects_of(never=GENES)
    changes = pd.DataFrame(index=["drug"], columns=GENES, dtype=float)
    with style():
        figure = script.draw_maps(
            script.maps_of(effects, GENES, changes), GENES, dict.fromkeys(GENES, 0)
        )
    shown = [text.get_text() for text in figure.findobj(Text)]
    assert shown.count("no cause was perturbed") == 5
    assert "1" not in shown
    assert not [image for image in images_of(figure) if 1 in image.get_array().shape]
