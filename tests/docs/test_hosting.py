"""Hosted checks, hooks and templates do what the Makefile does, and name files that are there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.markdown import ROOT

GITHUB = ROOT / ".github"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def recipe(target: str) -> list[str]:
    """Commands of a target of the Makefile, without activation of the environment."""
    lines = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.M)
    assert lines, target
    return [line.rpartition(" && ")[2].strip() for line in lines[1].splitlines()]


def test_hosted_checks_run_targets_that_are_there() -> None:
    workflow = read(GITHUB / "workflows" / "ci.yml")
    commands = [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    ]
    used = set(re.findall(r"\bmake (\w+)", "\n".join(commands)))
    assert used == {"env", "lint", "docs", "test", "site"}
    assert all(recipe(target) for target in used - {"env"})
    # What .ci/run does is done.
    required = re.findall(r"^make (\w+)", (ROOT / ".ci" / "run").read_text(), flags=re.M)
    assert set(required) <= used
    assert "whl/cpu" in workflow["env"]["PIP_EXTRA_INDEX_URL"]


def test_hooks_are_the_checks_of_make_lint() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    entries = {hook["id"]: hook["entry"] for hook in repository["hooks"]}
    assert all(hook["language"] == "system" for hook in repository["hooks"])
    for command in recipe("lint"):
        tool = re.match(r"ruff \w+|snakefmt|mypy .*|snakemake", command)
        assert tool, command
        if tool[0] == "snakemake":  # reads the whole workflow: too slow for every commit
            continue
        assert any(entry.startswith(tool[0]) for entry in entries.values()), command
    for hook in repository["hooks"]:
        re.compile(hook.get("files", ""))
    generator = next(iter(recipe("docs"))).split("python -m ")[1]
    assert entries["configuration"].endswith(generator)


@pytest.mark.parametrize(
    "path", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_templates_of_issues(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names) > 1
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)
    for named in re.findall(r"\b((?:docs/)?\w+\.md)\b", path.read_text(encoding="utf-8")):
        assert (ROOT / named).is_file(), named
