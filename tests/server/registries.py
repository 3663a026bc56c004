"""A registry and everything around it, over a real store."""

from collections.abc import Collection

from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.committer import Committer
from inferry.server.engine.departures import Departures
from inferry.server.engine.registry import Registration, Registry
from inferry.server.engine.server_ledger import ServerLedger
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.member import Member
from inferry.server.store import Store
from tests.server.fleets import HandClock, new_fleet


class Servers:
    """Servers that come and go; what one loses is listed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.fleet = new_fleet()
        self.lost: list[tuple[str, set[AttemptKey]]] = []
        #: Why nothing can be lost now.
        self.error: Exception | None = None
        ledger = ServerLedger(self.fleet)
        committer, self.catch_up = Committer(store), CatchUp()
        self.departures = Departures(
            committer=committer,
            ledger=ledger,
            fleet=self.fleet,
            clock=self.clock,
            lose=self._lose,
        )
        self.registry = Registry(
            committer=committer,
            ledger=ledger,
            fleet=self.fleet,
            departures=self.departures,
            clock=self.clock,
            catch_up=self.catch_up,
        )

    async def _lose(self, server_id: str, attempts: Collection[AttemptKey], reason: str) -> None:
        if self.error is not None:
            raise self.error
        assert reason == "the server was taken out of the list"
        self.lost.append((server_id, set(attempts)))

    async def register(self, name: str = "a", slots: int = 10) -> Member:
        """Registers a server at a URL of its own."""
        said = Registration(f"http://{name}.example/", name, frozenset(), slots, b"{}", False)
        return await self.registry.register(said)
