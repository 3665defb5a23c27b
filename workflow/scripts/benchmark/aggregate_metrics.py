"""Benchmark tables over all folds: values, summaries, paired comparisons, calibration."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from evaluation.registry import METRICS, check_metric_names
from lcd_core.errors import InputError
from lcd_core.streams import numpy_stream
from pipeline.tables import read_tsv, write_tsv

COLUMNS = [
    "fold",
    "method",
    "perturbation",
    "n_targets",
    "singles_measured",
    "metric",
    "value",
    "n_predicted",
    "n_observed",
]
LEAST_PAIRS = 5
"""Fewest nonzero differences with which a one-sided signed-rank P value can fall below 0.05."""


def read_metrics(tables: Sequence[str], folds: Sequence[str]) -> pd.DataFrame:
    """Read and concatenate the tables, ordered by fold, perturbation, method and metric."""
    frames = []
    for path in tables:
        names = {"fold": str, "method": str, "perturbation": str, "metric": str}
        frame = read_tsv(path, dtype=names)
        if list(frame.columns) != COLUMNS:
            raise InputError("not a table of metrics", where=path, found=frame.columns)
        frames.append(frame)
    merged = pd.concat(frames, ignore_index=True)
    check_metric_names(merged["metric"].unique().tolist())
    key = ["fold", "perturbation", "method", "metric"]
    if merged.duplicated(key).any():
        raise InputError(
            "the same value occurs twice",
            where="tables of metrics",
            found=merged.loc[merged.duplicated(key), key].agg(" / ".join, axis=1),
        )
    merged["order"] = merged["metric"].map({name: i for i, name in enumerate(METRICS)})
    merged["number"] = merged["fold"].map({name: i for i, name in enumerate(folds)})
    merged = merged.sort_values(["number", "perturbation", "method", "order"])
    return merged[COLUMNS].reset_index(drop=True)


def summarise(merged: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Median, quartiles and mean over perturbations, one row per metric and method.

    ``n`` is the number of perturbations where the metric is defined. The 95% interval of the median
    is that of the percentile bootstrap over perturbations.
    """
    rows = []
    for metric in [name for name in METRICS if name in set(merged["metric"])]:
        own = merged[merged["metric"] == metric]
        for method, column in own.groupby("method")["value"]:
            values = column.dropna()
            rows.append(
                {
                    "method": method,
                    "metric": metric,
                    "n": len(values),
                    "median": values.median(),
                    **interval_of_median(values.to_numpy(), draws, seed),
                    "q25": values.quantile(0.25),
                    "q75": values.quantile(0.75),
                    "mean": values.mean(),
                }
            )
    return pd.DataFrame(rows)


