"""What the store keeps of webhooks: the operations on them, and whom it asks about each event.

What is told of an event is written in the event's own transaction: no kill can come between.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inferry.server.task.hook import Delivery, DeliveryKey, DeliveryState, Hook, Notice
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition


class Addressees(Protocol):
    """Tells who hears of an event. Nothing here waits, and nothing fails."""

    def know(self, hooks: Sequence[Hook]) -> None:
        """Takes the webhooks that belong to no task: after the start, and whenever they change.

        No event is committed without those that were changed before its transaction began.
        """
        ...

    def notices(self, before: TaskRecord, transition: Transition) -> Sequence[Notice]:
        """Tells what is to be told of a transition. Called for each, so it has to be quick."""
        ...

    def wake(self) -> None:
        """Is called when a commit has written down anything that is to be sent."""
        ...


#: ``Addressees.notices`` of whoever is asked when it is called.
Notify = Callable[[TaskRecord, Transition], Sequence[Notice]]


class Nobody:
    """``Addressees`` where nobody hears of anything."""

    def know(self, hooks: Sequence[Hook]) -> None:
        """See ``Addressees.know``."""

    def notices(self, before: TaskRecord, transition: Transition) -> Sequence[Notice]:  # noqa: ARG002
        """See ``Addressees.notices``."""
        return ()

    def wake(self) -> None:
        """See ``Addressees.wake``."""


@dataclass(frozen=True, slots=True)
class PutHook:
    """Adds a webhook. Result: it.

    One more than ``limit`` of its tenant is a ``LimitError``.
    """

    hook: Hook
    limit: int


@dataclass(frozen=True, slots=True)
class ChangeHook:
    """Changes a webhook that belongs to no task. Result: as it is then.

    ``decide`` is pure. One that is not there, or another tenant's, is a ``NotFoundError``. What
    waits for one that is disabled is given up; what waits for another host goes there.
    """

    hook_id: str
    #: Whose it must be; None for anybody's.
    tenant: str | None
    decide: Callable[[Hook], Hook]
    now_ms: int


@dataclass(frozen=True, slots=True)
class DropHook:
    """Removes a webhook; what waits for it is given up. Result: None. It is no error if it is gone.

    What was told to it is kept for as long as anything.
    """

    hook_id: str
    tenant: str | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class ClaimDeliveries:
    """Takes deliveries that are due, to send them. Result: a tuple of ``Claim``.

    Nobody else gets them until they are settled, or this start of a gateway has ended. What starts
    that have ended had claimed is free before.
    """

    now_ms: int
    #: How many of each host, at most; none only frees.
    rooms: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SettleDelivery:
    """Writes down how a claimed delivery went. Result: its state, or None if it is nobody's now.

    One that is to be sent again (WAITING) is given up all the same if its webhook hears of nothing
    any more, or it is a start or progress and the end of its task waits. The next of its task
    follows when it has ended.
    """

    key: DeliveryKey
    state: DeliveryState
    now_ms: int
    #: When to send it again, if WAITING.
    next_ms: int
    #: What to make of what is known of earlier tries: JSON arrays.
    add_attempt: Callable[[bytes], bytes]
    #: Why its webhook is to hear of nothing any more; empty when it goes on.
    disable: str = ""


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Sends what was told of an event, or given up, again. Result: to how many webhooks.

    Only to those that are there and hear.
    """

    task_id: str
    seq: int
    #: None for all that heard of it.
    hook_id: str | None
    #: Whose it must be; None for anybody's.
    tenant: str | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class Replay:
    """Sends again what a webhook was to be told since a time, oldest first. Result: how many.

    One that is not there, or another tenant's, is a ``NotFoundError``.
    """

    hook_id: str
    tenant: str | None
    since_ms: int
    now_ms: int
    limit: int
    #: FAILED for what was given up, DELIVERED for what arrived.
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class ForgetDeliveries:
    """Drops what was told, or given up, by a time, and webhooks of tasks that are gone.

    Result: how many deliveries.
    """

    ended_ms: int
    limit: int


HookOperation = (
    PutHook
    | ChangeHook
    | DropHook
    | ClaimDeliveries
    | SettleDelivery
    | SendAgain
    | Replay
    | ForgetDeliveries
)


class HookReads(Protocol):
    """What can be read of webhooks; part of ``Store``."""

    #: Is asked about each event; knows the webhooks once the store is opened with it.
    addressees: Addressees

    async def hook(self, hook_id: str, tenant: str | None) -> Hook | None:
        """Reads a webhook that belongs to no task, of a tenant or of any."""
        ...

    async def hooks(self, tenant: str | None) -> list[Hook]:
        """Reads the webhooks that belong to no task, of a tenant or of all, in the order of ids."""
        ...

    async def deliveries(self, task_id: str, tenant: str | None, limit: int) -> list[Delivery]:
        """Reads what was, or is to be, told of a task, by webhook and event."""
        ...

    async def due_hosts(self, after: str, limit: int) -> list[tuple[str, int]]:
        """Lists the hosts for which anything waits, in their order, each with when it is due."""
        ...

    async def left_claims(self) -> bool:
        """Tells whether any delivery is claimed by a start that has ended: a claim frees it."""
        ...

    async def first_ended_ms(self) -> int:
        """Tells when the first of those that are kept was told, or given up; 0 without any."""
        ...

    async def waiting_deliveries(self, hook_id: str, limit: int) -> int:
        """Counts what waits for a webhook, up to a limit."""
        ...
