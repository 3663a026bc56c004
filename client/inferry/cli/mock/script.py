"""What a task asks of the mock backend: its payload, read as a script. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from inferry.wire.errors import FieldError
from inferry.wire.members import members
from inferry.wire.text import parse

#: Longest work that a script may ask for.
MAX_SECONDS = 86_400
MAX_STEPS = 10_000
#: Steps of a work that takes time and does not say how many.
_DEFAULT_STEPS = 4


class End(StrEnum):
    """How the work ends."""

    COMPLETE = "complete"
    FAIL = "fail"
    #: Works until its time is over, or somebody cancels it.
    HANG = "hang"
    #: The whole backend dies in the middle of the work.
    CRASH = "crash"
    #: The backend itself reports that time ran out.
    TIMEOUT = "timeout"


class ScriptError(Exception):
    """The payload is no script; the message says which field is wrong."""


@dataclass(frozen=True, slots=True)
class Script:
    """The work of one task."""

    #: How long it takes, in all.
    seconds: float
    #: Progress reports on the way.
    steps: int
    end: End
    #: The text of any JSON value.
    result: bytes
    #: With FAIL and TIMEOUT: for a person.
    error: str
    #: With FAIL and TIMEOUT: for a program.
    code: str
    #: Rounds of the task that fail, with ``retryable``, before it ends as it should.
    flaky: int


#: Fields that are looked into.
_READ = ("end", "seconds", "steps", "error", "code", "flaky")


def read_script(text: bytes) -> Script:
    """Reads the text of a payload; fields that it does not know are harmless.

    Raises:
        ScriptError: A field has the wrong kind of value.
    """
    try:
        fields = members(text)
        payload = {name: parse(fields[name]) for name in _READ if name in fields}
    except FieldError as error:
        raise ScriptError(f"payload: {error}") from None
    end = payload.get("end", End.COMPLETE)
    if end not in tuple(End):
        raise ScriptError(f"end: expected one of {', '.join(End)}, got {end!r}")
    timed_out = end == End.TIMEOUT
    seconds = _number(payload, "seconds", 0, MAX_SECONDS)
    return Script(
        seconds=seconds,
        steps=int(_number(payload, "steps", _DEFAULT_STEPS if seconds else 0, MAX_STEPS)),
        end=End(end),
        result=fields.get("result", b'{"echo":%b}' % text),
        error=str(payload.get("error", "time ran out" if timed_out else "failed as scripted")),
        code=str(payload.get("code", "TIMEOUT" if timed_out else "INTERNAL_ERROR")),
        flaky=int(_number(payload, "flaky", 0, MAX_STEPS)),
    )


def _number(payload: Mapping[str, Any], name: str, default: float, limit: float) -> float:
    value = payload.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise ScriptError(f"{name}: expected a number from 0 to {limit:,}, got {value!r}")
    return value
