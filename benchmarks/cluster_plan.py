"""What a run asks a cluster for: jobs and resources of each rule, and hours of GPUs.

``python benchmarks/cluster_plan.py config/norman.yaml ...`` plans each configuration under
``slurm/config.yaml`` and prints a table; nothing runs. The hours are steps of the configuration
times the seconds of a step in ``benchmarks/tables/device_steps.tsv``, which were measured at the
published sizes (1,000 genes, B = 64, M = 20,000; 8,192 states): smaller settings take less.
Sampling is left out; it is minutes.
"""

import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow/scripts"), str(ROOT / "workflow")]

from estimate.planned import planned_jobs  # noqa: E402
from pipeline.config.config import load_config  # noqa: E402

STEPS = {"lcd_fit_prior": "prior, a step", "lcd_fit_drift": "drift, a step"}


def plan(configuration: str) -> tuple[Counter[str], dict[str, dict[str, str]]]:
    """Number of jobs and resources of each rule that is sent to the cluster."""
    options = ("--profile", "slurm", "--forceall", "all", "--configfile", configuration)
    sent = [job for job in planned_jobs(*options, folder=ROOT) if not job.is_local]
    return Counter(job.rule for job in sent), {job.rule: job.resources for job in sent}


def hours(configuration: str, rule: str) -> float | None:
    """Hours of a job of a rule whose steps were measured."""
    if rule not in STEPS:
        return None
    measured = pd.read_csv(ROOT / "benchmarks/tables/device_steps.tsv", sep="\t").set_index("what")
    values = yaml.safe_load((ROOT / configuration).read_text(encoding="utf-8"))
    settings = getattr(load_config(values, configuration).methods, "lcd")  # noqa: B009
    section = getattr(settings, rule.removeprefix("lcd_fit_"))
    return float(measured.loc[STEPS[rule], "seconds"]) * section.steps / 3600


def main() -> None:
    """Print a table for each configuration named on the command line."""
    for configuration in sys.argv[1:]:
        jobs, resources = plan(configuration)
        rows = []
        for rule, number in jobs.most_common():
            asked, one = resources[rule], hours(configuration, rule)
            rows.append(
                {
                    "rule": rule,
                    "jobs": number,
                    "MB": int(asked["mem_mb"]),
                    "minutes": int(asked["runtime"]),
                    "gres": asked.get("gres", ""),
                    "measured hours, a job": "" if one is None else f"{one:.2f}",
                    "all": "" if one is None else f"{one * number:.1f}",
                }
            )
        table = pd.DataFrame(rows)
        gpu = table[table["gres"] != ""]
        common = table[(table["gres"] == "") & (table["MB"] == table["MB"].min())]
        print(
            f"\n{configuration}: {len(table)} rules, {table['jobs'].sum()} jobs on the cluster,",
            end=" ",
        )
        print(f"{gpu['jobs'].sum()} of them on a GPU,", end=" ")
        print(f"at most {(gpu['jobs'] * gpu['minutes']).sum() / 60:,.0f} GPU hours asked for\n")
        others = table.drop(common.index)
        print("| " + " | ".join(table.columns) + " |\n" + "|---" * len(table.columns) + "|")
        for row in others.itertuples(index=False):
            print("| " + " | ".join(map(str, row)) + " |")
        if len(common):
            least = common.iloc[0]
            cells = (f"{len(common)} others", common["jobs"].sum(), least["MB"], least["minutes"])
            print("| " + " | ".join(map(str, cells)) + " | | | |")


if __name__ == "__main__":
    main()
