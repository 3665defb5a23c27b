"""Links between documents lead somewhere, and so do the paths that they name."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, anchors, documents, links

DOCUMENTS = documents()
PATH = re.compile(
    r"`((?:docs|config|workflow|lcd_core|tests|benchmarks|profiles|slurm|envs)/[\w./-]+)`"
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dead_links(path: Path) -> list[str]:
    """Links of a document to files or headings that are not there."""
    dead = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        is_there = file.exists() and file.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in anchors(file)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    assert not dead_links(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_elsewhere_are_encrypted_addresses(path: Path) -> None:
    outside = [link for link in links(path) if re.match(r"[a-z]+:", link)]
    assert all(re.match(r"https://[\w.-]+", link) for link in outside), outside


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_named_paths_are_there(path: Path) -> None:
    named = PATH.findall(path.read_text(encoding="utf-8"))
    assert not [one for one in named if not (ROOT / one).exists() and one not in MADE]


MADE = {"config/mine.yaml", "config/guessed.yaml", "config/other.yaml", "config/targets.tsv"}
"""Files that a reader makes."""


def test_every_page_is_reached() -> None:
    """From the README, over any number of links."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        for link in links(path):
            target = link.partition("#")[0]
            if target and not re.match(r"[a-z]+:", link):
                waiting.append((path.parent / target).resolve())
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = {ROOT / "docs" / page for page in re.findall(r"\b\w+\.md", navigation)}
    assert {page for page in pages if page.exists()} <= reached


def test_dead_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.test_links.ROOT", tmp_path)
    other = tmp_path / "other.md"
    other.write_text("# One `thing`, and more\n\n## Twice\n\n## Twice\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#one-thing-and-more) [b](other.md#twice-1) `[c](none.md)` [`d`](none.md)\n"
        "[e](other.md#no-heading) [f](#here) ![g](none.svg) [h](https://example.org)\n"
        "```\n[i](none.md)\n```\n"
    )
    assert dead_links(page) == ["none.md", "other.md#no-heading", "#here", "none.svg"]
