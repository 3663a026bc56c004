"""Webhooks: whom to tell of what happens to tasks, and what is told. Records, no behaviour.

A webhook belongs to a tenant and hears of all its tasks that fit, or to one task that was created
with it. What is told of an event to a webhook is a *delivery*. Times are milliseconds since
1970-01-01 UTC; 0 means "none".
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple

from inferry.server.telemetry.trace import kept_trace_id


class HookEvent(IntFlag):
    """What a webhook may hear of."""

    #: A server works on the task.
    STARTED = 1
    #: The server reported how far it is.
    PROGRESS = 2
    #: The task has ended, however.
    COMPLETED = 4


class HookSecret(NamedTuple):
    """What deliveries are signed with."""

    #: As its owner knows it: ``whsec_`` and base64.
    text: str
    #: When it is no longer used; 0 for never.
    until_ms: int


class Hook(NamedTuple):
    """A webhook."""

    #: ``whk_`` and a ULID; of one that belongs to a task, the task's.
    id: str
    tenant: str
    url: str
    #: Host and port of the URL: those of one host share its slots.
    host: str
    #: What it hears of.
    events: HookEvent
    created_ms: int
    updated_ms: int
    #: Only of tasks of these types; empty for all.
    types: tuple[str, ...] = ()
    #: Only of tasks with all of these labels.
    labels: tuple[tuple[str, str], ...] = ()
    #: For a person.
    description: str = ""
    #: The newest first.
    secrets: tuple[HookSecret, ...] = ()
    #: Whether deliveries are signed with the tenant's Ed25519 key, too.
    ed25519: bool = False
    #: Why it hears of nothing; empty when it does.
    disabled: str = ""
    #: Whether it belongs to one task.
    own: bool = False


class DeliveryState(IntEnum):
    """Where a delivery stands; numbered as ``inferry.v1.Delivery.State``."""

    WAITING = 1
    DELIVERED = 2
    #: It was given up.
    FAILED = 3


class DeliveryKey(NamedTuple):
    """What makes a delivery."""

    task_id: str
    hook_id: str
    #: Of the event.
    seq: int


class Notice(NamedTuple):
    """A delivery to be written down with its event."""

    key: DeliveryKey
    tenant: str
    event: HookEvent
    #: What is sent: a JSON text.
    body: bytes
    created_ms: int
    #: When to send it, if nothing of the task waits before it.
    due_ms: int


class Claim(NamedTuple):
    """A delivery that this replica is to send now, and how."""

    key: DeliveryKey
    event: HookEvent
    body: bytes
    created_ms: int
    #: How often it was sent before.
    tries: int
    url: str
    host: str
    tenant: str
    secrets: tuple[HookSecret, ...]
    ed25519: bool
    #: The trace of its task, as W3C has it; empty without one.
    traceparent: str = ""
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """The trace's id; empty without one."""
        return kept_trace_id(self.traceparent)


class Delivery(NamedTuple):
    """What became of a delivery."""

    key: DeliveryKey
    event: HookEvent
    state: DeliveryState
    created_ms: int
    tries: int
    #: When it is sent again; 0 when it is not, or something else of the task comes first.
    next_ms: int
    ended_ms: int
    #: The latest tries, oldest first: a JSON array, see ``webhooks.attempts``.
    attempts: bytes
