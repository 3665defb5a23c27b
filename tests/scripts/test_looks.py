"""Looks of methods, their variants, and estimators."""

import pytest
from matplotlib.colors import to_rgb

from pipeline.looks import UNKNOWN, looks_of
from pipeline.methods import method_looks

LOOKS = looks_of(method_looks())


def test_every_method_has_a_look_of_its_own():
    methods = list(method_looks())
    assert len({LOOKS.look(method).colour for method in methods}) == len(methods)
    assert LOOKS.in_order([*methods, "new"])[-4:] == [
        "new", "lcd", "interpolated_duplicate", "ceiling",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("lcd", "LCD"),
        ("lcd/default", "LCD"),
        ("lcd/wide", "LCD wide"),
        ("lcd/default.seed2", "LCD, seed 2"),
        ("lcd/wide_network.seed12", "LCD wide network, seed 12"),
        ("random_perturbed/default.seed3", "Random perturbed, seed 3"),
        ("of_somebody", "of somebody"),
        ("prior", "Prior"),
        ("halves", "Halves of observed"),
    ],
)
def test_labels_name_method_variant_and_seed(name, label):
    assert LOOKS.flat_label(name) == label


def test_a_variant_has_a_shade_of_the_colour_of_its_method():
    own = LOOKS.look("lcd").colour
    assert LOOKS.look("lcd/default").colour == own
    names = ["lcd", "lcd/wide", "lcd/default.seed2", "lcd/wide.seed2", "lcd/tuned"]
    assert len({LOOKS.look(name).colour for name in names}) == len(names)
    for name in names[1:]:
        # A mixture with white or black keeps the order of red, green and blue.
        parts = to_rgb(LOOKS.look(name).colour)
        assert sorted(range(3), key=parts.__getitem__) == sorted(
            range(3), key=to_rgb(own).__getitem__
        )
    seeds = [to_rgb(LOOKS.look(f"lcd/default.seed{n}").colour) for n in (2, 3, 4)]
    assert seeds == sorted(seeds)  # lighter and lighter


def test_variants_stand_next_to_their_method():
    names = ["ceiling", "salt", "lcd/wide.seed2", "lcd/wide", "lcd", "control", "lcd/default.seed2"]
    assert LOOKS.in_order(names) == [
        "control", "salt", "lcd", "lcd/default.seed2", "lcd/wide", "lcd/wide.seed2", "ceiling",
    ]  # fmt: skip


def test_kinds_order_whatever_the_order_of_the_registry():
    backwards = looks_of(dict(reversed(method_looks().items())))
    names = ["control", "ceiling", "salt", "mean_combination", "lcd", "random_perturbed"]
    assert backwards.in_order(names) == [
        "random_perturbed", "control", "lcd", "salt", "mean_combination", "ceiling",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [("control", "baseline"), ("lcd/wide", "method"), ("ceiling", "reference"),
     ("halves", "reference"), ("unheard_of", "method")],
)  # fmt: skip
def test_kind(name, kind):
    assert LOOKS.kind(name) == kind


def test_a_name_without_a_look_is_grey_under_its_own_name():
    assert LOOKS.look("my_method/tuned") == ("my method/tuned", UNKNOWN, "method")
    assert looks_of({}).in_order(["b", "a"]) == ["a", "b"]
