"""JSON -> messages: a decoder for each message type, compiled once from its descriptor."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from inferry.bridge.contract import LENIENT_MESSAGES
from inferry.bridge.errors import FieldError, expected
from inferry.bridge.scalars import Reader, reader, write_timestamp
from inferry.bridge.values import write_struct, write_value

#: Fills a message from a JSON object. Raises ``FieldError`` and ``SuspectNumberError``.
Decoder = Callable[[Message, Mapping[str, Any]], None]
#: Sets one field of a message from a JSON value. Raises as a decoder does.
Setter = Callable[[Message, Any], None]


@cache
def decoder(descriptor: Descriptor) -> Decoder:
    """Compiles the decoder of a message type. It takes both spellings of a field's name.

    Raises:
        TypeError: A field is of a kind that JSON has no form for here.
    """
    lenient = descriptor.full_name in LENIENT_MESSAGES
    setters = _by_name(descriptor, from_query=False, lenient=lenient)
    other = _ignore if lenient else _refuser(descriptor)

    def decode(message: Message, data: Mapping[str, Any]) -> None:
        for key, value in data.items():
            try:
                setters.get(key, other)(message, value)
            except FieldError as error:
                error.within(key)
                raise

    return decode


@cache
def query_setters(descriptor: Descriptor) -> Mapping[str, Setter]:
    """Compiles what sets a message's fields from the texts of a query, by both spellings."""
    return _by_name(descriptor, from_query=True, lenient=False)


def object_of(value: Any) -> dict[str, Any]:
    """Returns a JSON object as it is.

    Raises:
        FieldError: It is something else.
    """
    if type(value) is dict:
        return value
    raise expected("an object", value)


def _ignore(_: Message, value: Any) -> None:
    """Stands for a field that only its sender knows."""


def _refuser(descriptor: Descriptor) -> Setter:
    known = ", ".join(field.json_name for field in descriptor.fields) or "none"

    def refuse(_: Message, value: Any) -> None:  # noqa: ARG001 - a setter
        raise FieldError(f"no such field; there are: {known}")

    return refuse


def _by_name(descriptor: Descriptor, *, from_query: bool, lenient: bool) -> dict[str, Setter]:
    setters: dict[str, Setter] = {}
    for field in descriptor.fields:
        setter = _setter(field, from_query=from_query, lenient=lenient)
        if setter is not None:
            setters[field.json_name] = setters[field.name] = setter
    return setters


def _setter(field: FieldDescriptor, *, from_query: bool, lenient: bool) -> Setter | None:
    """Compiles a field's setter; None if a query cannot hold such a field."""
    if field.message_type is None:
        read = reader(field, from_query=from_query, lenient=lenient)
        if not field.is_repeated:
            return _scalar(field.name, read)
        return _query_item(field.name, read) if from_query else _scalars(field.name, read)
    if from_query and field.message_type.full_name != "google.protobuf.Timestamp":
        return None
    if field.message_type.GetOptions().map_entry:
        values = field.message_type.fields_by_name["value"]
        return _map(field.name, reader(values, from_query=False, lenient=lenient))
    fill = _filler(field.message_type)
    if field.is_repeated:
        return _messages(field.name, fill)
    takes_null = field.message_type.full_name == "google.protobuf.Value"
    return _message(field.name, fill, takes_null=takes_null)


def _filler(descriptor: Descriptor) -> Callable[[Any, Any], None]:
    """Chooses what fills a message of this type from a JSON value."""
    known: dict[str, Callable[[Any, Any], None]] = {
        "google.protobuf.Value": write_value,
        "google.protobuf.Struct": lambda target, value: write_struct(target, object_of(value)),
        "google.protobuf.Timestamp": write_timestamp,
    }
    fill = known.get(descriptor.full_name)
    if fill is not None:
        return fill
    if descriptor.full_name.startswith("google.protobuf."):
        return _fill_well_known
    return _fill_nested(descriptor)


def _fill_nested(descriptor: Descriptor) -> Callable[[Any, Any], None]:
    def fill(target: Message, value: Any) -> None:
        # Asked for when needed: a message may hold messages of its own type.
        decoder(descriptor)(target, object_of(value))

    return fill


def _fill_well_known(target: Message, value: Any) -> None:
    try:
        ParseDict(value, target)
    except ParseError as error:
        raise FieldError(str(error)) from None


def _scalar(name: str, read: Reader) -> Setter:
    def set_scalar(message: Message, value: Any) -> None:
        if value is not None:
            setattr(message, name, read(value))

    return set_scalar


def _scalars(name: str, read: Reader) -> Setter:
    def set_scalars(message: Message, value: Any) -> None:
        if value is None:
            return
        target = getattr(message, name)
        for index, item in enumerate(_array(value)):
            try:
                target.append(read(item))
            except FieldError as error:
                error.within(index)
                raise

    return set_scalars


def _query_item(name: str, read: Reader) -> Setter:
    def add_item(message: Message, value: Any) -> None:
        getattr(message, name).append(read(value))

    return add_item


def _map(name: str, read: Reader) -> Setter:
    def set_map(message: Message, value: Any) -> None:
        if value is None:
            return
        target = getattr(message, name)
        for key, item in object_of(value).items():
            try:
                target[key] = read(item)
            except FieldError as error:
                error.within(key)
                raise

    return set_map


def _message(name: str, fill: Callable[[Any, Any], None], *, takes_null: bool) -> Setter:
    def set_message(message: Message, value: Any) -> None:
        if value is not None or takes_null:
            target = getattr(message, name)
            fill(target, value)
            target.SetInParent()

    return set_message


def _messages(name: str, fill: Callable[[Any, Any], None]) -> Setter:
    def set_messages(message: Message, value: Any) -> None:
        if value is None:
            return
        target = getattr(message, name)
        for index, item in enumerate(_array(value)):
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
