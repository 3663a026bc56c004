"""What is wrong with a JSON text, in words: where it is, what came and what is right."""

import json
from math import isfinite
from typing import Any

#: Characters of a value that an error shows.
_SHOWN_CHARS = 60


class FieldError(Exception):
    """A value that is wrong; says where it stands, what came and what is right."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        #: Names and indexes on the way to the value, innermost first.
        self.path: list[str | int] = []

    def __str__(self) -> str:
        where = self.where()
        return f"{where}: {self.reason}" if where else self.reason

    def within(self, part: str | int) -> None:
        """Notes the name or index under which the wrong value stands."""
        self.path.append(part)

    def where(self) -> str:
        """Spells the way to the value: ``labels.team``, ``capabilities[2]``."""
        spelled = "".join(
            f"[{part}]" if isinstance(part, int) else f".{writable(_in_short(part))}"
            for part in reversed(self.path)
        )
        return spelled.removeprefix(".")


class NoJsonError(FieldError):
    """A text that is no JSON; ``position`` is the byte at which that shows, from 0."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(f"no JSON, at position {position}: {why}")
        self.position = position


def expected(right: str, came: Any) -> FieldError:
    """Makes the error of a value that is of another kind."""
    return FieldError(f"expected {right}, got {show(came)}")


def show(value: Any) -> str:
    """Prints a JSON value for an error text, in short."""
    if isinstance(value, dict):
        return "an object" if value else "{}"
    if isinstance(value, list):
        return "an array" if value else "[]"
    if isinstance(value, float) and not isfinite(value):
        return "a number beyond all doubles"
    if isinstance(value, str):
        value = writable(value[:_SHOWN_CHARS])
    return _in_short(json.dumps(value, ensure_ascii=False))


def writable(text: str) -> str:
    """Replaces halves of surrogate pairs: no text can be written that has them.

    JSON spells them, and Python has them for the bytes of a header that are no UTF-8.
    """
    return text if text.isascii() else text.encode(errors="replace").decode()


def _in_short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."
