"""Say what the jobs of a run need, and whether the cluster has it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from lcd_core.errors import InputError, shown
from pipeline.cluster import PROFILE, SINFO, Need, ask, fitting, problems, read_sinfo

log = logging.getLogger(__name__)


def main(*, needs: Sequence[dict[str, Any]]) -> None:
    """Print what every rule asks for and on how many nodes it fits, and refuse what never starts.

    Parameters
    ----------
    needs
        Fields of :class:`pipeline.cluster.Need`, for each rule.

    Raises
    ------
    InputError
        If no job goes to a cluster, there is no SLURM that answers, or jobs could never start.
    """
    if not needs:
        raise InputError(
            "no job of this run goes to a cluster",
            where="--profile",
            remedy="snakemake --profile slurm check_cluster",
        )
    answer = ask(SINFO)
    if not answer:
        raise InputError(
            "sinfo gives no answer",
            where="SLURM",
            remedy="run this where jobs are submitted from, usually a login node",
        )
    nodes = read_sinfo(answer)
    wanted = [Need(**{**need, "partitions": tuple(need["partitions"])}) for need in needs]
    alike: dict[Need, list[str]] = {}
    for need in wanted:
        alike.setdefault(replace(need, rule=""), []).append(need.rule)
    rows = []
    for need, rules in sorted(alike.items(), key=lambda item: len(item[1])):
        there = fitting(need, nodes)
        working = sum(node.works for node in there)
        rows.append(
            {
                "rules": shown(rules, limit=4),
                "partition": ",".join(need.partitions) or "(default)",
                "minutes": need.minutes,
                "MB": need.memory,
                "processors": need.processors,
                "gres": need.gres or "-",
                "nodes that fit": f"{len(there)}, {working} up"
                if working < len(there)
                else len(there),
            }
        )
    log.info("What jobs ask for (%s):\n%s", PROFILE, pd.DataFrame(rows).to_string(index=False))
    errors = problems(wanted, nodes)
    if errors:
        raise InputError("\n\n".join(["jobs can never start on this cluster", *map(str, errors)]))
    log.info("Every job can start on this cluster.")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
