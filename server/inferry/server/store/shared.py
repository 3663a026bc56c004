"""What a store offers that replicas share: who lives, whose servers are, what they tell each other.

A replica lives as long as it renews its lease in time, by the database's clock. Another may mark it
dead when that is over, and whoever is marked can commit nothing more: it has *lost* its place for
good. Notices only make things faster; all that matters can be polled.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import ServerRecord
from inferry.server.task.record import Attempt, TaskRecord


class Replica(NamedTuple):
    """A replica that nobody has marked dead."""

    #: Its epoch.
    number: int
    #: Whether it is about to stop.
    draining: bool
    #: Whether its lease is over.
    over: bool
    #: So many times it has told how its servers are.
    told: int


class Survey(NamedTuple):
    """What changes, at one look."""

    #: How often servers were changed, and pauses.
    servers: int
    pauses: int
    #: By number.
    replicas: Sequence[Replica]


class KeptServer(NamedTuple):
    """A server with what was asked of it."""

    record: ServerRecord
    #: How often it registered, was drained or was resumed.
    asked: int
    #: When it is taken out of the list at the latest; 0 when it stays.
    leaves_ms: int


class Heartbeat(NamedTuple):
    """The last heartbeat of a server that came to a replica which does not look after it."""

    server_id: str
    #: So many have come.
    beats: int
    #: What it said of its load, a JSON object; None when it said nothing.
    load: bytes | None


class Words(NamedTuple):
    """How a replica's servers are, by its own word."""

    number: int
    #: So many times it has told.
    times: int
    #: A JSON object.
    words: bytes


class Shared(Protocol):
    """The replicas of a store. All calls raise ``StoreError`` while it cannot be asked."""

    #: Set for good when others took over from this replica: nothing it commits counts.
    lost: asyncio.Event
    #: Set when servers or pauses may have been changed by another. Whoever looks clears it before.
    stirred: asyncio.Event
    #: Whether there are others, as far as is known: who is alone tells nobody anything.
    accompanied: bool

    async def renew(self, *, draining: bool) -> None:
        """Renews this replica's lease, and says whether it is about to stop."""
        ...

    async def survey(self) -> Survey:
        """Looks at what changes."""
        ...

    async def bury(self) -> Collection[int]:
        """Marks the replicas dead whose leases are over; their servers are nobody's. Tells which.

        One that still commits is left for the next time.
        """
        ...

    async def take(self, server_ids: Collection[str]) -> Collection[str]:
        """Takes servers that no living replica has; tells which it got."""
        ...

    async def give(self, places: Mapping[str, int]) -> Mapping[str, int]:
        """Gives own servers away, each to a replica that lives; tells which went, and to whom."""
        ...

    async def servers(self) -> Sequence[KeptServer]:
        """Reads all servers."""
        ...

    async def running(self, server_ids: Collection[str]) -> Sequence[TaskRecord]:
        """Reads the tasks with an open attempt at one of some servers."""
        ...

    async def closed(self, attempts: Collection[AttemptKey]) -> Mapping[AttemptKey, Attempt]:
        """Reads attempts that have ended; those are left out that are dropped by now."""
        ...

    async def ask_to_leave(self, server_id: str, at_ms: int) -> None:
        """Has a server taken out of the list by its owner, by a time or earlier; not if it is gone.

        It stays when it registers or is resumed meanwhile.
        """
        ...

    async def beat(self, server_id: str, load: bytes | None) -> None:
        """Passes a heartbeat on to the server's owner."""
        ...

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Reads those that were passed on."""
        ...

    async def tell(self, words: bytes) -> None:
        """Tells the others how this replica's servers are."""
        ...

    async def told(self, numbers: Collection[int]) -> Sequence[Words]:
        """Reads what some replicas last told."""
        ...
