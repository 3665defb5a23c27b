"""What a SLURM cluster offers, and jobs on it that can never start.

A job that asks for more than its partition allows is accepted by SLURM and waits for ever. What
jobs need is therefore compared with ``sinfo`` before the first of them is submitted
(:func:`refuse_what_cannot_start`); what only the accounting knows, such as limits of a user or an
account, is seen in ``squeue`` while they wait (:class:`WaitingJobs`).
"""

import difflib
import logging
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lcd_core.errors import InputError

PROFILE = "slurm/config.yaml"
# Resource that a profile of this project gives to the rules it names -> the profile. By it they are
# told from those that users have for all their workflows.
PROFILES = {"described_by_gpu": PROFILE, "in_profiles_gpus": "profiles/gpus/config.yaml"}
INTERVAL = 60.0  # seconds between two looks at waiting jobs
PATIENCE = 30.0  # seconds for an answer of SLURM

# Reasons for which a waiting job stays so until somebody changes something, and what that may be;
# {kind} is the line at the top of the profile that speaks of the job's partition.
HOPELESS = {
    "PartitionTimeLimit": "set {kind}.minutes to the time limit of the partition "
    '(sinfo --format "%P %l"), or {kind}.partition to one that allows more',
    "PartitionNodeLimit": "set {kind}.partition to one that allows so many nodes, processors or "
    "so much memory",
    "PartitionDown": "set {kind}.partition to one that is up (sinfo), or wait for it",
    "PartitionInactive": "set {kind}.partition to one that is up (sinfo), or wait for it",
    "BadConstraints": "no node has what is asked for: lower the memory of the rule under rules, or "
    "correct {kind}.gres",
    "AccountNotAllowed": "set {kind}.account or {kind}.partition to what your account may use "
    "(sacctmgr show associations user=$USER)",
    "InvalidAccount": "set {kind}.account to one of yours (sacctmgr show associations user=$USER)",
    "InvalidQOS": "set {kind}.qos to one of yours (sacctmgr show associations user=$USER)",
    "QOSNotAllowed": "set {kind}.qos or {kind}.partition to what goes together",
    "JobHeldUser": "the job is held: scontrol release {job}",
    "JobHeldAdmin": "the job is held by an administrator of the cluster, or its node could not "
    "start it: ask, or scancel {job} and run the same command again",
    "ReqNodeNotAvail": "the nodes of the partition are down or reserved: set {kind}.partition to "
    "another, or {kind}.minutes so that it ends before their reservation",
}
# Limits of an account or a QOS on a single job, such as QOSMaxWallDurationPerJobLimit.
LIMIT_OF_A_JOB = re.compile(r"(?:Assoc|QOS)\w*(?:Max\w*PerJob|MinCpu\w*|MaxWall\w*)\w*")
LIMIT_REMEDY = (
    "your account or quality of service allows no such job: lower its memory or minutes under "
    "rules, or {kind}.minutes, or set another {kind}.qos"
)


@dataclass(frozen=True)
class Need:
    """What a job of a rule asks for.

    Attributes
    ----------
    rule
        Name of the rule.
    partitions
        Names of partitions, any of which will do; empty for the cluster's default.
    minutes
        Run time; None for the partition's default.
    memory
        MB on its node; None for the partition's default.
    processors
        Processors on its node.
    gres
        Generic resources as SLURM writes them, such as ``gpu:a100:1``; empty for none.
    described_by
        The line of the profile that describes its partition; empty where no profile says it.
    """

    rule: str
    partitions: tuple[str, ...] = ()
    minutes: int | None = None
    memory: int | None = None
    processors: int = 1
    gres: str = ""
    described_by: str = ""

    @property
    def kind(self) -> str:
        """The line at the top of the profile by which the job is described."""
        return self.described_by or ("gpu" if "gpu" in self.gres else "cpu")


@dataclass(frozen=True)
class Node:
    """A node in one of its partitions, as ``sinfo`` shows it; ``minutes`` None is no limit."""

    partition: str
    default: bool
    up: bool
    minutes: int | None
    memory: int
    processors: int
    gres: str
    state: str

    @property
    def works(self) -> bool:
        """Whether jobs can start there, now or when others have ended."""
        return self.up and not re.match(r"down|drain|fail|unk|inval", self.state)


