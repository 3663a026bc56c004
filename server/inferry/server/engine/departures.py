"""Takes servers out of the list: each when it has nothing left, or when its time of grace is over.

That a server is to go is known in memory alone: a gateway that stops meanwhile forgets it, as it
forgets who asked. Once asked it goes, whether or not they still wait for it. Where replicas share
the store it is kept there, for the one that looks after the server.
"""

import asyncio
from functools import partial

from inferry.server.clock import Clock
from inferry.server.engine.committer import RETRY_S, Committer
from inferry.server.engine.server_ledger import ServerLedger
from inferry.server.errors import UnavailableError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Lose, Member
from inferry.server.loop import Loop, wait_for
from inferry.server.store.operations import DropServer
from inferry.server.store.shared import Shared

_REASON = "the server was taken out of the list"


class Departures(Loop):
    """Sees servers off; ``lose`` ends the attempts that one still has when it goes."""

    def __init__(
        self, *, committer: Committer, ledger: ServerLedger, fleet: Fleet, clock: Clock, lose: Lose
    ) -> None:
        #: The other replicas, who may look after a server; None when there are none.
        self.shared: Shared | None = None
        super().__init__()
        self._committer = committer
        self._ledger = ledger
        self._fleet = fleet
        self._clock = clock
        self._lose = lose
        #: Who waits for a server to be gone, or to stay.
        self._callers: dict[str, asyncio.Event] = {}
        self._stopped = False

    async def stop(self) -> None:
        """Ends the loop: nobody here will see a server go."""
        await super().stop()
        self._stopped = True
        for gone in self._callers.values():
            gone.set()

    async def see_off(self, server_id: str, grace_ms: int) -> None:
        """Has a server go within ``grace_ms``, or earlier if that was said before.

        Returns:
            When it is gone, or stays: it registered again, or was resumed.

        Raises:
            UnavailableError: The gateway stops, or begins anew, before that.
        """
        member = self._fleet.get(server_id)
        if member is None:
            return
        at_ms = self._clock.now_ms() + grace_ms
        if self.shared is not None:
            await self.shared.ask_to_leave(server_id, at_ms)
            self._ledger.reads.note(server_id)
        self._fleet.leave(server_id, min(at_ms, member.leaves_ms or at_ms))
        gone = self._callers.setdefault(server_id, asyncio.Event())
        # While the replicas were told it may have gone already.
        self._fleet.parting.set()
        if not self._stopped:
            await gone.wait()
        if self._stopped and self._fleet.get(server_id) is member and member.leaves_ms:
            raise UnavailableError(
                "the gateway stops while the server is to go; have it go again",
                retry_after_s=RETRY_S,
            )

    async def run_once(self) -> None:
        """Drops the servers that can go, and ends what they left."""
        # Before looking: whatever changes after this makes another round.
        self._fleet.parting.clear()
        now = self._clock.now_ms()
        for member in self._leaving():
            if not member.active or member.leaves_ms <= now:
                server_id = member.record.id
                settle = partial(self._ledger.dropped, server_id=server_id)
                await self._committer.do(DropServer(server_id), settle)
        for server_id, attempts in list(self._ledger.orphans.items()):
            await self._lose(server_id, attempts, _REASON)
            self._ledger.buried(server_id)
        leaving = {member.record.id for member in self._fleet if member.leaves_ms}
        for server_id in self._callers.keys() - leaving:
            self._callers.pop(server_id).set()

    async def pause(self) -> None:
        """Waits until a server that is to go has nothing left, stays, or its time is over."""
        times = [member.leaves_ms for member in self._leaving()]
        wait_s = (min(times) - self._clock.now_ms()) / 1000 if times else None
        await wait_for(self._fleet.parting, wait_s)

    def _leaving(self) -> list[Member]:
        """Lists the own servers that are to go and may: what they have is known."""
        return [
            member
            for member in self._fleet.own_ones
            if member.leaves_ms and not member.kept and not member.arriving
        ]
