"""Types of genetic interaction and their thresholds (Lorch et al. 2026, Table S3).

The types do not exclude each other.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

MEASURES = ("magnitude", "similarity", "fit", "equality")
TYPES = ("suppression", "additivity", "synergy", "epistasis", "redundancy", "neomorphism")
MEASURE_OF = {
    "suppression": "magnitude",
    "synergy": "magnitude",
    "epistasis": "equality",
    "redundancy": "similarity",
    "neomorphism": "fit",
}
"""What decides each type; additivity lies between suppression and synergy."""

BELOW = ("suppression", "epistasis", "neomorphism")
"""Types of pairs below their threshold; the others are above it."""

QUANTILE = 0.05
"""Share of annotated pairs that a calibrated threshold may miss."""

FEWEST_ANNOTATED = 5
"""Annotated pairs from which a threshold is calibrated."""


def types_of(measures: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Whether each pair is of each type, rows x :data:`TYPES` (Table S3).

    Parameters
    ----------
    measures
        Columns :data:`MEASURES`; a pair with a NaN is not of the type that it would decide.
    thresholds
        One of each type but additivity.
    """
    found = {
        name: measures[own] < thresholds[name]
        if name in BELOW
        else measures[own] > thresholds[name]
        for name, own in MEASURE_OF.items()
    }
    found["additivity"] = (measures["magnitude"] >= thresholds["suppression"]) & (
        measures["magnitude"] <= thresholds["synergy"]
    )
    return pd.DataFrame(found, index=measures.index)[list(TYPES)].astype(bool)


def calibrated(
    measures: pd.DataFrame,
    annotations: Mapping[str, Sequence[str]],
    published: Mapping[str, float],
) -> pd.DataFrame:
    """Thresholds that annotated pairs reach on one's own genes, as in Lorch et al. 2026.

    The threshold of a type is the 95% quantile, of types below it, or the 5% quantile, of those
    above, of the metric over the pairs annotated with the type. With fewer than
    :data:`FEWEST_ANNOTATED` measured ones it stays as published. So do those of suppression and
    synergy where they would leave nothing between them for additivity.

    Parameters
    ----------
    measures
        Metrics of the measured pairs, by name.
    annotations
        Names of pairs of each type.
    published
        Thresholds to stay with.

    Returns
    -------
    One row per type but additivity: ``measure``, ``side``, ``threshold``, ``published``,
    ``annotated`` (measured pairs of that annotation), ``source``.
    """
    rows = {}
    for name, own in MEASURE_OF.items():
        known = measures.index.intersection(list(annotations.get(name, ())))
        values = measures.loc[known, own].dropna()
        below = name in BELOW
        enough = len(values) >= FEWEST_ANNOTATED
        share = 1.0 - QUANTILE if below else QUANTILE
        rows[name] = {
            "measure": own,
            "side": "below" if below else "above",
            "threshold": float(values.quantile(share)) if enough else published[name],
            "published": published[name],
            "annotated": len(values),
            "source": "annotated pairs" if enough else "configuration",
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if table.loc["suppression", "threshold"] >= table.loc["synergy", "threshold"]:
        for name in ("suppression", "synergy"):
            table.loc[name, ["threshold", "source"]] = published[name], "configuration"
    return table
