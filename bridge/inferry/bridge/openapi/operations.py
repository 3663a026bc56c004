"""What a route takes and answers."""

from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from inferry.bridge.contract import (
    BATCH_RPC,
    CALLBACK_RPC,
    CREATE_RPC,
    KEY_HEADER,
    LINKS,
    MANY_RPC,
    OPEN_RPCS,
    REPLAYED_HEADER,
    WATCH_RPC,
)
from inferry.bridge.create import KEY
from inferry.bridge.events import MANY_TASKS, ONE_TASK
from inferry.bridge.openapi.bounds import Schema
from inferry.bridge.openapi.refusals import refusals
from inferry.bridge.openapi.schemas import Schemas, Side
from inferry.bridge.routes import Route
from inferry.wire.trace import TRACEPARENT, TRACESTATE

_CREATE_HEADERS: Final[list[Schema]] = [
    {
        "name": KEY_HEADER,
        "in": "header",
        "description": "Names the request: the same request with the same key within 24 h gives "
        "the task that the first one created. Goes for `requestId`.",
        "schema": {"type": "string", "pattern": f"^(?:{KEY.pattern})$"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=N` waits for the end of the task, N seconds (1 to 60) at most.",
        "schema": {"type": "string"},
    },
]
_TRACE_HEADERS: Final[list[Schema]] = [
    {
        "name": TRACEPARENT,
        "in": "header",
        "description": "The trace that tasks are created in, by W3C Trace Context; one that "
        "is none is passed over.",
        "schema": {"type": "string"},
    },
    {
        "name": TRACESTATE,
        "in": "header",
        "description": "What else is known of that trace.",
        "schema": {"type": "string"},
    },
]
_CREATED_HEADERS: Final[Schema] = {
    "Location": {
        "description": "The task.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    REPLAYED_HEADER: {
        "description": "There when an earlier request with the same key created the task.",
        "schema": {"const": "true"},
    },
}
_BODY_EXAMPLES: Final[Mapping[str, Schema]] = {
    CREATE_RPC: {"type": "test-processing", "payload": {"test": "data"}},
}


class Operations:
    """Describes routes."""

    def __init__(self, schemas: Schemas, comments: Mapping[str, str]) -> None:
        self._schemas = schemas
        self._comments = comments

    def describe(self, route: Route) -> Schema:
        """Describes one; its name is the document's to give."""
        operation: Schema = {
            "summary": self._comments.get(route.rpc, str(route.method.name)),
            "tags": [str(route.method.containing_service.name)],
            "parameters": [
                *(self._parameter(field, route) for field in _path_fields(route)),
                *(self._parameter(field, route) for field in route.query_fields),
                *(self._map_parameter(field) for field in route.query_maps),
            ],
            "responses": {**self._answers(route), **refusals(route)},
        }
        if route.rpc == CREATE_RPC:
            operation["parameters"] += _CREATE_HEADERS
        if route.rpc in (CREATE_RPC, BATCH_RPC):
            operation["parameters"] += _TRACE_HEADERS
        if route.rpc in (CALLBACK_RPC, WATCH_RPC):
            # The token or the ticket of its URL will do.
            operation["security"] = [{"token": []}, {}]
        if route.rpc in OPEN_RPCS:
            operation["security"] = []
        if route.method.server_streaming:
            operation["parameters"] += _watch_parameters(route)
        if route.body_type:
            operation["requestBody"] = self._body(route, route.body_type)
        return operation

    def _body(self, route: Route, kind: Descriptor) -> Schema:
        # What stands in the path need not be said again.
        hidden = frozenset(route.variables) if route.body == "*" else frozenset()
        schema = (
            self._schemas.object(kind, Side.CALLER, hidden)
            if hidden
            else self._schemas.message(kind, Side.CALLER)
        )
        media: Schema = {"schema": schema}
        if route.rpc in _BODY_EXAMPLES:
            media["example"] = _BODY_EXAMPLES[route.rpc]
        body: Schema = {"content": {"application/json": media}}
        if self._schemas.needs_something(kind, hidden):
            body["required"] = True
        return body

    def _answers(self, route: Route) -> Schema:
        done: Schema = {"description": "Done.", "content": self._content(route)}
        if links := LINKS.get(route.rpc):
            done["links"] = {
                name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
                for name in links
            }
        if route.rpc == CREATE_RPC:
            done["headers"] = _CREATED_HEADERS
            return {"200": done, "202": {**done, "description": "Created, and not waited for."}}
        if route.method.server_streaming and route.rpc != MANY_RPC:
            return {"200": done, "204": {"description": "No more events: the task is final."}}
        return {"200": done}

    def _content(self, route: Route) -> Schema:
        schema = self._schemas.message(route.answer_type, Side.GATEWAY)
        if not route.method.server_streaming:
            return {"application/json": {"schema": schema}}
        data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
        event: Schema = {
            "type": "object",
            "required": ["data"],
            "properties": {
                "id": {"type": "string", "description": "Names the event, to go on after it."},
                "data": data,
            },
        }
        if route.rpc != MANY_RPC:
            event["properties"]["event"] = {
                "type": "string",
                "description": "The kind of the event in lower case, or `error`.",
            }
        return {"text/event-stream": {"itemSchema": event}}

    def _parameter(self, field: FieldDescriptor, route: Route) -> Schema:
        schema = self._schemas.parameter(field)
        if field.name not in route.variables:
            return {"name": field.json_name, "in": "query", "schema": schema}
        # A path without it is another one.
        if schema["type"] == "string":
            schema.setdefault("minLength", 1)
        return {"name": field.name, "in": "path", "required": True, "schema": schema}

    def _map_parameter(self, field: FieldDescriptor) -> Schema:
        """Describes the entries of a map: ``labels.team=vision``."""
        name = str(field.json_name)
        told = self._schemas.parameter(field)
        longest = told.get("propertyNames", {}).get("maxLength")
        key = f".{{1,{longest}}}" if longest else ".+"
        schema = {
            "type": "object",
            "patternProperties": {f"^{name}\\.{key}$": told["additionalProperties"]},
            "additionalProperties": False,
        }
        if "maxProperties" in told:
            schema["maxProperties"] = told["maxProperties"]
        return {
            "name": name,
            "in": "query",
            "description": told.get("description", ""),
            "style": "form",
            "explode": True,
            "schema": schema,
        }


def _watch_parameters(route: Route) -> list[Schema]:
    form = MANY_TASKS if route.rpc == MANY_RPC else ONE_TASK
    pattern = form.name.pattern
    return [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": f"Only what comes after this, {form.named}; goes before `after`.",
            "schema": {"type": "string", "pattern": f"^({pattern})?$"},
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
