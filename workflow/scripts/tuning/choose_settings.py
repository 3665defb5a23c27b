"""Choose the settings of a method by the combinations held out for tuning."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pandas as pd

from evaluation.registry import METRICS
from lcd_core.errors import InputError, shown
from pipeline.settings import write_settings
from pipeline.tables import read_tsv, write_tsv


def main(
    *,
    metrics_tables: Sequence[str],
    points: list[dict[str, Any]],
    values: list[dict[str, Any]],
    metric: str,
    method: str,
    ranking: str,
    winner: str,
) -> None:
    """Rank the points of a grid by the median of a metric, and write the best one's settings.

    Equal medians go by the mean, then by the order of the grid. Points compete on the combinations
    where each of them has a value; a point without any is last and takes none from the others.

    Parameters
    ----------
    metrics_tables
        Metrics of every point on the fold held out for tuning.
    points
        What each point sets, dotted key -> value.
    values
        All settings of each point.
    metric
        Name of the metric.
    method
        Name of the method.
    ranking
        TSV to write: one row per point, best first.
    winner
        JSON to write: all settings of the best.

    Raises
    ------
    InputError
        If no point has a value of the metric.
    """
    columns, variants = [], []
    for path in metrics_tables:
        table = read_tsv(path, dtype={"method": str, "perturbation": str})
        own = table[table["metric"] == metric].set_index("perturbation")["value"].dropna()
        columns.append(own)
        variants.append(str(table["method"].iloc[0]).partition("/")[2])
    known = [set(own.index) for own in columns if len(own)]
    common = sorted(set.intersection(*known)) if known else []
    left_out = sorted(set.union(*known) - set(common)) if known else []
    if left_out:
        logging.warning("%s: left out, not defined for all points: %s", method, shown(left_out))
    rows = []
    for own, point, variant in zip(columns, points, variants, strict=True):
        values_of_it = own.reindex(common).dropna()
        rows.append(
            {
                "method": method,
                "variant": variant,
                "settings": json.dumps(point),
                "metric": metric,
                "n": len(values_of_it),
                "median": values_of_it.median(),
                "mean": values_of_it.mean(),
            }
        )
    table = pd.DataFrame(rows)
    if table["median"].isna().all():
        raise InputError(
            "the metric is defined, for all points, at no combination held out for tuning",
            where="tuning.metric",
            found=metric,
            remedy="choose another metric, or raise folds.tuning_doubles",
        )
    higher = METRICS[metric].direction == "higher"
    order = table.sort_values(
        ["median", "mean"], ascending=not higher, kind="stable", na_position="last"
    ).index
    table = table.loc[order]
    table.insert(2, "rank", range(1, len(table) + 1))
    logging.info("%s: %s", method, table["settings"].iloc[0])
    write_tsv(table, ranking)
    write_settings(values[order[0]], winner)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
