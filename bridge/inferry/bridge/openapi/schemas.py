"""The messages as JSON Schema: in requests what may be said, in answers what is always there."""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from inferry.bridge.contract import LENIENT_MESSAGES
from inferry.bridge.openapi.bounds import Schema, bounds, bounds_of_many, bounds_of_map, scalar
from inferry.wire.checks import rules_between, rules_of
from inferry.wire.encode import always_printed
from inferry.wire.limits import MAX_INTEGER
from inferry.wire.rules import TIMESTAMP, map_value, shown, text_field
from inferry.wire.scalars import TIME

_STRUCT = "google.protobuf.Struct"
_VALUE = "google.protobuf.Value"
_WELL_KNOWN: Final[Mapping[str, Schema]] = {
    TIMESTAMP: {"type": "string", "format": "date-time", "pattern": TIME},
    _STRUCT: {"type": "object"},
    _VALUE: {"description": "Any JSON value."},
}
#: What a ``Struct`` can hold that is read as one: no integer that a double has not.
_PLAIN = "PlainValue"
_PLAIN_VALUE: Final[Schema] = {
    "description": "Any JSON value without integers beyond 2^53; 32 levels deep at most.",
    "anyOf": [
        {"type": ["null", "boolean", "string"]},
        {"type": "number", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
        {"type": "array", "items": {"$ref": f"#/components/schemas/{_PLAIN}"}},
        {
            "type": "object",
            "additionalProperties": {"$ref": f"#/components/schemas/{_PLAIN}"},
        },
    ],
}


class Side(Enum):
    """Who says what is described."""

    CALLER = auto()
    GATEWAY = auto()


def reference(name: str) -> Schema:
    """Refers to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


class Schemas:
    """Collects the schemas of the messages that the operations name.

    Args:
        comments: What stands above each message and field in the protos, by full name.
        answers: The messages that are answered with; one that is asked with, too, has two schemas.
    """

    def __init__(self, comments: Mapping[str, str], answers: Iterable[Descriptor]) -> None:
        self._comments = comments
        self._answered = {inner.full_name for answer in answers for inner in _inside(answer)}
        self.collected: dict[str, Schema] = {}

    def message(self, descriptor: Descriptor, side: Side) -> Schema:
        """Refers to the schema of a message."""
        if descriptor.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[descriptor.full_name])
        name = descriptor.name
        if side is Side.CALLER and descriptor.full_name in self._answered:
            name += "Request"
        if name not in self.collected:
            # Taken first: a message may hold messages of its own type.
            self.collected[name] = {}
            self.collected[name] = self.object(descriptor, side)
        return reference(name)

    def object(
        self, descriptor: Descriptor, side: Side, hidden: frozenset[str] = frozenset()
    ) -> Schema:
        """Describes a message, without the fields that are hidden."""
        fields = [field for field in descriptor.fields if shown(field) and field.name not in hidden]
        # Backends speak as the guide does to them; other names are taken all the same.
        lenient = descriptor.full_name in LENIENT_MESSAGES
        names = {field.name: str(field.name if lenient else field.json_name) for field in fields}
        schema: Schema = {
            "type": "object",
            "description": self._comments.get(descriptor.full_name, ""),
            "properties": {names[field.name]: self._member(field, side) for field in fields},
        }
        required = [names[field.name] for field in fields if _required(field, side)]
        if required:
            schema["required"] = required
        if side is Side.CALLER:
            schema |= _between(descriptor, names)
            if not lenient:
                schema["additionalProperties"] = False
        return schema

    def needs_something(self, descriptor: Descriptor, hidden: frozenset[str]) -> bool:
        """Whether a request with nothing but what is hidden is refused."""
        required = any(
            rules_of(field).required for field in descriptor.fields if field.name not in hidden
        )
        return required or bool(rules_between(descriptor).at_least_one)

    def parameter(self, field: FieldDescriptor) -> Schema:
        """Describes a field with its words, as a query or a path says it."""
        return self._with_words(field, self._kind(field, Side.CALLER))

    def _member(self, field: FieldDescriptor, side: Side) -> Schema:
        """Describes a field with its words, as JSON says it."""
        schema = self._kind(field, side)
        if side is Side.CALLER and not rules_of(field).required:
            schema = _or_null(schema)
        return self._with_words(field, schema)

    def _with_words(self, field: FieldDescriptor, schema: Schema) -> Schema:
        said = self._comments.get(field.full_name)
        return {**schema, "description": said} if said else schema

    def _kind(self, field: FieldDescriptor, side: Side) -> Schema:
        asked = side is Side.CALLER
        value = map_value(field)
        if value is not None:
            single = self._single(value, side)
            if not asked:
                return {"type": "object", "additionalProperties": single}
            single |= bounds(value, rules_of(field).items)
            return {"type": "object", "additionalProperties": single, **bounds_of_map(field)}
        single = self._single(field, side)
        if field.is_repeated:
            if not asked:
                return {"type": "array", "items": single}
            if field.message_type is None:
                single |= bounds(field, rules_of(field).items)
            return {"type": "array", "items": single, **bounds_of_many(field)}
        return single | bounds(field) if asked and field.message_type is None else single

    def _single(self, field: FieldDescriptor, side: Side) -> Schema:
        kind = field.message_type
        if kind is None:
            return scalar(field)
        if side is Side.CALLER and kind.full_name == _STRUCT and text_field(field) is None:
            self.collected[_PLAIN] = _PLAIN_VALUE
            return {"type": "object", "additionalProperties": reference(_PLAIN)}
        return self.message(kind, side)


def _required(field: FieldDescriptor, side: Side) -> bool:
    return rules_of(field).required or (side is Side.GATEWAY and always_printed(field))


def _between(descriptor: Descriptor, names: Mapping[str, str]) -> Schema:
    """Describes what fields may be said together."""
    ruled, schema = rules_between(descriptor), Schema()
    if ruled.at_most_one:
        together = [names[name] for name in ruled.at_most_one]
        said = {"not": {"type": "null"}}
        schema["not"] = {"required": together, "properties": dict.fromkeys(together, said)}
    if ruled.at_least_one:
        schema["anyOf"] = [
            _says_something(descriptor.fields_by_name[name], names[name])
            for name in ruled.at_least_one
        ]
    return schema


def _says_something(field: FieldDescriptor, name: str) -> Schema:
    as_text = field.message_type is None or field.message_type.full_name == TIMESTAMP
    kind, least = ("string", "minLength") if as_text else ("object", "minProperties")
    return {"required": [name], "properties": {name: {"type": kind, least: 1}}}


def _or_null(schema: Schema) -> Schema:
    """Adds that null says nothing."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if "type" not in schema:
        return schema
    either = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        either["enum"] = [*schema["enum"], None]
    return either


def _inside(descriptor: Descriptor) -> Iterator[Descriptor]:
    """Yields a message and all that are in it."""
    seen, found = {descriptor.full_name}, [descriptor]
    while found:
        message = found.pop()
        yield message
        for field in message.fields:
            kind = field.message_type
            if kind is not None and kind.full_name not in seen:
                seen.add(kind.full_name)
                found.append(kind)