def need_of(rule: str, threads: int, resources: Mapping[str, Any]) -> Need:
    """Read what a job needs from its resources as Snakemake knows them."""
    gres = str(resources.get("gres") or "")
    if not gres and resources.get("gpu"):
        model = resources.get("gpu_model")
        gres = f"gpu:{model}:{resources['gpu']}" if model else f"gpu:{resources['gpu']}"
    partitions = str(resources.get("slurm_partition") or "")
    by_gpu = resources.get("described_by_gpu")
    return Need(
        rule,
        tuple(name for name in partitions.split(",") if name),
        _number(resources.get("runtime")),
        _number(resources.get("mem_mb")),
        max(threads, _number(resources.get("cpus_per_task")) or 1),
        gres,
        "" if by_gpu is None else "gpu" if by_gpu else "cpu",
    )


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


# --- what there is --------------------------------------------------------------------------------


def read_sinfo(text: str) -> list[Node]:
    """Read the lines of :data:`SINFO`."""
    nodes = []
    for line in text.splitlines():
        parts = line.split("|")
        # of a node that does not answer, SLURM may not know its size
        if len(parts) != 8 or not all(re.fullmatch(r"\d+\+?", own) for own in parts[4:6]):
            continue
        _, partition, up, limit, memory, processors, gres, state = parts
        nodes.append(
            Node(
                partition.rstrip("*"),
                partition.endswith("*"),
                up == "up",
                minutes_of(limit),
                int(memory.rstrip("+")),
                int(processors.rstrip("+")),
                "" if gres == "(null)" else gres,
                state.lower(),
            )
        )
    return nodes


SINFO = ("sinfo", "--noheader", "--Node", "--format=%N|%P|%a|%l|%m|%c|%G|%T")


def minutes_of(limit: str) -> int | None:
    """Read a time limit, ``[days-]hours:minutes:seconds`` and shorter; None where there is none."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", limit)
    if match is None:
        return None  # infinite, n/a
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes + (seconds > 0)


def holds(offered: str, wanted: str) -> bool:
    """Whether a node's generic resources hold what a job asks for, each of a kind in turn."""
    there: dict[tuple[str, str], int] = {}
    for part in re.split(r",(?![^(]*\))", offered):
        kind, model, number = _gres(part)
        there[kind, model] = there.get((kind, model), 0) + number
    for part in wanted.split(","):
        kind, model, number = _gres(part)
        fitting = (n for (k, m), n in there.items() if k == kind and model in ("", m))
        if sum(fitting) < number:
            return False
    return True


def _gres(text: str) -> tuple[str, str, int]:
    """Kind, model and number of ``gpu``, ``gpu:2``, ``gpu:a100:2`` or ``gpu:a100:2(S:0-1)``."""
    kind, *others = re.sub(r"\(.*?\)", "", text).split(":")
    number = int(others.pop()) if others and others[-1].isdigit() else 1
    return kind, ":".join(others), number


def ask(command: Sequence[str]) -> str | None:
    """Output of a command of SLURM; None where it is not there or gives no answer."""
    if not shutil.which(command[0]):
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


# --- what can never start -------------------------------------------------------------------------


def candidates(need: Need, nodes: Iterable[Node]) -> list[Node]:
    """Nodes of the partitions that a job names, or of the default one."""
    if need.partitions:
        return [node for node in nodes if node.partition in need.partitions]
    return [node for node in nodes if node.default]


def fitting(need: Need, nodes: Iterable[Node]) -> list[Node]:
    """Nodes on which a job can start, in any state."""
    return [
        node
        for node in candidates(need, nodes)
        if (need.minutes is None or node.minutes is None or need.minutes <= node.minutes)
        and (need.memory is None or need.memory <= node.memory)
        and need.processors <= node.processors
        and (not need.gres or holds(node.gres, need.gres))
    ]


