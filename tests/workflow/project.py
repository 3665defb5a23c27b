"""A copy of the project in which Snakemake runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = Path(__file__).resolve().parent / "configs"
PARTS = ("Snakefile", "workflow", "lcd_core", "config", "envs", "profiles", "slurm")


class Job(NamedTuple):
    """A job of a plan: its rule and its wildcards, e.g. ``("fit_drift", "fold=1")``."""

    rule: str
    wildcards: str


class Project:
    """A copy of the project, in which the workflow runs and code may be edited.

    Parameters
    ----------
    folder
        Where the copy is.
    configfile
        Configuration, relative to it; None for the default one.
    """

    def __init__(self, folder: Path, configfile: str | None = None) -> None:
        self.folder, self.configfile = folder, configfile

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of Snakemake with these arguments and the configuration."""
        configfile = ["--configfile", self.configfile] if self.configfile else []
        return [sys.executable, "-m", "snakemake", *arguments, *configfile]

    def snakemake(
        self, *arguments: str, wrapper: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake, its two outputs joined in ``stdout``; the exit status is not checked."""
        # What the surrounding tests put there must not decide where jobs find the code.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [*wrapper, *self.command(*arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
            check=False,
        )

    def run(self, *arguments: str) -> str:
        """Run Snakemake, expect success and return what it printed."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def plan(self, *arguments: str) -> set[Job]:
        """Return the jobs that Snakemake would run."""
        output = self.run("--dry-run", *arguments)
        jobs = set()
        # A job is a line naming its rule, and indented lines about it.
        for rule, about in re.findall(r"^(?:local)?rule (\w+):\n((?: +.*\n)*)", output, re.M):
            wildcards = re.search(r"^ +wildcards: (.*)$", about, re.M)
            jobs.add(Job(rule, wildcards[1] if wildcards else ""))
        assert jobs or "Nothing to be done" in output, output
        return jobs

    def configuration(self) -> dict[str, Any]:
        """Return the configuration as its file has it."""
        text = (self.folder / str(self.configfile)).read_text()
        configuration: dict[str, Any] = yaml.safe_load(text)
        return configuration

    def write(self, configuration: dict[str, Any]) -> None:
        """Write a configuration."""
        (self.folder / str(self.configfile)).write_text(yaml.safe_dump(configuration))

    def configure(self, section: str, **values: object) -> None:
        """Change keys of a section of the configuration file."""
        configuration = self.configuration()
        configuration.setdefault(section, {}).update(values)
        self.write(configuration)

    def configure_lcd(self, section: str, **values: object) -> None:
        """Change keys of a section of LCD's settings."""
        sections = self.configuration()["methods"]["lcd"]
        sections[section] = sections.get(section, {}) | values
        self.configure("methods", lcd=sections)

    def files(self, pattern: str) -> set[str]:
        """Return the files that match a pattern, relative to the folder."""
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.glob(pattern)
            if path.is_file()
        }


def copy_project(folder: Path, configuration: str | None = None) -> Project:
    """Copy the code and one of the configurations for tests, modification times included."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            shutil.copy2(source, folder / part)
    if configuration is None:
        return Project(folder)
    shutil.copy2(CONFIGS / configuration, folder / configuration)
    return Project(folder, configuration)
