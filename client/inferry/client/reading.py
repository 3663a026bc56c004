"""Protobuf's messages -> records, by the names of their fields."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.client import fleet_records, records
from inferry.client.payloads import value_of
from inferry.wire.plain import plain_struct

Record = TypeVar("Record")
_Read = Callable[[Any], Any]

_KINDS: Mapping[str, type] = {
    "inferry.v1.Task": records.TaskState,
    "inferry.v1.TaskEvent": records.TaskEvent,
    "inferry.v1.WatchTasksResponse": records.Changes,
    "inferry.v1.Attempt": records.Attempt,
    "inferry.v1.ServerVerdict": records.ServerVerdict,
    "inferry.v1.ExplainTaskResponse": records.Explanation,
    "inferry.v1.Load": fleet_records.Load,
    "inferry.v1.Server": fleet_records.Server,
    "inferry.v1.TypeQueue": fleet_records.TypeQueue,
    "inferry.v1.GetQueueResponse": fleet_records.Queue,
}
#: Of fields of both forms, the JSON text is the one that is asked for.
_SUFFIXES: tuple[tuple[str, _Read], ...] = (
    ("_json", value_of),
    ("_ms", lambda milliseconds: milliseconds / 1_000),
)


def read(kind: type[Record], message: Message) -> Record:
    """Makes a record of its message."""
    return kind(
        **{name: take(message) for name, take in _plan(cast("Any", kind), message.DESCRIPTOR)}
    )


@cache
def _plan(kind: Hashable, descriptor: Descriptor) -> tuple[tuple[str, _Read], ...]:
    names = [field.name for field in dataclasses.fields(cast("Any", kind))]
    return tuple((name, _taker(name, descriptor)) for name in names)


def _taker(name: str, descriptor: Descriptor) -> _Read:
    for suffix, convert in _SUFFIXES:
        field = descriptor.fields_by_name.get(name + suffix)
        if field is not None:
            return _attribute(field, convert)
    field = descriptor.fields_by_name[name]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _attribute(field, dict)
    convert = _converter(field)
    if field.is_repeated:
        return _attribute(field, lambda values: tuple(map(convert, values)))
    return _set_or_none(field, convert) if field.has_presence else _attribute(field, convert)


def _attribute(field: FieldDescriptor, convert: _Read) -> _Read:
    name = field.name
    return lambda message: convert(getattr(message, name))


def _set_or_none(field: FieldDescriptor, convert: _Read) -> _Read:
    name = field.name
    return lambda message: convert(getattr(message, name)) if message.HasField(name) else None


def _converter(field: FieldDescriptor) -> _Read:
    if field.enum_type is not None:
        names = {number: one.name for number, one in field.enum_type.values_by_number.items()}
        if field.enum_type.full_name == "inferry.v1.Task.Status":
            # A status that this client does not know yet is none that it can act on.
            return lambda number: records.Status(names.get(number, records.Status.UNKNOWN))
        return lambda number: names.get(number, str(number))
    if field.message_type is None:
        return lambda value: value
    match field.message_type.full_name:
        case "google.protobuf.Timestamp":
            return _time
        case "google.protobuf.Struct":
            return plain_struct
        case name:
            kind = _KINDS[name]
            return lambda message: read(kind, message)


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
