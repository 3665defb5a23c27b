"""Pairs whose type of genetic interaction is known, from the user's file."""

import json
import logging
from pathlib import Path
from typing import Any

from evaluation.interaction_types import TYPES
from lcd_core.errors import InputError, shown
from pipeline.screen import SEPARATOR
from pipeline.tables import read_text, read_user_table

NAMES = {
    "additive": "additivity",
    "epistatic": "epistasis",
    "neomorphic": "neomorphism",
    "redundant": "redundancy",
    "suppressor": "suppression",
    "suppressive": "suppression",
    "synergistic": "synergy",
    "synergy_similar_pheno": "synergy",
    "synergy_dissimilar_pheno": "synergy",
}
"""Other names of the types, as in the annotations of Norman et al. 2019."""
COLUMNS = ["perturbation", "type"]


def read_annotations(path: str) -> dict[str, list[str]]:
    """Read pairs of known type: JSON with lists by type, or TSV of ``perturbation``, ``type``.

    Targets are sorted, as everywhere. Types that are none of :data:`TYPES` are left out, and told.

    Raises
    ------
    InputError
        If the file is neither, or no type is known.
    """
    remedy = (
        f"give lists of pairs by type in JSON, or a TSV with the columns {' and '.join(COLUMNS)}; "
        f"types are {', '.join(TYPES)}, or the names of Norman et al. 2019"
    )
    where = str(path)
    what = "the annotations of pairs"
    if Path(path).suffix == ".json":
        given = _pairs_in_json(read_text(path, what, where, remedy), where, remedy)
    else:
        table = read_user_table(path, COLUMNS, what, where, remedy)
        given = {
            str(name): own["perturbation"].tolist()
            for name, own in table.groupby("type", sort=False)
        }
    found: dict[str, list[str]] = {}
    unknown = []
    for name, pairs in given.items():
        plain = name.strip().lower()
        own = NAMES.get(plain, plain)
        if own not in TYPES:
            unknown.append(name)
            continue
        sorted_pairs = []
        for pair in pairs:
            targets = sorted(target.strip() for target in pair.split(SEPARATOR))
            if len(targets) != 2 or not all(targets):
                raise InputError(
                    "annotations are of pairs of targets",
                    where=where,
                    found=f"{name}: {pair[:80]!r}",
                    remedy=f"write each pair as A{SEPARATOR}B",
                )
            sorted_pairs.append(SEPARATOR.join(targets))
        found[own] = [*found.get(own, []), *sorted_pairs]
    if not found:
        raise InputError(
            "no type of interaction is known",
            where=where,
            found=(name[:40] for name in unknown) if unknown else "no types",
            remedy=remedy,
        )
    if unknown:
        logging.warning("%s: left out, no type of interaction: %s", path, shown(unknown))
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keys and values of an object of JSON; ValueError where a key stands there twice."""
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"the same key twice: {', '.join(repeated)[:80]}")
    return dict(pairs)


def _pairs_in_json(text: str, where: str, remedy: str) -> dict[str, list[str]]:
    """Pairs by type."""
    problem = "other values"
    try:
        given = json.loads(text, object_pairs_hook=_without_repeats)
        if isinstance(given, dict) and all(
            isinstance(own, list) and all(isinstance(pair, str) for pair in own)
            for own in given.values()
        ):
            return given
    except ValueError as error:
        problem = str(error)
    except RecursionError:
        problem = "lists within lists without end"
    raise InputError(
        "annotations must be a JSON file with lists of pairs by type, or a TSV with the columns "
        f"{' and '.join(COLUMNS)}",
        where=where,
        found=problem,
        remedy=remedy,
    )
