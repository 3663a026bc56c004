"""The routes of the REST interface, read from the ``google.api.http`` annotations of the protos."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from inferry.wire.rules import simple, simple_map

_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")
#: Such as ``tasks``, or ``tasks:batchCreate``.
_LITERAL = re.compile(r"[A-Za-z0-9._-]+(:[A-Za-z]+)?")


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP method and path template, and the RPC that it calls."""

    method: MethodDescriptor
    #: The HTTP method in upper case.
    verb: str
    #: ``/api/tasks/{id}``: literals and variables that are fields of the request.
    template: str
    #: The field that the body fills; ``*`` for the whole request, empty when there is no body.
    body: str
    #: The field of the response that is the answer; empty for the whole response.
    response_body: str

    @property
    def variables(self) -> tuple[str, ...]:
        """The fields that the path fills."""
        return tuple(_VARIABLE.findall(self.template))

    @property
    def query_fields(self) -> list[FieldDescriptor]:
        """The fields that a query may fill: simple ones that neither path nor body tell."""
        return [field for field in self._untold_fields if simple(field)]

    @property
    def query_maps(self) -> list[FieldDescriptor]:
        """The maps that a query may fill, key by key: ``labels.team=vision``."""
        return [field for field in self._untold_fields if simple_map(field)]

    @property
    def _untold_fields(self) -> list[FieldDescriptor]:
        request = self.method.input_type
        if self.body == "*":
            return []
        told = {*self.variables, self.body}
        if self.body and (choice := request.fields_by_name[self.body].containing_oneof):
            told |= {field.name for field in choice.fields}
        return [field for field in request.fields if field.name not in told]

    @property
    def rpc(self) -> str:
        """The RPC's full name."""
        return str(self.method.full_name)

    @property
    def body_type(self) -> Descriptor | None:
        """What the body is printed from; None when there is no body."""
        if self.body == "*":
            return self.method.input_type
        return _message_type(self.method.input_type, self.body) if self.body else None

    @property
    def answer_type(self) -> Descriptor:
        """What the answer is printed from."""
        output = self.method.output_type
        return _message_type(output, self.response_body) if self.response_body else output


def read_routes(services: Iterable[ServiceDescriptor]) -> list[Route]:
    """Reads the routes of all RPCs that have any.

    Raises:
        ValueError: An annotation asks for something that this bridge cannot do.
    """
    return [
        route
        for service in services
        for method in service.methods
        if method.GetOptions().HasExtension(annotations_pb2.http)
        for route in _routes(method)
    ]


def _routes(method: MethodDescriptor) -> Iterator[Route]:
    if method.client_streaming:
        raise ValueError(f"{method.full_name}: HTTP has no stream of requests")
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        yield _route(method, binding)


def _route(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Route:
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        raise ValueError(f"{method.full_name}: the annotation has no path")
    if pattern == "custom":
        verb, template = rule.custom.kind, rule.custom.path
    else:
        verb, template = pattern.upper(), getattr(rule, pattern)
    route = Route(method, verb, template, rule.body, rule.response_body)
    _check(route)
    return route


def _message_type(descriptor: Descriptor, name: str) -> Descriptor:
    field = descriptor.fields_by_name[name]
    if field.message_type is None:
        raise ValueError(f"{field.full_name}: only a message can be a body")
    return field.message_type


def _check(route: Route) -> None:
    lead, *segments = route.template.split("/")
    known = all(_VARIABLE.fullmatch(part) or _LITERAL.fullmatch(part) for part in segments)
    if lead or not segments or not known:
        raise ValueError(f"{route.rpc}: cannot serve the path {route.template}")
    named = {*route.variables, route.body} - {"", "*"}
    unknown = named - set(route.method.input_type.fields_by_name)
    if route.response_body not in {"", *route.method.output_type.fields_by_name}:
        unknown.add(route.response_body)
    if unknown:
        raise ValueError(f"{route.rpc}: no such field: {', '.join(sorted(unknown))}")
