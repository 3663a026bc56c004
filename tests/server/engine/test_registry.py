"""Servers come, drain, and go: with a real store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from inferry.server.engine.registry import server_url
from inferry.server.errors import InvalidPayloadError, NotFoundError, UnavailableError
from inferry.server.fleet.member import Member
from inferry.server.fleet.owners import Owners
from inferry.server.fleet.record import Load, ServerStatus
from inferry.server.loop import Loop
from inferry.server.store.operations import DropServer
from tests.server.registries import Servers
from tests.server.store.opening import opened

TASK = ("task_1", 1)
LONG_MS = 600_000


class Registered(Servers):
    """What a test asks and does besides."""

    async def stored(self) -> list[tuple[str, bool]]:
        return [(each.name, each.draining) for each in await self.store.servers()]

    async def leaving(self, member: Member, grace_ms: int) -> asyncio.Task[None]:
        """Begins to deregister a server."""
        leaving = asyncio.create_task(self.registry.deregister(member.record.id, grace_ms))
        await asyncio.sleep(0)
        return leaving


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Registered]:
    async with opened(tmp_path / "inferry.db") as store:
        servers = Registered(store)
        servers.departures.start()
        yield servers
        await servers.departures.stop()


async def test_a_server_that_registers_anew_is_active_until_it_is_probed(
    servers: Registered,
) -> None:
    member = await servers.register()
    for _ in range(3):
        servers.fleet.observe(member.record.id, None, "no connection")
    statuses = [member.status]
    servers.clock.ms += 1
    statuses.append((await servers.register()).status)
    servers.fleet.observe(member.record.id, None, "no connection")
    statuses.append(member.status)
    assert statuses == [ServerStatus.OFFLINE, ServerStatus.ACTIVE, ServerStatus.DEGRADED]


async def test_the_same_url_and_name_is_the_same_server_renewed(servers: Registered) -> None:
    first = await servers.register(slots=1)
    servers.clock.ms += 1
    again = await servers.register(slots=2)
    other = await servers.register("b")
    assert again is first
    assert first.record.max_concurrent == 2
    assert first.record.updated_ms == first.record.created_ms + 1
    assert servers.registry.all() == [first, other]
    assert first.record.url == "http://a.example"


async def test_a_drained_server_stays_so_when_it_registers_anew(servers: Registered) -> None:
    member = await servers.register()
    await servers.registry.drain(member.record.id, draining=True)
    await servers.register()
    assert (member.status, await servers.stored()) == (ServerStatus.DRAINING, [("a", True)])
    await servers.registry.drain(member.record.id, draining=False)
    assert (member.status, await servers.stored()) == (ServerStatus.ACTIVE, [("a", False)])


async def test_a_heartbeat_is_a_sign_of_life_with_a_load(servers: Registered) -> None:
    member = await servers.register()
    await servers.registry.heartbeat(member.record.id, Load(queue_length=3))
    await servers.registry.heartbeat(member.record.id, None)
    assert (member.lease.seen_ms, member.queued) == (servers.clock.ms, 3)


async def test_what_is_not_registered_is_not_found(servers: Registered) -> None:
    with pytest.raises(NotFoundError):
        servers.registry.get("srv_x")
    with pytest.raises(NotFoundError):
        await servers.registry.heartbeat("srv_x", None)
    with pytest.raises(NotFoundError):
        await servers.registry.drain("srv_x", draining=True)


async def test_an_idle_server_goes_at_once(servers: Registered) -> None:
    member = await servers.register()
    async with asyncio.timeout(10):
        await servers.registry.deregister(member.record.id, LONG_MS)
        await servers.registry.deregister(member.record.id, LONG_MS)
    assert (await servers.stored(), servers.registry.all(), servers.lost) == ([], [], [])


async def test_a_server_that_goes_drains_and_may_finish_what_it_has(servers: Registered) -> None:
    member = await servers.register()
    server_id = member.record.id
    servers.fleet.take_slot(server_id, *TASK)
    servers.fleet.reserve(server_id, 1)
    leaving = await servers.leaving(member, LONG_MS)
    assert (member.status, await servers.stored()) == (ServerStatus.DRAINING, [("a", False)])
    servers.fleet.free_slot(server_id, *TASK)
    servers.fleet.reserve(server_id, -1)
    async with asyncio.timeout(10):
        await leaving
    assert (await servers.stored(), servers.lost) == ([], [])


async def test_a_server_that_changes_hands_goes_once_it_is_known_what_it_has(
    servers: Registered,
) -> None:
    member = await servers.register()
    member.arriving = True
    leaving = await servers.leaving(member, 0)
    await servers.departures.run_once()
    assert (leaving.done(), await servers.stored()) == (False, [("a", False)])
    servers.fleet.take_slot(member.record.id, *TASK)
    Owners(servers.fleet).admit(member.record.id)
    async with asyncio.timeout(10):
        await leaving
    assert servers.lost == [(member.record.id, {TASK})]


async def test_who_waits_for_a_server_to_go_is_told_that_the_gateway_stops(
    servers: Registered,
) -> None:
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    leaving = await servers.leaving(member, LONG_MS)
    await servers.departures.stop()
    async with asyncio.timeout(10):
        with pytest.raises(UnavailableError, match="the gateway stops while the server is to go"):
            await leaving
        with pytest.raises(UnavailableError):
            await servers.registry.deregister(member.record.id, LONG_MS)


async def test_what_it_still_has_after_the_time_of_grace_is_lost(servers: Registered) -> None:
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    await servers.registry.deregister(member.record.id, 0)
    assert servers.lost == [(member.record.id, {TASK})]
    assert (await servers.stored(), servers.registry.all()) == ([], [])


async def test_of_two_calls_at_once_the_shorter_time_of_grace_counts_and_both_succeed(
    servers: Registered,
) -> None:
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    patient = await servers.leaving(member, LONG_MS)
    await servers.registry.deregister(member.record.id, 0)
    async with asyncio.timeout(10):
        await patient
    assert servers.lost == [(member.record.id, {TASK})]


async def test_who_deregisters_a_server_that_is_gone_before_the_other_replicas_know_does_not_wait(
    servers: Registered,
) -> None:
    member = await servers.register()

    async def told(server_id: str, _at_ms: int) -> None:
        # Whoever looks after it was quicker than the answer.
        servers.fleet.drop(server_id)
        await asyncio.sleep(0)
        await servers.departures.run_once()

    servers.departures.shared = Mock(ask_to_leave=told)
    async with asyncio.timeout(10):
        await servers.registry.deregister(member.record.id, LONG_MS)


@pytest.mark.parametrize("way", ["registers", "is resumed"])
async def test_a_server_that_comes_back_while_it_goes_stays(servers: Registered, way: str) -> None:
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    leaving = await servers.leaving(member, LONG_MS)
    if way == "registers":
        await servers.register()
    else:
        await servers.registry.drain(member.record.id, draining=False)
    async with asyncio.timeout(10):
        await leaving
    assert (servers.registry.all(), servers.lost) == ([member], [])
    assert (await servers.stored(), member.status) == ([("a", False)], ServerStatus.ACTIVE)


async def test_a_drain_does_not_keep_a_server_that_goes(servers: Registered) -> None:
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    leaving = await servers.leaving(member, LONG_MS)
    await servers.registry.drain(member.record.id, draining=True)
    servers.fleet.free_slot(member.record.id, *TASK)
    async with asyncio.timeout(10):
        await leaving
    assert servers.registry.all() == []


async def test_what_could_not_be_lost_at_once_is_lost_later(servers: Registered) -> None:
    await Loop.stop(servers.departures)
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    leaving = await servers.leaving(member, 0)
    servers.error = UnavailableError("the store cannot write; try again")
    with pytest.raises(UnavailableError):
        await servers.departures.run_once()
    assert not leaving.done()
    servers.error = None
    await servers.departures.run_once()
    await leaving
    assert (servers.lost, servers.registry.all()) == ([(member.record.id, {TASK})], [])
    await servers.departures.run_once()
    assert len(servers.lost) == 1


async def test_a_server_goes_even_if_who_asked_for_that_has_gone(servers: Registered) -> None:
    member = await servers.register()
    servers.fleet.take_slot(member.record.id, *TASK)
    leaving = await servers.leaving(member, LONG_MS)
    leaving.cancel()
    servers.fleet.free_slot(member.record.id, *TASK)
    async with asyncio.timeout(10):
        await servers.registry.deregister(member.record.id, LONG_MS)
    assert (await servers.stored(), servers.registry.all()) == ([], [])


async def test_a_registration_that_races_a_departure_is_never_lost(servers: Registered) -> None:
    """Whichever is committed first, who was answered is in the list."""
    member = await servers.register()
    for wait in range(4):
        await servers.leaving(member, 0)
        for _ in range(wait):
            await asyncio.sleep(0)
        member = await servers.register()
        assert servers.fleet.find(("", "http://a.example", "a")) is member
        assert await servers.store.servers() == [member.record]
        assert member.status is ServerStatus.ACTIVE


async def test_a_registration_that_fails_leaves_a_server_that_goes_to_go(
    servers: Registered,
) -> None:
    member = await servers.register()
    await servers.store.close()
    await servers.leaving(member, 0)
    with pytest.raises(UnavailableError):
        await servers.register()
    assert (member.leaves_ms > 0, member.kept, member.status) == (True, 0, ServerStatus.DRAINING)


async def test_two_registrations_at_once_make_one_server(servers: Registered) -> None:
    first, second = await asyncio.gather(servers.register(slots=1), servers.register(slots=2))
    assert first is second
    assert servers.registry.all() == [first]
    assert await servers.store.servers() == [first.record]
    assert first.record.max_concurrent == 2


@pytest.mark.parametrize("patience", range(1, 6))
async def test_memory_follows_the_disk_when_who_registers_hangs_up(
    servers: Registered, patience: int
) -> None:
    registering = asyncio.create_task(servers.register())
    for _ in range(patience):
        await asyncio.sleep(0)
    registering.cancel()
    await servers.register("b")
    stored = await servers.store.servers()
    assert stored == [member.record for member in servers.registry.all()]
    assert len(stored) == 2
    assert (await servers.register()).record.id == stored[0].id


async def test_the_store_says_which_server_it_is(servers: Registered) -> None:
    gone = await servers.register()
    servers.fleet.take_slot(gone.record.id, *TASK)
    await servers.store.commit([DropServer(gone.record.id)])
    member = await servers.register()
    assert member.record.id != gone.record.id
    assert servers.registry.all() == [member]
    await servers.departures.stop()
    await servers.departures.run_once()
    assert servers.lost == [(gone.record.id, {TASK})]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example",
        "http://",
        "http://u:p@a.example",
        "http://a.example/?q=1",
        "http://a.example/\0",
        "http://a\0.example",
        "http://a b.example",
        "http://a.example/\x9b",
        f"http://a.example/{'x' * 2_048}",
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(InvalidPayloadError, match="url"):
        server_url(url)
