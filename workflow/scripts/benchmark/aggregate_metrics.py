"""Benchmark tables over all folds: every value, summaries per method, paired comparisons."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from evaluation.registry import METRICS, check_metric_names
from lcd_core.errors import InputError
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


def summarise(merged: pd.DataFrame) -> pd.DataFrame:
    """Median, quartiles and mean over perturbations, one row per metric and method.

    ``n`` is the number of perturbations where the metric is defined.
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
                    "q25": values.quantile(0.25),
                    "q75": values.quantile(0.75),
                    "mean": values.mean(),
                }
            )
    return pd.DataFrame(rows)


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
        Wins of the reference, ties, win rate (wins / n), median difference (reference minus
        other), percentage by which the reference reduces the other's median (errors only), and
        the P value of the one-sided Wilcoxon signed-rank test that the reference is better.
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
        "median_difference": np.median(difference) if len(difference) else float("nan"),
        "percent_reduction": reduction,
        "p_value": p_value,
        "reason": reason,
    }


def win_rate_table(merged: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare the reference method with every other, per metric, paired on perturbations."""
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
    return pd.DataFrame(rows)


def main(
    *,
    tables: list[str],
    metrics: str,
    summary: str,
    win_rates: str,
    folds: list[str],
    reference: str,
) -> None:
    """Write all values, their summary per method and metric, and the paired comparisons.

    Parameters
    ----------
    tables
        Metrics of every fold and method.
    metrics, summary, win_rates
        TSV to write.
    folds
        Names of the folds, in order.
    reference
        Method with which every other is compared.
    """
    merged = read_metrics(tables, folds)
    comparisons = win_rate_table(merged, reference)
    write_tsv(merged, metrics)
    write_tsv(summarise(merged), summary)
    write_tsv(comparisons, win_rates)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