def problem(need: Need, nodes: Sequence[Node]) -> InputError | None:
    """Say why a job can never start, and which key changes that; None if it can."""
    kind, own = need.kind, candidates(need, nodes)
    names = sorted({node.partition for node in own}) or list(need.partitions)
    partition = f"partition {' or '.join(names)}" if names else "default partition"

    def error(what: str, key: str, found: str, remedy: str) -> InputError:
        return InputError(what, where=f"{PROFILE}, {key}", found=found, remedy=remedy)

    if not own:
        others = ", ".join(sorted({node.partition for node in nodes}))
        return error(
            f"SLURM has no {partition}, where {need.rule} is to run",
            f"{kind}.partition",
            f"partitions: {others or 'none'}",
            f"set {kind}.partition to one of them",
        )
    if fitting(need, nodes):
        return None
    limits = [node.minutes for node in own]
    if not fitting(replace(need, minutes=None), nodes):
        if need.gres and not any(holds(node.gres, need.gres) for node in own):
            offered = sorted({node.gres for node in nodes if node.gres})
            where = sorted({node.partition for node in nodes if holds(node.gres, need.gres)})
            return error(
                f"no node of {partition} has {need.gres}, which {need.rule} asks for",
                "gpu.partition and gpu.gres",
                f"generic resources of this cluster: {', '.join(offered) or 'none'}",
                f"set gpu.partition to {' or '.join(where)}" if where
                else "set gpu.gres to what there is, or to null to compute without a GPU",
            )  # fmt: skip
        memory = max(node.memory for node in own)
        processors = max(node.processors for node in own)
        if need.processors > processors:
            return error(
                f"{need.rule} asks for {need.processors} processors of one node",
                f"{kind}.partition", f"at most {processors} in {partition}",
                f"lower threads.fit in the configuration, or set {kind}.partition",
            )  # fmt: skip
        return error(
            f"{need.rule} asks for {need.memory} MB on one node",
            f"{kind}.memory", f"at most {memory} MB in {partition}",
            f"set {kind}.memory to {memory}, above which no job then asks for memory, or "
            f"{kind}.partition to one with larger nodes",
        )  # fmt: skip
    longest = max(limit for limit in limits if limit is not None)
    return error(
        f"{need.rule} asks for {need.minutes} minutes, which its partition never grants",
        f"{kind}.minutes", f"{partition} allows {longest} minutes",
        f"set {kind}.minutes to {longest}; a fit that is cut off there goes on from its "
        f"checkpoint at the next attempt (retries)",
    )  # fmt: skip


def problems(needs: Iterable[Need], nodes: Sequence[Node]) -> list[InputError]:
    """What stands in the way of jobs, each cause once, with all rules that it concerns."""
    found: dict[str, tuple[InputError, list[Need]]] = {}
    for need in needs:
        error = problem(need, nodes)
        if error is not None:
            same = found.setdefault(f"{error.where} {error.found}", (error, []))
            same[1].append(need)
    errors = []
    for error, concerned in found.values():
        others = [need.rule for need in concerned[1:]]
        more = f"; likewise {', '.join(others)}" if others else ""
        errors.append(
            InputError(
                error.what, where=error.where, found=f"{error.found}{more}", remedy=error.remedy
            )
        )
    return errors


def needs_of(jobs: Iterable[Any]) -> list[Need]:
    """What the jobs of a plan that run on the cluster need, each need of a rule once."""
    needs = {need_of(job.rule.name, job.threads, dict(job.resources.items()))
             for job in jobs if not job.is_local}  # fmt: skip
    return sorted(needs, key=lambda need: (need.rule, str(need)))


def refuse_what_cannot_start(jobs: Iterable[Any]) -> None:
    """Compare jobs with what ``sinfo`` shows.

    Raises
    ------
    InputError
        One for all that can never start; nothing where SLURM gives no answer.
    """
    answer = ask(SINFO)
    if not answer:
        return
    errors = problems(needs_of(jobs), read_sinfo(answer))
    if errors:
        raise InputError("\n\n".join(["jobs can never start on this cluster", *map(str, errors)]))


# --- what the profile names -----------------------------------------------------------------------

RULE = re.compile(r"^ *rule (\w+):", re.M)


