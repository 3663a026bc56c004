"""The lines of a file or a pipe, of which only a few are in memory at once."""

import select
from collections.abc import Iterator
from io import FileIO
from typing import NamedTuple

from inferry.wire.limits import BATCH_BYTES
from inferry.wire.text import without_bom

_CHUNK_BYTES = 256 * 1024
#: A pipe that brings nothing for so long makes a pause: what has come is not to wait for the rest.
_PAUSE_S = 0.2


class Line(NamedTuple):
    """One line that is not blank."""

    #: From 1; blank lines count.
    number: int
    #: Without its end; None if it is longer than a batch may be.
    text: bytes | None


def lines(source: FileIO) -> Iterator[Line | None]:
    """Gives the lines as they come; None for each while in which nothing comes."""
    number, rest, too_long = 0, b"", False
    while True:
        while not select.select([source], [], [], _PAUSE_S)[0]:
            yield None
        chunk = source.read(_CHUNK_BYTES)
        if not chunk:
            break
        if number == 0 and not rest:
            chunk = without_bom(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        for text in whole:
            number += 1
            if too_long or text.strip():
                yield _line(number, text, too_long=too_long)
            too_long = False
        if len(rest) > BATCH_BYTES:
            rest, too_long = b"", True
    if too_long or rest.strip():
        yield _line(number + 1, rest, too_long=too_long)


def _line(number: int, text: bytes, *, too_long: bool) -> Line:
    return Line(number, None if too_long or len(text) > BATCH_BYTES else text.strip())
