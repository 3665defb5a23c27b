"""Genetic interactions over all folds: thresholds, types, accuracy by type, confusion."""

import logging
from collections.abc import Mapping

import pandas as pd
from statsmodels.stats.multitest import multipletests

from benchmark.aggregate_metrics import compare_pairs
from benchmark.measure_interactions import OBSERVED
from evaluation.interaction_types import TYPES, calibrated, types_of
from evaluation.registry import METRICS
from pipeline.annotations import read_annotations
from pipeline.tables import read_tsv, write_tsv

ALL = "all"
KEY = ["fold", "perturbation"]


def main(
    *,
    tables: list[str],
    metrics: str,
    observed: str,
    predicted: str,
    thresholds: str,
    by_type: str,
    confusion: str,
    published: Mapping[str, float],
    annotations: str | None = None,
    metric: str,
    reference: str,
    versus: str,
) -> None:
    """Write the interactions of all folds and what they say about the methods.

    Parameters
    ----------
    tables
        Interactions of every fold.
    metrics
        TSV of the metrics of all folds and methods.
    observed, predicted
        TSV to write: metrics and types of every pair, as observed and as each method predicts.
    thresholds
        TSV to write: threshold of each type, and where it comes from.
    by_type
        TSV to write: the reference against another method, pairs of each observed type.
    confusion
        TSV to write: how many pairs of each observed type have each predicted type.
    published
        Thresholds of the configuration.
    annotations
        Pairs of known type (JSON or TSV), by which thresholds are calibrated.
    metric, reference, versus
        The metric by which two methods are compared, and these.
    """
    names = {"fold": str, "method": str, "perturbation": str}
    measured = pd.concat([read_tsv(path, dtype=names) for path in tables], ignore_index=True)
    is_observed = measured["method"] == OBSERVED
    own = measured[is_observed].drop(columns="method").reset_index(drop=True)
    known = read_annotations(annotations) if annotations else {}
    if annotations:
        pairs = {pair for those in known.values() for pair in those}
        measured_ones = len(pairs & set(own["perturbation"]))
        log = logging.info if measured_ones else logging.warning
        log("%s: %d of %d annotated pairs are held out and measured", annotations, measured_ones,
            len(pairs))  # fmt: skip
    limits = calibrated(own.set_index("perturbation"), known, published)
    own = with_types(own, limits["threshold"])
    others = with_types(measured[~is_observed].reset_index(drop=True), limits["threshold"])
    values = read_tsv(metrics, dtype=names | {"metric": str})
    write_tsv(own, observed)
    write_tsv(others, predicted)
    write_tsv(limits.rename_axis("type").reset_index(), thresholds)
    write_tsv(compare_by_type(own, values, metric, reference, versus), by_type)
    write_tsv(count_types(own, others), confusion)
    logging.info("%d pairs with interactions", len(own))


def with_types(measured: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Append whether each pair is of each type."""
    return pd.concat([measured, types_of(measured, thresholds)], axis=1)


def compare_by_type(
    observed: pd.DataFrame, metrics: pd.DataFrame, metric: str, reference: str, versus: str
) -> pd.DataFrame:
    """Compare two methods on the pairs of each observed type, and on all.

    P values, one-sided that the reference is better, are also adjusted over the types (Benjamini
    and Hochberg 1995).
    """
    wide = metrics[metrics["metric"] == metric].pivot(index=KEY, columns="method", values="value")
    wide = wide.reindex(columns=list(dict.fromkeys([reference, versus])))
    rows = []
    for name in (*TYPES, ALL):
        pairs = observed if name == ALL else observed[observed[name]]
        own = wide.reindex(pd.MultiIndex.from_frame(pairs[KEY])).dropna()
        rows.append(
            {"type": name, "metric": metric, "method": reference, "versus": versus}
            | {
                "median": own[reference].median(),
                "versus_median": own[versus].median(),
            }
            | compare_pairs(
                own[reference].to_numpy(), own[versus].to_numpy(), METRICS[metric].direction
            )
        )
    table = pd.DataFrame(rows)
    tested = table["p_value"].notna() & (table["type"] != ALL)
    table.insert(table.columns.get_loc("reason"), "p_adjusted", float("nan"))
    if tested.any():
        table.loc[tested, "p_adjusted"] = multipletests(
            table.loc[tested, "p_value"], method="fdr_bh"
        )[1]
    return table


def count_types(observed: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """Pairs of each observed type (rows of one ``observed``) with each predicted type, by method.

    Types do not exclude each other, so a pair counts in several cells.
    """
    truth = observed.set_index(KEY)[list(TYPES)]
    rows = []
    for method, own in predicted.groupby("method", sort=False):
        guess = own.set_index(KEY)[list(TYPES)].astype(bool)
        known = truth.loc[guess.index].astype(bool)
        for name in TYPES:
            for other in TYPES:
                rows.append(
                    {
                        "method": method,
                        "observed": name,
                        "predicted": other,
                        "n": int((known[name] & guess[other]).sum()),
                        "n_observed": int(known[name].sum()),
                        "n_predicted": int(guess[other].sum()),
                        "n_pairs": len(guess),
                    }
                )
    columns = ["method", "observed", "predicted", "n", "n_observed", "n_predicted", "n_pairs"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
