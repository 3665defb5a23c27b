"""What `estimate_time` says of a run that has been done, beside what it took.

    python benchmarks/time_estimate.py --cores 2 [--configfile config/mine.yaml]

In a folder with a finished run: its jobs are planned as if nothing were there, a probe measures
their steps, and the seconds in Snakemake's benchmark tables (``logs/<run>/benchmarks``) stand
beside the estimate, rule by rule. Rules without such tables are left out on both sides; where
some jobs have one, the estimate is that of as many.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow/scripts"), str(ROOT / "workflow")]

from estimate.dimensions import dimensions  # noqa: E402
from estimate.planned import planned_jobs  # noqa: E402
from estimate.tell import estimates_of  # noqa: E402
from estimate.work import stage_of  # noqa: E402
from pipeline.config.config import load_config  # noqa: E402
from pipeline.methods import registry  # noqa: E402


def measured_seconds(folder: Path) -> pd.DataFrame:
    """Seconds of every job that has a benchmark table, with its rule."""
    methods = registry()
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        parts = path.relative_to(folder).parts
        rule = path.stem
        if parts[0] == "folds" and len(parts) == 5:  # folds/<fold>/<method>/<variant>/<script>.tsv
            programs = {program.script for program in methods[parts[2]].programs}
            rule = f"{parts[2]}_{rule}" if rule in programs else rule
        rows.append((rule, float(pd.read_csv(path, sep="\t")["s"].iloc[-1])))
    return pd.DataFrame(rows, columns=["rule", "seconds"])


def main() -> None:
    """Print estimated and measured seconds of every rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--configfile", default="config/config.yaml")
    asked = parser.parse_args()
    values = yaml.safe_load(Path(asked.configfile).read_text(encoding="utf-8"))
    config = load_config(values, asked.configfile)
    jobs = planned_jobs("--forceall", "--configfile", asked.configfile, "--", "all")
    found, _, about = estimates_of(config, dimensions(config), jobs, asked.cores)
    took = measured_seconds(Path(f"logs/{config.run}/benchmarks")).groupby("rule")["seconds"]
    rows = [(stage_of(own.job), own.job.rule, own.seconds, own.rough) for own in found]
    table = pd.DataFrame(rows, columns=["stage", "rule", "estimated", "rough"])
    by_rule = table.groupby(["stage", "rule"], sort=False).agg(
        {"estimated": "mean", "rough": "any"}
    )
    names = by_rule.index.get_level_values("rule")
    by_rule.insert(0, "jobs", took.size().reindex(names).to_numpy())
    by_rule = by_rule[by_rule["jobs"] > 0].assign(
        estimated=lambda own: own["estimated"] * own["jobs"],
        measured=lambda own: took.sum().reindex(own.index.get_level_values("rule")).to_numpy(),
    )
    by_rule["ratio"] = by_rule["estimated"] / by_rule["measured"]
    print(by_rule.round(2).to_csv(sep="\t"), end="")
    whole = by_rule[["estimated", "measured"]].sum()
    ratio = whole["estimated"] / whole["measured"]
    number = int(by_rule["jobs"].sum())
    print(f"all\t\t{number}\t{whole['estimated']:.0f}\t\t{whole['measured']:.0f}\t{ratio:.2f}")
    print(f"# probe: {about}")


if __name__ == "__main__":
    main()
