"""The whole document."""

from collections.abc import Mapping
from typing import Final

from inferry.bridge.openapi.bounds import Schema
from inferry.bridge.openapi.operations import Operations
from inferry.bridge.openapi.refusals import ERROR
from inferry.bridge.openapi.schemas import Schemas
from inferry.bridge.routes import Route

#: The first version that describes the events of a stream one by one.
_VERSION = "3.2.0"
_SECURITY_SCHEMES: Final[Schema] = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
}


def openapi(routes: list[Route], comments: Mapping[str, str], version: str, prefix: str) -> Schema:
    """Makes the document.

    Args:
        routes: What is served.
        comments: What stands above each message, field and RPC in the protos, by full name.
        version: The gateway's.
        prefix: What stands before the paths.
    """
    schemas = Schemas(comments, [route.answer_type for route in routes])
    schemas.collected["Error"] = ERROR
    operations = Operations(schemas, comments)
    paths: dict[str, Schema] = {}
    taken: set[str] = set()
    for route in routes:
        operation = operations.describe(route)
        name = str(route.method.name)
        # An RPC with two bindings is two operations.
        operation["operationId"] = name if name not in taken else f"{name}{route.verb.title()}"
        taken.add(name)
        paths.setdefault(route.template, {})[route.verb.lower()] = operation
    return {
        "openapi": _VERSION,
        "info": {"title": "Inferry", "version": version},
        "servers": [{"url": prefix or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.collected.items())),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }
