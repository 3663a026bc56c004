"""Texts between the commands and the terminal that started them, whatever it can show and send."""

import codecs
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from inferry.wire.controls import escape_controls

_ESCAPE = "inferry.escape"


def open_what_is_closed() -> None:
    """Gives standard input, output and error a place to come from and to go to, if they have none.

    A program that is started without them would write to what it opens next.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It takes the lowest number that is free: that which is missing.
            opened = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - for good
            setattr(sys, name, opened)


def escape_what_cannot_be_shown() -> None:
    """Makes standard output and error write what their encoding lacks as JSON escapes.

    So a name is readable everywhere, and what is printed as JSON stays JSON with the same meaning.
    """
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)


def say(text: str = "", *, err: bool = False) -> None:
    """Writes a line, at once.

    What goes to standard error is for a person, whatever it quotes: of what a terminal would obey
    its line ends alone stay what they are.

    Typer's own ``echo`` writes UTF-8 where the encoding is ASCII.
    """
    stream = sys.stderr if err else sys.stdout
    if err:
        text = "\n".join(map(escape_controls, text.split("\n")))
    stream.write(f"{text}\n")
    stream.flush()


def unreadable(arguments: Iterable[str]) -> str:
    """Says which argument is no text; empty if all are.

    Python hands on bytes that are no UTF-8 as half surrogate pairs: they can go nowhere.
    """
    for number, argument in enumerate(arguments, 1):
        if not is_text(argument):
            return f"argument {number} is no UTF-8: inferry takes no other text"
    return ""


def is_text(given: str) -> bool:
    """Whether something from the command line or the environment came as UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in given)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    units = wrong.encode("utf-16-be", errors="surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end
