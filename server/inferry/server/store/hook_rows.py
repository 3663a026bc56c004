"""Webhooks and deliveries to rows and back, for both stores."""

from collections.abc import Sequence
from typing import Any

import orjson

from inferry.server.store.rows import Row
from inferry.server.task.hook import (
    Claim,
    Delivery,
    DeliveryKey,
    DeliveryState,
    Hook,
    HookEvent,
    HookSecret,
)

HOOK = Hook._fields
#: A delivery as it is shown.
DELIVERY = (
    *("task_id", "webhook_id", "seq", "event", "state", "created_ms"),
    *("tries", "next_ms", "ended_ms", "attempts"),
)
#: All of it.
DELIVERY_ROW = (
    *("task_id", "webhook_id", "seq", "tenant", "event", "host", "body", "created_ms"),
    *("state", "tries", "next_ms", "claimed", "ended_ms", "attempts"),
)
NO_ATTEMPTS = b"[]"


def hook_row(hook: Hook) -> Row:
    """Lays a webhook out as the columns of ``HOOK``."""
    return hook._replace(
        events=int(hook.events),  # type: ignore[arg-type]  # a database knows numbers
        types=orjson.dumps(hook.types),  # type: ignore[arg-type]
        labels=orjson.dumps(dict(hook.labels)),  # type: ignore[arg-type]
        secrets=orjson.dumps([[*secret] for secret in hook.secrets]),  # type: ignore[arg-type]
    )


def hook_of(row: Sequence[Any]) -> Hook:
    """Reads a webhook from the columns of ``HOOK``."""
    hook = Hook(*row)
    return hook._replace(
        events=HookEvent(hook.events),
        types=tuple(orjson.loads(row[7])),
        labels=tuple(orjson.loads(row[8]).items()),
        secrets=secrets_of(row[10]),
        ed25519=bool(hook.ed25519),
        own=bool(hook.own),
    )


def secrets_of(text: bytes) -> tuple[HookSecret, ...]:
    """Reads secrets."""
    return tuple(HookSecret(*one) for one in orjson.loads(text))


def claim_of(row: Sequence[Any]) -> Claim:
    """Reads a claimed delivery and, behind it, how to send it."""
    task_id, hook_id, seq, event, body, created_ms, tries, *more = row
    traceparent, tracestate, url, host, tenant, secrets, ed25519 = more
    return Claim(
        DeliveryKey(task_id, hook_id, seq),
        HookEvent(event),
        bytes(body),
        created_ms,
        tries,
        url,
        host,
        tenant,
        secrets_of(secrets),
        bool(ed25519),
        # None of a task that is gone.
        traceparent or "",
        tracestate or "",
    )


def delivery_of(row: Sequence[Any]) -> Delivery:
    """Reads a delivery from the columns of ``DELIVERY``."""
    task_id, hook_id, seq, event, state, *rest = row
    key = DeliveryKey(task_id, hook_id, seq)
    return Delivery(key, HookEvent(event), DeliveryState(state), *rest)
