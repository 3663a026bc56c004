"""Servers come, drain, and go: with a real store."""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from inferry.server.engine.committer import Committer
from inferry.server.engine.registry import Registration, Registry, server_url
from inferry.server.errors import InvalidPayloadError, NotFoundError, UnavailableError
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Load, ServerStatus
from inferry.server.store.sqlite.store import SqliteStore
from tests.server.fleets import HandClock, new_fleet

TASK = ("task_1", 1)
LONG_MS = 600_000


class Servers:
    """A registry and everything around it."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.clock = HandClock()
        self.fleet = new_fleet()
        self.lost: list[tuple[str, set[AttemptKey]]] = []
        self.error: Exception | None = None
        self.registry = Registry(Committer(store), self.fleet, self.clock, self.lose)

    async def lose(self, server_id: str, attempts: Collection[AttemptKey], reason: str) -> None:
        if self.error is not None:
            raise self.error
        assert reason == "the server was taken out of the list"
        self.lost.append((server_id, set(attempts)))

    async def register(self, name: str = "a", slots: int = 10) -> Member:
        said = Registration(f"http://{name}.example/", name, frozenset(), slots, b"{}", False)
        return await self.registry.register(said)

    async def stored(self) -> list[tuple[str, bool]]:
        return [(each.name, each.draining) for each in await self.store.servers()]

    async def leaving(self, member: Member, grace_ms: int) -> asyncio.Task[None]:
        """Begins to deregister a server; returns when it waits for what the server holds."""
        self.fleet.changed.clear()
        leaving = asyncio.create_task(self.registry.deregister(member.record.id, grace_ms))
        async with asyncio.timeout(10):
            await self.fleet.changed.wait()
        return leaving


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    store = SqliteStore(tmp_path / "inferry.db")
    await store.open()
    yield Servers(store)
    await store.close()


async def test_the_same_url_and_name_is_the_same_server_renewed(servers: Servers) -> None:
    first = await servers.register(slots=1)
    servers.clock.ms += 1
    again = await servers.register(slots=2)
    other = await servers.register("b")
    assert again is first
    assert first.record.max_concurrent == 2
    assert first.record.updated_ms == first.record.created_ms + 1
    assert servers.registry.all() == [first, other]
    assert first.record.url == "http://a.example"


async def test_a_drained_server_stays_so_when_it_registers_anew(servers: Servers) -> None:
    member = await servers.register()
    await servers.registry.drain(member.record.id, draining=True)
    await servers.register()
    assert (member.status, await servers.stored()) == (ServerStatus.DRAINING, [("a", True)])
    await servers.registry.drain(member.record.id, draining=False)
    assert (member.status, await servers.stored()) == (ServerStatus.ACTIVE, [("a", False)])


async def test_a_heartbeat_is_a_sign_of_life_with_a_load(servers: Servers) -> None:
    member = await servers.register()
    servers.registry.heartbeat(member.record.id, Load(queue_length=3))
    servers.registry.heartbeat(member.record.id, None)
    assert (member.lease.seen_ms, member.queued) == (servers.clock.ms, 3)


async def test_what_is_not_registered_is_not_found(servers: Servers) -> None:
    with pytest.raises(NotFoundError):
        servers.registry.get("srv_x")
    with pytest.raises(NotFoundError):
        servers.registry.heartbeat("srv_x", None)
    with pytest.raises(NotFoundError):
        await servers.registry.drain("srv_x", draining=True)


async def test_an_idle_server_goes_at_once(servers: Servers) -> None:
    member = await servers.register()
    async with asyncio.timeout(10):
        await servers.registry.deregister(member.record.id, LONG_MS)
        await servers.registry.deregister(member.record.id, LONG_MS)
    assert (await servers.stored(), servers.registry.all(), servers.lost) == ([], [], [])


async def test_a_server_that_goes_drains_and_may_finish_what_it_has(servers: Servers) -> None:
    member = await servers.register()
    server_id = member.record.id
    servers.fleet.hold(server_id, *TASK)
    servers.fleet.reserve(server_id, 1)
    leaving = await servers.leaving(member, LONG_MS)
    assert (member.status, await servers.stored()) == (ServerStatus.DRAINING, [("a", True)])
    servers.fleet.free(server_id, *TASK)
    servers.fleet.reserve(server_id, -1)
    async with asyncio.timeout(10):
        await leaving
    assert (await servers.stored(), servers.lost) == ([], [])


async def test_what_it_still_has_after_the_time_of_grace_is_lost(servers: Servers) -> None:
    member = await servers.register()
    servers.fleet.hold(member.record.id, *TASK)
    await servers.registry.deregister(member.record.id, 0)
    assert servers.lost == [(member.record.id, {TASK})]
    assert (await servers.stored(), servers.registry.all()) == ([], [])


async def test_of_two_calls_at_once_the_shorter_time_of_grace_counts_and_both_succeed(
    servers: Servers,
) -> None:
    member = await servers.register()
    servers.fleet.hold(member.record.id, *TASK)
    patient = await servers.leaving(member, LONG_MS)
    await servers.registry.deregister(member.record.id, 0)
    async with asyncio.timeout(10):
        await patient
    assert servers.lost == [(member.record.id, {TASK})]


@pytest.mark.parametrize("way", ["registers", "is resumed"])
async def test_a_server_that_comes_back_while_it_goes_stays(servers: Servers, way: str) -> None:
    member = await servers.register()
    servers.fleet.hold(member.record.id, *TASK)
    leaving = await servers.leaving(member, LONG_MS)
    if way == "registers":
        await servers.register()
    else:
        await servers.registry.drain(member.record.id, draining=False)
    async with asyncio.timeout(10):
        await leaving
    assert (servers.registry.all(), servers.lost) == ([member], [])
    assert (await servers.stored(), member.status) == ([("a", False)], ServerStatus.ACTIVE)


async def test_a_drain_does_not_keep_a_server_that_goes(servers: Servers) -> None:
    member = await servers.register()
    servers.fleet.hold(member.record.id, *TASK)
    leaving = await servers.leaving(member, LONG_MS)
    await servers.registry.drain(member.record.id, draining=True)
    servers.fleet.free(member.record.id, *TASK)
    async with asyncio.timeout(10):
        await leaving
    assert servers.registry.all() == []


async def test_what_could_not_be_lost_is_lost_by_the_next_call(servers: Servers) -> None:
    member = await servers.register()
    servers.fleet.hold(member.record.id, *TASK)
    servers.error = UnavailableError("the store cannot write; try again")
    with pytest.raises(UnavailableError):
        await servers.registry.deregister(member.record.id, 0)
    servers.error = None
    await servers.registry.deregister(member.record.id, 0)
    assert (servers.lost, servers.registry.all()) == ([(member.record.id, {TASK})], [])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example",
        "http://",
        "http://u:p@a.example",
        "http://a.example/?q=1",
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(InvalidPayloadError, match="url"):
        server_url(url)
