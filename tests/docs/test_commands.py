"""Commands of the README and of the tutorial, run as they stand, in a fresh clone.

All blocks of a page are one session of bash. A block of YAML or Python that begins with a comment
naming a file is saved under that name. A block that is not run has a comment before it that says
why: ``<!-- not run: ... -->``.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
import yaml

from tests.docs.fresh_clone import fresh_clone, lend_environment
from tests.docs.markdown import ROOT, blocks, documents
from tests.workflow.project import CONFIGS

SESSION = re.compile(r"bash|sh")


def session(page: Path) -> str:
    """Return the script of a page: its files, and its commands in order."""
    parts = ["set -eo pipefail"]
    for block in blocks(page):
        named = re.match(r"# (\S+\.(?:ya?ml|py))\n", block.text)
        if named and not block.exempt:
            parts.append(f"printf %s {shlex.quote(block.text)} > {shlex.quote(named[1])}")
        elif block.language == "bash" and not block.exempt:
            parts += ["set -x", block.text, "{ set +x; } 2> /dev/null"]
    return "\n".join(parts) + "\n"


def run(page: str, clone: Path) -> str:
    """Run a page in a clone and return what it printed."""
    # Neither modules nor results of the surrounding tests.
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        ["bash", "-c", session(clone / page)],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a fresh clone."""
    if not shutil.which("make") or not shutil.which("column"):
        pytest.skip("needs make and column")
    folder = fresh_clone(tmp_path / "clone")
    lend_environment(folder)
    return folder


@pytest.mark.slow
@pytest.mark.workflow
def test_tutorial(clone: Path) -> None:
    """From a file of counts to a report and a sampled triple."""
    printed = run("docs/tutorial.md", clone)
    results = clone / "results" / "mine"
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "summary.html" in report

    # A first look, but no empty one: priors say more of their conditions than control cells do.
    checks = pd.read_csv(results / "folds/1/lcd/default/checks/training_conditions.tsv", sep="\t")
    medians = checks[checks["metric"] == "mmd_top_de"].groupby("source")["value"].median()
    assert medians["prior"] < medians["control"] / 2
    summary = pd.read_csv(results / "benchmark" / "summary.tsv", sep="\t")
    mmd = summary[summary["metric"] == "mmd_top_de"].set_index("method")["median"]
    assert set(mmd.index) == {"lcd", "salt", "control", "ceiling"}
    assert mmd["lcd"] < mmd["control"]

    cells = ad.read_h5ad(results / "folds/1/lcd/default/prediction.h5ad")
    assert all("+" in perturbation for perturbation in cells.obs["perturbation"].unique())
    assert "torch.Size([100, 60])" in printed


@pytest.mark.slow
@pytest.mark.workflow
def test_readme(clone: Path) -> None:
    """The default run, at the sizes of the tests: its commands and files are the same."""
    settings = yaml.safe_load((CONFIGS / "tiny.yaml").read_text(encoding="utf-8"))
    settings["run"] = "default"
    (clone / "config" / "config.yaml").write_text(yaml.safe_dump(settings))
    printed = run("README.md", clone)
    assert (clone / "results" / "default" / "report.html").is_file()
    assert "mmd_top_de" in printed  # the table
    assert "Nothing to be done" in printed  # running it twice redoes nothing


def test_blocks_that_are_not_run_say_why() -> None:
    """Every command of a page that a test runs is run, or exempt with a reason."""
    for page in ("README.md", "docs/tutorial.md"):
        found = blocks(ROOT / page)
        assert any(block.language == "bash" and not block.exempt for block in found)
        for block in found:
            assert block.language in {"bash", "python", "yaml"}, (page, block.text)
            assert not block.exempt or len(block.exempt.split()) > 3, block


@pytest.mark.parametrize("page", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_those_of_bash(page: Path) -> None:
    """Whether they are run or not: their syntax is right."""
    for block in blocks(page):
        if SESSION.fullmatch(block.language):
            done = subprocess.run(
                ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (block.text, done.stderr)


@pytest.mark.parametrize("page", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_target_follows_a_configuration_file(page: Path) -> None:
    """Snakemake takes several after ``--configfile``, and a target for one of them."""
    taken = re.compile(r"--configfile [^\s`]+ +\w\S*")
    assert taken.search("snakemake --cores 2 --configfile config/mine.yaml all")
    assert taken.findall(page.read_text(encoding="utf-8")) == []


def test_sessions_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```yaml\n# a.yaml\nx: it's\n```\n\n<!-- not run: needs what is not here -->\n"
        "```bash\nfalse\n```\n\n```bash\ncat a.yaml\n```\n\n```python\nno file\n```\n"
    )
    done = subprocess.run(
        ["bash", "-c", session(page)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "# a.yaml\nx: it's\n"
    assert "cat a.yaml" in done.stderr
