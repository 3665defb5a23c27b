"""What a run asks a cluster for: jobs and resources of each rule, and hours of GPUs.

``python benchmarks/cluster_plan.py config/norman.yaml ...`` plans each configuration under
``slurm/config.yaml`` and prints a table; nothing runs. The hours are steps of the configuration
times the seconds of a step in ``benchmarks/tables/device_steps.tsv``, which were measured at the
published sizes (1,000 genes, B = 64, M = 20,000; 8,192 states): smaller settings take less.
Sampling is left out; it is minutes. The last line says in how many hours 1, 4 and 16 GPUs have done
all fits, each drift after its prior and one fit at a time on a GPU.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heapreplace
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


def wall_hours(chains: Sequence[float], gpus: int) -> float:
    """Hours until all chains of fits are done, each started where a GPU is free first."""
    free = [0.0] * gpus
    heapify(free)
    for own in sorted(chains, reverse=True):
        heapreplace(free, free[0] + own)
    return max(free)


def chains_of(configuration: str, jobs: Counter[str]) -> list[float]:
    """Hours of each prior with the drifts that wait for it, these being spread evenly."""
    prior, drift = (hours(configuration, rule) or 0.0 for rule in STEPS)
    priors, drifts = (jobs[rule] for rule in STEPS)
    return [prior + drift * (drifts // priors + (i < drifts % priors)) for i in range(priors)]


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
        chains = chains_of(configuration, jobs)
        if chains:
            spread = ", ".join(f"{wall_hours(chains, n):.1f} on {n}" for n in (1, 4, 16))
            print(f"\nall fits of LCD, hours: {spread} GPUs")


if __name__ == "__main__":
    main()
