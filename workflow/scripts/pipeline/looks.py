"""How a method, or a source of cells, appears in every figure and table: label, colour, order."""

from collections.abc import Iterable
from typing import NamedTuple

UNKNOWN = "#6E6E6E"


class Look(NamedTuple):
    """Label, which may have two lines, and colour."""

    label: str
    colour: str


# Colours of Okabe and Ito 2008, told apart with any colour vision; references are grey and black.
# The order is that of the columns: baselines, methods, model, references.
LOOKS = {
    "control": Look("Control\ncells", "#8C8C8C"),
    "random_perturbed": Look("Random\nperturbed", "#56B4E9"),
    "mean_combination": Look("Mean of\ncombinations", "#009E73"),
    "salt": Look("SALT", "#0072B2"),
    "prior": Look("Prior", "#CC79A7"),
    "lcd": Look("LCD", "#D55E00"),
    "ceiling": Look("Noise\nceiling", "#222222"),
    "halves": Look("Halves of\nobserved", "#222222"),
    "observed": Look("Observed", "#222222"),
}
BASELINES = {"control", "random_perturbed"}
REFERENCES = {"ceiling", "halves"}


def look(name: str) -> Look:
    """Label and colour of a method; one without a look of its own is grey under its name."""
    return LOOKS.get(name, Look(name.replace("_", " "), UNKNOWN))


def flat_label(name: str) -> str:
    """Label on one line."""
    return look(name).label.replace("\n", " ")


def in_order(names: Iterable[str]) -> list[str]:
    """Order methods for display; those without a look stand before the model."""
    order = {name: position for position, name in enumerate(LOOKS)}
    return sorted(set(names), key=lambda name: (order.get(name, order["lcd"] - 0.5), name))


def kind(name: str) -> str:
    """Return whether a name is that of a baseline, a reference or a method."""
    return "baseline" if name in BASELINES else "reference" if name in REFERENCES else "method"
