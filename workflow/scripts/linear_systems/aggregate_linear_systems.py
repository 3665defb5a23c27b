"""Tables over all linear systems: every score, medians per setting, and how each fit went."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lcd_core.errors import InputError
from lcd_core.files import load_tensors
from pipeline.linear_systems import EFFECTS, IDENTITY
from pipeline.screen import CONTROL
from pipeline.tables import read_tsv, write_tsv

SETTING = [column for column in IDENTITY if column != "system"]
ESTIMATOR = ["estimator", "knows_targets", "knows_truth"]
TYPES = {"structure": str, "estimator": str, "metric": str, "k": "Int64"}


def main(
    *,
    score_tables: Sequence[str],
    response_tables: Sequence[str],
    training_logs: Sequence[str],
    effects: Sequence[str],
    scores: str,
    summary: str,
    systems: str,
) -> None:
    """Write the three tables.

    Parameters
    ----------
    score_tables, response_tables, training_logs, effects
        Of each system, in the same order.
    scores
        TSV with the rows of all ``score_tables``.
    summary
        TSV: median, 10th and 90th percentile over the n systems of a setting.
    systems
        TSV, one row per system: perturbations, those used, those that did not converge, the rank
        of L, the ridge and the noise level read.
    """
    merged = pd.concat([read_tsv(path, dtype=TYPES) for path in score_tables], ignore_index=True)
    key = [*IDENTITY, "estimator", "metric", "k"]
    if merged.duplicated(key).any():
        raise InputError("two tables of scores are of one system", found=score_tables)
    write_tsv(merged, scores)
    write_tsv(summarise(merged), summary)
    rows = [
        describe_fit(read_tsv(responses), read_tsv(log), Path(own))
        for responses, log, own in zip(response_tables, training_logs, effects, strict=True)
    ]
    write_tsv(pd.DataFrame(rows), systems)


def summarise(merged: pd.DataFrame) -> pd.DataFrame:
    """Median and 10th and 90th percentile over systems; n counts defined values."""
    values = merged.groupby(
        [*SETTING, *ESTIMATOR, "metric", "k"], sort=False, dropna=False, observed=True
    )["value"]
    return values.agg(
        median="median",
        p10=lambda own: own.quantile(0.1),
        p90=lambda own: own.quantile(0.9),
        n="count",
    ).reset_index()


def describe_fit(responses: pd.DataFrame, log: pd.DataFrame, effects: Path) -> dict[str, object]:
    """Row of one system."""
    _, estimate = load_tensors(effects, EFFECTS)
    lost = responses.loc[~responses["converged"], "perturbation"]
    perturbed = responses[responses["perturbation"] != CONTROL]
    return {
        **{column: responses[column].iloc[0] for column in IDENTITY},
        "n_used": int(perturbed["used"].sum()),
        "n_unconverged": int((~perturbed["converged"]).sum()),
        "unconverged": ",".join(lost) if len(lost) else "none",
        "largest_relative_residual": responses["relative_residual"].max(),
        "median_evaluations": float(responses["evaluations"].median()),
        "rank": estimate["rank"],
        "full_rank": estimate["full_rank"],
        "ridge": estimate["ridge"],
        "alpha": estimate["alpha"],
        "training_steps": int(log["step"].iloc[-1]),
        "final_loss": log["loss"].iloc[-1],
    }


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
