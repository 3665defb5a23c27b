"""The jobs that a run would do, by a dry run of Snakemake."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcd_core.errors import InputError

JOB = re.compile(r"^(local)?rule (\w+):\n((?: +.*\n)*)", re.M)
"""A job is a line with its rule, and indented lines about it."""


@dataclass(frozen=True)
class Job:
    """A job of a plan.

    Attributes
    ----------
    rule
        Its rule.
    wildcards
        Their values by name.
    resources
        What it asks for, by name, as Snakemake prints it.
    is_local
        Whether it runs where Snakemake does.
    """

    rule: str
    wildcards: dict[str, str]
    resources: dict[str, str]
    is_local: bool


def planned_jobs(
    *options: str, interpreter: str = sys.executable, folder: str | Path = "."
) -> list[Job]:
    """Jobs that ``snakemake --dry-run`` lists; none where there is nothing to be done.

    Parameters
    ----------
    options
        Further options and targets of the command line.
    interpreter
        A Python with Snakemake.
    folder
        Where it runs.

    Raises
    ------
    InputError
        If Snakemake refuses to plan, with what it says.
    """
    done = subprocess.run(
        [interpreter, "-m", "snakemake", "--dry-run", "--nocolor", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    if done.returncode != 0:
        raise InputError(
            "the run cannot be planned", where="snakemake --dry-run", found=text.strip()[-1500:]
        )
    return jobs_in(text)


def jobs_in(text: str) -> list[Job]:
    """The jobs in what a dry run prints."""
    return [
        Job(rule, pairs(about, "wildcards"), pairs(about, "resources"), local == "local")
        for local, rule, about in JOB.findall(text)
    ]


def pairs(about: str, name: str) -> dict[str, str]:
    """Values of a line such as ``wildcards: fold=1, variant=default``."""
    line = re.search(rf"^ +{name}: (.*)$", about, re.M)
    found: dict[str, str] = {}
    for part in line[1].split(", ") if line else ():
        key, equals, value = part.partition("=")
        if equals:
            found[key] = value
    return found


def options_of(configfiles: Sequence[str], given: Sequence[str]) -> list[str]:
    """Options of the command line that name a configuration, before targets."""
    options = ["--configfile", *configfiles] if configfiles else []
    options += ["--config", *given] if given else []
    return options
