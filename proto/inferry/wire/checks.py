"""What the protos say a message may hold, and its check: compiled once from its descriptor.

The rules are options of fields (``inferry/v1/rules.proto``). Who documents a field reads them as
``rules_of`` gives them, so that no bound is written down twice.
"""

from collections.abc import Callable, Iterator
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from inferry.v1.rules_pb2 import FieldRules, MessageRules, rules, together
from inferry.wire.errors import FieldError
from inferry.wire.faults import fault_of_entries, fault_of_text, fault_of_time
from inferry.wire.rules import TIMESTAMP

#: Raises ``FieldError`` if a message breaks a rule.
Check = Callable[[Any], None]
#: Gets a field's value.
Get = Callable[[Any], Any]


class _Number(NamedTuple):
    """The bounds of a number."""

    get: Get
    least: int
    most: int
    #: The field's name if it may be set to 0; empty if 0 says nothing.
    optional: str
    right: str
    field: FieldDescriptor


class _Text(NamedTuple):
    """What a text is made of."""

    get: Get
    required: bool
    #: Tells what is wrong with it; nothing if it is right.
    fault: Callable[[str], str]
    field: FieldDescriptor


class _Checks(NamedTuple):
    """The checks of a message type: those that are made most often need no call of their own."""

    numbers: tuple[_Number, ...]
    texts: tuple[_Text, ...]
    others: tuple[Check, ...]


def check(message: Message) -> None:
    """Checks what a message says itself; messages in it are for whoever reads those.

    Raises:
        FieldError: It breaks a rule.
    """
    numbers, texts, others = _checks(message.DESCRIPTOR)
    for get, required, fault, field in texts:
        text = get(message)
        if (text or required) and (wrong := fault(text)):
            raise _wrong(field, wrong)
    for get, least, most, optional, right, field in numbers:
        value = get(message)
        # What is unset is 0, which may be out of the bounds.
        if not least <= value <= most and (value or (optional and message.HasField(optional))):
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            raise _wrong(field, f"{shown}; right is {right}")
    for one in others:
        one(message)


def rules_of(field: FieldDescriptor) -> FieldRules:
    """Tells what a field may hold; no rules if its type says all."""
    return field.GetOptions().Extensions[rules]


def rules_between(descriptor: Descriptor) -> MessageRules:
    """Tells what the fields of a message may hold together."""
    return descriptor.GetOptions().Extensions[together]


@cache
def _checks(descriptor: Descriptor) -> _Checks:
    ruled = [(field, rules_of(field)) for field in descriptor.fields]
    single = [(field, one) for field, one in ruled if not field.is_repeated]
    return _Checks(
        tuple(_number(field, one) for field, one in single if _bounded(one)),
        tuple(_text(field, one) for field, one in single if _is_text(field)),
        (
            *(
                _present(field, one)
                for field, one in single
                if one.required and not _is_text(field)
            ),
            *(_word(field, one) for field, one in single if one.among),
            *(_time(field) for field, _ in single if _is_time(field)),
            *(_many(field, one) for field, one in ruled if field.is_repeated and one.max_items),
            *_checks_between(descriptor),
        ),
    )


def _bounded(ruled: FieldRules) -> bool:
    return ruled.HasField("minimum") or ruled.HasField("maximum")


def _is_text(field: FieldDescriptor) -> bool:
    ruled = rules_of(field)
    is_ruled = ruled.required or ruled.pattern or ruled.max_length
    return bool(is_ruled) and field.type == FieldDescriptor.TYPE_STRING


def _number(field: FieldDescriptor, ruled: FieldRules) -> _Number:
    least = ruled.minimum if ruled.HasField("minimum") else -(2**63)
    most = ruled.maximum if ruled.HasField("maximum") else 2**63
    right = ruled.right or f"{least} to {most}"
    optional = field.name if field.has_presence else ""
    return _Number(attrgetter(field.name), least, most, optional, right, field)


def _text(field: FieldDescriptor, ruled: FieldRules) -> _Text:
    return _Text(attrgetter(field.name), ruled.required, fault_of_text(ruled), field)


def _present(field: FieldDescriptor, ruled: FieldRules) -> Check:
    said, missing = _says(field), f"missing; right is {ruled.right}" if ruled.right else "missing"

    def check_present(message: Any) -> None:
        if not said(message):
            raise _wrong(field, missing)

    return check_present


def _word(field: FieldDescriptor, ruled: FieldRules) -> Check:
    enum: Any = field.enum_type
    name, right = field.name, ", ".join(ruled.among)
    names = {value.number: value.name for value in enum.values}
    numbers = frozenset({0, *(enum.values_by_name[word].number for word in ruled.among)})

    def check_word(message: Any) -> None:
        number = getattr(message, name)
        if number not in numbers:
            raise _wrong(field, f"{names.get(number, number)}; one of {right}")

    return check_word


def _is_time(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == TIMESTAMP


def _time(field: FieldDescriptor) -> Check:
    name = field.name

    def check_time(message: Any) -> None:
        if message.HasField(name) and (wrong := fault_of_time(getattr(message, name))):
            raise _wrong(field, wrong)

    return check_time


def _many(field: FieldDescriptor, ruled: FieldRules) -> Check:
    """Makes the check of a list or a map: of their count, and of what is in them."""
    get, least, most = attrgetter(field.name), int(ruled.required), ruled.max_items
    right = f"{least} to {most}"
    fault = fault_of_entries(field, ruled)

    def check_many(message: Any) -> None:
        entries = get(message)
        count = len(entries)
        if not least <= count <= most:
            raise _wrong(field, f"{count}; right is {right}")
        if count and fault is not None and (wrong := fault(entries)):
            raise _wrong(field, wrong)

    return check_many


def _checks_between(descriptor: Descriptor) -> Iterator[Check]:
    ruled, fields = rules_between(descriptor), descriptor.fields_by_name
    for names, made in ((ruled.at_most_one, _at_most_one), (ruled.at_least_one, _at_least_one)):
        if names:
            yield made([fields[name] for name in names])


def _at_most_one(fields: list[FieldDescriptor]) -> Check:
    names = [field.name for field in fields]
    shown = " and ".join(field.json_name for field in fields)

    def check_at_most_one(message: Any) -> None:
        if sum(map(message.HasField, names)) > 1:
            raise FieldError(f"{shown} exclude each other")

    return check_at_most_one


def _at_least_one(fields: list[FieldDescriptor]) -> Check:
    says = [_says(field) for field in fields]
    *others, last = (field.json_name for field in fields)
    shown = f"{', '.join(others)} or {last}"

    def check_at_least_one(message: Any) -> None:
        if not any(said(message) for said in says):
            raise FieldError(f"say which: {shown} is missing")

    return check_at_least_one


def _says(field: FieldDescriptor) -> Get:
    name = field.name
    return (lambda message: message.HasField(name)) if field.has_presence else attrgetter(name)


def _wrong(field: FieldDescriptor, reason: str) -> FieldError:
    error = FieldError(reason)
    error.within(field.json_name)
    return error
