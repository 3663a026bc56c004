"""Limits of what may wait, exact over all replicas.

A replica counts what its own commits change, in rows of its own; the sum over all replicas is what
waits. While others may have up to a batch each on its way, that sum is not the last word. Far from
a limit it does not matter, and replicas go side by side, each with a shared lock for each tenant
that it adds to. Near a limit the lock is exclusive: nobody else is on the way then, and the sum is
exact. Which of the two it needs a batch learns from the sum; one that turns out to be near is begun
anew.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from inferry.server.store.operations import Change, ClaimTasks, Insert, Operation, RoomFor
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.draft import Draft
from inferry.server.store.postgres.queries import QUERIES
from inferry.server.store.postgres.words import write_words
from inferry.server.task.record import TaskRecord

#: What one commit of another replica may add at most.
MOST_ON_THE_WAY = 256
#: Tenants may have any name; that of all of them together is none of these.
_ALL = None
Limited = str | None


class NearLimitError(Exception):
    """The batch has to be done again with exclusive locks."""


class Rooms:
    """Knows which limits are near, from one batch to the next."""

    def __init__(self) -> None:
        self._near: set[Limited] = set()
        #: What the batch that runs has locked for itself alone.
        self._exclusive: set[Limited] = set()
        #: What is near a limit, be it locked so or not.
        self._needed: set[Limited] = set()
        #: What should have been locked so.
        self._behind: set[Limited] = set()
        #: How many more tasks wait by what the transaction has written: the sum has it at its end.
        self.written = 0

    def locks_for(self, operations: Sequence[Operation]) -> str:
        """Lists the statements that take a batch's locks, in the one order of all."""
        limited: set[Limited] = {
            one.record.spec.tenant
            for one in operations
            if isinstance(one, Insert) and one.room is not None
        }
        begins = any(isinstance(one, Change) and one.room is not None for one in operations)
        self._exclusive, self._needed, self._behind = set(), set(), set()
        self.written = 0
        if not limited and not begins:
            return ""
        if begins:
            # Whose task it is shows only when it is read: that of any tenant.
            limited.add(_ALL)
            self._exclusive = {_ALL}
        limited.add(_ALL)
        self._exclusive |= self._near & limited
        return lock_statements(limited, self._exclusive)

    def confirm(self) -> None:
        """Has to be called when everything was decided.

        Raises:
            NearLimitError: Others on their way may have taken the room.
        """
        if self._behind:
            self._near |= self._behind
            raise NearLimitError

    def settle(self) -> None:
        """Has to be called when a batch was committed: what is far again is forgotten."""
        self._near -= self._exclusive - self._needed

    def admit(self, state: "QueueState", record: TaskRecord, room: RoomFor | None) -> None:
        """Counts a task that begins to wait.

        Raises:
            InferryError: There is no room for it; it is not counted.
        """
        if room is not None:
            self._check(state, record.spec.tenant, room)
        state.count(record, 1)

    def _check(self, state: "QueueState", tenant: str, room: RoomFor) -> None:
        total, own = state.total, state.tenants[tenant]
        refusal = room(tenant, total, own)
        if refusal is not None:
            self._needed |= self._exclusive
            raise refusal
        slack = MOST_ON_THE_WAY * (state.replicas - 1)
        if not slack:
            return
        # A limit that is near now and far the next time would cost more than one that stays near.
        if room(tenant, total + 2 * slack, own) is not None:
            self._needed.add(_ALL)
        if room(tenant, total, own + 2 * slack) is not None:
            self._needed.add(tenant)
        if _ALL in self._exclusive:
            return
        if room(tenant, total + slack, own) is not None:
            self._behind.add(_ALL)
        if tenant not in self._exclusive and room(tenant, total, own + slack) is not None:
            self._behind.add(tenant)


def lock_statements(limited: Iterable[Limited], exclusive: Iterable[Limited] = ()) -> str:
    """Lists statements that lock limits until the end of the transaction."""
    alone = {_lock_number(one) for one in exclusive}
    return "".join(
        f"SELECT pg_advisory_xact_lock{'' if number in alone else '_shared'}({number}); "
        for number in sorted(map(_lock_number, limited))
    )


def _lock_number(limited: Limited) -> int:
    said = "" if limited is _ALL else f"tenant {limited}"
    digest = blake2b(f"inferry: {said}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


@dataclass(slots=True)
class QueueState:
    """What waits in all, as committed and then as the batch leaves it, and which types pause."""

    #: Replicas that may write.
    replicas: int = 1
    paused: set[str] = field(default_factory=set)
    total: int = 0
    tenants: Counter[str] = field(default_factory=Counter)
    #: What the batch changed, by tenant and type.
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, record: TaskRecord, by: int) -> None:
        """Counts a task that begins to wait, or waits no more."""
        tenant = record.spec.tenant
        self.total += by
        self.tenants[tenant] += by
        self.changed[tenant, record.spec.type] += by


async def read_queue(
    db: Connection, draft: Draft, operations: Sequence[Operation], replica: int, written: int
) -> QueueState:
    """Reads what the decisions of a batch need to know; a claim reads by itself what is paused.

    Into the draft comes which servers are not the replica's. Nobody takes one away before the
    commit without the lock on the replica's row, which the transaction has: but for a worker that
    dials another replica. What it is given meanwhile is taken up there once it is heard.

    Args:
        db: The one that writes.
        draft: The tasks that it is about.
        operations: The batch.
        replica: The epoch of the replica.
        written: How many more tasks wait by what the transaction has written.
    """
    state = QueueState()
    servers = _named_servers(operations)
    if not servers and not any(_asks(one) for one in operations):
        return state
    tenants = {one.record.spec.tenant for one in operations if isinstance(one, Insert)}
    tenants |= {held.record.spec.tenant for held in draft.tasks.values()}
    given = write_words(tenants), write_words(servers), replica
    for total, replicas, tenant, waiting, paused, foreign in await fetch(
        db, QUERIES["queue_state"], *given
    ):
        state.total, state.replicas = total + written, replicas
        if tenant is not None:
            state.tenants[tenant] = waiting
        if paused is not None:
            state.paused.add(paused)
        if foreign is not None:
            draft.foreign.add(foreign)
    return state


def _named_servers(operations: Sequence[Operation]) -> set[str]:
    """Lists the servers that are to get tasks."""
    named = {one.server_id for one in operations if isinstance(one, ClaimTasks)}
    for one in operations:
        if isinstance(one, Insert) and one.claimed is not None:
            named.add(one.claimed.record.server_id or "")
    return named - {""}


def _asks(operation: Operation) -> bool:
    match operation:
        case Insert():
            return operation.room is not None
        case Change():
            return operation.room is not None
        case _:
            return False
