"""What a gateway needs that shares its store with others, put together."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from inferry.server.app.core import Core
from inferry.server.engine.hearing import Hearing
from inferry.server.engine.replicas.adoption import Adoption
from inferry.server.engine.replicas.holds import Holds
from inferry.server.engine.replicas.listening import Listening
from inferry.server.engine.replicas.renewal import Renewal
from inferry.server.engine.replicas.roll import Roll
from inferry.server.engine.replicas.rounds import Rounds
from inferry.server.engine.replicas.tidings import Tidings
from inferry.server.engine.restart import end_cut_attempts
from inferry.server.engine.tasks import Engine
from inferry.server.errors import UnavailableError
from inferry.server.fleet.fleet import Fleet
from inferry.server.loop import Loop
from inferry.server.store import Store, StoreError
from inferry.server.store.shared import Shared
from inferry.server.task.record import TaskRecord

#: How long others may be waited for without a notice.
_INTERVAL_S = 0.5
#: How long it may take to give all servers away.
_LEAVE_S = 2.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """This replica among others."""

    store: Store
    shared: Shared
    engine: Engine
    fleet: Fleet
    renewal: Renewal
    rounds: Rounds
    listening: Listening

    @property
    def loops(self) -> Sequence[Loop]:
        """What runs in the background, from the join to the end."""
        return self.renewal, self.listening, self.rounds

    async def join(self) -> None:
        """Takes a share of the servers.

        Raises:
            StoreError: The store cannot be asked.
        """
        begun_s = self.renewal.tenure.begin_renewal()
        await self.shared.renew(draining=False)
        self.renewal.tenure.renewed(begun_s)
        await self.rounds.go_round()

    async def leave(self) -> None:
        """Gives all servers away that are called, if anybody is there who takes them."""
        self.renewal.draining = True
        with suppress(StoreError, UnavailableError, TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self.shared.renew(draining=True)
                await self.rounds.go_round()

    async def end_cut(self, cut: Sequence[TaskRecord]) -> None:
        """Ends attempts whose calls were hung up on: their servers are others' by now."""
        with suppress(StoreError, UnavailableError):
            read = [await self.store.task(record.spec.id) for record in cut]
            mine = [
                now
                for now, record in zip(read, cut, strict=True)
                if now is not None and now.running and now.attempt == record.attempt
            ]
            await end_cut_attempts(self.engine, mine, self.fleet)


def new_replicas(core: Core) -> Replicas | None:
    """Makes a replica of a gateway whose store is open; None if it has that alone."""
    config, clock, store, committer = core.config, core.clock, core.store, core.committer
    memory, cases, shared = core.memory, core.cases, store.shared
    if shared is None:
        return None
    number, ledger, fleet = store.epoch.number, memory.ledger, memory.fleet
    fleet.epoch = number
    adoption = Adoption(
        store=store,
        shared=shared,
        committer=committer,
        ledger=ledger,
        engine=cases.engine,
        fleet=fleet,
        clock=clock,
        cancel_grace_ms=config.cancel_grace_ms,
    )
    cases.share(shared, adoption.adopt)
    roll = Roll(
        shared=shared,
        committer=committer,
        ledger=cases.servers,
        adoption=adoption,
        holds=Holds(
            store=store,
            committer=committer,
            ledger=cases.pause_ledger,
            pauses=memory.pauses,
            allocator=memory.allocator,
        ),
        fleet=fleet,
        clock=clock,
    )
    memory.catch_up.follow = roll.catch_up
    rounds = Rounds(
        shared=shared,
        company=memory.company,
        roll=roll,
        tidings=Tidings(shared, fleet, ledger, clock, number),
        adoption=adoption,
        fleet=fleet,
        tenure=memory.tenure,
        number=number,
    )
    hearing = Hearing(
        ledger=ledger, fleet=fleet, signals=memory.signals, alarm=memory.alarm, clock=clock
    )
    listening = Listening(
        store=store,
        shared=shared,
        feed=memory.feed,
        tally=memory.tally,
        hearing=hearing,
        ledger=ledger,
        committer=committer,
        interval_s=_INTERVAL_S,
    )
    renewal = Renewal(shared, memory.tenure, memory.allocator, config.replica_lease_ms)
    return Replicas(store, shared, cases.engine, fleet, renewal, rounds, listening)
