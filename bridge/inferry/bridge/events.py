"""What events look like on the wire, and what says after which one a client goes on."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from inferry.bridge.contract import LAST_EVENT_PARAMETERS, UNNUMBERED_EVENTS
from inferry.bridge.errors import invalid, refusal
from inferry.wire.checks import check
from inferry.wire.errors import FieldError, show

_LINE_END = re.compile(rb"\r\n?|\n")


class EventForm(NamedTuple):
    """How the events of an RPC are printed and named."""

    #: Prints an event from what the answer shows of a message.
    write: Callable[[Mapping[str, Any]], bytes]
    #: What a client may name to go on after.
    name: re.Pattern[str]
    #: The same in words.
    named: str
    #: Has a request go on after it.
    resume: Callable[[Any, str], None]


def go_on(message: Any, request: web.BaseRequest, form: EventForm) -> None:
    """Goes on after the last event that a client got; its word is newer than ``after``.

    Raises:
        BridgeError: What it names is no event.
    """
    query = request.rel_url.query
    said = [(name, query.get(name)) for name in LAST_EVENT_PARAMETERS]
    given = [("Last-Event-ID", request.headers.get("Last-Event-ID")), *said]
    events = [(name, last) for name, last in given if last]
    for name, last in events:
        if not form.name.fullmatch(last):
            raise invalid(f"{name}: expected {form.named}, got {show(last)}")
    if events:
        # What it takes the place of is refused if it is wrong, as without it.
        try:
            check(message)
        except FieldError as error:
            raise refusal(error) from None
        form.resume(message, events[0][1])


def _write_one(plain: Mapping[str, Any]) -> bytes:
    kind = plain["kind"]
    # Without an id, a client that connects again still names the last event that has one.
    number = b"" if kind in UNNUMBERED_EVENTS else b"id: %d\n" % plain["seq"]
    return b"%bevent: %b\ndata: %b\n\n" % (number, str(kind).lower().encode(), _data(plain))


def _write_many(plain: Mapping[str, Any]) -> bytes:
    cursor = plain.get("cursor", "")
    named = b"id: %b\n" % cursor.encode() if cursor else b""
    return b"%bdata: %b\n\n" % (named, _data(plain))


def _data(plain: Mapping[str, Any]) -> bytes:
    # A result may come with line ends of its own; what follows one needs its name again.
    return _LINE_END.sub(b"\ndata: ", orjson.dumps(plain))


def _after_number(message: Any, number: str) -> None:
    message.after_seq = int(number)


def _after_cursor(message: Any, cursor: str) -> None:
    message.cursor = cursor


#: Of one task: an event each, with its kind and its number, which an int64 takes without a look.
ONE_TASK = EventForm(
    _write_one, re.compile(r"[0-9]{1,18}", re.ASCII), "an event's number", _after_number
)
#: Of many: what came at once, with its cursor.
MANY_TASKS = EventForm(
    _write_many, re.compile(r"[A-Za-z0-9_-]{1,2000}", re.ASCII), "an event's id", _after_cursor
)
