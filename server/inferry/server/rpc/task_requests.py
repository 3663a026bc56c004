"""From requests about tasks to what the engine takes: every check and every default."""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import orjson

from inferry.server.config import Config
from inferry.server.engine.creator import NewTask
from inferry.server.errors import InvalidPayloadError, PayloadTooLargeError
from inferry.server.rpc.task_webhooks import own_hook
from inferry.server.store.operations import RequestKey
from inferry.server.task.hook import Hook
from inferry.server.task.ids import new_task_id
from inferry.server.task.record import NO_LABELS, TaskSpec
from inferry.v1 import task_service_pb2
from inferry.wire.errors import FieldError
from inferry.wire.structs import struct_text
from inferry.wire.text import canonical, check_object

DAY_MS = 86_400_000
TTL_LIMIT_MS = 2**31 - 1
CAPABILITIES_LIMIT = 32
LABELS_LIMIT = 32
LABEL_KEY_LIMIT = 63
LABEL_VALUE_LIMIT = 255
REQUEST_ID_LIMIT = 255

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_REQUEST_ID = re.compile(rf"[!-~]{{1,{REQUEST_ID_LIMIT}}}", re.ASCII)
_NAME_RULE = "1 to 128 letters, digits, '.', '_', ':', '/' and '-', the first a letter or digit"


def new_task(
    request: task_service_pb2.CreateTaskRequest, tenant: str, now_ms: int, config: Config
) -> NewTask:
    """Reads a request to create a task.

    Raises:
        InvalidPayloadError: Something is missing or out of its bounds.
        PayloadTooLargeError: The payload is.
    """
    asynchronous = request.asynchronous if request.HasField("asynchronous") else True
    usual = _defaults(config, asynchronous=asynchronous)
    spec = TaskSpec(
        id=new_task_id(),
        tenant=tenant,
        type=name_of("type", request.type),
        capabilities=names("capabilities", request.capabilities, CAPABILITIES_LIMIT),
        labels=labels_of(request.labels),
        asynchronous=asynchronous,
        priority=within("priority", request.priority, 0, 9),
        timeout_ms=_optional(request, "timeout_ms", "timeout", usual, DAY_MS),
        queue_timeout_ms=_optional(request, "queue_timeout_ms", "queueTimeout", usual, DAY_MS),
        silence_timeout_ms=_optional(
            request, "silence_timeout_ms", "silenceTimeout", usual, DAY_MS, 0
        ),
        total_timeout_ms=_optional(request, "total_timeout_ms", "totalTimeout", usual, 7 * DAY_MS),
        result_ttl_ms=_optional(request, "result_ttl_ms", "resultTtl", usual, TTL_LIMIT_MS),
        max_attempts=_optional(request, "max_attempts", "maxAttempts", usual, 100),
        idempotent=request.idempotent,
        created_ms=now_ms,
    )
    hook = own_hook(request.webhook, spec, config) if request.HasField("webhook") else None
    if hook is not None:
        spec = spec._replace(webhook_events=int(hook.events))
    payload = _payload(request, config)
    key = _key(request, spec, usual, payload, hook) if request.request_id else None
    return NewTask(spec, payload, _not_before(request, now_ms), key, hook)


def names(field: str, given: Iterable[str], limit: int) -> tuple[str, ...]:
    """Reads a list of names: sorted, each once.

    Raises:
        InvalidPayloadError: There are too many, or one is no name.
    """
    found = sorted({name_of(field, one) for one in given})
    if len(found) > limit:
        raise InvalidPayloadError(f"{field}: {len(found)} names; the limit is {limit}")
    return tuple(found)


def name_of(field: str, text: str) -> str:
    """Checks a type or a capability.

    Raises:
        InvalidPayloadError: It is no name.
    """
    if not _NAME.fullmatch(text):
        came = f"{text!r}" if text else "missing"
        raise InvalidPayloadError(f"{field}: {came}; right is {_NAME_RULE}")
    return text


def reason_of(text: str, limit: int) -> str:
    """Checks the reason for something, for a person.

    Raises:
        InvalidPayloadError: It is too long.
    """
    if len(text) > limit:
        raise InvalidPayloadError(f"reason: {len(text)} characters; the limit is {limit}")
    return text


def within(field: str, value: int, least: int, most: int) -> int:
    """Checks a number's bounds; returns it.

    Raises:
        InvalidPayloadError: It is out of them.
    """
    if not least <= value <= most:
        raise InvalidPayloadError(f"{field}: {value}; right is {least} to {most}")
    return value


