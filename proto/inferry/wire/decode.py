"""JSON -> messages: a decoder for each message type, compiled once from its descriptor.

A decoder goes by the texts of an object's members: JSON values inside pass through as they are, and
all else is read, strictly.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from inferry.wire.errors import FieldError, expected
from inferry.wire.members import elements, members
from inferry.wire.rules import TIMESTAMP, map_value, shown, simple, simple_map, text_field
from inferry.wire.scalars import Reader, read_text, reader, write_timestamp
from inferry.wire.structs import struct_of, value_of
from inferry.wire.text import check, parse

#: Fills a message from the text of a JSON object. Raises ``FieldError``.
Decoder = Callable[[Message, bytes], None]
#: Sets one field of a message from the text of a JSON value. Raises ``FieldError``.
Setter = Callable[[Message, bytes], None]
#: Sets one field of a message from a text in a query. Raises ``FieldError``.
QuerySetter = Callable[[Message, str], None]
#: Sets one entry of a map, by its key, from a text in a query. Raises ``FieldError``.
MapSetter = Callable[[Message, str, str], None]

_NULL = b"null"


@cache
def decoder(descriptor: Descriptor) -> Decoder:
    """Compiles the decoder of a message type. It takes both spellings of a field's name.

    Raises:
        TypeError: A field is of a kind that JSON has no form for here.
    """
    setters: dict[str, Setter] = {}
    for field in descriptor.fields:
        if shown(field):
            setters[field.json_name] = setters[field.name] = _setter(field)
    refuse = _refuser(descriptor)

    def decode(message: Message, text: bytes) -> None:
        for name, value in members(text).items():
            try:
                setters.get(name, refuse)(message, value)
            except FieldError as error:
                error.within(name)
                raise

    return decode


@cache
def query_setters(descriptor: Descriptor) -> Mapping[str, QuerySetter]:
    """Compiles what sets a message's fields from the texts of a query, by both spellings."""
    setters: dict[str, QuerySetter] = {}
    for field in descriptor.fields:
        if simple(field):
            setters[field.json_name] = setters[field.name] = _query_setter(field)
    return setters


@cache
def query_maps(descriptor: Descriptor) -> Mapping[str, MapSetter]:
    """Compiles what sets entries of a message's maps from the texts of a query, by map."""
    setters: dict[str, MapSetter] = {}
    for field in descriptor.fields:
        if simple_map(field):
            setters[field.json_name] = setters[field.name] = _entry_setter(field.name)
    return setters


def _entry_setter(name: str) -> MapSetter:
    def set_entry(message: Message, key: str, text: str) -> None:
        entries = getattr(message, name)
        if key in entries:
            raise FieldError("given twice")
        entries[read_text(key)] = read_text(text)

    return set_entry


def _refuser(descriptor: Descriptor) -> Setter:
    names = ", ".join(field.json_name for field in descriptor.fields if shown(field)) or "none"

    def refuse(_: Message, value: bytes) -> None:  # noqa: ARG001 - a setter
        raise FieldError(f"no such field; there are: {names}")

    return refuse


def _setter(field: FieldDescriptor) -> Setter:
    """Compiles a field's setter; null leaves the field, unless it is a value of its own."""
    kind: Descriptor | None = field.message_type
    if kind is None:
        read = reader(field, from_query=False)
        return _scalars(field.name, read) if field.is_repeated else _scalar(field.name, read)
    text = text_field(field)
    if text is not None:
        keeps_null = kind.full_name == "google.protobuf.Value"
        return _passed_through(text.name, keeps_null=keeps_null)
    value = map_value(field)
    if value is not None:
        return _map(field.name, reader(value, from_query=False))
    fill = _filler(kind)
    return _messages(field.name, fill) if field.is_repeated else _message(field.name, fill)


def _query_setter(field: FieldDescriptor) -> QuerySetter:
    if field.message_type is not None:
        return lambda message, text: write_timestamp(getattr(message, field.name), text)
    read = reader(field, from_query=True)
    if field.is_repeated:
        return lambda message, text: getattr(message, field.name).append(read(text))
    return lambda message, text: setattr(message, field.name, read(text))


def _filler(descriptor: Descriptor) -> Callable[[Any, bytes], None]:
    """Chooses what fills a message of this type from the text of a JSON value."""
    well_known: dict[str, Callable[[Any, bytes], None]] = {
        "google.protobuf.Value": lambda target, text: target.CopyFrom(value_of(text)),
        "google.protobuf.Struct": lambda target, text: target.CopyFrom(struct_of(text)),
        TIMESTAMP: lambda target, text: write_timestamp(target, parse(text)),
    }
    fill = well_known.get(descriptor.full_name)
    if fill is not None:
        return fill
    if descriptor.full_name.startswith("google.protobuf."):
        return _fill_well_known

    def fill_nested(target: Message, text: bytes) -> None:
        # Asked for when needed: a message may hold messages of its own type.
        decoder(descriptor)(target, text)

    return fill_nested


def _fill_well_known(target: Message, text: bytes) -> None:
    try:
        ParseDict(check(text), target)
    except ParseError as error:
        raise FieldError(str(error)) from None


def _passed_through(name: str, *, keeps_null: bool) -> Setter:
    def set_text(message: Message, value: bytes) -> None:
        if keeps_null or value != _NULL:
            setattr(message, name, value)

    return set_text


def _scalar(name: str, read: Reader) -> Setter:
    def set_scalar(message: Message, value: bytes) -> None:
        if value != _NULL:
            setattr(message, name, read(parse(value)))

    return set_scalar


def _scalars(name: str, read: Reader) -> Setter:
    def set_scalars(message: Message, value: bytes) -> None:
        if value == _NULL:
            return
        target = getattr(message, name)
        for index, item in enumerate(_array(check(value))):
            try:
                target.append(read(item))
            except FieldError as error:
                error.within(index)
                raise

    return set_scalars


def _map(name: str, read: Reader) -> Setter:
    def set_map(message: Message, value: bytes) -> None:
        if value == _NULL:
            return
        target = getattr(message, name)
        for key, item in _object(check(value)).items():
            try:
                target[read_text(key)] = read(item)
            except FieldError as error:
                error.within(key)
                raise

    return set_map


def _message(name: str, fill: Callable[[Any, bytes], None]) -> Setter:
    def set_message(message: Message, value: bytes) -> None:
        if value != _NULL:
            target = getattr(message, name)
            fill(target, value)
            target.SetInParent()

    return set_message


def _messages(name: str, fill: Callable[[Any, bytes], None]) -> Setter:
    def set_messages(message: Message, value: bytes) -> None:
        if value == _NULL:
            return
        target = getattr(message, name)
        for index, item in enumerate(elements(value)):
            try:
                fill(target.add(), item)
            except FieldError as error:
                error.within(index)
                raise

    return set_messages


def _array(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    raise expected("an array", value)


def _object(value: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise expected("an object", value)
