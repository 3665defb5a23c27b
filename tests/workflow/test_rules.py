"""What holds for every rule: names, hashes of code, environments, captions, defaults."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
import yte
from packaging.utils import canonicalize_name

from pipeline.sources import source_hash
from tests.workflow.project import CONFIGS, REPOSITORY

BASES = (REPOSITORY, REPOSITORY / "workflow" / "scripts", REPOSITORY / "workflow")
# Import names that differ from the name of the distribution.
DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn"}
FOR_SNAKEMAKE = {"source", "program", "threads"}
"""Params that no `main` gets: a hash of its code, which script it is, threads of the job."""
CONFIGURATIONS = ["default", "tiny.yaml", "singles.yaml", "everything"]


@cache
def rules_of(configuration: str) -> list[dict[str, Any]]:
    """All rules under a configuration, as :mod:`read_rules` prints them."""
    given = [] if configuration == "default" else [str(CONFIGS / configuration)]
    if configuration == "everything":
        given = [str(CONFIGS / "everything.yaml")]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("read_rules.py")), *given],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rules: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rules


def with_script(configuration: str) -> list[dict[str, Any]]:
    return [rule for rule in rules_of(configuration) if rule["script"]]


def arguments_of_main(path: str | Path) -> dict[str, bool]:
    """Arguments of a script's ``main``, and whether each has the default None."""
    for node in ast.parse(Path(path).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            assert not node.args.args, f"{path}: main takes keyword arguments only"
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return {argument.arg: default is not None for argument, default in pairs}
    raise AssertionError(f"{path} has no main")


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_names_of_a_rule_are_the_arguments_of_its_script(configuration: str) -> None:
    different = {}
    for rule in with_script(configuration):
        given = [*rule["inputs"], *rule["outputs"], *rule["params"]]
        names = set(given) - FOR_SNAKEMAKE
        arguments = arguments_of_main(rule["script"])
        needed = {name for name, optional in arguments.items() if not optional}
        if rule["unnamed"] or not needed <= names <= set(arguments):
            different[rule["name"]] = (names ^ set(arguments), rule["unnamed"])
    assert not different


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_hash_of_a_rule_is_that_of_its_script(configuration: str) -> None:
    wrong = []
    for rule in with_script(configuration):
        if rule["name"].startswith("download_") or rule["name"] == "make_environment":
            assert rule["source"] is None, "checksums and pins count, not code"
        else:
            script = Path(rule["script"]).relative_to(REPOSITORY)
            if rule["source"] != source_hash(REPOSITORY, str(script)):
                wrong.append(rule["name"])
    assert not wrong


def test_a_rule_without_a_script_only_names_targets() -> None:
    assert [rule["name"] for rule in rules_of("default") if not rule["script"]] == ["all"]


def test_every_script_belongs_to_a_rule() -> None:
    used = {Path(rule["script"]) for name in CONFIGURATIONS for rule in with_script(name)}
    scripts = {path for path in mains() if "toy" not in path.parts}
    assert scripts == used


def mains() -> Iterator[Path]:
    """Every file with a ``main`` that a rule may call."""
    for pattern in ("workflow/scripts/*/*.py", "workflow/methods/*/*.py"):
        for path in sorted(REPOSITORY.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            if "\ndef main(" in text and "run_job(main" in text:
                yield path


@pytest.mark.parametrize("path", mains(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_main_has_no_defaults_but_none(path: Path) -> None:
    """Values come from the rule; what may be missing is a file or a choice that is None."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            defaults = [own for own in node.args.kw_defaults if own is not None]
            assert [ast.unparse(own) for own in defaults] == ["None"] * len(defaults)


def test_the_cluster_profile_names_rules() -> None:
    profile = yte.process_yaml((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    assert set(profile["set-resources"]) <= {rule["name"] for rule in with_script("everything")}


def test_every_job_has_a_log() -> None:
    assert not [rule["name"] for rule in with_script("everything") if rule["log"] != 1]


# --- environments ---------------------------------------------------------------------------------


def imported_at_load(path: Path, seen: set[Path]) -> set[str]:
    """Top-level packages that loading a script imports, through our own modules."""
    if path in seen:
        return set()
    seen.add(path)
    found: set[str] = set()
    for module in module_level_imports(ast.parse(path.read_text(encoding="utf-8")).body):
        own = [base.joinpath(*module.split(".")).with_suffix(".py") for base in BASES]
        package = [base.joinpath(*module.split("."), "__init__.py") for base in BASES]
        inside = [candidate for candidate in own + package if candidate.exists()]
        if inside:
            found |= imported_at_load(inside[0], seen)
        else:
            found.add(module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def module_level_imports(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if any(
                    base.joinpath(*str(node.module).split("."), f"{alias.name}.py").exists()
                    for base in BASES
                )
            )
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from module_level_imports(node.body)


def environment_pins(path: str) -> set[str]:
    dependencies = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["dependencies"]
    pip: list[str] = next(part["pip"] for part in dependencies if isinstance(part, dict))
    return {canonicalize_name(line.split("==")[0]) for line in pip}


def test_environments_hold_what_their_scripts_import() -> None:
    missing = {}
    for rule in with_script("everything"):
        needed = imported_at_load(Path(rule["script"]), set())
        names = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in needed}
        lacking = names - environment_pins(rule["environment"])
        if lacking:
            missing[rule["name"]] = lacking
    assert not missing


# --- the report -----------------------------------------------------------------------------------


def test_whatever_is_reported_has_a_caption_a_category_and_labels() -> None:
    reported = [report for rule in rules_of("everything") for report in rule["reports"]]
    assert len(reported) > 15
    for report in reported:
        caption = Path(report["caption"].removeprefix("file://"))
        assert caption.is_file(), report
        assert len(caption.read_text(encoding="utf-8")) > 100, report
        assert report["category"], report
        assert set(report["labels"]) == {"result", "type"}, report
    results = [(report["category"], *report["labels"].values()) for report in reported]
    assert len(set(results)) == len(results), "two results of one name"


def test_every_caption_is_used() -> None:
    used = {
        Path(report["caption"].removeprefix("file://")).name
        for rule in rules_of("everything")
        for report in rule["reports"]
    }
    there = {path.name for path in (REPOSITORY / "workflow" / "report").glob("*.rst")}
    assert there == used | {"workflow.rst"}


def slurm_profile(**changes: object) -> dict:
    """The profile with other values at its top."""
    given = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    for name, change in changes.items():
        given["__variables__"][name] |= change
    return dict(yte.process_yaml(yaml.safe_dump(given, sort_keys=False)))


def test_the_top_of_the_slurm_profile_reaches_every_rule() -> None:
    profile = slurm_profile(
        cpu={"partition": "short", "account": "us", "minutes": 90},
        gpu={"partition": "fast", "qos": "high", "minutes": 600, "gres": "gpu:a100:1"},
    )
    rules = profile["set-resources"]
    own = {"slurm_partition": "short", "slurm_account": "us", "described_by_gpu": 0}
    assert profile["default-resources"] == own | {
        "mem_mb": "4000 * attempt", "runtime": "min(60 * attempt, 90)",
    }  # fmt: skip
    assert rules["select_genes"] == own | {
        "mem_mb": "16000 * attempt", "runtime": "min(120 * attempt, 90)",
    }  # fmt: skip
    assert rules["lcd_fit_prior"] == {
        "slurm_partition": "fast", "qos": "high", "gres": "gpu:a100:1", "described_by_gpu": 1,
        "mem_mb": "16000 * attempt", "runtime": "min(1440 * attempt, 600)",
    }  # fmt: skip


def test_a_cluster_without_gpus_asks_for_none() -> None:
    rules = slurm_profile(gpu={"gres": None})["set-resources"]
    assert rules
    assert not any("gres" in resources for resources in rules.values())


def gpus_profile(monkeypatch: pytest.MonkeyPatch, path: Path, **changes: object) -> dict:
    """The profile for machines with GPUs, where nvidia-smi lists three."""
    tool = path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU-1\\nGPU-2\\nGPU-3\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    text = (REPOSITORY / "profiles/gpus/config.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    given["__variables__"] |= changes
    return dict(yte.process_yaml(yaml.safe_dump(given, sort_keys=False)))


def test_one_job_per_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = gpus_profile(monkeypatch, tmp_path)
    assert profile["resources"] == ["gpu=3"]
    assert gpus_profile(monkeypatch, tmp_path, gpus=2, jobs_per_gpu=4)["resources"] == ["gpu=8"]
    cluster = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    assert set(profile["set-resources"]) == set(cluster["__variables__"]["rules"]["gpu"])
    assert all(needs["gpu"] == 1 for needs in profile["set-resources"].values())


@pytest.mark.parametrize("configuration", ["default", "everything"])
def test_profiles_give_a_gpu_to_every_rule_that_can_use_one(configuration: str) -> None:
    cluster = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    listed = set(cluster["__variables__"]["rules"]["gpu"])
    using = {rule["name"] for rule in rules_of(configuration) if "device" in rule["params"]}
    assert using
    assert using <= listed
