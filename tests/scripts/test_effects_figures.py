"""What holds for every figure of the effects."""

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

from lcd_core.errors import InputError
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.drawings import texts
from tests.scripts.effects_fixture import FIGURES, draw, parameters_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_an_svg_with_text_and_without_a_date(inputs, tmp_path, name):
    path = draw(name, inputs, tmp_path)
    content = path.read_text()
    assert ElementTree.fromstring(content).tag.endswith("svg")
    assert texts(path)
    assert "<dc:date>" not in content


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_inputs_give_the_same_bytes(inputs, tmp_path, name):
    first = draw(name, inputs, tmp_path).read_bytes()
    matplotlib.rcParams["font.size"] = 20  # what a session has set must not matter
    try:
        again = draw(name, inputs, tmp_path).read_bytes()
    finally:
        matplotlib.rcdefaults()
    assert again == first


@pytest.mark.parametrize("name", ["maps", "network"])
def test_a_tree_of_other_genes_is_refused(inputs, tmp_path, name):
    order = read_tsv(inputs["order"])
    write_tsv(order.replace({"gene": {"GENE3": "OTHER"}}), tmp_path / "order.tsv")
    with pytest.raises(InputError, match=r"(?s)not those of the effects.*GENE3.*OTHER"):
        draw(name, inputs, tmp_path, order=str(tmp_path / "order.tsv"))


@pytest.mark.parametrize("name", FIGURES)
def test_captions_ask_for_no_other_params_than_main_has(name):
    caption = (ROOT / "workflow" / "report" / f"effects_{name}.rst").read_text(encoding="utf-8")
    asked = set(re.findall(r"snakemake\.params\.(\w+)", caption))
    assert asked <= set(parameters_of(name))
    assert caption.startswith("**")
