"""The documentation builds as a site, and what stands elsewhere is in it."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from pipeline.config.config import load_config
from tests.docs.markdown import ROOT

MATHML = "http://www.w3.org/1998/Math/MathML"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site; warnings, such as of dead links, are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return folder


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def test_every_document_is_a_page(site: Path) -> None:
    expected = {path.stem for path in (ROOT / "docs").glob("*.md")}
    expected |= {"configuration", "contributing", "changelog", "core"}
    assert {path.stem for path in site.glob("*.html")} == expected | {"404"}


def test_keys_of_the_configuration_are_in_the_site(site: Path) -> None:
    readme = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    keys = re.findall(r"^\| `(\w+)` \|", readme, flags=re.M)
    assert len(keys) > 100
    text = page(site, "configuration")
    assert all(f"<code>{key}</code>" in text for key in keys)


def test_links_of_the_repository_are_those_of_the_site(site: Path) -> None:
    assert 'href="configuration.html"' in page(site, "index")
    assert 'href="architecture.html#adding-a-method"' in page(site, "contributing")
    assert not re.search(r'href="[^"]*\.md[#"]', page(site, "contributing"))


class Formulas(HTMLParser):
    """Counts formulas, and collects text outside them."""

    def __init__(self) -> None:
        super().__init__()
        self.formulas, self.inside, self.text = 0, 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter what is no text of the page."""
        if tag == "math":
            self.formulas += 1
        self.inside += tag in {"math", "script", "code", "style"}

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        self.inside -= tag in {"math", "script", "code", "style"}

    def handle_data(self, data: str) -> None:
        """Keep the words of the page."""
        self.text += "" if self.inside else data


def test_formulas_are_mathml(site: Path) -> None:
    source = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    displayed = len(re.findall(r"^ *\$\$$", source, flags=re.M)) // 2
    inline = len(re.findall(r"(?<!\$)\$(?!\$)[^$\n]+\$", source))
    read = Formulas()
    read.feed(page(site, "method"))
    assert displayed > 5
    assert read.formulas == displayed + inline
    assert "$" not in read.text
    assert "\\" not in read.text
    assert MATHML in page(site, "method")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.glob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:[^"]*)"', page(site, path.stem)
        )
        assert not loaded, path.name


def test_sizes_are_those_of_the_files() -> None:
    """The table of sizes in docs/settings.md says what the configurations that it names hold."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"^\|.*\|$", text, flags=re.M)]
    start = next(i for i, row in enumerate(rows) if row[0] == "example")
    files = [re.search(r"config/\w+\.yaml", cell)[0] for cell in rows[start][1:]]  # type: ignore[index]
    configurations = [
        load_config(yaml.safe_load((ROOT / file).read_text(encoding="utf-8")), file).model_dump()
        for file in files
    ]
    checked = 0
    for key, *cells in rows[start + 1 :]:
        section, _, name = key.strip("`").partition(".")
        if section not in {"prior", "drift"}:
            continue
        for configuration, cell in zip(configurations, cells, strict=True):
            value = configuration["methods"]["lcd"][section][name]
            if isinstance(value, bool | str):
                assert cell == str(value).lower(), (key, cell)
            else:
                said = re.match(r"[\d,.]+", cell)[0].rstrip(",").replace(",", "")  # type: ignore[index]
                assert float(said) == value, (key, cell)
                checked += 1
    assert checked > 20
