"""What the package installs: lcd_core alone, with its types and a description of its own."""

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import lcd_core
from tests.docs.fresh_clone import fresh_clone
from tests.docs.markdown import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel, built without a network from a copy of the repository."""
    folder = tmp_path_factory.mktemp("package")
    source = fresh_clone(folder / "source")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_modules_and_types_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {f"lcd_core/{path.name}" for path in (ROOT / "lcd_core").glob("*.py")}
    assert files == modules | {"lcd_core/py.typed"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_the_method_needs_five_packages(metadata: Message) -> None:
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {r.name for r in needed if r.marker is None}
    assert always == {"torch", "numpy", "scipy", "safetensors", "tqdm"}


def test_versions_of_python(metadata: Message) -> None:
    """Those that the hosted checks run on are named, and may install it."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    named = re.findall(r"Python :: (\d\.\d+)", "\n".join(metadata.get_all("Classifier", [])))
    assert tested == named == ["3.11", "3.12", "3.13"]
    allowed = SpecifierSet(metadata["Requires-Python"])
    assert all(f"{version}.0" in allowed for version in tested)
    assert "3.10.9" not in allowed


def test_the_description_stands_alone(metadata: Message) -> None:
    """Where it is shown, files of the repository are not there."""
    assert metadata["Description-Content-Type"] == "text/markdown"
    text = str(metadata.get_payload())
    assert text.startswith("# lcd_core")
    assert not re.findall(r"\]\((?!https://)[^)]*\)", text)


def test_license_and_version(metadata: Message) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert metadata["License-Expression"] == citation["license"] == "BSD-3-Clause"
    assert metadata["Version"] == citation["version"] == lcd_core.__version__
