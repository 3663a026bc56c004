"""What a REST caller is told when a request cannot be served: always the guide's error body."""

from collections.abc import Mapping
from typing import Any

import orjson

from inferry.wire.errors import FieldError, NoJsonError

#: Headers of an answer after which its connection ends.
CLOSE: Mapping[str, str] = {"Connection": "close"}


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


def refusal(error: FieldError) -> BridgeError:
    """Makes the answer to a request with a wrong value: 400 ``INVALID_PAYLOAD``."""
    details: dict[str, Any] = {}
    if where := error.where():
        details["field"] = where
    if isinstance(error, NoJsonError):
        details["position"] = error.position
    return invalid(str(error), **details)


def invalid(message: str, **details: Any) -> BridgeError:
    """Makes the answer to a request that is wrong: 400 ``INVALID_PAYLOAD``."""
    return BridgeError(400, "INVALID_PAYLOAD", message, details=details)
