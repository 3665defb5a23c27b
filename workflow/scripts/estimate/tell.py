"""Say how long a run will take: ``python -m estimate.tell``, a description of the run as JSON.

The rule `estimate_time` starts it with the interpreter that runs Snakemake, which is asked for the
jobs of the plan.
"""

import json
import logging
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from estimate.dimensions import Dimensions, dimensions
from estimate.planned import Job, options_of, planned_jobs
from estimate.probe import measured
from estimate.work import STAGES, Estimate, Workload, estimated, longest_chain, stage_of
from lcd_core.errors import InputError
from pipeline.config.config import Config, load_config
from pipeline.plan import Plan

BUSY = 1.3
"""How many times longer than the processor's own time a step takes on a busy machine."""
MOST_SIDE_BY_SIDE = 4
"""Probes at once at the most: each takes the memory of a fit's step."""


def estimates_of(
    config: Config, data: Dimensions, jobs: Sequence[Job], cores: int
) -> tuple[list[Estimate], list[Job], dict[str, Any]]:
    """Seconds of every job, the jobs of which nothing is known, and how they were measured."""
    load = Workload(config, Plan(config, "configuration"), data)
    works = [work for job in jobs if (work := load.work(job)) is not None]
    tasks = sorted({step for work in works for number, step in work.steps if number})
    side_by_side = max(1, min(cores // config.threads.fit, MOST_SIDE_BY_SIDE, len(jobs)))
    began = time.monotonic()
    found = measured(
        [json.loads(own) for own in tasks],
        threads=config.threads.fit,
        device=config.device,
        side_by_side=side_by_side,
    )
    about = {"side_by_side": side_by_side, "probe": time.monotonic() - began, **vars(found)}
    known = dict(zip(tasks, found.seconds, strict=True))
    by_task = {step: known.get(step, 0.0) for work in works for _, step in work.steps}
    return *estimated(jobs, load, by_task, found.start), about


def told(
    config: Config,
    data: Dimensions,
    found: Sequence[Estimate],
    unknown: Sequence[Job],
    about: Mapping[str, Any],
    cores: int,
) -> str:
    """The estimate as a text: a line per stage, the whole, and what it rests on."""
    perturbed = data.conditions - 1
    lines = [
        f"What is left of run {config.run!r}: {len(found) + len(unknown)} jobs, with {cores} "
        f"core{'s' if cores > 1 else ''} ({about['device']}) and {config.threads.fit} "
        f"thread{'s' if config.threads.fit > 1 else ''} a fit.",
        f"Data: {sum(data.cells.values()):,} cells, {data.genes:,} of {data.all_genes:,} genes "
        f"modelled, {perturbed} perturbations, {len(data.combinations)} of them combinations "
        f"({data.source}).",
        "",
        f"{'stage':<22}{'jobs':>6}{'one job':>12}{'all':>12}  known by",
    ]
    for stage in STAGES:
        own = [each for each in found if stage_of(each.job) == stage]
        if not own:
            continue
        rough = sum(each.seconds for each in own if each.rough)
        total = sum(each.seconds for each in own)
        how = "measured" if not rough else "rough" if rough == total else "partly rough"
        one = statistics.median(each.seconds for each in own)
        lines.append(f"{stage:<22}{len(own):>6}{duration(one):>12}{duration(total):>12}  {how}")
    work = sum(each.seconds * each.threads for each in found)
    chain = longest_chain(found, config.effects.held_out_folds)
    on_gpu = about["device"] != "CPU"
    wall = max(chain, work / (1 if on_gpu else cores))
    lines += [
        "",
        f"In all about {duration(wall)}"
        + (
            ", the jobs one after the other on the GPU"
            if on_gpu
            else f": {duration(work)} of work, {cores} at a time"
        )
        + f"; no less than {duration(chain)}, for jobs that wait for each other.",
        f"Measured: the start of a job ({about['start']:.1f} s) and one step of each kind, in "
        f"{about['probe']:.0f} s, {about['side_by_side']} at a time. Rough: numbers of steps or "
        "seconds that are guessed.",
    ]
    if about["busy"] > BUSY:
        lines.append(
            f"This is for a machine that does nothing else. Now it is busy: steps take "
            f"{about['busy']:.1f} times as long."
        )
    if unknown:
        names = sorted({job.rule for job in unknown} - {"all"})
        if names:
            lines.append(f"Not counted: {', '.join(names)}.")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def main() -> None:
    """Estimate the run that standard input describes."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    asked = json.load(sys.stdin)
    config = load_config(asked["configuration"], "configuration")
    jobs = planned_jobs(*options_of(asked["configfiles"], asked["given"]), "--", *asked["targets"])
    if not jobs:
        print(f"Nothing is left to be done of run {config.run!r}.")
        return
    data = dimensions(config)
    found, unknown, about = estimates_of(config, data, jobs, asked["cores"])
    print(told(config, data, found, unknown, about, asked["cores"]))


if __name__ == "__main__":
    try:
        main()
    except (InputError, RuntimeError) as error:
        sys.exit(str(error))
