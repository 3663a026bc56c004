"""The use cases of servers: register, heartbeat, drain, resume, deregister, read."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from yarl import URL

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer
from inferry.server.errors import InvalidPayloadError, NotFoundError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Lose, Member
from inferry.server.fleet.record import Load, ServerRecord
from inferry.server.store import DropServer, PutServer
from inferry.server.task.ids import new_server_id

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a server says of itself."""

    url: str
    name: str
    capabilities: frozenset[str]
    max_concurrent: int
    #: A JSON object.
    metadata: bytes
    #: Whether its URL may lead to a private address.
    private_allowed: bool


class Registry:
    """All that can happen to servers; ``lose`` ends the attempts of one that goes."""

    def __init__(self, committer: Committer, fleet: Fleet, clock: Clock, lose: Lose) -> None:
        self._committer = committer
        self._fleet = fleet
        self._clock = clock
        self._lose = lose
        #: One write at a time: two registrations of one server make one server.
        self._writing = asyncio.Lock()

    async def register(self, said: Registration) -> Member:
        """Adds a server, or renews the registration of the same url and name.

        One that is being deregistered stays.

        Raises:
            InvalidPayloadError: The url is none that a server can be called at.
        """
        url, now = server_url(said.url), self._clock.now_ms()
        async with self._writing:
            known = self._fleet.find(url, said.name)
            record = ServerRecord(
                id=known.record.id if known else new_server_id(),
                url=url,
                name=said.name,
                capabilities=said.capabilities,
                max_concurrent=said.max_concurrent,
                metadata=said.metadata,
                draining=known.record.draining and not known.leaving if known else False,
                private_allowed=said.private_allowed,
                created_ms=known.record.created_ms if known else now,
                updated_ms=now,
            )
            return await self._put(record)

    async def drain(self, server_id: str, *, draining: bool) -> Member:
        """Sends a server no more tasks while those it has go on, or ends that, and a rest.

        Raises:
            NotFoundError: It is not registered.
        """
        async with self._writing:
            member = self.get(server_id)
            record = replace(member.record, draining=draining)
            return await self._put(record, leaving=draining and member.leaving)

    async def deregister(self, server_id: str, grace_ms: int) -> None:
        """Takes a server out of the list; no error if it is not there.

        It gets no more tasks. Those it has may end within ``grace_ms``; what it still has then is
        lost. If it registers again meanwhile, it stays.
        """
        async with self._writing:
            member = self._fleet.get(server_id)
            if member is None:
                return
            await self._put(replace(member.record, draining=True), leaving=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_ms / 1000):
                await self._emptied(member)
        async with self._writing:
            if not member.leaving or self._fleet.get(server_id) is None:
                return
            await self._committer.do(DropServer(server_id))
            # Claims that were under way are on disk by now, and their slots taken.
            if member.holding:
                reason = "the server was taken out of the list"
                await self._lose(server_id, frozenset(member.holding), reason)
            self._fleet.drop(server_id)
        _log.info("server deregistered", server_id=server_id)

    async def forget(self, record: ServerRecord) -> None:
        """Takes a server out of the list that is gone; not if it came back, or has something."""
        async with self._writing:
            member = self._fleet.get(record.id)
            if member is None or member.record is not record or member.active:
                return
            await self._committer.do(DropServer(record.id))
            self._fleet.drop(record.id)
        _log.warning("server forgotten", server_id=record.id, name=record.name, url=record.url)

    def heartbeat(self, server_id: str, load: Load | None) -> Member:
        """Takes a server's own word that it is alive.

        Raises:
            NotFoundError: It is not registered.
        """
        member = self.get(server_id)
        self._fleet.seen(server_id, self._clock.now_ms())
        self._fleet.observe(server_id, load, "")
        return member

    def get(self, server_id: str) -> Member:
        """Finds a server.

        Raises:
            NotFoundError: It is not registered.
        """
        self._fleet.tick(self._clock.now_ms())
        member = self._fleet.get(server_id)
        if member is None:
            raise NotFoundError(f"no server {server_id}")
        return member

    def all(self) -> list[Member]:
        """Lists the servers by name."""
        return self._fleet.by_name(self._clock.now_ms())

    async def _put(self, record: ServerRecord, *, leaving: bool = False) -> Member:
        await self._committer.do(PutServer(record))
        _log.info("server", server_id=record.id, name=record.name, draining=record.draining)
        member = self._fleet.put(record)
        member.leaving = leaving
        member.freed.set()
        return member

    async def _emptied(self, member: Member) -> None:
        """Waits until a server that leaves holds nothing, has left, or stays."""
        while member.active and member.leaving and self._fleet.get(member.record.id) is not None:
            member.freed.clear()
            await member.freed.wait()


def server_url(text: str) -> str:
    """Checks where a server wants to be called; returns it without a trailing slash.

    Raises:
        InvalidPayloadError: It is no http or https URL, or has a user, query or fragment.
    """
    try:
        url = URL(text)
        wrong = url.scheme not in ("http", "https") or not url.host or url.port is None
    except ValueError:
        wrong = True
    if wrong or url.user or url.password or url.query_string or url.fragment:
        raise InvalidPayloadError(
            f"url: {text!r} is no http or https URL without user, query and fragment, "
            "such as https://inference.example.com"
        )
    return str(url).rstrip("/")
