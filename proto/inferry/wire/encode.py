"""Messages -> plain JSON: an encoder for each message type, compiled once from its descriptor.

Canonical proto3 JSON in lowerCamelCase, printed for people: numbers, booleans, arrays and maps
always; messages, optional fields and texts only when they are set; 64-bit integers as numbers. What
came as a JSON text stands there as it came.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from inferry.wire.plain import plain_number, plain_struct, plain_value
from inferry.wire.rules import PRINTED_WHEN_SET, TIMESTAMP, map_value, shown, value_field
from inferry.wire.scalars import FLOATS, Printer, enum_printer, print_timestamp

#: Prints a message as what orjson takes.
Encoder = Callable[[Any], Any]

_SILENT_WHEN_EMPTY = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_ENUM})


@cache
def encoder(descriptor: Descriptor) -> Encoder:
    """Compiles the encoder of a message type.

    Raises:
        TypeError: A field is of a kind that JSON has no form for here.
    """
    well_known: dict[str, Encoder] = {
        "google.protobuf.Value": plain_value,
        "google.protobuf.Struct": plain_struct,
        TIMESTAMP: print_timestamp,
    }
    if descriptor.full_name in well_known:
        return well_known[descriptor.full_name]
    if descriptor.full_name.startswith("google.protobuf."):
        return MessageToDict
    return _plain(descriptor)


def _plain(descriptor: Descriptor) -> Encoder:
    table = {field.number: (_name(field), _printer(field)) for field in descriptor.fields}
    always = [
        (field.json_name, _empty(field)) for field in descriptor.fields if always_printed(field)
    ]

    def encode(message: Message) -> dict[str, Any]:
        printed: dict[str, Any] = {}
        for field, value in message.ListFields():
            name, convert = table[field.number]
            printed[name] = value if convert is None else convert(value)
        for name, empty in always:
            if name not in printed:
                printed[name] = empty
        return printed

    return encode


def _name(field: FieldDescriptor) -> str:
    return str((value_field(field) or field).json_name)


def always_printed(field: FieldDescriptor) -> bool:
    """Whether a field is printed whatever it holds."""
    if field.full_name in PRINTED_WHEN_SET or not shown(field):
        return False
    return field.is_repeated or not (field.has_presence or field.type in _SILENT_WHEN_EMPTY)


def _empty(field: FieldDescriptor) -> Any:
    if not field.is_repeated:
        return False if field.type == FieldDescriptor.TYPE_BOOL else 0
    return [] if map_value(field) is None else {}


def _printer(field: FieldDescriptor) -> Printer | None:
    """Chooses what prints a field's value; None if the value can stay as it is."""
    value = map_value(field)
    if value is not None:
        return _map_printer(_single(value))
    single = _single(field)
    if not field.is_repeated:
        return single
    return list if single is None else _list_printer(single)


def _single(field: FieldDescriptor) -> Printer | None:
    if field.message_type:
        return _nested(field.message_type)
    if field.enum_type is not None:
        return enum_printer(field.enum_type)
    if field.type in FLOATS:
        return plain_number
    if value_field(field) is not None:
        return orjson.Fragment
    if field.type == FieldDescriptor.TYPE_BYTES:
        raise TypeError(f"{field.full_name}: this kind of field has no JSON form here")
    return None


def _nested(descriptor: Descriptor) -> Printer:
    if descriptor.full_name.startswith("google.protobuf."):
        return encoder(descriptor)

    def print_message(message: Message) -> Any:
        # Asked for when needed: a message may hold messages of its own type.
        return encoder(descriptor)(message)

    return print_message


def _list_printer(single: Printer) -> Printer:
    def print_list(values: Any) -> list[Any]:
        return [single(value) for value in values]

    return print_list


def _map_printer(single: Printer | None) -> Printer:
    if single is None:
        return dict

    def print_map(values: Any) -> dict[str, Any]:
        return {key: single(value) for key, value in values.items()}

    return print_map
