"""What a REST caller is told when a request cannot be served: always the guide's error body."""

from collections.abc import Mapping
from typing import Any

import orjson


class BridgeError(Exception):
    """An answer that is an error: HTTP status, code, text, details and headers."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}
        self.headers = headers or {}

    def body(self) -> bytes:
        """Prints the guide's standard error response."""
        content = {
            "status": "FAILED",
            "error": self.message,
            "code": self.code,
            "details": self.details,
        }
        return orjson.dumps(content)


class FieldError(Exception):
    """A field of a request that is wrong; says where, what came and what is right."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        #: Names and indexes on the way to the field, innermost first.
        self.path: list[str | int] = []

    def within(self, part: str | int) -> None:
        """Notes the name or index under which the wrong value stands."""
        self.path.append(part)

    def where(self) -> str:
        """Spells the way to the field: ``labels.team``, ``capabilities[2]``."""
        spelled = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in reversed(self.path)
        )
        return spelled.removeprefix(".")

    def refusal(self) -> BridgeError:
        """Turns it into the answer: 400 ``INVALID_PAYLOAD``."""
        where = self.where()
        if not where:
            return invalid(self.reason)
        return invalid(f"{where}: {self.reason}", field=where)


def invalid(message: str, **details: Any) -> BridgeError:
    """Makes the answer to a request that is wrong: 400 ``INVALID_PAYLOAD``."""
    return BridgeError(400, "INVALID_PAYLOAD", message, details=details)


def expected(right: str, came: Any) -> FieldError:
    """Makes the error of a field that holds something of another kind."""
    return FieldError(f"expected {right}, got {show(came)}")


def show(value: Any) -> str:
    """Prints a JSON value for an error text, in short."""
    if isinstance(value, dict):
        return "an object" if value else "{}"
    if isinstance(value, list):
        return "an array" if value else "[]"
    if isinstance(value, str):
        # A header may hold bytes that are no UTF-8; they are surrogates here.
        value = value.encode(errors="replace").decode()
    text = orjson.dumps(value, default=float).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line's worth
