"""Records `make demo` as it looks on a terminal, as an SVG that moves where pictures may.

`python -m tools.recording docs/demo.svg` runs the demo and writes what it printed, up to the lines
that say how to go on by hand, at the pace at which it came.
"""

import os
import pty
import re
import subprocess
import sys
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import StringIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"
COLUMNS = 88
#: Where the demo is over and what to do next begins.
UNTIL = "Go on by hand"
#: How long the last frame is shown before it begins anew, and any other one at most.
REST_S = 6.0
LONGEST_S = 1.0

#: A line is cleared and written anew; the cursor is hidden and shown; colours stay in the text.
_CLEARED = "\r\x1b[2K"
_UNSEEN = re.compile(r"\x1b\[\?25[lh]")
_CUT = re.compile(r"\x1b[^A-Za-z]*\Z")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
#: As Rich's own, without fonts from elsewhere; the frames stand below each other on a strip.
_FORMAT = """\
<svg viewBox="0 0 {{width}} {height:g}" xmlns="http://www.w3.org/2000/svg">
<title>make demo: what it prints</title>
<style>
.{{unique_id}}-matrix {{{{ font-family: ui-monospace, Menlo, Consolas, monospace; \
font-size: {{char_height}}px; }}}}
{{styles}}
.strip {{{{ transform: translateY({last:g}px); animation: play {length:g}s step-end infinite; }}}}
@keyframes play {{{{
{frames}
}}}}
@media (prefers-reduced-motion: reduce) {{{{ .strip {{{{ animation: none; }}}} }}}}
</style>
<defs><clipPath id="window"><rect width="{{width}}" height="{window:g}"/></clipPath>
{{lines}}
</defs>
<rect x="1" y="1" width="{{terminal_width}}" height="{inner:g}" rx="8" fill="#292929"/>
<g transform="translate(14, 18)" clip-path="url(#window)"><g class="strip">
{{backgrounds}}<g class="{{unique_id}}-matrix">
{{matrix}}
</g></g></g>
</svg>
"""
#: Of Rich: characters are 20 high.
_LINE_HEIGHT = 20 * 1.22


class Frame(NamedTuple):
    """What the terminal showed from a time on."""

    at_s: float
    lines: Sequence[str]


class RecordingError(Exception):
    """The demo did not go as it should, or did what this terminal does not know."""


def play() -> Iterator[tuple[float, bytes]]:
    """Runs the demo on a terminal; gives what it prints, with the time at which it came."""
    terminal, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, COLUMNS))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - the demo
        [sys.executable, DEMO], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        # Reading fails once nobody writes any more.
        with suppress(OSError):
            while part := os.read(terminal, 65_536):
                yield time.monotonic() - began, part
        os.close(terminal)
    if process.returncode != 0:
        raise RecordingError(f"the demo ended with {process.returncode}")


def shown(printed: str) -> list[str]:
    """Tells what a terminal shows after it was sent a text: lines, with their colours."""
    lines = []
    for line in _UNSEEN.sub("", _CUT.sub("", printed)).replace("\r\n", "\n").split("\n"):
        rest = line.rpartition(_CLEARED)[2]
        if re.search(r"[\x00-\x1f]", _COLOUR.sub("", rest)):
            raise RecordingError(f"this terminal does not know what to make of {rest!r}")
        if len(_COLOUR.sub("", rest)) > COLUMNS:
            raise RecordingError(f"a line is longer than {COLUMNS} columns: {rest!r}")
        lines.append(rest)
    while lines and not _COLOUR.sub("", lines[-1]).strip():
        lines.pop()
    return lines


def record() -> list[Frame]:
    """Runs the demo; gives its frames, none of them shorter than ``SHORTEST_S``."""
    decoder, printed = getincrementaldecoder("utf-8")(), ""
    frames: list[Frame] = []
    for at_s, part in play():
        printed += decoder.decode(part)
        lines = shown(printed.partition(UNTIL)[0])
        if not frames or lines != frames[-1].lines:
            frames.append(Frame(at_s, lines))
    return frames


def times(frames: Sequence[Frame]) -> list[float]:
    """Tells when each frame begins, in seconds: none is there for longer than ``LONGEST_S``."""
    spans = [min(after.at_s - frame.at_s, LONGEST_S) for frame, after in pairwise(frames)]
    return [0.0, *accumulate(spans)]


def draw(frames: Sequence[Frame]) -> str:
    """Draws frames as an SVG that shows one after the other; where nothing moves, the last one."""
    rows = max(len(frame.lines) for frame in frames) + 1
    console = Console(file=StringIO(), record=True, width=COLUMNS, force_terminal=True)
    for frame in frames:
        for line in [*frame.lines, *[""] * (rows - len(frame.lines))]:
            console.print(Text.from_ansi(line), no_wrap=True, crop=False, overflow="ignore")
    begin_s, window = times(frames), rows * _LINE_HEIGHT
    length_s = begin_s[-1] + REST_S
    keys = [
        f"{100 * at_s / length_s:.2f}% {{{{ transform: translateY({-number * window:g}px); }}}}"
        for number, at_s in enumerate(begin_s)
    ]
    look = _FORMAT.format(
        height=window + 30,
        inner=window + 28,
        window=window,
        last=(1 - len(frames)) * window,
        length=length_s,
        frames="\n".join(keys),
    )
    return console.export_svg(code_format=look, unique_id="demo")


def main() -> None:
    """Records the demo into the file that the command line names."""
    (file,) = sys.argv[1:]
    Path(file).write_text(draw(record()))


if __name__ == "__main__":
    main()
