"""Servers that are gone for long are forgotten, all others are not: with a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inferry.server.engine.absentees import Absentees
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import ServerStatus
from inferry.server.store.sqlite.store import SqliteStore
from tests.server.registries import Servers

AFTER_MS = 86_400_000


class Absence(Servers):
    """A registry, and who looks for the absent."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self.absentees = Absentees(self.registry, self.clock, AFTER_MS)

    async def gone(self, name: str = "a") -> Member:
        """Registers a server, which three probes cannot reach."""
        member = await self.register(name)
        self.miss(member)
        return member

    def miss(self, member: Member) -> None:
        """Three probes cannot reach a server."""
        for _ in range(3):
            self.fleet.observe(member.record.id, None, "no connection")
        assert member.status is ServerStatus.OFFLINE

    async def left(self, *, after_ms: int) -> list[str]:
        """Looks after a while; returns the names of the servers on disk that are left."""
        self.clock.ms += after_ms
        await self.absentees.run_once()
        names = sorted(each.name for each in await self.store.servers())
        assert names == [member.record.name for member in self.registry.all()]
        return names


@pytest.fixture
async def absence(tmp_path: Path) -> AsyncIterator[Absence]:
    store = SqliteStore(tmp_path / "inferry.db")
    await store.open()
    absence = Absence(store)
    absence.departures.start()
    yield absence
    await absence.departures.stop()
    await store.close()


async def test_a_server_that_is_gone_for_long_is_forgotten_on_disk_too(absence: Absence) -> None:
    await absence.gone()
    await absence.register("b")
    assert await absence.left(after_ms=AFTER_MS - 1) == ["a", "b"]
    assert await absence.left(after_ms=1) == ["b"]


async def test_any_sign_of_life_begins_the_time_anew(absence: Absence) -> None:
    member = await absence.gone()
    absence.clock.ms += AFTER_MS - 1
    absence.fleet.seen(member.record.id, absence.clock.ms)
    assert await absence.left(after_ms=AFTER_MS - 1) == ["a"]
    assert await absence.left(after_ms=1) == []


async def test_a_registration_begins_the_time_anew(absence: Absence) -> None:
    member = await absence.gone()
    absence.clock.ms += AFTER_MS - 1
    assert await absence.register() is member
    absence.miss(member)
    assert await absence.left(after_ms=AFTER_MS - 1) == ["a"]
    assert await absence.left(after_ms=1) == []


async def test_the_time_counts_from_when_this_gateway_looks_after_the_server(
    absence: Absence,
) -> None:
    member = await absence.gone()
    absence.clock.ms += 10 * AFTER_MS
    member.lease.grant(absence.clock.ms)
    assert await absence.left(after_ms=AFTER_MS - 1) == ["a"]
    assert await absence.left(after_ms=1) == []


async def test_a_server_that_holds_something_is_not_forgotten(absence: Absence) -> None:
    member = await absence.gone()
    absence.fleet.take_slot(member.record.id, "task_1", 1)
    assert await absence.left(after_ms=AFTER_MS) == ["a"]
    absence.fleet.free_slot(member.record.id, "task_1", 1)
    assert await absence.left(after_ms=0) == []


async def test_a_drained_server_is_not_forgotten_nor_is_the_operators_word(
    absence: Absence,
) -> None:
    member = await absence.gone()
    await absence.registry.drain(member.record.id, draining=True)
    assert await absence.left(after_ms=AFTER_MS) == ["a"]
    assert (await absence.register()).status is ServerStatus.DRAINING


async def test_a_server_that_comes_back_before_it_is_forgotten_stays(absence: Absence) -> None:
    member = await absence.gone()
    before = member.record
    absence.clock.ms += AFTER_MS
    await absence.register()
    await absence.registry.forget(before)
    assert await absence.left(after_ms=0) == ["a"]


async def test_a_forgotten_server_that_registers_is_a_new_one(absence: Absence) -> None:
    before = (await absence.gone()).record.id
    assert await absence.left(after_ms=AFTER_MS) == []
    again = await absence.register()
    assert again.record.id != before
    assert again.status is ServerStatus.ACTIVE
