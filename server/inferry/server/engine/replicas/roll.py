"""Keeps the servers in memory as they are stored, whoever changed them, and the pauses."""

import asyncio

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer
from inferry.server.engine.replicas.adoption import Adoption
from inferry.server.engine.replicas.holds import Holds
from inferry.server.engine.server_ledger import ServerLedger
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.told import read_load
from inferry.server.store.shared import KeptServer, Shared, Survey


class Roll:
    """The list of servers.

    Args:
        shared: Has it.
        committer: Is asked for what has been followed up.
        ledger: Knows what own commits changed of it.
        adoption: Takes up what servers have that were given to this replica.
        holds: The pauses.
        fleet: Is to be as it.
        clock: The time.
    """

    def __init__(
        self,
        *,
        shared: Shared,
        committer: Committer,
        ledger: ServerLedger,
        adoption: Adoption,
        holds: Holds,
        fleet: Fleet,
        clock: Clock,
    ) -> None:
        self._shared = shared
        self._committer = committer
        self._ledger = ledger
        self._adoption = adoption
        self._holds = holds
        self._fleet = fleet
        self._clock = clock
        #: One at a time, so that nothing older comes over what is newer.
        self._turn = asyncio.Lock()
        #: The last change that has been followed; None when some of it has to be read again.
        self._revision: int | None = None
        #: How often each server was asked something, and how many of its heartbeats are known.
        self._asked: dict[str, int] = {}
        self._beats: dict[str, int] | None = None

    async def follow(self, survey: Survey) -> None:
        """Takes the list, and the pauses, as they are, as far as they have changed.

        Args:
            survey: A look from before now.
        """
        async with self._turn:
            await self._holds.follow(survey.pauses)
            if self._revision is None or survey.servers > self._revision:
                await self._read(survey.servers)

    async def catch_up(self) -> None:
        """Follows all that was changed before this.

        Raises:
            StoreError: The store cannot be asked.
        """
        await self.follow(await self._shared.survey())

    async def _read(self, revision: int) -> None:
        with self._ledger.reads.begin() as since:
            kept = await self._shared.servers()
            await self._committer.settled()
            self._revision = revision
            for one in kept:
                if since.touched(one.record.id):
                    self._revision = None
                else:
                    self._put(one)
            there = {one.record.id for one in kept}
            for member in list(self._fleet):
                server_id = member.record.id
                if server_id not in there and not since.touched(server_id):
                    self._ledger.dropped(None, server_id)
        self._asked = {name: asked for name, asked in self._asked.items() if name in there}
        await self._adoption.adopt()

    async def listen(self) -> None:
        """Takes the heartbeats that came to other replicas."""
        heard = await self._shared.heartbeats()
        # Those from before the first look are none of now.
        known, now = self._beats, self._clock.now_ms()
        self._beats = {one.server_id: one.beats for one in heard}
        for server_id, beats, load in heard:
            if known is not None and beats != known.get(server_id):
                self._fleet.seen(server_id, now)
                self._fleet.observe(server_id, None if load is None else read_load(load), "")

    def _put(self, one: KeptServer) -> None:
        record = one.record
        member = self._fleet.get(record.id)
        known = None if member is None else (member.record, member.record.owner)
        # What was asked of it here has had its effect, which another word may have ended since.
        asked = self._asked.get(record.id, 0) + self._ledger.asked.pop(record.id, 0)
        if known != (record, record.owner) or one.asked != asked:
            self._fleet.put(record, read=True)
        self._asked[record.id] = one.asked
        self._fleet.leave(record.id, one.leaves_ms)
