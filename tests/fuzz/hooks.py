"""What schemathesis has to know besides the document: what no schema can say."""

import os
import re
from typing import Any

import schemathesis

#: Where a backend listens that takes every task.
BACKEND_URL = os.environ["INFERRY_FUZZ_BACKEND"]
#: Opaque, relative to what is there, or so long that a case would wait.
UNSAID = ("after", "lastEventId", "wait", "grace", "Last-Event-ID", "Prefer")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)


@schemathesis.hook
def map_case(
    context: schemathesis.HookContext, case: schemathesis.Case[Any]
) -> schemathesis.Case[Any]:
    """Has no case wait for long, nor call what is not ours."""
    if case.meta is not None and case.meta.generation.mode.is_negative:
        # It is to stay as wrong as it is.
        return case
    for said in (case.query, case.headers):
        for name in UNSAID:
            if said and name in said:
                del said[name]
    body: Any = case.body
    if isinstance(body, dict):
        if case.headers and "Idempotency-Key" in case.headers:
            # Both name the request: they would have to be the same.
            body.pop("requestId", None)
        for one in (body, *body.get("requests", ())):
            _shorten(one)
            for told in (one, one.get("webhook")):
                if told and "url" in told:
                    told["url"] = BACKEND_URL
    return case


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leaves out the texts of numbers as wrong bodies: canonical proto3 JSON takes them."""
    negative = case.meta is not None and case.meta.generation.mode.is_negative
    return not (negative and _has_number_as_text(case.body))


def _has_number_as_text(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_number_as_text, value.values()))
    if isinstance(value, list):
        return any(map(_has_number_as_text, value))
    return isinstance(value, str) and NUMBER.fullmatch(value) is not None


def _shorten(request: dict[str, Any]) -> None:
    request.pop("notBefore", None)
    if request.get("async") is False:
        request.pop("delayMs", None)
        request |= {"queueTimeout": 100, "totalTimeout": 1_000}
