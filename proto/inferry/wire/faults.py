"""Why a value breaks a rule, in words: what came, and what is right."""

import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.v1.rules_pb2 import FieldRules
from inferry.wire.rules import map_value

#: Characters of a value that an error shows.
_SHOWN_CHARS = 128
#: The times that a ``Timestamp`` may hold: the years 1 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_NANOS_OF_A_SECOND = 1_000_000_000


def fault_of_text(ruled: FieldRules) -> Callable[[str], str]:
    """Makes what tells why a text breaks a rule; empty if it does not."""
    right = f"; right is {ruled.right or ruled.pattern}" if ruled.right or ruled.pattern else ""
    longest = ruled.max_length
    matches = re.compile(ruled.pattern).fullmatch if ruled.pattern else None

    def fault(text: str) -> str:
        if not text:
            return f"missing{right}"
        if longest and len(text) > longest:
            return f"{len(text)} characters; the limit is {longest}"
        if matches is None or matches(text):
            return ""
        return right[2:] if ruled.hidden else f"{text[:_SHOWN_CHARS]!r}{right}"

    return fault


def fault_of_time(time: Timestamp) -> str:
    """Tells why a time is none; empty if it is one. The type says it, and bytes can break it."""
    within = _FIRST_SECOND <= time.seconds <= _LAST_SECOND
    if within and 0 <= time.nanos < _NANOS_OF_A_SECOND:
        return ""
    came = f"{time.seconds} seconds and {time.nanos} nanoseconds"
    return f"{came}; right is a time of the years 1 to 9999"


def fault_of_entries(field: FieldDescriptor, ruled: FieldRules) -> Callable[[Any], str] | None:
    """Makes what tells why the entries of a list or a map break a rule; None if they have none."""
    if map_value(field) is not None:
        return _fault_of_map(ruled)
    if not ruled.HasField("items"):
        return None
    fault_of = fault_of_text(ruled.items)
    return lambda texts: next(filter(None, map(fault_of, texts)), "")


def _fault_of_map(ruled: FieldRules) -> Callable[[Any], str]:
    least, most, longest = int(ruled.keys.required), ruled.keys.max_length, ruled.items.max_length
    right = f"keys have {least} to {most} characters, values at most {longest}"

    def fault(entries: Any) -> str:
        for key, value in entries.items():
            if not least <= len(key) <= most or len(value) > longest:
                return f"{key[:most]!r}; {right}"
        return ""

    return fault
