"""Probes over real sockets, rounds by hand: health, leases, and servers that hang or die."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

from inferry.server.carriers.http import probe as module
from inferry.server.carriers.http.caller import Caller
from inferry.server.carriers.http.probe import JITTER, HealthLoop
from inferry.server.clock import SystemClock
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Load, ServerStatus
from inferry.server.outbound.client import Outbound
from inferry.wire.limits import RESULT_BYTES
from tests.backends import running_backend
from tests.server.fleets import HandClock, new_fleet, server

INTERVAL_MS = 10_000
LEASE_MS = 15_000
#: Sooner than any server with attempts is probed again, and later.
SHORT_MS = int(LEASE_MS / 3 * (1 - JITTER) / (1 + JITTER))
LONG_MS = LEASE_MS // 3 + 1
TASK = ("task_1", 1)


class Probed:
    """A backend that counts the probes that reach it, and may never answer them."""

    def __init__(self) -> None:
        self.hangs = False
        self.answer = b'200 OK\r\nContent-Length: 20\r\n\r\n{"status":"healthy"}'
        self.probes = 0
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            self.probes += 1
            self.asked.set()
            if self.hangs:
                await reader.read()
                self.hung_up.set()
            else:
                status, rest = self.answer.split(b"\r\n", 1)
                writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\n%s" % (status, rest))
                await writer.drain()
        writer.close()


@asynccontextmanager
async def probed() -> AsyncIterator[Probed]:
    backend = Probed()
    listening = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
    backend.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield backend


class Watched:
    """A fleet, the loop that probes it, and what it held to be lost."""

    def __init__(self, outbound: Outbound, timeout_ms: int) -> None:
        self.clock = HandClock()
        self.fleet = new_fleet()
        self.lost: list[tuple[str, set[AttemptKey]]] = []
        self.loop = HealthLoop(
            fleet=self.fleet,
            lose=self.lose,
            caller=Caller(outbound, None),
            clock=self.clock,
            random=Random(1),
            interval_ms=INTERVAL_MS,
            timeout_ms=timeout_ms,
            lease_ms=LEASE_MS,
        )

    async def lose(self, server_id: str, attempts: Collection[AttemptKey], reason: str) -> None:
        assert reason.startswith("the server is gone: no connection")
        self.lost.append((server_id, set(attempts)))
        for task_id, number in attempts:
            self.fleet.free_slot(server_id, task_id, number)

    async def go(self, *, after_ms: int = 0) -> None:
        """Makes a round, and waits for its probes."""
        self.clock.ms += after_ms
        await self.loop.run_once()
        await asyncio.gather(*self.loop._probes)


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound(RESULT_BYTES)
    await outbound.start()
    yield outbound
    await outbound.close()


@pytest.fixture
def watched(outbound: Outbound) -> Watched:
    return Watched(outbound, timeout_ms=5_000)


async def dead(watched: Watched) -> Member:
    """Adds a server where nobody listens, with an attempt."""
    async with probed() as backend:
        url = backend.url
    member = watched.fleet.put(server(url=url))
    watched.fleet.take_slot("srv_a", *TASK)
    return member


async def test_probes_degrade_take_offline_and_restore_a_server_and_never_stop(
    watched: Watched,
) -> None:
    async with running_backend() as backend:
        member = watched.fleet.put(server(url=backend.url))
        seen = []
        for healthy in (True, False, False, False, False, True, True):
            backend.healthy = healthy
            watched.fleet.claimable.clear()
            await watched.go(after_ms=2 * INTERVAL_MS)
            seen.append(member.status.name)
    good, bad = ["ACTIVE"], ["DEGRADED", "DEGRADED", "OFFLINE", "OFFLINE"]
    assert seen == good + bad + ["DEGRADED", "ACTIVE"]
    assert member.load == Load(45, 60, 3, 5)
    assert watched.fleet.claimable.is_set()


async def test_a_server_is_probed_once_an_interval_and_at_once_when_it_registers_anew(
    watched: Watched,
) -> None:
    async with probed() as backend:
        watched.fleet.put(server(url=backend.url))
        for _ in range(5):
            await watched.go(after_ms=100)
        assert backend.probes == 1
        watched.fleet.put(server(url=backend.url, draining=True))
        await watched.go()
        assert backend.probes == 2
        await watched.go(after_ms=int(INTERVAL_MS * (1 + JITTER)))
        assert backend.probes == 3


async def test_a_server_with_attempts_is_probed_three_times_a_lease(watched: Watched) -> None:
    async with probed() as backend:
        watched.fleet.put(server(url=backend.url))
        await watched.go()
        watched.fleet.take_slot("srv_a", *TASK)
        await watched.go(after_ms=SHORT_MS - 1)
        assert backend.probes == 1
        for probes in (2, 3, 4):
            await watched.go(after_ms=LONG_MS)
            assert backend.probes == probes


async def test_a_probe_that_hangs_delays_no_other_and_is_not_repeated_meanwhile(
    watched: Watched,
) -> None:
    async with probed() as hanging, probed() as healthy:
        hanging.hangs = True
        watched.fleet.put(server("a", url=hanging.url))
        watched.fleet.put(server("b", url=healthy.url))
        for probes in (1, 2, 3):
            healthy.asked.clear()
            await watched.loop.run_once()
            async with asyncio.timeout(10):
                await healthy.asked.wait()
                await hanging.asked.wait()
                while len(watched.loop._probes) > 1:
                    await asyncio.wait(watched.loop._probes, return_when=asyncio.FIRST_COMPLETED)
            assert (healthy.probes, hanging.probes) == (probes, 1)
            watched.clock.ms += 2 * INTERVAL_MS
        await watched.loop.stop()
        async with asyncio.timeout(10):
            await hanging.hung_up.wait()


async def test_servers_that_hang_take_no_places_from_those_that_are_healthy(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBES_LIMIT", 1)
    watched = Watched(outbound, timeout_ms=60_000)
    async with probed() as sick:
        pass
    watched.fleet.put(server("a", url=sick.url))
    await watched.go()
    port = int(sick.url.rpartition(":")[2])
    sick.hangs = True
    async with await asyncio.start_server(sick.serve, "127.0.0.1", port), probed() as healthy:
        watched.fleet.put(server("b", url=healthy.url))
        watched.clock.ms += 2 * INTERVAL_MS
        await watched.loop.run_once()
        async with asyncio.timeout(10):
            await sick.asked.wait()
            await healthy.asked.wait()
        assert not sick.hung_up.is_set()
        await watched.loop.stop()


@pytest.mark.parametrize("where", ["asking", "reading"])
async def test_a_probe_that_breaks_is_a_bad_one_and_the_next_is_made(
    watched: Watched, outbound: Outbound, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_given: object, **_more: object) -> None:
        raise ZeroDivisionError

    async with probed() as backend:
        member = watched.fleet.put(server(url=backend.url))
        place, name = {"asking": (outbound, "get"), "reading": (module, "read_health")}[where]
        monkeypatch.setattr(place, name, broken)
        await watched.go()
        said = member.status.name, member.last_error
        assert said == ("DEGRADED", "the probe broke: ZeroDivisionError")
        monkeypatch.undo()
        for _ in range(2):
            await watched.go(after_ms=2 * INTERVAL_MS)
        assert (member.status.name, member.last_error) == ("ACTIVE", "")


async def test_a_server_that_is_slow_to_answer_is_alive(outbound: Outbound) -> None:
    watched = Watched(outbound, timeout_ms=50)
    async with probed() as backend:
        backend.hangs = True
        member = watched.fleet.put(server(url=backend.url))
        watched.fleet.take_slot("srv_a", *TASK)
        for _ in range(6):
            await watched.go(after_ms=LONG_MS)
            assert member.lease.seen_ms == watched.clock.ms
    assert (member.status, watched.lost) == (ServerStatus.OFFLINE, [])


async def test_what_a_dead_server_held_is_lost_when_its_lease_is_over(watched: Watched) -> None:
    member = await dead(watched)
    await watched.go()
    await watched.go(after_ms=LONG_MS)
    await watched.go(after_ms=LONG_MS)
    await watched.go(after_ms=LEASE_MS - 2 * LONG_MS - 1)
    assert (member.status, watched.lost) == (ServerStatus.OFFLINE, [])
    await watched.go(after_ms=1)
    assert watched.lost == [("srv_a", {TASK})]
    await watched.go(after_ms=LEASE_MS)
    assert len(watched.lost) == 1


async def test_a_lease_that_is_over_is_not_enough_two_probes_must_fail_to_connect(
    watched: Watched,
) -> None:
    await dead(watched)
    await watched.go()
    await watched.go(after_ms=10 * LEASE_MS)
    assert watched.lost == []
    await watched.go()
    assert watched.lost == [("srv_a", {TASK})]


async def test_any_sign_of_life_renews_the_lease(watched: Watched) -> None:
    await dead(watched)
    for _ in range(9):
        await watched.go(after_ms=LONG_MS)
        watched.fleet.seen("srv_a", watched.clock.ms)
    assert watched.lost == []


async def test_an_attempt_that_came_after_the_death_has_its_own_end(watched: Watched) -> None:
    await dead(watched)
    await watched.go()
    await watched.go(after_ms=LONG_MS)
    watched.fleet.take_slot("srv_a", "task_2", 1)
    await watched.go(after_ms=LEASE_MS - LONG_MS)
    assert watched.lost == [("srv_a", {TASK})]
    for _ in range(3):
        await watched.go(after_ms=LONG_MS)
    assert watched.lost[1:] == [("srv_a", {("task_2", 1)})]


async def test_a_server_that_comes_back_in_time_loses_nothing(watched: Watched) -> None:
    async with probed() as backend:
        member = watched.fleet.put(server(url=backend.url))
    watched.fleet.take_slot("srv_a", *TASK)
    await watched.go()
    await watched.go(after_ms=LONG_MS)
    port = int(backend.url.rpartition(":")[2])
    async with await asyncio.start_server(backend.serve, "127.0.0.1", port):
        await watched.go(after_ms=LONG_MS)
        await watched.go(after_ms=LEASE_MS)
    assert (member.holding, watched.lost) == ({TASK}, [])


async def test_a_running_loop_notices_a_new_server_at_once(outbound: Outbound) -> None:
    watched = Watched(outbound, timeout_ms=5_000)
    loop = HealthLoop(
        fleet=watched.fleet,
        lose=watched.lose,
        caller=Caller(outbound, None),
        clock=SystemClock(),
        random=Random(1),
        interval_ms=3_600_000,
        timeout_ms=5_000,
        lease_ms=3_600_000,
    )
    loop.start()
    async with probed() as first, probed() as second:
        for name, backend in (("a", first), ("b", second)):
            watched.fleet.put(server(name, url=backend.url))
            async with asyncio.timeout(10):
                await backend.asked.wait()
        await loop.stop()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"204 No Content\r\n\r\n", ""),
        (b"200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        (b"200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK", ""),
        (b'200 OK\r\nContent-Length: 15\r\n\r\n{"status":"UP"}', ""),
        (b"503 Service Unavailable\r\nContent-Length: 2\r\n\r\nOK", "answered 503"),
        (b"200 OK\r\nContent-Length: 70000\r\n\r\n" + b" " * 70_000, "70,000 bytes"),
        (b"200 OK\r\n\r\n" + b"x" * 10_000_000, "more than"),
        (b"splendid\r\n\r\n", "not valid HTTP"),
    ],
)
async def test_health_checks_of_all_sorts_are_read_off_the_wire(
    watched: Watched, answer: bytes, error: str
) -> None:
    async with probed() as backend:
        backend.answer = answer
        member = watched.fleet.put(server(url=backend.url))
        await watched.go()
    assert error in member.last_error
    assert (member.status is ServerStatus.ACTIVE) == (not error)
