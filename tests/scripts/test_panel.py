"""Panels of combinations and wanted signatures: what is accepted, and how mistakes are told."""

import math

import numpy as np
import pytest

from lcd_core.errors import InputError
from pipeline.config.config import load_config
from pipeline.panel import panel_of, panel_table, read_combinations, read_signature

CONDITIONS = ["control", "A", "B", "C", "A+B", "B+D"]
NOTHING = {
    "named": (), "also": (), "from_file": [], "targets": (), "up_to": 2, "all_pairs": False,
    "conditions": CONDITIONS, "most": 100, "where": "mine.yaml, predictions",
}  # fmt: skip


def names(**changes):
    return ["+".join(own) for own in panel_of(**(NOTHING | changes))]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["A+B", "A+C", "B+C"]),  # D was never measured alone
        ({"named": ["D+B", "C+B+A"]}, ["B+D", "A+B+C"]),
        ({"named": ["B+A"], "from_file": [("A", "B"), ("A", "C")]}, ["A+B", "A+C"]),
        ({"targets": ["D", "A", "C"], "up_to": 3}, ["A+C", "A+D", "C+D", "A+C+D"]),
        ({"named": ["A+D"], "all_pairs": True}, ["A+B", "A+C", "A+D", "B+C"]),
        ({"also": ["A+B+C"]}, ["A+B", "A+C", "B+C", "A+B+C"]),
        ({"named": ["B+A", "C+A", "C+B"], "all_pairs": True, "most": 3}, ["A+B", "A+C", "B+C"]),
    ],
)
def test_what_a_panel_is(changes, expected):
    assert names(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"named": ["A+X"]}, ["no perturbation of these targets", "X"]),
        ({"targets": ["A", "Bb"]}, ["did you mean 'B'?"]),
        ({"conditions": ["control", "A+B"]}, ["measured alone", "predictions.all_pairs"]),
        ({"most": 2}, ["too large", "3 combinations, 2 allowed", "max_combinations"]),
        (
            {"targets": list("ABCD"), "up_to": 4, "most": 10},
            [f"{sum(math.comb(4, k) for k in (2, 3, 4))} combinations"],
        ),
    ],
)
def test_panels_that_a_screen_does_not_allow(changes, words):
    with pytest.raises(InputError) as error:
        panel_of(**(NOTHING | changes))
    assert all(word in str(error.value) for word in ["mine.yaml", *words])


def test_parts_hold_every_combination_once():
    panel = panel_of(**(NOTHING | {"targets": list("ABCD"), "up_to": 3}))
    table = panel_table(panel, dict.fromkeys(CONDITIONS, 7), 3)
    references = table[table["part"] == "references"]
    assert references["perturbation"].tolist() == ["control", "A", "B", "C", "D"]
    rest = table[table["part"] != "references"]
    assert rest["perturbation"].tolist() == ["+".join(own) for own in panel]
    sizes = rest["part"].value_counts()
    assert sorted(sizes.index) == ["1", "2", "3"]
    assert sizes.max() - sizes.min() <= 1
    known = rest.set_index("perturbation")
    assert known.loc["A+B", ["measured_cells", "singles_measured"]].tolist() == [7, 2]
    assert known.loc["A+D", ["measured_cells", "singles_measured"]].tolist() == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "B+A\n\nA+B+C\nA + B\n",
        "perturbation\tnote\nA+B\tx\nC+B+A\ty\n",
        "perturbation\nA+B\nA+B+C\n",
    ],
)
def test_files_of_combinations(tmp_path, text):
    path = tmp_path / "panel.txt"
    path.write_text(text)
    assert read_combinations(path) == [("A", "B"), ("A", "B", "C")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A+B\nA+A\n", ["line 2", "A is named twice"]),
        ("A\n", ["line 1", "one target alone"]),
        ("A+control\n", ["the control is no target"]),
        ("A++B\n", ["has no name"]),
        ("", ["no combination", "an empty file"]),
        ("perturbation\n", ["no combination", "a header alone"]),
        (" perturbation \nA+B\n", ["columns ' perturbation '"]),
        ("pair\tnote\nA+B\tx\n", ["perturbation", "columns pair, note"]),
    ],
)
def test_files_that_hold_something_else(tmp_path, text, words):
    path = tmp_path / "panel.txt"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_combinations(path)
    assert all(word in str(error.value) for word in ["panel.txt", *words])


def test_a_signature(tmp_path):
    path = tmp_path / "wanted.tsv"
    path.write_text("gene\tchange\tp\nX \t1.5\t0\n Y\t-2\t0\n")
    assert read_signature(path).to_dict() == {"X": 1.5, "Y": -2.0}
    for text, word in (
        ("gene\tchange\nX\tup\n", "line 2: up"),
        ("gene\tchange\nX\t1e308\n", "line 2: 1e308"),
        ("gene\tchange\nX\t1\nX\t2\n", "named twice"),
        ("gene\tchange\nX\t1\nX \t2\n", "named twice"),
        ("gene\tchange\nX\t1\n \t2\n\t3\n", r"(?s)no name.*line 3, line 4"),
        ("gene\tchange\nX\t0\n", "no change is wanted"),
        ("gene\tlog\nX\t0\n", "columns gene and change"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=word):
            read_signature(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"combinations": ["A+A"]}, ["predictions.combinations", "A is named twice"]),
        ({"cells_of": ["A"]}, ["predictions.cells_of", "one target alone"]),
        ({"combinations": ["A+B", "B+A"]}, ["two names of one combination"]),
        ({"targets": ["A"]}, ["predictions.targets"]),
        ({"targets": ["A", "B"], "up_to": 3}, ["predictions.up_to"]),
        ({"wanted_signature": "x.tsv", "wanted_condition": "A"}, ["wanted_condition"]),
        ({"states": 3}, ["predictions.states"]),
        ({"up_to": 3}, ["up_to without targets", "name predictions.targets"]),
        ({"up_to": 3, "combinations": ["A+B"]}, ["up_to without targets"]),
        ({"file": ""}, ["predictions.file", "the text is empty"]),
        ({"wanted_signature": ""}, ["predictions.wanted_signature", "the text is empty"]),
        ({"wanted_condition": ""}, ["predictions.wanted_condition", "the text is empty"]),
        (
            {"variant": "wide.seed2"},
            ["predictions.variant", "not one of its seeds", "alone, wide;"],
        ),
    ],
)
def test_mistakes_in_the_configuration(values, words):
    with pytest.raises(InputError) as error:
        load_config({"predictions": values}, "mine.yaml")
    assert all(word in str(error.value) for word in ["mine.yaml", *words])


def test_the_panel_reads_numbers_of_the_command_line_too():
    config = load_config({"predictions": {"states": "20", "targets": ["A", "B"]}}, "x")
    assert config.predictions.states == 20
    assert np.iterable(config.predictions.targets)
