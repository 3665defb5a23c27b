"""What the front page of the report says, line by line."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from pipeline.figures import number_text

ASKED, DATA, RESULT, DOUBT = "asked", "data", "result", "doubt"
PARTS = (ASKED, DATA, RESULT, DOUBT)


class Line(NamedTuple):
    """One statement about a run.

    Attributes
    ----------
    part
        One of :data:`PARTS`: what was asked, what the data are, what came out, what to doubt.
    about
        Part of the run it is about, as the report's sections are called.
    text
        The statement, one or two sentences.
    names
        What it is about by name, joined by commas; all of them.
    advice
        What to do, of a doubt.
    file
        File of the run that shows it, relative to the run's folder.
    """

    part: str
    about: str
    text: str
    names: str = ""
    advice: str = ""
    file: str = ""


COLUMNS = list(Line._fields)


def joined(names: Iterable[object]) -> str:
    """Names for :attr:`Line.names`."""
    return ", ".join(map(str, names))


def number(value: float, digits: int = 3) -> str:
    """Write a number for a sentence."""
    return number_text(value, f".{digits}g")


def count(n: int, one: str, many: str | None = None) -> str:
    """Write a number of things, ``1 fold`` or ``2 folds``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def share(n: int, total: int) -> str:
    """Write ``3 of 12``."""
    return f"{n:,} of {total:,}"


def p_text(p: float) -> str:
    """Write a P value."""
    return "P < 0.0001" if p < 1e-4 else f"P = {p:.2g}"


def table_of(lines: Iterable[Line]) -> pd.DataFrame:
    """Lines as a table, parts in their order."""
    order = {part: place for place, part in enumerate(PARTS)}
    rows = sorted(lines, key=lambda line: order[line.part])
    return pd.DataFrame(rows, columns=COLUMNS)
