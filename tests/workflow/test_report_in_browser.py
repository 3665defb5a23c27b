"""The report of a small run in a headless browser: every section shows, without errors."""

import re
import shutil
from pathlib import Path

import pytest

from tests.workflow.browser import browser, picture_of_result, run, walk
from tests.workflow.project import Project

pytestmark = pytest.mark.skipif(
    browser() is None, reason="no Chromium here (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def report(tiny_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of the tiny run, made in a copy of it."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(tiny_run.folder, folder / "project", symlinks=True)
    Project(folder / "project", tiny_run.configfile).run("all", "--report", "report.html")
    return folder / "project" / "report.html"


def test_every_result_of_the_report_shows(report: Path, tiny_run: Project, tmp_path: Path) -> None:
    seen, errors = walk(report, tmp_path)
    assert errors == []
    assert sorted(seen["categories"]) == ["Benchmark", "Fits", "Interactions", "Overview", "Screen"]
    figures = {path for path in tiny_run.files("results/tiny/figures/*.svg")}
    pages = {path for path in tiny_run.files("results/tiny/**/*.html") if "front_page" not in path}
    assert set(seen["results"]) == figures | pages
    for path, result in seen["results"].items():
        assert result["width"] > 100, path
        assert result["height"] > 50, path
        assert len(result["caption"]) > 100, path


def test_the_front_page_is_about_the_run(report: Path, tmp_path: Path) -> None:
    front = walk(report, tmp_path)[0]["front"]
    for words in ("Run tiny", "What was asked", "held out in 2 folds", "control cells", "Where to"):
        assert words in front
    assert "causal effects" not in front.lower()  # not asked for


def test_pages_are_sorted_searched_and_chosen_from(tiny_run: Project, tmp_path: Path) -> None:
    for name in ("benchmark/summary", "fits/conditions", "overview/overview", "benchmark/held_out"):
        page = tmp_path / f"{Path(name).name}.html"
        page.write_bytes((tiny_run.folder / f"results/tiny/{name}.html").read_bytes())
        document, errors = run(page)
        assert errors == [], name
        assert "dt-container" in document, name
    roles = (tiny_run.folder / "results/tiny/folds/folds.tsv").read_text().splitlines()
    held_out = sum(line.split("\t")[::2] in (["1", "test"], ["2", "test"]) for line in roles)
    assert document.count("<option>") == held_out
    assert len(re.findall(r"<article><h2>[^<]+</h2>", document)) == 1
    assert document.count("<svg") == 2
    assert re.search(r'<div class="choice"[^>]* hidden', document) is None


def test_no_page_is_longer_than_a_browser_shows_in_a_report(tiny_run: Project) -> None:
    for page in tiny_run.files("results/tiny/**/*.html"):
        size = (tiny_run.folder / page).stat().st_size
        assert size * 4 / 3 < 2**21, page  # of addresses, with data as base64


def test_a_picture_of_the_report_is_not_blank(report: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    picture_of_result(report, None, tmp_path / "front.png")
    pixels = image.imread(tmp_path / "front.png")
    assert pixels.shape[:2] == (1000, 1500)
    right = pixels[:, 600:, :3]
    assert right.std() > 0.05  # text and the graph of rules beside the menu
