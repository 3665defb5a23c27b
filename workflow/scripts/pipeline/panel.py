"""A panel of combinations to predict, and the change that is wanted: what users name, checked."""

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lcd_core.errors import InputError
from pipeline.combinations import combination
from pipeline.labels import suggestion
from pipeline.screen import CONTROL, SEPARATOR, targets_of
from pipeline.tables import read_text, read_user_table

REFERENCES = "references"
"""The part of a panel that holds the control and the singles."""

COLUMN = "perturbation"
SIGNATURE_COLUMNS = ("gene", "change")
FILE_REMEDY = (
    "write one combination a line, its targets joined by +, or a TSV with the column perturbation"
)

Targets = tuple[str, ...]

LARGEST = 1e100
"""Largest wanted change: squares of far larger ones, and so distances, are infinite."""

REPEATED = 3
"""Ways to name a combination: so many times the most combinations are made to be counted."""


def read_combinations(path: str | Path) -> list[Targets]:
    """Read the combinations of a user's file, each once, in its order.

    Raises
    ------
    InputError
        If it cannot be read, holds none, or a line is no set of two targets or more.
    """
    what, where = "the file of combinations", str(path)
    text = read_text(path, what, where, FILE_REMEDY)
    lines = [(i, line.strip()) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    header = [name.strip() for name in lines[0][1].split("\t")] if lines else []
    if COLUMN in header or len(header) > 1:
        table = read_user_table(path, [COLUMN], what, where, FILE_REMEDY)
        lines = [(int(line), str(name)) for line, name in table[COLUMN].items()]
    found: dict[Targets, None] = {}
    wrong = []
    for number, name in lines:
        try:
            found[combination(name)] = None
        except ValueError as error:
            wrong.append(f"line {number}, {name[:80]!r}: {error}")
    if wrong:
        raise InputError(
            "these are no combinations of targets", where=where, found=wrong, remedy=FILE_REMEDY
        )
    if not found:
        raise InputError(
            "no combination is named",
            where=where,
            found="a header alone" if header else "an empty file",
            remedy=FILE_REMEDY,
        )
    return list(found)


def read_signature(path: str | Path) -> pd.Series:
    """Read a wanted change: gene, without blanks around it -> change.

    Raises
    ------
    InputError
        If it is no TSV of genes and finite numbers, a gene has no name or is named twice, or no
        change is wanted.
    """
    what, where = "the wanted signature", str(path)
    remedy = "write a TSV with the columns gene and change, such as log fold changes"
    table = read_user_table(path, SIGNATURE_COLUMNS, what, where, remedy)
    change = pd.to_numeric(table["change"], errors="coerce").to_numpy(dtype=np.float64)
    wrong = [f"line {i}: {v}" for i, v in table["change"][~(np.abs(change) <= LARGEST)].items()]
    if wrong:
        raise InputError(
            f"changes must be finite numbers, of a size of at most {LARGEST:g}",
            where=where,
            found=wrong,
            remedy=remedy,
        )
    genes = table["gene"].astype(str).str.strip()
    nameless = [f"line {i}" for i in table.index[genes == ""]]
    if nameless:
        raise InputError("genes have no name", where=where, found=nameless, remedy=remedy)
    repeated = genes[genes.duplicated()].unique()
    if len(repeated):
        raise InputError(
            "genes are named twice", where=where, found=repeated, remedy="name each gene once"
        )
    if not change.any():
        raise InputError(
            "no change is wanted of any gene",
            where=where,
            found=f"{len(change)} genes",
            remedy=remedy,
        )
    return pd.Series(change, index=genes.to_numpy())


def panel_of(
    named: Sequence[str],
    also: Iterable[str],
    from_file: Sequence[Targets],
    targets: Sequence[str],
    up_to: int,
    *,
    all_pairs: bool,
    conditions: Collection[str],
    most: int,
    where: str,
) -> list[Targets]:
    """Return the combinations of a panel, each once: by number of targets, then by name.

    Parameters
    ----------
    named, also, from_file
        Combinations as the configuration writes them, further ones that are no panel by
        themselves, and those of a file.
    targets, up_to
        Targets of which all sets of two up to ``up_to`` are meant.
    all_pairs
        Whether all pairs of targets that were measured alone are meant; so they are where nothing
        else is named.
    conditions
        Names of the conditions of the screen.
    most
        Largest number of combinations.
    where
        Where the section `predictions` comes from, for messages.

    Raises
    ------
    InputError
        If targets are unknown, no two targets were measured alone of which pairs are asked for, or
        the panel is too large.
    """
    alone = sorted(name for name in conditions if len(targets_of(name)) == 1)
    known = {target for name in conditions for target in targets_of(name)}
    nothing = not (named or from_file or targets)
    listed = [*map(combination, [*named, *also]), *from_file]
    unknown = sorted({*itertools.chain.from_iterable(listed), *targets} - known)
    if unknown:
        raise InputError(
            "the screen, as it passed quality control, has no perturbation of these targets"
            f"{suggestion(unknown[0], known)}",
            where=where,
            found=unknown,
            remedy="correct the names in predictions.combinations, predictions.targets or the "
            "file, or leave them out: a model knows the targets it was fitted to, here "
            f"{len(known)} (screen/conditions.tsv has what passed quality control)",
        )
    pairs_of = alone if all_pairs or nothing else []
    if (all_pairs or nothing) and len(alone) < 2:
        raise InputError(
            "pairs need two targets that were measured alone",
            where=f"{where}.all_pairs",
            found=alone or "no single perturbation in the screen",
            remedy="name combinations of its targets: predictions.combinations, "
            f"predictions.targets (there are {len(known)})",
        )
    sizes = range(2, up_to + 1) if targets else ()
    number = len(listed) + math.comb(len(pairs_of), 2)
    number += sum(math.comb(len(targets), size) for size in sizes)
    found: set[Targets] = set()
    if number <= REPEATED * most:  # some may be named more than once
        sets = itertools.chain.from_iterable(
            itertools.combinations(sorted(targets), size) for size in sizes
        )
        found = {*listed, *itertools.combinations(pairs_of, 2), *sets}
        number = len(found)
    if number > most:
        raise InputError(
            "the panel is too large",
            where=where,
            found=f"{number:,} combinations, {most:,} allowed",
            remedy="lower predictions.up_to or name fewer targets, or raise "
            "predictions.max_combinations (time and files grow with their number)",
        )
    return sorted(found, key=lambda own: (len(own), own))


def panel_table(panel: Sequence[Targets], cells: dict[str, int], parts: int) -> pd.DataFrame:
    """What is predicted: the control and the singles of a panel, then its combinations in parts.

    Parameters
    ----------
    panel
        The combinations.
    cells
        Cells of every condition of the screen.
    parts
        Number of parts, of sizes that differ by one at most.

    Returns
    -------
    One row each: ``perturbation``, ``n_targets``, ``measured_cells`` (0 of most),
    ``singles_measured`` and ``part``.
    """
    singles = sorted({target for own in panel for target in own})
    rows: list[tuple[Targets, str]] = [((), REFERENCES)]
    rows += [((target,), REFERENCES) for target in singles]
    rows += [(own, str(1 + i * parts // len(panel))) for i, own in enumerate(panel)]
    names = [SEPARATOR.join(own) or CONTROL for own, _ in rows]
    return pd.DataFrame(
        {
            "perturbation": names,
            "n_targets": [len(own) for own, _ in rows],
            "measured_cells": [cells.get(name, 0) for name in names],
            "singles_measured": [sum(target in cells for target in own) for own, _ in rows],
            "part": [part for _, part in rows],
        }
    )
