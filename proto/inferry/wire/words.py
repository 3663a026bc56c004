"""What a backend says of its work, in JSON: in an answer to ``POST /process`` or in a callback.

One reader for both. Backends are written by many: what they say is taken as well as can be. Only
the members with a meaning are looked at; one that cannot be read is coerced, or left out with a
note, and never costs what stands beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.callback_token import redact
from inferry.wire.errors import FieldError, show, writable
from inferry.wire.limits import CODE_CHARS, EXTEND_MS, TEXT_CHARS
from inferry.wire.members import picker
from inferry.wire.text import parse, without_bom

#: The guide has two sets of words, one for answers and one for callbacks; each is right in both.
_STATUSES: Mapping[str, Task.Status.ValueType] = {
    **{name: number for name, number in Task.Status.items() if number},
    "SUCCESS": Task.COMPLETED,
    "ERROR": Task.FAILED,
    "ACCEPTED": Task.PROCESSING,
}
_LOSSES: Mapping[str, TaskUpdate.Loss.ValueType] = {
    name: number for name, number in TaskUpdate.Loss.items() if number
}
_NULL = b"null"
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(slots=True)
class Words:
    """What a backend said."""

    #: As a message; its status is unset if the word was none of those known.
    update: TaskUpdate = field(default_factory=TaskUpdate)
    #: The word for the status as it came; None without one.
    word: str | None = None
    #: What was left out or changed, a clause each.
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The word for the status, in short; empty without one."""
        return "" if self.word is None else show(self.word)


def read_words(text: bytes) -> Words:
    """Reads what a backend said; result and details are taken as they stand there, unchecked.

    Our own tokens are taken out first: what is cut later must not hold half of one.

    Raises:
        FieldError: It is no JSON object.
    """
    words = Words()
    said = _pick(redact(without_bom(text)))
    for name, read in _READERS.items():
        value = said.get(name, _NULL)
        if value != _NULL:
            read(words, value)
    if "result" in said:
        words.update.result_json = said["result"]
    return words


def _read_status(words: Words, value: bytes) -> None:
    words.word = text_of(value, TEXT_CHARS)
    words.update.status = _STATUSES.get(words.word.strip().upper(), Task.STATUS_UNSPECIFIED)


def _read_progress(words: Words, value: bytes) -> None:
    progress = _number_of(value)
    if progress is None:
        words.notes.append(f"progress {_quoted(value)} is no number from 0 to 100")
    else:
        words.update.progress = progress


def _read_message(words: Words, value: bytes) -> None:
    words.update.message = text_of(value, TEXT_CHARS)


def _read_error(words: Words, value: bytes) -> None:
    words.update.error = text_of(value, TEXT_CHARS)


def _read_code(words: Words, value: bytes) -> None:
    words.update.code = text_of(value, CODE_CHARS)


def _read_retryable(words: Words, value: bytes) -> None:
    retryable = _BOOLEANS.get(text_of(value, TEXT_CHARS).strip().lower())
    if retryable is None:
        words.notes.append(f"retryable {_quoted(value)} is neither true nor false")
    else:
        words.update.retryable = retryable


def _read_extend_ms(words: Words, value: bytes) -> None:
    milliseconds = _number_of(value)
    if milliseconds is None or milliseconds < 0:
        words.notes.append(f"extend_ms {_quoted(value)} is no number of milliseconds")
    else:
        words.update.extend_ms = int(min(milliseconds, EXTEND_MS))


def _read_loss(words: Words, value: bytes) -> None:
    loss = _LOSSES.get(text_of(value, CODE_CHARS).strip().upper())
    if loss is None:
        right = ", ".join(_LOSSES)
        words.notes.append(f"loss {_quoted(value)} is none of {right}")
    else:
        words.update.loss = loss


def _read_details(words: Words, value: bytes) -> None:
    words.update.details_json = value


_READERS: Mapping[str, Callable[[Words, bytes], None]] = {
    "status": _read_status,
    "progress": _read_progress,
    "message": _read_message,
    "error": _read_error,
    "code": _read_code,
    "retryable": _read_retryable,
    "extend_ms": _read_extend_ms,
    "extendMs": _read_extend_ms,
    "loss": _read_loss,
    "details": _read_details,
}
_pick = picker((*_READERS, "result"))


def text_of(value: bytes, longest: int) -> str:
    """Reads a text; any other value becomes its JSON text. What is too long is cut."""
    if value.startswith(b'"'):
        try:
            said: Any = parse(value)
        except FieldError:
            said = None
        if isinstance(said, str):
            return writable(said[:longest])
    # A character has four bytes at most.
    return value[: 4 * longest].decode(errors="replace")[:longest]


def _number_of(value: bytes) -> float | None:
    """Reads a number, or a text that is one: ``45``, ``"45"``, ``"45 %"``."""
    try:
        number = float(text_of(value, CODE_CHARS).strip().removesuffix("%"))
    except ValueError:
        return None
    return number if isfinite(number) else None


def _quoted(value: bytes) -> str:
    return show(text_of(value, CODE_CHARS))
