"""A PostgreSQL that gateways of one world share: it has virtual time, and may be away."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any, TypeVar, cast

from inferry.server.store import POSITION_BITS
from inferry.server.store.hook_rows import hook_row
from inferry.server.store.operations import Logged, Operation, Purge, Result
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import HOOK_QUERIES
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.hook import Hook
from inferry.server.task.record import EventKind
from tests.postgres import database
from tests.simulation.graves import KEPT
from tests.simulation.ground import MortalStore, Row, note
from tests.simulation.postgres import schema
from tests.simulation.postgres.lending import Lender, Luck
from tests.simulation.postgres.side_loop import SideLoop
from tests.simulation.postgres.store import SharedStore
from tests.simulation.world import EPOCH_MS, World

T = TypeVar("T")

_DEAD = "SELECT 1 FROM replicas WHERE number = ? AND dead"
_ALIVE = "SELECT number FROM replicas WHERE NOT dead"
_ALL_OWNERS = "SELECT id, owner FROM servers"
_OWNER = "SELECT owner FROM servers WHERE id = ?"


class DatabaseKit:
    """A real database, which one world after the other gets empty.

    Args:
        url: Where it is.
        lease_ms: How long a gateway's lease is.
    """

    def __init__(self, url: str, lease_ms: int) -> None:
        self.options = PostgresOptions(url, lease_ms=lease_ms, notify=False)
        self.side = SideLoop()
        self.lender = Lender(self.options)
        self.side.do(self._prepare())

    async def _prepare(self) -> None:
        await self.lender.open()
        db = await self.lender.real()
        await db.execute(schema.CLOCK)
        store = PostgresStore(self.options)
        with self.lender.lends():
            await store.open()
            await store.close()
        await db.execute(schema.GRAVES)

    async def _clean(self) -> None:
        self.lender.changed()
        db = await self.lender.real()
        await db.execute(schema.EMPTY.format(tables=await db.fetchval(schema.USED)))

    async def put_hook(self, hook: Hook) -> None:
        """Puts a webhook there."""
        await (await self.lender.real()).execute(HOOK_QUERIES["put_webhook"], *hook_row(hook))

    async def set_clock(self, now_us: int) -> None:
        """Sets the clock of the database."""
        await (await self.lender.real()).fetch(schema.SET_CLOCK, now_us)

    def database(self, world: World) -> "Database":
        """Empties the database for a world."""
        self.side.do(self._clean())
        return Database(world, self)

    def close(self) -> None:
        """Lets go of it."""
        self.side.do(self.lender.close())
        self.side.close()


class Database:
    """The database of one world; see ``Ground``."""

    def __init__(self, world: World, kit: DatabaseKit) -> None:
        self.world = world
        self.out_of_order = False
        self.lease_s = kit.options.lease_ms / 1_000
        #: Gateways that may hear of each other at once.
        self.stores: list[SharedStore] = []
        self.options = kit.options
        self._kit = kit
        #: Who waits for the next commit of a gateway, by its epoch.
        self._writing: dict[int, asyncio.Event] = {}
        #: Whose each server was at the last look.
        self._owners: dict[str, int | None] = {}
        self._clock_us = -1
        kit.lender.away = lambda: self.out_of_order
        kit.lender.luck = self._luck

    @property
    def usable(self) -> bool:
        """See ``Ground.usable``."""
        return not self.out_of_order

    def put_hook(self, hook: Hook) -> None:
        """See ``Ground.put_hook``."""
        self._kit.side.do(self._kit.put_hook(hook))

    def new_store(self) -> MortalStore:
        """See ``Ground.new_store``."""
        store = SharedStore(self)
        self.stores.append(store)
        # Most of what it does it passes on by name.
        return cast("MortalStore", store)

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """See ``Ground.rows``."""
        return [
            tuple(row)
            for row in self._kit.side.do(self._kit.lender.read(_numbered(query), *values))
        ]

    def written(self, epoch: int) -> asyncio.Event:
        """See ``Ground.written``."""
        return self._writing.setdefault(epoch, asyncio.Event())

    def remove(self) -> None:
        """See ``Ground.remove``: the next world gets it empty."""

    def do(self, work: Coroutine[Any, Any, T], *, timed: bool) -> T:
        """Does what a gateway asks for: it takes effect now.

        Args:
            work: What it asks for.
            timed: Whether the database may look at its clock.
        """
        now_us = EPOCH_MS * 1_000 + int(self.world.loop.time() * 1_000_000)
        if timed and now_us != self._clock_us:
            self._clock_us = now_us
            self._kit.side.do(self._kit.set_clock(now_us))
        return self._kit.side.do(work)

    def committed(
        self, operations: Sequence[Operation], results: Sequence[Result], logged: Sequence[Logged]
    ) -> None:
        """Judges what a commit wrote, at the moment in which it did."""
        buried = 0
        if any(isinstance(one, Purge) for one in operations):
            ((buried,),) = self.rows(f"SELECT count(*) FROM {KEPT}tasks")
        note(self.world, results, buried)
        if not logged:
            return
        number = logged[0].position >> POSITION_BITS
        if number in self._writing:
            self._writing.pop(number).set()
        if self.rows(_DEAD, number):
            self.world.violate(f"replica {number} is dead, and commits")
        for one in logged:
            if one.event.kind is EventKind.DISPATCHED:
                owners = self.rows(_OWNER, one.event.server_id)
                if owners and owners != [(number,)]:
                    self.world.violate(
                        f"replica {number} gave {one.event.task_id} to {one.event.server_id}, "
                        f"whose owner is {owners[0][0]}"
                    )

    def look_at_owners(self, by: str) -> None:
        """Judges how servers changed hands: only the dead lose any that they do not give away."""
        before, self._owners = self._owners, dict(self.rows(_ALL_OWNERS))
        if by not in ("take", "bury"):
            return
        alive = {number for (number,) in self.rows(_ALIVE)}
        for server_id, owner in before.items():
            if owner in alive and self._owners.get(server_id, owner) != owner:
                self.world.violate(f"{server_id} was taken from replica {owner}, which lives")

    def _luck(self) -> Luck:
        if not self.world.happens(self.world.weather.io_p):
            return Luck.FINE
        luck = Luck.LOST if self.world.happens(0.5) else Luck.UNANSWERED
        self.world.trace("database: a COMMIT is", luck.name)
        return luck


@cache
def _numbered(query: str) -> str:
    """Writes ``?`` as PostgreSQL has it."""
    parts, numbers = query.split("?"), count(1)
    return parts[0] + "".join(f"${next(numbers)}{part}" for part in parts[1:])


@contextmanager
def database_kit(server_url: str, lease_ms: int) -> Iterator[DatabaseKit]:
    """Makes a database on a server for a while, of which all stores of this process are."""
    side = SideLoop()
    made = database(server_url)
    kit = DatabaseKit(side.do(made.__aenter__()), lease_ms)
    try:
        with kit.lender.lends():
            yield kit
    finally:
        kit.close()
        side.do(made.__aexit__(None, None, None))
        side.close()
