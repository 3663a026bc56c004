"""What the answer to ``POST /process`` means for a task. Pure."""

from typing import Any

import orjson

from inferry.server.errors import InvalidPayloadError
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept, Succeed
from inferry.server.task.json_text import checked_json, refuse_rounded
from inferry.server.task.record import AttemptOutcome

#: Bytes of an answer that an error quotes.
_QUOTED = 200


def read_answer(
    status: int, body: bytes, retry_after_ms: int | None, *, asynchronous: bool
) -> Accept | Succeed | Failure:
    """Tells what the answer to a dispatch means (guide: "Task Processing").

    Args:
        status: Of HTTP.
        body: Whatever came.
        retry_after_ms: From the ``Retry-After`` header.
        asynchronous: Whether there was a callback URL.
    """
    said = _json_object(body)
    if status in (429, 503):
        error = _error_of(said) or f"the server answered {status}"
        return Failure(AttemptOutcome.REFUSED, error, retry_after_ms=retry_after_ms)
    if status in (502, 504):
        return Failure(AttemptOutcome.AMBIGUOUS, f"the server answered {status}")
    word = said.get("status") if said is not None else None
    if 200 <= status < 300 and said is not None:  # noqa: PLR2004  # the 2xx class
        if word == "success":
            return _success(said.get("result"), body)
        if word == "accepted" and asynchronous:
            message = said.get("message")
            return Accept(message if isinstance(message, str) else None)
    if said is not None and (word in ("error", "FAILED") or _error_of(said)):
        return _rejected(said, f"the server answered {status} without a reason")
    return Failure(AttemptOutcome.REJECTED, _nonsense(status, body, word, asynchronous))


def _success(result: Any, body: bytes) -> Succeed | Failure:
    try:
        refuse_rounded(body, "result")
        return Succeed(checked_json(result, "result"))
    except InvalidPayloadError as error:
        return Failure(AttemptOutcome.REJECTED, error.message, error.code)


def _rejected(said: dict[str, Any], unexplained: str) -> Failure:
    code, details = said.get("code"), said.get("details")
    return Failure(
        AttemptOutcome.REJECTED,
        _error_of(said) or unexplained,
        code if isinstance(code, str) and code else "INTERNAL_ERROR",
        _details(details) if isinstance(details, dict) else None,
        retryable=said.get("retryable") is True,
    )


def _details(said: dict[str, Any]) -> bytes | None:
    try:
        return checked_json(said, "details")
    except InvalidPayloadError as error:
        return orjson.dumps({"left_out": error.message})


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def _error_of(said: dict[str, Any] | None) -> str:
    error = said.get("error") if said is not None else None
    return error if isinstance(error, str) else orjson.dumps(error).decode() if error else ""


def _nonsense(status: int, body: bytes, word: object, asynchronous: bool) -> str:  # noqa: FBT001
    expected = '"success", "error" or "accepted"' if asynchronous else '"success" or "error"'
    if word == "accepted":
        return f'the server answered "accepted", but had no callback_url; right is {expected}'
    came = body[:_QUOTED].decode("utf-8", "replace").strip() or "nothing"
    return f"the server answered {status} with no status {expected}: {came}"
