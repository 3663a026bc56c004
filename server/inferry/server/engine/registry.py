"""The use cases of servers: register, heartbeat, drain, resume, deregister, read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog
from yarl import URL

from inferry.server.clock import Clock
from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.committer import Committer
from inferry.server.engine.departures import Departures
from inferry.server.engine.server_ledger import ServerLedger
from inferry.server.errors import InvalidPayloadError, ServerNotFoundError
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Load, ServerRecord, Transport
from inferry.server.fleet.told import write_load
from inferry.server.store import StoreError
from inferry.server.store.operations import DrainServer, PutServer
from inferry.server.store.shared import Shared
from inferry.server.task.ids import new_server_id

#: Takes up what servers have that another replica gave tasks before.
Adopt = Callable[[], Awaitable[object]]

#: Characters of a server's URL.
URL_LIMIT = 2_048
_UNKNOWN = "nobody can be asked whether there is such a server"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a server says of itself."""

    #: Empty for a worker.
    url: str
    name: str
    capabilities: frozenset[str]
    max_concurrent: int
    #: A JSON object.
    metadata: bytes
    #: Whether its URL may lead to a private address.
    private_allowed: bool
    transport: Transport = Transport.HTTP
    #: Of a worker: whose it is.
    tenant: str = ""
    #: A JSON object of strings.
    labels: bytes = b"{}"


