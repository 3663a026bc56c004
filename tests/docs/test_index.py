"""docs/README.md leads to every page, no link leads to nowhere, and nothing is said twice."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, anchors, links, pages, prose

INDEX = DOCS / "README.md"
FILES = sorted(
    path for path in DOCS.rglob("*") if path.is_file() and path != INDEX and path.suffix != ".pyc"
)
PICTURES = {".png", ".svg", ".gif"}
#: Sentences of fewer characters are on two pages because there is no other way to say them.
SAME_BY_CHANCE = 60
#: What names pages in comments and messages.
CODE = sorted(
    path
    for folder in ("server", "bridge", "client", "proto", "deploy", "benchmarks", "tools")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".proto", ".yaml", ".toml", ".service", ".ts", ".tsx"}
    and "node_modules" not in path.parts
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def leads_to(page: Path, link: str) -> Path:
    """Gives the file that a link of a page names; one to a part of its page names the page."""
    path = link.partition("#")[0]
    return (page.parent / path).resolve() if path else page


def inner(page: Path) -> list[str]:
    """Reads a page's links that lead elsewhere in the project."""
    return [link for link in links(page) if not re.match(r"https?:|mailto:", link)]


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_file_of_docs_is_in_the_index(file: Path) -> None:
    # A picture is part of the page that shows it.
    where = pages() if file.suffix in PICTURES else [INDEX]
    assert any(leads_to(page, link) == file for page in where for link in inner(page))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_no_link_is_dead(page: Path) -> None:
    for link in inner(page):
        file, anchor = leads_to(page, link), link.partition("#")[2]
        assert file.exists(), f"{link}: there is no such file"
        if anchor:
            assert file.suffix == ".md", f"{link}: only pages have parts to link to"
            assert anchor in anchors(file), f"{link}: {file.name} has no such heading"


def test_every_page_that_code_names_is_there() -> None:
    named = {
        (name(path), page)
        for path in CODE
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text())
    }
    assert named
    assert not [(path, page) for path, page in named if not (ROOT / page).exists()]


def test_the_readme_leads_to_the_index() -> None:
    readme = ROOT / "README.md"
    assert INDEX in {leads_to(readme, link) for link in inner(readme)}


def test_no_sentence_stands_on_two_pages() -> None:
    where: defaultdict[str, set[str]] = defaultdict(set)
    # An example stands alone: it says all that it needs.
    for page in (page for page in pages() if "examples" not in page.parts):
        for part in re.split(r"\n\s*\n|\n- |\n\||(?<=[.:]) ", prose(page)):
            sentence = " ".join(part.split())
            if len(sentence) >= SAME_BY_CHANCE:
                where[sentence].add(name(page))
    assert {one: found for one, found in where.items() if len(found) > 1} == {}
