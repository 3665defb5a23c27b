"""Quality of LCD's variants against the time of their fits, from a finished run of the workflow.

    snakemake --configfile benchmarks/short_fits.yaml --cores 2 all
    python benchmarks/short_fits.py

Of every variant: processor seconds of its fits of prior and drift (medians over folds), medians of
metrics over held-out perturbations, and the median of the paired differences from the variant
``default`` with a 95% bootstrap interval. A fit that two variants share counts for both.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

METRICS = (
    "mmd_top_de",
    "mmd_all",
    "rmse_top_de",
    "pearson_delta",
    "energy_distance_top_de",
    "weighted_r2_delta",
)
DRAWS = 10_000


def seconds_of(logs: Path, variant: str, program: str) -> float:
    """Median over folds of the processor time of a fit; that of the default where it is shared."""
    for name in (variant, "default"):
        found = sorted(logs.glob(f"benchmarks/folds/*/lcd/{name}/{program}.tsv"))
        if found:
            return float(np.median([pd.read_csv(p, sep="\t")["cpu_time"].iloc[0] for p in found]))
    raise SystemExit(f"{logs}: no time of {program}; run the workflow first")


def table(results: Path, logs: Path) -> pd.DataFrame:
    """One row per variant and metric."""
    metrics = pd.read_csv(results / "benchmark" / "metrics.tsv", sep="\t")
    rng = np.random.default_rng(0)
    rows = []
    methods = [name for name in metrics["method"].unique() if name.split("/")[0] == "lcd"]
    for metric in METRICS:
        values = metrics[metrics["metric"] == metric].pivot_table(
            index=["fold", "perturbation"], columns="method", values="value"
        )
        for method in methods:
            variant = method.partition("/")[2] or "default"
            difference = (values[method] - values["lcd"]).to_numpy()
            draws = difference[rng.integers(len(difference), size=(DRAWS, len(difference)))]
            low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
            rows.append(
                {
                    "variant": variant,
                    "prior_seconds": seconds_of(logs, variant, "fit_prior"),
                    "drift_seconds": seconds_of(logs, variant, "fit_drift"),
                    "metric": metric,
                    "n": len(difference),
                    "median": float(values[method].median()),
                    "difference": float(np.median(difference)),
                    "low": float(low),
                    "high": float(high),
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results/short_fits"))
    parser.add_argument("--logs", type=Path, default=Path("logs/short_fits"))
    parser.add_argument("--output", default="benchmarks/tables/short_fits.tsv")
    arguments = parser.parse_args()
    found = table(arguments.results, arguments.logs)
    found.to_csv(arguments.output, sep="\t", index=False, float_format="%.6g")
    print(found.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
