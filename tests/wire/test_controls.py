import json

import pytest

from inferry.wire.controls import escape_controls


@pytest.mark.parametrize(
    "text", ["", "a b", "naïve \N{CANOE}", "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"]
)
def test_what_can_be_shown_stays_as_it_is(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    "char",
    ["\0", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066"],
)
def test_what_a_terminal_would_obey_becomes_an_escape_that_json_reads(char: str) -> None:
    escaped = escape_controls(f"a{char}é")
    assert escaped.isprintable()
    assert json.loads(f'"{escaped}"') == f"a{char}é"
