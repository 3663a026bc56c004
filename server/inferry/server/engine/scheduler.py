"""Gives waiting tasks to free servers: woken by events, never by polling."""

import asyncio
from heapq import heapify, heappop, heapreplace

from inferry.server.clock import Clock, nap_s
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.tasks import Engine
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.routing import Candidate, Rank, Rule, hindrance, rank
from inferry.server.loop import Loop

#: Tasks given away in one round, so that the loop is not held for long.
ROUND_LIMIT = 256


class Scheduler(Loop):
    """Claims whenever a task began to wait, a slot became free or a time has come."""

    def __init__(self, engine: Engine, ledger: Ledger, clock: Clock) -> None:
        super().__init__()
        self._engine = engine
        self._ledger = ledger
        self._clock = clock

    async def run_once(self) -> None:
        """Gives away what can be given now, a claim a server, all in one commit."""
        ledger = self._ledger
        # Before looking: whatever changes after this makes another round.
        ledger.claimable.clear()
        now = self._clock.now_ms()
        ledger.backlog.wake(now)
        if ledger.carrier is None:
            return
        slots = FreeSlots(ledger.fleet, now)
        given = ledger.backlog.allocate(slots.suit, slots.take, now, ROUND_LIMIT)
        for server_id, task_ids in given.items():
            ledger.fleet.reserve(server_id, len(task_ids))
        if sum(map(len, given.values())) == ROUND_LIMIT:
            ledger.claimable.set()
        claims = (self._engine.claim(server_id, ids, now) for server_id, ids in given.items())
        await asyncio.gather(*claims)

    async def pause(self) -> None:
        """Waits for a wake-up, or until a delayed task or a resting server is due."""
        now = self._clock.now_ms()
        due = (self._ledger.fleet.next_rested_ms(now), self._ledger.backlog.next_due_ms())
        soonest = min((at for at in due if at is not None), default=None)
        wait_s = None if soonest is None else nap_s(now, soonest)
        try:
            async with asyncio.timeout(wait_s):
                await self._ledger.claimable.wait()
        except TimeoutError:
            pass


class FreeSlots:
    """The free slots of all servers, as they dwindle in one round."""

    def __init__(self, fleet: Fleet, now_ms: int) -> None:
        self._fleet = fleet
        self._servers = {one.record.id: one for one in fleet.candidates(now_ms)}
        #: Servers by route, best first. One that got worse is found out when it comes up.
        self._ranked: dict[str, list[tuple[Rank, str]]] = {}

    def suit(self, route: str) -> bool:
        """Whether there are slots for tasks of a route."""
        return any(one.record.id in self._servers for one in self._fleet.capable(route))

    def take(self, route: str) -> str | None:
        """Takes a slot of the server that should have a task of a route; None if none may."""
        ranked = self._ranked.get(route)
        if ranked is None:
            ranked = self._ranked[route] = self._rank(route)
        while ranked:
            seen, server_id = ranked[0]
            server = self._servers.get(server_id)
            if server is None:
                heappop(ranked)
            elif (now := rank(server)) != seen:
                heapreplace(ranked, (now, server_id))
            else:
                self._fill(server)
                return server_id
        return None

    def _rank(self, route: str) -> list[tuple[Rank, str]]:
        capable = (self._servers.get(member.record.id) for member in self._fleet.capable(route))
        ranked = [(rank(server), server.record.id) for server in capable if server is not None]
        heapify(ranked)
        return ranked

    def _fill(self, server: Candidate) -> None:
        fuller = server._replace(active=server.active + 1)
        if hindrance(fuller) is Rule.ELIGIBLE:
            self._servers[server.record.id] = fuller
        else:
            del self._servers[server.record.id]
