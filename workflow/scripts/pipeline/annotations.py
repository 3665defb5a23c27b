"""Pairs whose type of genetic interaction is known, from the user's file."""

import json
import logging
from pathlib import Path

from evaluation.interaction_types import TYPES
from lcd_core.errors import InputError
from pipeline.screen import SEPARATOR
from pipeline.tables import read_tsv

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


def read_annotations(path: str) -> dict[str, list[str]]:
    """Read pairs of known type: JSON with lists by type, or TSV of ``perturbation``, ``type``.

    Targets are sorted, as everywhere. Types that are none of :data:`TYPES` are left out, and told.

    Raises
    ------
    InputError
        If the file is neither, or no type is known.
    """
    remedy = f"use the types {', '.join(TYPES)}, or the names of Norman et al. 2019"
    try:
        if Path(path).suffix == ".json":
            given = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(given, dict) or not all(
                isinstance(own, list) and all(isinstance(pair, str) for pair in own)
                for own in given.values()
            ):
                raise ValueError
        else:
            table = read_tsv(path, dtype=str)
            given = table.groupby("type")["perturbation"].apply(list).to_dict()
    except (ValueError, KeyError):
        raise InputError(
            "annotations must be a JSON file with lists of pairs by type, or a TSV with the "
            "columns perturbation and type",
            where=path,
        ) from None
    found: dict[str, list[str]] = {}
    unknown = []
    for name, pairs in given.items():
        own = NAMES.get(name.lower(), name.lower())
        if own not in TYPES:
            unknown.append(name)
            continue
        sorted_pairs = [SEPARATOR.join(sorted(pair.split(SEPARATOR))) for pair in pairs]
        found[own] = [*found.get(own, []), *sorted_pairs]
    if not found:
        raise InputError(
            "no type of interaction is known", where=path, found=unknown, remedy=remedy
        )
    if unknown:
        logging.warning("%s: left out, no type of interaction: %s", path, ", ".join(unknown))
    return found
