"""The pages of the documentation: what they link to, and what may be linked to in them."""

import re
from functools import cache
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+?) *$", re.MULTILINE)


def pages() -> list[Path]:
    """Finds all pages for people: those of the root, of docs and of the examples."""
    at_examples = (ROOT / "examples").glob("*/*.md")
    return sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *at_examples})


@cache
def prose(page: Path) -> str:
    """Reads a page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Reads what a page links to, pictures included."""
    return _LINK.findall(prose(page))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Gives what may stand behind a ``#`` of a page, as GitHub makes it of the headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        text = _LINK.sub("]", heading).replace("[", "").replace("]", "")
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        numbered = (name if not n else f"{name}-{n}" for n in count())
        found.add(next(one for one in numbered if one not in found))
    return frozenset(found)


def section(page: Path, title: str) -> str:
    """Reads what stands under a heading, up to the next one of its level or above."""
    text = page.read_text()
    head = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert head is not None, f"{page.name} has no heading {title!r}"
    rest = text[head.end() :]
    after = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    return rest[: after.start()] if after else rest


def blocks(page: Path, language: str, title: str | None = None) -> list[str]:
    """Reads the blocks of code in a language, of a page or of one of its sections."""
    text = page.read_text() if title is None else section(page, title)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
