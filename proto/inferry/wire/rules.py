"""Where JSON is to be something else than canonical proto3 JSON (design section 5)."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor

#: Enums that are spelled in lower case over HTTP: ``"status": "active"``.
LOWER_CASE_ENUMS = frozenset(
    {"inferry.v1.Server.Status", "inferry.v1.Server.Transport", "inferry.v1.Server.Connection"}
)

#: Fields that are printed only when they say something.
PRINTED_WHEN_SET = frozenset(
    {
        "inferry.v1.UpdateTaskResponse.cancelled",
        "inferry.v1.UpdateTaskResponse.notes",
        # The guide's answer has no more than id and status.
        "inferry.v1.RegisterServerResponse.notes",
        # Of a worker alone.
        "inferry.v1.Server.tenant",
    }
)

#: How a message tells its reader's choice of a form for JSON values. In JSON there is none.
VALUE_FORMAT = "inferry.v1.ValueFormat"

TIMESTAMP = "google.protobuf.Timestamp"

_TEXT = "_json"


def text_field(field: FieldDescriptor) -> FieldDescriptor | None:
    """Finds the field that holds the JSON text of a ``Struct`` or ``Value``: ``result_json``."""
    return _sibling(field, field.name + _TEXT)


def value_field(field: FieldDescriptor) -> FieldDescriptor | None:
    """Finds the field whose JSON text a field holds: the other way round."""
    if not field.name.endswith(_TEXT) or field.type != FieldDescriptor.TYPE_BYTES:
        return None
    return _sibling(field, field.name.removesuffix(_TEXT))


def shown(field: FieldDescriptor) -> bool:
    """Whether JSON has a field by its own name."""
    return not _chooses_format(field) and value_field(field) is None


def simple(field: FieldDescriptor) -> bool:
    """Whether one text can say what a field holds, as in a query."""
    kind = field.message_type
    return shown(field) and (kind is None or kind.full_name == TIMESTAMP)


def simple_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map of texts by texts: each can be said by itself, as in a query."""
    value = map_value(field)
    return value is not None and value.type == FieldDescriptor.TYPE_STRING


def chooses_format(descriptor: Descriptor) -> bool:
    """Whether a request says in which form JSON values are to come."""
    return any(map(_chooses_format, descriptor.fields))


def map_value(field: FieldDescriptor) -> FieldDescriptor | None:
    """Finds the field that each value of a map is; None if a field is no map."""
    kind = field.message_type
    return kind.fields_by_name["value"] if kind and kind.GetOptions().map_entry else None


def _chooses_format(field: FieldDescriptor) -> bool:
    return field.enum_type is not None and field.enum_type.full_name == VALUE_FORMAT


def _sibling(field: FieldDescriptor, name: str) -> FieldDescriptor | None:
    message = field.containing_type
    return None if message is None else message.fields_by_name.get(name)
