"""The rules of a field as JSON Schema: what requests are checked by is what is documented."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from inferry.v1.rules_pb2 import FieldRules
from inferry.wire.checks import rules_of
from inferry.wire.rules import LOWER_CASE_ENUMS

Schema = dict[str, Any]

_INTEGERS: Final[Mapping[int, tuple[str, int, int]]] = {
    FieldDescriptor.CPPTYPE_INT32: ("int32", -(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: ("int64", -(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: ("uint32", 0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: ("uint64", 0, 2**64 - 1),
}


def scalar(field: FieldDescriptor) -> Schema:
    """Describes one value of a field of numbers, texts or truths, whatever the rules of it."""
    if field.enum_type is not None:
        return {"type": "string", "enum": names_of(field.enum_type)}
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return {"type": "string"}
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if field.cpp_type in _INTEGERS:
        return {"type": "integer", "format": _INTEGERS[field.cpp_type][0]}
    return {"type": "number", "format": "double"}


def names_of(enum: EnumDescriptor) -> list[str]:
    """Lists the words of an enum as REST spells them; 0 is no choice."""
    lower = enum.full_name in LOWER_CASE_ENUMS
    return [value.name.lower() if lower else value.name for value in enum.values if value.number]


def bounds(field: FieldDescriptor, ruled: FieldRules | None = None) -> Schema:
    """Tells what a request may say in one value of a field, besides its type.

    Args:
        field: The field.
        ruled: Its rules; those of its elements if it has many.
    """
    # An element is there; so is what has no other way to say nothing.
    rules = rules_of(field) if ruled is None else ruled
    silent = ruled is None and not field.has_presence and not rules.required
    if field.enum_type is not None:
        return {"enum": list(rules.among)} if rules.among else {}
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _of_text(rules, silent=silent)
    least, most = _INTEGERS[field.cpp_type][1:] if field.cpp_type in _INTEGERS else (None, None)
    if rules.HasField("minimum"):
        least = min(rules.minimum, 0) if silent else rules.minimum
    if rules.HasField("maximum"):
        most = rules.maximum
    told = {"minimum": least, "maximum": most}
    return {name: bound for name, bound in told.items() if bound is not None}


def bounds_of_many(field: FieldDescriptor) -> Schema:
    """Tells how many elements a request may have in a list."""
    rules = rules_of(field)
    told = {"minItems": int(rules.required), "maxItems": rules.max_items}
    return {name: bound for name, bound in told.items() if bound}


def bounds_of_map(field: FieldDescriptor) -> Schema:
    """Tells how many entries a request may have in a map, and what their keys are made of."""
    rules = rules_of(field)
    told: Schema = {"maxProperties": rules.max_items, "propertyNames": _of_text(rules.keys)}
    return {name: bound for name, bound in told.items() if bound}


def _of_text(rules: FieldRules, *, silent: bool = False) -> Schema:
    told: Schema = {}
    if rules.pattern:
        # Nothing said is an empty text.
        told["pattern"] = f"^(?:{rules.pattern}){'?' if silent else ''}$"
    elif rules.required:
        told["minLength"] = 1
    if rules.max_length:
        told["maxLength"] = rules.max_length
    return told
