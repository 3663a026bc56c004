"""OpenAPI 3.1 of the REST interface, from the descriptors that it is served by."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from inferry.bridge.contract import (
    CREATE_RPC,
    KEY_HEADER,
    LENIENT_MESSAGES,
    MANY_RPC,
    REPLAYED_HEADER,
)
from inferry.bridge.events import MANY_TASKS, ONE_TASK
from inferry.bridge.routes import Route
from inferry.wire.rules import LOWER_CASE_ENUMS, TIMESTAMP, map_value, shown

Schema = dict[str, Any]

_WELL_KNOWN: Mapping[str, Schema] = {
    TIMESTAMP: {"type": "string", "format": "date-time"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {"description": "Any JSON value."},
}
_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number"},
}
_CREATE_HEADERS: list[Schema] = [
    {
        "name": KEY_HEADER,
        "in": "header",
        "description": "Names the request: the same request with the same key within 24 h gives "
        "the task that the first one created.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=N` waits for the end of the task, N seconds (1 to 60) at most.",
        "schema": {"type": "string"},
    },
]
_CREATED_HEADERS: Schema = {
    "Location": {"description": "The task.", "schema": {"type": "string"}},
    REPLAYED_HEADER: {
        "description": "There when an earlier request with the same key created the task.",
        "schema": {"const": "true"},
    },
}
_ERROR: Schema = {
    "type": "object",
    "required": ["status", "error", "code", "details"],
    "properties": {
        "status": {"const": "FAILED"},
        "error": {"type": "string", "description": "One line for a person."},
        "code": {"type": "string", "description": "One word for a program."},
        "details": {"type": "object"},
    },
}


class OpenApi:
    """Collects the schemas of the messages that the operations name."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self._schemas: dict[str, Schema] = {"Error": _ERROR}

    def document(self, routes: list[Route], version: str, prefix: str) -> Schema:
        """Makes the whole document; ``prefix`` stands before the paths."""
        paths: dict[str, dict[str, Schema]] = {}
        taken: set[str] = set()
        for route in routes:
            operation = self._operation(route)
            name = str(route.method.name)
            # An RPC with two bindings is two operations.
            operation["operationId"] = name if name not in taken else f"{name}{route.verb.title()}"
            taken.add(name)
            paths.setdefault(route.template, {})[route.verb.lower()] = operation
        bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        return {
            "openapi": "3.1.0",
            "info": {"title": "Inferry", "version": version},
            "servers": [{"url": prefix or "/"}],
            "security": [{"token": []}],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "securitySchemes": {"token": bearer},
            },
        }

    def _operation(self, route: Route) -> Schema:
        operation: Schema = {
            "summary": self._comments.get(route.rpc, str(route.method.name)),
            "tags": [str(route.method.containing_service.name)],
            "parameters": [
                self._parameter(field, route)
                for field in (*_path_fields(route), *route.query_fields)
            ]
            + [self._map_parameter(field) for field in route.query_maps],
            "responses": {
                "200": {"description": "Done.", "content": self._answer(route)},
                "default": {
                    "description": "Refused or failed.",
                    "content": {"application/json": {"schema": _reference("Error")}},
                },
            },
        }
        if route.rpc == CREATE_RPC:
            created = {
                "description": "Created, and not waited for.",
                "content": self._answer(route),
            }
            operation["responses"]["202"] = created
            for status in ("200", "202"):
                operation["responses"][status]["headers"] = _CREATED_HEADERS
            operation["parameters"] += _CREATE_HEADERS
        if route.method.server_streaming:
            operation["parameters"] += _watch_parameters(route)
        if route.method.server_streaming and route.rpc != MANY_RPC:
            operation["responses"]["204"] = {"description": "No more events: the task is final."}
        if route.body_type:
            # What stands in the path need not be said again.
            hidden = set(route.variables) if route.body == "*" else set()
            named = self._message(route.body_type)
            schema = self._object(route.body_type, hidden) if hidden else named
            operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
        return operation

    def _answer(self, route: Route) -> Schema:
        media = "text/event-stream" if route.method.server_streaming else "application/json"
        return {media: {"schema": self._message(route.answer_type)}}

    def _parameter(self, field: FieldDescriptor, route: Route) -> Schema:
        in_path = field.name in route.variables
        parameter: Schema = {
            "name": field.name if in_path else field.json_name,
            "in": "path" if in_path else "query",
            "schema": self._field(field),
        }
        if in_path:
            parameter["required"] = True
        return parameter

    def _map_parameter(self, field: FieldDescriptor) -> Schema:
        """Describes the entries of a map: ``labels.team=vision``."""
        name = str(field.json_name)
        return {
            "name": name,
            "in": "query",
            "description": self._comments.get(field.full_name, ""),
            "style": "form",
            "explode": True,
            "schema": {
                "type": "object",
                "patternProperties": {f"^{name}\\..+$": {"type": "string"}},
                "additionalProperties": False,
            },
        }

    def _message(self, descriptor: Descriptor) -> Schema:
        if descriptor.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[descriptor.full_name])
        if descriptor.name not in self._schemas:
            # Taken first: a message may hold messages of its own type.
            self._schemas[descriptor.name] = {}
            self._schemas[descriptor.name] = self._object(descriptor, set())
        return _reference(descriptor.name)

    def _object(self, descriptor: Descriptor, hidden: set[str]) -> Schema:
        fields = [field for field in descriptor.fields if shown(field) and field.name not in hidden]
        # Backends speak as the guide does to them; other names are taken all the same.
        plain = descriptor.full_name in LENIENT_MESSAGES
        return {
            "type": "object",
            "description": self._comments.get(descriptor.full_name, ""),
            "properties": {
                field.name if plain else field.json_name: self._field(field) for field in fields
            },
        }

    def _field(self, field: FieldDescriptor) -> Schema:
        said = self._comments.get(field.full_name)
        schema = self._kind(field)
        return {**schema, "description": said} if said else schema

    def _kind(self, field: FieldDescriptor) -> Schema:
        value = map_value(field)
        if value is not None:
            return {"type": "object", "additionalProperties": self._single(value)}
        single = self._single(field)
        return {"type": "array", "items": single} if field.is_repeated else single

    def _single(self, field: FieldDescriptor) -> Schema:
        if field.message_type:
            return self._message(field.message_type)
        if field.enum_type:
            return {"type": "string", "enum": _names(field.enum_type)}
        return dict(_SCALARS.get(field.type, {"type": "integer"}))


def _watch_parameters(route: Route) -> list[Schema]:
    form = MANY_TASKS if route.rpc == MANY_RPC else ONE_TASK
    pattern = form.name.pattern
    return [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": f"Only what comes after this, {form.named}; goes before `after`.",
            "schema": {"type": "string", "pattern": f"^{pattern}$"},
        },
        {
            "name": "lastEventId",
            "in": "query",
            "description": "The same, for who cannot send the header; empty for none.",
            "schema": {"type": "string", "pattern": f"^({pattern})?$"},
        },
    ]


def _path_fields(route: Route) -> list[FieldDescriptor]:
    fields = route.method.input_type.fields_by_name
    return [fields[name] for name in route.variables]


def _names(enum: EnumDescriptor) -> list[str]:
    lower = enum.full_name in LOWER_CASE_ENUMS
    return [value.name.lower() if lower else value.name for value in enum.values if value.number]


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
