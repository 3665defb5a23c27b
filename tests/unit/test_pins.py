"""Dependencies are stated in four places that have to agree."""

import ast
import importlib.metadata
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "workflow"
BASES = (ROOT, WORKFLOW / "scripts", WORKFLOW)
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# Import names that differ from the name of the distribution.
DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn"}


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
    assert {path.stem for path in ENVIRONMENTS} >= {"core", "screen", "analysis", "figures"}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_pins_are_the_main_ones(path: Path) -> None:
    main = pins("requirements.txt")
    assert {n: main.get(n) for n in environment_pins(path)} == environment_pins(path)
    channels = yaml.safe_load(path.read_text(encoding="utf-8"))["channels"]
    assert channels == ["conda-forge", "nodefaults"]


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


def rules_with_script_and_environment() -> list[Any]:
    found = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for block in re.split(
            r"^(?=rule |checkpoint )", path.read_text(encoding="utf-8"), flags=re.M
        ):
            rule = re.match(r"(?:rule|checkpoint) (\w+)", block)
            script = re.search(r'"\.\./([\w/]+)\.py"', block)
            environment = re.search(r'"[^"]*?(\w+)\.yaml"', block)
            if rule and script and environment:
                found.append(pytest.param(script[1], environment[1], id=rule[1]))
    return found


@pytest.mark.parametrize(("script", "environment"), rules_with_script_and_environment())
def test_environment_holds_what_the_script_imports(script: str, environment: str) -> None:
    needed = imported_at_load(WORKFLOW / f"{script}.py", set())
    names = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in needed}
    assert names <= set(environment_pins(ROOT / "envs" / f"{environment}.yaml"))