def _optional(
    request: task_service_pb2.CreateTaskRequest,
    field: str,
    shown: str,
    usual: Mapping[str, int],
    most: int,
    least: int = 1,
) -> int:
    if not request.HasField(field):  # type: ignore[arg-type]  # a literal at each call
        return usual[field]
    return within(shown, getattr(request, field), least, most)


def _payload(request: task_service_pb2.CreateTaskRequest, config: Config) -> bytes:
    """Reads a payload: checked once, and passed through from here on."""
    try:
        if request.HasField("payload"):
            payload = struct_text(request.payload)
        else:
            payload = request.payload_json if request.HasField("payload_json") else b"{}"
        if len(payload) <= config.request_limit_bytes:
            check_object(payload, config.json_depth_limit)
            return payload
    except FieldError as error:
        error.within("payload")
        raise InvalidPayloadError(str(error), field="payload") from None
    raise PayloadTooLargeError(
        f"payload: {len(payload)} bytes; the limit is {config.request_limit_bytes}"
    )


def _defaults(config: Config, *, asynchronous: bool) -> Mapping[str, int]:
    """Lists what holds for a task whose creator says nothing of it."""
    return {
        "timeout_ms": config.async_timeout_ms if asynchronous else config.sync_timeout_ms,
        "queue_timeout_ms": config.queue_timeout_ms,
        "silence_timeout_ms": config.silence_timeout_ms,
        "total_timeout_ms": config.total_timeout_ms,
        "result_ttl_ms": 0,
        "max_attempts": config.max_attempts,
        "webhook_events": 0,
    }


def _key(
    request: task_service_pb2.CreateTaskRequest,
    spec: TaskSpec,
    usual: Mapping[str, int],
    payload: bytes,
    hook: Hook | None,
) -> RequestKey:
    """Names a request by what it asks for: a default that is spelled out makes no other request.

    Neither does the form of its payload, nor the order of its keys. Defaults are left out, so that
    a request without them stays the same when they are changed.
    """
    if not _REQUEST_ID.fullmatch(request.request_id):
        raise InvalidPayloadError(
            f"requestId (Idempotency-Key): {request.request_id[:REQUEST_ID_LIMIT]!r}; right is 1 "
            f"to {REQUEST_ID_LIMIT} printable ASCII characters without spaces, at best a UUID"
        )
    wanted = spec._replace(id="", created_ms=0)._asdict()
    asked = [(name, value) for name, value in wanted.items() if usual.get(name) != value]
    start = request.delay_ms, request.not_before.seconds, request.not_before.nanos
    told = () if hook is None else (hook.url, hook.secrets)
    asked_text = repr((asked, start, canonical(payload), *told))
    digest = blake2b(asked_text.encode(), digest_size=16).digest()
    return RequestKey(request.request_id, digest, spec.created_ms + DAY_MS)


def labels_of(given: Mapping[str, str]) -> bytes:
    """Reads labels; returns them as a JSON object.

    Raises:
        InvalidPayloadError: There are too many, or one is too long.
    """
    if not given:
        return NO_LABELS
    labels = dict(given)
    within("labels", len(labels), 0, LABELS_LIMIT)
    check_labels(labels)
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)


def check_labels(labels: Mapping[str, str]) -> None:
    """Checks labels.

    Raises:
        InvalidPayloadError: One is too long, or has no key.
    """
    for key, value in labels.items():
        if not 0 < len(key) <= LABEL_KEY_LIMIT or len(value) > LABEL_VALUE_LIMIT:
            raise InvalidPayloadError(
                f"labels: {key[:LABEL_KEY_LIMIT]!r}; keys have 1 to {LABEL_KEY_LIMIT} characters, "
                f"values at most {LABEL_VALUE_LIMIT}"
            )


def _not_before(request: task_service_pb2.CreateTaskRequest, now_ms: int) -> int:
    if request.HasField("not_before"):
        if request.HasField("delay_ms"):
            raise InvalidPayloadError("delayMs and notBefore exclude each other")
        # By hand: ``ToMilliseconds`` raises for what no calendar has.
        at_ms = request.not_before.seconds * 1_000 + request.not_before.nanos // 1_000_000
        within("notBefore, in ms from now", max(0, at_ms - now_ms), 0, DAY_MS)
        return at_ms if at_ms > now_ms else 0
    delay_ms = within("delayMs", request.delay_ms, 0, DAY_MS)
    return now_ms + delay_ms if delay_ms else 0
