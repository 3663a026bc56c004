"""docs/comparison.md: whatever it says of others has a source with a date."""

import re
from datetime import date

from tests.docs.pages import DOCS, links, section

PAGE = DOCS / "comparison.md"
OTHERS = ("Celery", "Temporal", "Hatchet", "Replicate")
SOURCES = dict(
    re.findall(r"\]\((https://\S+)\) \| (\S+) \|$", section(PAGE, "Sources"), re.MULTILINE)
)


def test_every_page_of_others_is_a_source_with_the_day_it_was_read() -> None:
    assert {link for link in links(PAGE) if "://" in link} == SOURCES.keys()
    for day in SOURCES.values():
        assert date.fromisoformat(day)


def test_of_each_it_says_what_it_does_better_and_what_is_different() -> None:
    for name in OTHERS:
        better, head, different = section(PAGE, name).partition("\nWhat is different:\n")
        assert head, name
        for half in (better, different):
            points = re.findall(r"^- .*(?:\n  .*)*", half, re.MULTILINE)
            assert len(points) >= 2
            assert any("](https://" in point for point in points), (name, half)


def test_the_table_of_words_has_those_that_newcomers_bring() -> None:
    words = section(PAGE, "Words")
    asked = {
        "Celery": ("worker", "queue", "result backend"),
        "Temporal": ("workflow", "activity", "heartbeat"),
        "Hatchet": ("task", "worker"),
        "Replicate": ("prediction", "model"),
    }
    for name, expected in asked.items():
        there = " ".join(re.findall(rf"^\| {name}: (.*?) \|", words, re.MULTILINE))
        assert not [word for word in expected if word not in there]
