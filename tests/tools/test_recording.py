"""The picture of `make demo` is a recording of it, and shows what it prints now."""

import re
from html import unescape
from itertools import groupby
from pathlib import Path

import pytest
from tools.recording import Frame, RecordingError, draw, record, shown, times

SVG = (Path(__file__).parents[2] / "docs" / "demo.svg").read_text()
#: What differs from run to run.
CHANGING = re.compile(r"(?<=_)[0-9A-Z]{26}|(?<=127\.0\.0\.1:)\d+|(?<=inferry-demo-)\w+")


def last_frame(svg: str) -> list[str]:
    """Reads the lines of the last frame, with a mark for all that differs from run to run."""
    texts = re.findall(r'<text [^>]*? y="([\d.]+)"[^>]*>(.*?)</text>', svg)
    rows = {float(y): "".join(text for _, text in row) for y, row in groupby(texts, lambda t: t[0])}
    (window,) = re.findall(r'id="window"><rect [^>]*height="([\d.]+)"', svg)
    first = float(window) * (len(re.findall(r"% \{ transform", svg)) - 1)
    return [CHANGING.sub("*", unescape(text)) for y, text in rows.items() if y > first]


def test_the_picture_shows_what_the_demo_prints_now() -> None:
    frames = record()
    assert len(frames) > 1
    lines = last_frame(draw(frames))
    assert any("COMPLETED" in line for line in lines)
    assert any("100%" in line for line in lines)
    assert last_frame(SVG) == lines, "run 'make recording' and commit"


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    assert {*re.findall(r"https?://[\w.]+", SVG)} <= {"http://www.w3.org", "http://127.0.0.1"}
    assert "@font-face" not in SVG


def test_a_line_that_is_written_anew_shows_what_was_written_last() -> None:
    assert shown("a\r\n\r\x1b[2K1%\r\x1b[2K\x1b[1m2%\x1b[0m\x1b[?25h") == ["a", "\x1b[1m2%\x1b[0m"]


@pytest.mark.parametrize("printed", ["a\x1b[1Ab", "a\bb", "a" * 200])
def test_what_it_cannot_show_is_an_error_and_no_wrong_picture(printed: str) -> None:
    with pytest.raises(RecordingError):
        shown(printed)


def test_no_frame_but_the_last_one_is_there_for_long() -> None:
    frames = [Frame(at_s, ["x"]) for at_s in (0.0, 20.0, 20.5)]
    assert times(frames) == [0.0, 1.0, 1.5]
