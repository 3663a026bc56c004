"""Keeps the servers in memory in step with those on disk, as ``ledger`` does for tasks."""

from collections import Counter
from collections.abc import Collection, Mapping

import structlog

from inferry.server.engine.reads import Reads
from inferry.server.errors import InferryError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import ServerRecord

_log = structlog.get_logger(__name__)


class ServerLedger:
    """What follows from commits about servers."""

    def __init__(self, fleet: Fleet) -> None:
        #: Reads of the list of servers, which what is in memory is to follow.
        self.reads = Reads()
        #: How often each server registered, was drained or resumed here, for who follows the list.
        self.asked: Counter[str] = Counter()
        self._fleet = fleet
        self._orphans: dict[str, Collection[AttemptKey]] = {}

    def registered(self, result: ServerRecord | InferryError, server_id: str) -> None:
        """A server was added, or its registration renewed; ``server_id`` is whose it was taken for.

        What the store says counts: if somebody else changed it there, that is another server.
        """
        self._fleet.keep(server_id, -1)
        if isinstance(result, InferryError):
            return
        self.asked[result.id] += 1
        self.reads.note(result.id)
        before = self._fleet.find(result.identity)
        if before is not None and before.record.id != result.id:
            self.dropped(None, before.record.id)
        self._fleet.put(result)
        self._fleet.leave(result.id, 0)
        log = _log.bind(server_id=result.id, name=result.name, transport=result.transport.name)
        log.info("server registered", url=result.url)
        for twin in self._fleet.twins(result):
            log.warning("two servers are at one place", url=result.url, other=twin.name)

    def drained(self, result: ServerRecord | InferryError, server_id: str) -> None:
        """A server was drained or resumed."""
        self._fleet.keep(server_id, -1)
        if isinstance(result, InferryError):
            return
        self.asked[result.id] += 1
        self.reads.note(result.id)
        self._fleet.put(result)
        if not result.draining:
            self._fleet.leave(result.id, 0)
        word = "server drained" if result.draining else "server resumed"
        _log.info(word, server_id=result.id, name=result.name)

    def dropped(self, result: InferryError | None, server_id: str) -> None:
        """A server was taken out of the list; what it still had is to be ended."""
        member = self._fleet.get(server_id)
        if isinstance(result, InferryError) or member is None:
            return
        self.reads.note(server_id)
        self.asked.pop(server_id, None)
        self._fleet.drop(server_id)
        if member.holding:
            self._orphans[server_id] = frozenset(member.holding)
        _log.info("server deregistered", server_id=server_id)

    @property
    def orphans(self) -> Mapping[str, Collection[AttemptKey]]:
        """What servers had that were taken out of the list, until it is ended."""
        return self._orphans

    def buried(self, server_id: str) -> None:
        """What a server had that was taken out of the list is ended."""
        del self._orphans[server_id]