class Registry:
    """All that can happen to servers."""

    def __init__(
        self,
        *,
        committer: Committer,
        ledger: ServerLedger,
        fleet: Fleet,
        departures: Departures,
        clock: Clock,
        catch_up: CatchUp,
    ) -> None:
        self._committer = committer
        self._ledger = ledger
        self._fleet = fleet
        self._departures = departures
        self._clock = clock
        self._catch_up = catch_up
        #: The other replicas, and what takes up what a worker has that was theirs; None when there
        #: are none.
        self.shared: Shared | None = None
        self.adopt: Adopt | None = None

    async def register(self, registration: Registration) -> Member:
        """Adds a server, or renews the registration of the same tenant, url and name.

        One that is being deregistered stays. Which server it is, is for the store to say, unless
        a worker connects again as it was.

        Raises:
            InvalidPayloadError: The url is none that a server can be called at.
        """
        worker = registration.transport is Transport.GRPC
        url = "" if worker else server_url(registration.url)
        now = self._clock.now_ms()
        record = ServerRecord(
            id=new_server_id(),
            url=url,
            name=registration.name,
            capabilities=registration.capabilities,
            max_concurrent=registration.max_concurrent,
            metadata=registration.metadata,
            draining=False,
            private_allowed=registration.private_allowed,
            created_ms=now,
            updated_ms=now,
            transport=registration.transport,
            tenant=registration.tenant,
            labels=registration.labels,
        )
        member = self._fleet.find(record.identity)
        alone = self.adopt is None
        if worker and alone and member is not None and _unchanged(member, record):
            # It writes nothing: a full disk must not cost it what it has. Where there are others,
            # the store has to know whose it is.
            return self._fleet.put(replace(member.record, updated_ms=now))
        server_id = record.id if member is None else member.record.id
        self._fleet.keep(server_id, 1)
        settle = partial(self._ledger.registered, server_id=server_id)
        stored = await self._committer.do(PutServer(record), settle)
        member = self.get(stored.id)
        if member.arriving and self.adopt is not None:
            await self.adopt()
        return member

    async def drain(self, server_id: str, *, draining: bool) -> Member:
        """Sends a server no more tasks while those it has go on, or ends that, and a rest.

        One that is being deregistered goes all the same, or stays.

        Raises:
            ServerNotFoundError: It is not registered.
        """
        await self.find(server_id)
        self._fleet.keep(server_id, 1)
        settle = partial(self._ledger.drained, server_id=server_id)
        await self._committer.do(DrainServer(server_id, draining), settle)
        return self.get(server_id)

    async def deregister(self, server_id: str, grace_ms: int) -> None:
        """Takes a server out of the list; no error if it is not there.

        It gets no more tasks. Those it has may end within ``grace_ms``; what it still has then is
        lost. If it registers again meanwhile, it stays.
        """
        if await self._catch_up.now() or self._fleet.get(server_id) is not None:
            await self._departures.see_off(server_id, grace_ms)
        else:
            raise StoreError(_UNKNOWN)

    async def forget(self, record: ServerRecord) -> None:
        """Takes a server out of the list that is gone; not if it came back, or has something."""
        member = self._fleet.get(record.id)
        if member is None or member.record is not record or member.active:
            return
        _log.warning("server forgotten", server_id=record.id, name=record.name, url=record.url)
        await self._departures.see_off(record.id, 0)

    async def heartbeat(self, server_id: str, load: Load | None) -> Member:
        """Takes a server's own word that it is alive.

        Raises:
            ServerNotFoundError: It is not registered.
            InvalidPayloadError: It is a worker, which says so on its stream.
        """
        # They come all the time: nobody is asked of a server that is known.
        known = self._fleet.get(server_id) is not None
        member = self.get(server_id) if known else await self.find(server_id)
        if member.record.transport is Transport.GRPC:
            raise InvalidPayloadError("id: a worker says that it is alive on its stream")
        if self.shared is not None and not member.owned:
            await self.shared.beat(server_id, None if load is None else write_load(load))
        else:
            self._fleet.seen(server_id, self._clock.now_ms())
            self._fleet.observe(server_id, load, "")
        return member

    async def find(self, server_id: str) -> Member:
        """Finds a server as it is, whichever replica changed it last.

        Raises:
            ServerNotFoundError: It is not registered.
            StoreError: It is not known, and nobody can be asked.
        """
        if not await self._catch_up.now() and self._fleet.get(server_id) is None:
            raise StoreError(_UNKNOWN)
        return self.get(server_id)

    async def find_all(self) -> list[Member]:
        """Lists the servers by name as they are, whichever replica changed them last."""
        await self._catch_up.now()
        return self.all()

    def get(self, server_id: str) -> Member:
        """Finds a server that is known here.

        Raises:
            ServerNotFoundError: It is not registered.
        """
        self._fleet.tick(self._clock.now_ms())
        member = self._fleet.get(server_id)
        if member is None:
            raise ServerNotFoundError(server_id)
        return member

    def notes(self, member: Member) -> list[str]:
        """Says what looks like a mistake about a server."""
        return self._fleet.notes(member)

    def all(self) -> list[Member]:
        """Lists the servers by name that are known here."""
        return self._fleet.by_name(self._clock.now_ms())


def _unchanged(member: Member, record: ServerRecord) -> bool:
    """Whether a registration says nothing new of a server that stays, and nobody writes of."""
    before = member.record
    same = replace(
        record,
        id=before.id,
        draining=before.draining,
        created_ms=before.created_ms,
        updated_ms=before.updated_ms,
    )
    return same == before and not (member.leaves_ms or member.kept)


def server_url(text: str) -> str:
    """Checks where a server wants to be called; returns it without a trailing slash.

    Raises:
        InvalidPayloadError: It is no http or https URL, has a user, query or fragment, or is long.
    """
    if len(text) > URL_LIMIT:
        raise InvalidPayloadError(f"url: {len(text)} characters; the limit is {URL_LIMIT}")
    try:
        url = URL(text)
        wrong = url.scheme not in ("http", "https") or not url.host or url.port is None
    except ValueError:
        wrong = True
    if (
        wrong
        or not text.isprintable()
        or " " in text
        or url.user
        or url.password
        or url.query_string
        or url.fragment
    ):
        raise InvalidPayloadError(
            f"url: {text!r} is no http or https URL without user, query and fragment, "
            "such as https://inference.example.com"
        )
    return str(url).rstrip("/")
