"""The tries of a delivery, as they are kept: a JSON array of arrays. Pure."""

from typing import NamedTuple

import orjson

#: Tries that are kept; older ones go.
KEPT = 12
#: Characters of an answer, or of why there is none.
ANSWER_CHARS = 256


class Try(NamedTuple):
    """One try."""

    at_ms: int
    took_ms: int
    #: Of the answer; 0 without one.
    status: int
    #: How the answer begins, or why there is none.
    answer: str


def add_try(known: bytes, one: Try) -> bytes:
    """Adds a try to those that are known."""
    return orjson.dumps([*orjson.loads(known), [*one]][-KEPT:])


def tries_of(known: bytes) -> list[Try]:
    """Reads tries, oldest first."""
    return [Try(*one) for one in orjson.loads(known)]


def snippet(body: bytes) -> str:
    """Makes what is kept of an answer."""
    return body.decode(errors="replace")[:ANSWER_CHARS]