def interval_of_median(values: np.ndarray, draws: int, seed: int) -> dict[str, float]:
    """Ends of the 95% bootstrap interval of the median; NaN with fewer than two values.

    The same draws for all columns of the same length, so that they compare.
    """
    if len(values) < 2:
        return {"median_low": np.nan, "median_high": np.nan}
    rng = numpy_stream(seed, "bootstrap", len(values))
    medians = np.median(values[rng.integers(len(values), size=(draws, len(values)))], axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return {"median_low": float(low), "median_high": float(high)}


def calibrate(
    merged: pd.DataFrame, positives: Sequence[str], negatives: Sequence[str]
) -> pd.DataFrame:
    """How well each metric tells a duplicate of the observed cells from a negative control.

    Dynamic range fraction (Miller et al. 2025): ``(neg - pos) / (neg - perfect)``, clipped to
    [-1, 1], median over perturbations where the control is worse than perfect, which an unbiased
    distance need not be. Bound discrimination score (Vollenweider and Buehlmann
    2026): share of perturbations in which the duplicate is better than the control, ties half. A
    metric with a score below 0.5 ranks noise above knowledge, and is not to be trusted here.

    Parameters
    ----------
    merged
        All values.
    positives, negatives
        Duplicates and negative controls among the methods.
    """
    rows = []
    for metric in [name for name in METRICS if name in set(merged["metric"])]:
        own = merged[merged["metric"] == metric]
        wide = own.pivot(index=["fold", "perturbation"], columns="method", values="value")
        sign = -1.0 if METRICS[metric].direction == "lower" else 1.0
        for positive in positives:
            for negative in negatives:
                pairs = wide.reindex(columns=[positive, negative]).dropna()
                pos, neg = pairs[positive].to_numpy(), pairs[negative].to_numpy()
                room = neg - METRICS[metric].perfect
                fraction = np.divide(
                    neg - pos, room, out=np.full(len(pos), np.nan), where=sign * room < 0
                )
                better = sign * (pos - neg)
                score = (np.mean(better > 0) + np.mean(better == 0) / 2) if len(pos) else np.nan
                rows.append(
                    {
                        "metric": metric,
                        "duplicate": positive,
                        "negative": negative,
                        "n": len(pos),
                        "dynamic_range_fraction": float(
                            pd.Series(np.clip(fraction, -1, 1)).median()
                        ),
                        "bound_discrimination_score": float(score),
                    }
                )
    columns = ["metric", "duplicate", "negative", "n",
               "dynamic_range_fraction", "bound_discrimination_score"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def compare_pairs(reference: np.ndarray, other: np.ndarray, direction: str) -> dict[str, object]:
    """Compare paired values of two methods on the same perturbations.

    Parameters
    ----------
    reference, other
        Values, (n,), NaN-free.
    direction
        ``"lower"`` or ``"higher"``, whichever is better.

    Returns
    -------
    dict
        Wins of the reference, ties, win rate (wins / n), difference of the medians (reference
        minus other), percentage by which the reference reduces the other's median (errors only),
        and the P value of the one-sided Wilcoxon signed-rank test that the reference is better.
    """
    difference = reference - other
    better = difference < 0 if direction == "lower" else difference > 0
    nonzero = np.count_nonzero(difference)
    reason, p_value = "", float("nan")
    if len(difference) == 0:
        reason = "no perturbation in common"
    elif nonzero == 0:
        reason = "all differences are zero"
    elif nonzero < LEAST_PAIRS:
        reason = f"fewer than {LEAST_PAIRS} nonzero differences"
    else:
        alternative = "less" if direction == "lower" else "greater"
        p_value = float(wilcoxon(difference, alternative=alternative).pvalue)
    reduction = float("nan")
    if direction == "lower" and len(other) and np.median(other) > 0:
        reduction = 100 * (1 - np.median(reference) / np.median(other))
    return {
        "n": len(difference),
        "wins": int(better.sum()),
        "ties": len(difference) - nonzero,
        "win_rate": better.mean() if len(better) else float("nan"),
        # Not the median of the differences, whose sign need not be that of the reduction.
        "difference_of_medians": np.median(reference) - np.median(other)
        if len(difference)
        else float("nan"),
        "percent_reduction": reduction,
        "p_value": p_value,
        "reason": reason,
    }


def win_rate_table(
    merged: pd.DataFrame, reference: str, no_methods: Sequence[str] = ()
) -> pd.DataFrame:
    """Compare the reference method with every other, per metric, paired on perturbations.

    P values are adjusted over the others but for ``no_methods``, duplicates of the observed cells
    with which nothing competes.
    """
    methods = sorted(merged["method"].unique())
    if reference not in methods:
        raise InputError(
            f"there are no values of {reference!r}",
            where="reference",
            found=methods,
            remedy="name one of these methods",
        )
    rows = []
    for metric in [name for name in METRICS if name in set(merged["metric"])]:
        wide = merged[merged["metric"] == metric].pivot(
            index=["fold", "perturbation"], columns="method", values="value"
        )
        for versus in [name for name in methods if name != reference]:
            pairs = wide.reindex(columns=[reference, versus]).dropna()
            rows.append(
                {"metric": metric, "method": reference, "versus": versus}
                | compare_pairs(
                    pairs[reference].to_numpy(),
                    pairs[versus].to_numpy(),
                    METRICS[metric].direction,
                )
            )
    table = pd.DataFrame(rows)
    if len(table):
        table.insert(
            table.columns.get_loc("reason"), "p_adjusted", adjusted_within(table, no_methods)
        )
        # the median distance of a duplicate is noise around 0
        table.loc[table["versus"].isin(no_methods), "percent_reduction"] = np.nan
    return table


def adjusted_within(table: pd.DataFrame, no_methods: Sequence[str]) -> pd.Series:
    """P values adjusted over the other methods, metric by metric (Holm 1979)."""
    adjusted = pd.Series(np.nan, index=table.index)
    tested = table.loc[~table["versus"].isin(no_methods), "p_value"].dropna()
    for _, own in tested.groupby(table["metric"]):
        adjusted[own.index] = multipletests(own, method="holm")[1]
    return adjusted


def main(
    *,
    tables: list[str],
    metrics: str,
    summary: str,
    win_rates: str,
    calibration: str,
    folds: list[str],
    reference: str,
    no_methods: list[str],
    duplicates: list[str],
    negatives: list[str],
    bootstrap: int,
    seed: int,
) -> None:
    """Write all values, their summary per method and metric, and the paired comparisons.

    Parameters
    ----------
    tables
        Metrics of every fold and method.
    metrics, summary, win_rates, calibration
        TSV to write.
    folds
        Names of the folds, in order.
    reference
        Method with which every other is compared.
    no_methods
        Those that are references, duplicates of the observed cells.
    duplicates, negatives
        Methods by which metrics are calibrated.
    bootstrap
        Draws for the intervals of medians.
    """
    merged = read_metrics(tables, folds)
    comparisons = win_rate_table(merged, reference, no_methods)
    write_tsv(merged, metrics)
    write_tsv(summarise(merged, bootstrap, seed), summary)
    write_tsv(comparisons, win_rates)
    write_tsv(calibrate(merged, duplicates, negatives), calibration)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