def rules_of_any_configuration(workflow: Any) -> set[str]:
    """Names of the rules there are, and of those that only other configurations define."""
    texts = (Path(str(path)).read_text(encoding="utf-8") for path in workflow.included)
    named = {name for text in texts for name in RULE.findall(text)}
    return named | {rule.name for rule in workflow.rules}


def refuse_unknown_rules(workflow: Any) -> None:
    """Compare the rules to which a profile of this project gives resources with those there are.

    Raises
    ------
    InputError
        If Snakemake would pass over some, whose rules then have what is given to all others.
    """
    settings, known = workflow.resource_settings, rules_of_any_configuration(workflow)
    named = dict.fromkeys([*settings.overwrite_resources, *settings.overwrite_threads])
    unknown = [name for name in named if name not in known]
    marks = {mark for given in settings.overwrite_resources.values() for mark in given}
    profiles = [profile for mark, profile in PROFILES.items() if mark in marks]
    if unknown and profiles:
        close = (difflib.get_close_matches(name, known, n=1, cutoff=0.7) for name in unknown)
        likely = [name for names in close for name in names]
        hint = f"did you mean {', '.join(likely)}? " if likely else ""
        raise InputError(
            "resources are given to rules that this workflow does not have",
            where=f"{profiles[0]}, rules (or set-resources, set-threads)",
            found=unknown,
            remedy=f"{hint}snakemake --list-rules lists the rules",
        )


# --- what waits in vain ---------------------------------------------------------------------------

SQUEUE = ("squeue", "--me", "--noheader", "--states=PENDING", "--format=%i|%r|%P|%b|%Z|%k")


class WaitingJobs:
    """Jobs of this run that wait for a reason that will not go away.

    Parameters
    ----------
    folder
        Working directory of the run, by which its jobs are known.
    warn
        Gets each message, once.
    kinds
        Rule -> line at the top of the profile that describes its jobs.
    """

    def __init__(
        self,
        folder: str,
        warn: Callable[[str], object],
        kinds: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder, self._warn, self._kinds = os.path.realpath(folder), warn, kinds
        self._told: set[tuple[str, str]] = set()

    def look(self, answer: str) -> None:
        """Tell what the lines of :data:`SQUEUE` say that was not told before."""
        for line in answer.splitlines():
            parts = line.split("|", maxsplit=5)
            if len(parts) < 6:  # the rest of a comment of several lines
                continue
            job, reason, partition, gres, folder, comment = parts
            reason = reason.strip("()").partition(",")[0]
            remedy = HOPELESS.get(reason) or (
                LIMIT_REMEDY if LIMIT_OF_A_JOB.match(reason) else None
            )
            rule = re.sub(r"^rule_|_wildcards_.*$", "", comment)
            if remedy is None or os.path.realpath(folder) != self._folder:
                continue
            if (rule, reason) in self._told:
                continue
            self._told.add((rule, reason))
            kind = self._kinds.get(rule) or ("gpu" if "gpu" in gres else "cpu")
            self._warn(
                f"Job {job} ({rule}) waits in partition {partition} and cannot start: {reason}\n"
                f"  remedy: {remedy.format(kind=kind, job=job)} ({PROFILE}); then stop this run "
                "with Ctrl-C, which cancels what waits, and give the same command again"
            )

    def watch(self, interval: float = INTERVAL) -> threading.Event:
        """Look again and again in the background, until the event is set or the process ends."""
        end = threading.Event()

        def run() -> None:
            while not end.wait(interval):
                answer = ask(SQUEUE)
                if answer:
                    self.look(answer)

        threading.Thread(target=run, daemon=True, name="waiting jobs").start()
        return end


def watch_cluster(workflow: Any, check: bool) -> None:
    """Before the first job of a run on SLURM: refuse what cannot start, then watch what waits."""
    plugin = workflow.executor_plugin
    if not check or plugin is None or plugin.name != "slurm":
        return
    jobs = list(workflow.dag.needrun_jobs())
    refuse_what_cannot_start(jobs)
    kinds = {need.rule: need.kind for need in needs_of(jobs)}
    WaitingJobs(os.getcwd(), logging.getLogger("snakemake").warning, kinds).watch()
