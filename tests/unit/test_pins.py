"""Dependencies are stated in four places that have to agree."""

import importlib.metadata
import itertools
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipeline.config.evaluation import Evaluation
from pipeline.methods import registry

ROOT = Path(__file__).parents[2]
OWN = {"core", "screen", "analysis", "figures"}
"""Environments of the pipeline itself; the others are those of methods and evaluators."""
NOT_IN_YAML = {"cpa": {"cpa-tools"}}
"""Packages that ask for what contradicts the rest; `<name>.post-deploy.sh` installs them."""
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


def pins(name: str) -> dict[str, str]:
    """Read `name==version` lines; anything else is an error."""
    found: dict[str, str] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            package, version = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line).groups()  # type: ignore[union-attr]
            assert canonicalize_name(package) not in found, f"{name}: {package} twice"
            found[canonicalize_name(package)] = version
    return found


def declared() -> dict[str, Requirement]:
    """Read the requirements of pyproject.toml with all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


def environment_pins(path: Path) -> dict[str, str]:
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    pip: list[str] = next(part["pip"] for part in dependencies if isinstance(part, dict))
    return {canonicalize_name(p.split("==")[0]): p.split("==")[1] for p in pip}


def test_requirements_are_those_of_pyproject() -> None:
    assert set(pins("requirements.txt")) == set(declared())


@pytest.mark.parametrize("name", sorted(pins("requirements.txt")))
def test_pin_is_allowed_and_locked(name: str) -> None:
    version = pins("requirements.txt")[name]
    assert declared()[name].specifier.contains(version)
    assert pins("requirements.lock")[name] == version


def test_lock_is_what_is_installed() -> None:
    """The tests run with the locked versions (a local label such as +cpu aside)."""
    different = {}
    for name, version in pins("requirements.lock").items():
        installed = importlib.metadata.version(name)
        if Version(installed).public != version and name != "setuptools":
            different[name] = f"locked {version}, installed {installed}"
    assert not different


def test_lock_is_complete() -> None:
    """Whatever a locked package needs here is locked too; torch's CUDA libraries come with it."""
    locked = pins("requirements.lock")
    missing = set()
    for name in locked:
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                missing.add(canonicalize_name(needed.name))
    missing -= set(locked)
    assert not {name for name in missing if not re.match("nvidia-|cuda-|triton", name)}


def test_environments_are_there() -> None:
    assert {path.stem for path in ENVIRONMENTS} >= OWN


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environments_are_pinned(path: Path) -> None:
    """Our own as the main ones; that of a third-party method may contradict them."""
    pinned = environment_pins(path)
    if path.stem in OWN:
        main = pins("requirements.txt")
        assert {name: main.get(name) for name in pinned} == pinned
    channels = yaml.safe_load(path.read_text(encoding="utf-8"))["channels"]
    assert channels == ["conda-forge", "nodefaults"]


OTHERS = sorted({path.stem for path in ENVIRONMENTS} - OWN)


def test_every_other_environment_is_that_of_a_method_or_evaluator() -> None:
    used = {program.environment for method in registry().values() for program in method.programs}
    evaluators = get_args(get_args(Evaluation.model_fields["external"].annotation)[0])
    assert set(OTHERS) == (used - OWN) | set(evaluators)


@pytest.mark.parametrize("name", OTHERS)
def test_other_environments_are_the_same_with_and_without_conda(name: str) -> None:
    wanted, known = pins(f"envs/{name}.txt"), environment_pins(ROOT / "envs" / f"{name}.yaml")
    later = NOT_IN_YAML.get(name, set())
    assert {package: pin for package, pin in wanted.items() if package not in later} == known
    for package in later:
        script = (ROOT / "envs" / f"{name}.post-deploy.sh").read_text(encoding="utf-8")
        assert f"pip install --no-deps {package}=={wanted[package]}" in script


@pytest.mark.parametrize("name", OTHERS)
def test_other_environments_run_what_a_job_needs(name: str) -> None:
    assert pins(f"envs/{name}.txt")["psutil"] == pins("requirements.txt")["psutil"]
