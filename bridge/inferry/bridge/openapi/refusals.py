"""What a request may be refused with: each status that can come, and no other."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from inferry.bridge.contract import CALLBACK_RPC, OPEN_RPCS, REFUSALS
from inferry.bridge.openapi.bounds import Schema
from inferry.bridge.openapi.schemas import reference
from inferry.bridge.routes import Route

#: The guide's error response.
ERROR: Final[Schema] = {
    "type": "object",
    "required": ["status", "error", "code", "details"],
    "properties": {
        "status": {"const": "FAILED"},
        "error": {"type": "string", "description": "One line for a person."},
        "code": {"type": "string", "description": "One word for a program."},
        "details": {"type": "object"},
    },
}
_TASK = "task_01K7R3N5W8Q2XJ4V6ZB9C0D1EF"
_AGAIN: Final[Schema] = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}


class _Refusal(NamedTuple):
    """What comes with a status."""

    description: str
    #: By code: an error and its details.
    examples: Mapping[str, tuple[str, Mapping[str, Any]]]
    headers: Schema | None = None


_REFUSALS: Final[Mapping[int, _Refusal]] = {
    400: _Refusal(
        "The request is wrong: the error says where, what came and what is right.",
        {
            "INVALID_PAYLOAD": (
                'timeout: expected an integer, got "soon"',
                {"field": "timeout"},
            )
        },
    ),
    401: _Refusal(
        "No token, or none that holds.",
        {"UNAUTHENTICATED": ("the call has no token", {})},
        {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    ),
    403: _Refusal(
        "The token's role may not do this.",
        {"PERMISSION_DENIED": ("the token's role may not call this", {})},
    ),
    404: _Refusal("There is no such thing.", {"NOT_FOUND": (f"there is no task {_TASK}", {})}),
    408: _Refusal(
        "The body took too long to come.",
        {"TIMEOUT": ("the body took longer than 30 s", {})},
    ),
    409: _Refusal(
        "Not possible as things are.",
        {
            "ILLEGAL_TRANSITION": (
                f"the task {_TASK} is COMPLETED",
                {"taskId": _TASK, "status": "COMPLETED", "allowed": []},
            ),
            "STALE_ATTEMPT": (
                "the attempt 1 has ended; the latest is 2",
                {"taskId": _TASK, "attempt": 1, "current": 2},
            ),
            "NO_OWN_TOKENS": ("this gateway takes tokens that others sign and can make none", {}),
        },
    ),
    410: _Refusal(
        "It was there, and its time of retention is over.",
        {"GONE": (f"the task {_TASK} is no longer kept", {"taskId": _TASK})},
    ),
    413: _Refusal(
        "The body is too large.",
        {"PAYLOAD_TOO_LARGE": ("the body is larger than 1048576 bytes", {"limit": 1_048_576})},
    ),
    415: _Refusal(
        "The body is not called JSON, or is encoded.",
        {"INVALID_FORMAT": ('send the body without Content-Encoding, got "gzip"', {})},
    ),
    422: _Refusal(
        "The key belongs to another request.",
        {"REQUEST_ID_REUSED": ("the key order-7 names another request", {"taskId": _TASK})},
    ),
    429: _Refusal(
        "There are too many already, or it was asked too often.",
        {
            "RESOURCE_LIMIT": ("10000 tasks wait; the limit is 10000", {}),
            "TOO_MANY_REQUESTS": ("20 in 60 s are enough: try again later", {}),
        },
        _AGAIN,
    ),
    431: _Refusal(
        "The URL or a header is too long, or there are too many headers.",
        {"INVALID_PAYLOAD": ("the first line or a header has more than 16,384 bytes", {})},
    ),
    503: _Refusal(
        "The gateway stops, cannot be reached or cannot write.",
        {"UNAVAILABLE": ("the gateway cannot be reached; try again", {})},
        _AGAIN,
    ),
}


def refusals(route: Route) -> dict[str, Schema]:
    """Describes what a request to a route may be refused with, by status."""
    found: dict[str, Schema] = {}
    for status in sorted(_statuses(route)):
        refusal = _REFUSALS[status]
        codes = REFUSALS.get(route.rpc, {}).get(status, tuple(refusal.examples))
        examples = {
            code: {
                "value": {
                    "status": "FAILED",
                    "error": refusal.examples[code][0],
                    "code": code,
                    "details": dict(refusal.examples[code][1]),
                }
            }
            for code in codes
        }
        media = {"schema": reference("Error"), "examples": examples}
        found[str(status)] = {
            "description": refusal.description,
            "content": {"application/json": media},
        }
        if refusal.headers:
            found[str(status)]["headers"] = refusal.headers
    return found


def _statuses(route: Route) -> Iterator[int]:
    yield from (400, 401, 431, 503)
    if route.rpc not in OPEN_RPCS:
        yield 403
    if route.variables:
        yield 404
    if route.verb != "GET":
        # What has no body by right may have one all the same.
        yield from (408, 413)
        if route.rpc != CALLBACK_RPC:
            yield 415
    yield from REFUSALS.get(route.rpc, {})
