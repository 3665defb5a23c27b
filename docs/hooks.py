"""What MkDocs does beyond plain Markdown: pages that stand elsewhere, links, formulas.

A page of the repository that is no file of ``docs/`` (``config/README.md``, ``CHANGELOG.md``, ...)
becomes a page of the site. Links are written for the repository, where they work as they are; here
they are turned to the pages of the site, and what the site does not have loses its link. Formulas
become MathML, which browsers show without any script.
"""

import html
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

ELSEWHERE = {
    "configuration.md": "config/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "core.md": "lcd_core/README.md",
}
"""Pages of the site that stand elsewhere in the repository, by their names in the site."""

ALIASES = {"README.md": "index.md"}
"""Files of the repository for which a page of the site stands in."""

PAGES = {source: page for page, source in ELSEWHERE.items()} | ALIASES

# A link, or code, in which what looks like one is none; links may have code in their words.
LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]*`)"
    r"|(?P<mark>!?)\[(?P<words>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)",
    re.M | re.S,
)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere."""
    for page, source in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def in_site(target: str, source: str) -> str | None:
    """Return a link of the file ``source`` of the repository as one of the site; None for none."""
    path, _, anchor = target.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    page = PAGES.get(file)
    if page is None and file.startswith("docs/"):
        page = file.removeprefix("docs/")
    if page is None:
        return None
    return f"{page}#{anchor}" if anchor else page


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository to those of the site."""
    source = ELSEWHERE.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def turned(match: re.Match[str]) -> str:
        if match["code"] or re.match(r"[a-z]+:|#", match["target"]):
            return match[0]
        address = in_site(match["target"], source)
        return f"{match['mark']}[{match['words']}]({address})" if address else match["words"]

    return LINK.sub(turned, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML."""

    def converted(match: re.Match[str]) -> str:
        display = "inline" if match[1] == "span" else "block"
        return convert(html.unescape(match[2]).strip(), display=display)

    return FORMULA.sub(converted, content)
