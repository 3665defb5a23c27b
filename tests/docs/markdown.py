"""What the tests of documents read from Markdown: links, anchors, blocks of code.

``python -m tests.docs.markdown`` lists the links that lead elsewhere; nothing follows them.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]*`)"
    r"|!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)"
    r"|<(?P<address>https?://[^>\s]+)>",
    re.M | re.S,
)
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<exempt>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.M | re.S,
)


class Block(NamedTuple):
    """A fenced block; ``exempt`` is why the tests do not run it, empty if they do."""

    language: str
    text: str
    exempt: str


def tracked() -> list[str]:
    """Files that belong to the repository, as they are in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in set(listed.stdout.split("\0")) if (ROOT / name).is_file())


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    return [ROOT / name for name in tracked() if name.endswith(".md")]


def links(path: Path) -> Iterator[str]:
    """Targets of all links of a document, in order."""
    for match in LINK.finditer(path.read_text(encoding="utf-8")):
        if not match["code"]:
            yield match["target"] or match["address"]


def anchors(path: Path) -> set[str]:
    """Anchors of the headings of a document, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} (.*?)\s*$", text, flags=re.M):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def blocks(path: Path) -> list[Block]:
    """Fenced blocks of a document, in order."""
    matches = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [Block(m["language"], m["text"], m["exempt"] or "") for m in matches]


if __name__ == "__main__":
    for document in documents():
        for target in links(document):
            if re.match(r"https?:", target):
                print(f"{document.relative_to(ROOT)}\t{target}")
