"""From a request to create a task to what the engine takes: every default."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from inferry.server.config import Config
from inferry.server.engine.creator import NewTask
from inferry.server.errors import InvalidPayloadError, PayloadTooLargeError
from inferry.server.logs import REQUEST_IDS
from inferry.server.rpc.task_webhooks import own_hook
from inferry.server.store.operations import RequestKey
from inferry.server.task.hook import Hook
from inferry.server.task.ids import new_task_id
from inferry.server.task.record import NO_LABELS, TaskSpec
from inferry.server.telemetry.trace import NO_TRACE, Trace
from inferry.v1 import task_service_pb2
from inferry.wire.errors import FieldError
from inferry.wire.structs import struct_text
from inferry.wire.text import canonical, check_object

DAY_MS = 86_400_000

#: Gives the trace of a new task, by its id.
Begin = Callable[[str], Trace]


def untraced(_task_id: str) -> Trace:
    """Gives none."""
    return NO_TRACE


def new_task(
    request: task_service_pb2.CreateTaskRequest,
    tenant: str,
    now_ms: int,
    config: Config,
    trace: Begin = untraced,
) -> NewTask:
    """Reads a request to create a task.

    Args:
        request: As it came.
        tenant: Whose the task is to be.
        now_ms: The time.
        config: What holds for what the request does not say.
        trace: Gives the trace of the task, by its id.

    Raises:
        InvalidPayloadError: It breaks a rule of its proto, or its payload is no JSON object.
        PayloadTooLargeError: The payload is.
    """
    asynchronous = request.asynchronous if request.HasField("asynchronous") else True
    usual = _defaults(request, config, asynchronous=asynchronous)
    said: dict[str, Any] = {
        name: getattr(request, name) if request.HasField(name) else value  # type: ignore[arg-type]
        for name, value in usual.items()
    }
    task_id = new_task_id()
    REQUEST_IDS.note(task_id)
    spec = TaskSpec(
        id=task_id,
        tenant=tenant,
        type=request.type,
        capabilities=tuple(sorted(set(wanted))) if (wanted := request.capabilities) else (),
        labels=labels_of(request.labels),
        asynchronous=asynchronous,
        priority=request.priority,
        idempotent=request.idempotent,
        created_ms=now_ms,
        **said,
        **trace(task_id)._asdict(),
    )
    hook = own_hook(request.webhook, spec, config) if request.HasField("webhook") else None
    if hook is not None:
        spec = spec._replace(webhook_events=int(hook.events))
    payload = _payload(request, config)
    key = _key(request, spec, usual, payload, hook) if request.request_id else None
    return NewTask(spec, payload, _not_before(request, now_ms), key, hook)


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


def _defaults(
    request: task_service_pb2.CreateTaskRequest, config: Config, *, asynchronous: bool
) -> Mapping[str, int]:
    """Lists what holds for a task whose creator says nothing of it."""
    usual = {
        "timeout_ms": config.async_timeout_ms,
        "queue_timeout_ms": config.queue_timeout_ms,
        "silence_timeout_ms": config.silence_timeout_ms,
        "total_timeout_ms": config.total_timeout_ms,
        "result_ttl_ms": 0,
        "max_attempts": config.max_attempts,
    }
    return usual if asynchronous else {**usual, **_patience(request, config)}


def _patience(request: task_service_pb2.CreateTaskRequest, config: Config) -> Mapping[str, int]:
    """Tells how long a creator waits who says nothing of it: as long as an attempt may take.

    That is for the queue and the attempt together. Beyond it there is only the time of grace in
    which a server may say itself that its time is over.
    """
    timeout_ms = request.timeout_ms if request.HasField("timeout_ms") else config.sync_timeout_ms
    usual_ms = min(timeout_ms + config.grace_ms, config.total_timeout_ms)
    total_ms = request.total_timeout_ms if request.HasField("total_timeout_ms") else usual_ms
    wait_ms = min(timeout_ms, total_ms) if total_ms == usual_ms else total_ms
    return {
        "timeout_ms": config.sync_timeout_ms,
        "queue_timeout_ms": min(wait_ms, config.queue_timeout_ms),
        "total_timeout_ms": usual_ms,
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
    # Each try has a span of its own.
    wanted = spec._replace(id="", created_ms=0, traceparent="", tracestate="")._asdict()
    asked = [(name, value) for name, value in wanted.items() if usual.get(name) != value]
    start = request.delay_ms, request.not_before.seconds, request.not_before.nanos
    told = () if hook is None else (hook.url, hook.secrets)
    asked_text = repr((asked, start, canonical(payload), *told))
    digest = blake2b(asked_text.encode(), digest_size=16).digest()
    return RequestKey(request.request_id, digest, spec.created_ms + DAY_MS)


def labels_of(given: Mapping[str, str]) -> bytes:
    """Writes labels as a JSON object."""
    return orjson.dumps(dict(given), option=orjson.OPT_SORT_KEYS) if given else NO_LABELS


def _not_before(request: task_service_pb2.CreateTaskRequest, now_ms: int) -> int:
    if request.HasField("not_before"):
        # By hand: ``ToMilliseconds`` raises for what no calendar has.
        at_ms = request.not_before.seconds * 1_000 + request.not_before.nanos // 1_000_000
        if at_ms - now_ms > DAY_MS:
            raise InvalidPayloadError(
                f"notBefore, in ms from now: {at_ms - now_ms}; right is 0 to {DAY_MS}",
                field="notBefore",
            )
        return at_ms if at_ms > now_ms else 0
    return now_ms + request.delay_ms if request.delay_ms else 0
