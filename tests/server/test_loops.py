"""The background loops, run by hand: health, retention, gaps in old events."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from inferry.server.backlog import Backlog
from inferry.server.fleet import Fleet
from inferry.server.health import HealthLoop, read_health
from inferry.server.ledger import Ledger
from inferry.server.outbound import Outbound
from inferry.server.servers import Load, ServerRecord, ServerStatus
from inferry.server.signals import Signals
from inferry.server.store import EVENTS_KEPT
from inferry.server.sweep import Sweeper
from inferry.server.tokens import Role
from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import Running, running_gateway, token

INTERVAL_MS = 10_000


class HandClock:
    """Stands still until it is set forward."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend() as running:
        yield running


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound()
    await outbound.start()
    yield outbound
    await outbound.close()


def server(url: str, name: str = "one") -> ServerRecord:
    return ServerRecord(
        id=f"srv_{name}",
        url=url,
        name=name,
        capabilities=frozenset(),
        max_concurrent=1,
        metadata=b"{}",
        draining=False,
        private_allowed=True,
        created_ms=0,
        updated_ms=0,
    )


def probing(outbound: Outbound, clock: HandClock) -> tuple[Ledger, HealthLoop]:
    ledger = Ledger(Fleet(), Backlog(1, 1), Signals(), clock)
    return ledger, HealthLoop(
        ledger=ledger,
        outbound=outbound,
        clock=clock,
        random=Random(1),
        interval_ms=INTERVAL_MS,
        timeout_ms=5_000,
    )


async def test_probes_degrade_take_offline_and_restore_a_server_and_never_stop(
    backend: Backend, outbound: Outbound
) -> None:
    clock = HandClock()
    ledger, loop = probing(outbound, clock)
    member = ledger.fleet.put(server(backend.url))
    seen = []
    for healthy in (True, False, False, False, False, True, True):
        backend.healthy = healthy
        await loop.run_once()
        seen.append(member.status.name)
        clock.ms += 2 * INTERVAL_MS
    assert seen == [
        "ACTIVE",
        "DEGRADED",
        "DEGRADED",
        "OFFLINE",
        "OFFLINE",
        "DEGRADED",
        "ACTIVE",
    ]
    assert member.load == Load(45, 60, 3, 5)
    assert ledger.claimable.is_set()


async def test_a_server_is_probed_once_an_interval(backend: Backend, outbound: Outbound) -> None:
    clock = HandClock()
    ledger, loop = probing(outbound, clock)
    member = ledger.fleet.put(server(backend.url))
    backend.healthy = False
    for _ in range(5):
        await loop.run_once()
    assert (member.status, member.health.streak) == (ServerStatus.DEGRADED, -1)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b'{"status":"healthy"}', ""),
        (200, b'{"status":"unhealthy"}', "unhealthy"),
        (200, b"<html>", "None"),
        (200, b"[]", "None"),
        (500, b'{"status":"healthy"}', "500"),
        (404, b"", "404"),
    ],
)
def test_only_the_guides_answer_is_healthy(status: int, body: bytes, error: str) -> None:
    load, said = read_health(status, body)
    assert load is None
    assert error in said
    assert bool(said) == bool(error)


def test_a_load_of_nonsense_counts_as_none() -> None:
    body = b'{"status":"healthy","load":{"cpu":"much","memory":-3,"active_tasks":1e99}}'
    assert read_health(200, body) == (Load(0.0, 0.0, 2**31 - 1, 0), "")


async def purge(gateway: Running, tombstone_ms: int) -> None:
    inside = gateway.gateway
    await Sweeper(
        engine=inside._engine,
        store=inside._store,
        clock=inside._clock,
        interval_ms=1,
        purge_interval_ms=0,
        tombstone_ms=tombstone_ms,
    ).run_once()


async def test_a_task_is_gone_when_its_retention_is_over_and_later_unknown(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    task = await gateway.create(resultTtl=1, **{"async": False})
    kept = await gateway.create(**{"async": False})
    path = f"/api/tasks/{task['id']}"
    await purge(gateway, tombstone_ms=60_000)
    for verb in ("GET", "DELETE"):
        status, body = await gateway.call(verb, path)
        assert (status, body["code"]) == (410, "GONE")
        stranger = token(Role.CLIENT, tenant="other")
        status, body = await gateway.call(verb, path, auth=stranger)
        assert (status, body["code"]) == (404, "NOT_FOUND")
    assert (await gateway.task(kept["id"]))["status"] == "COMPLETED"


async def test_a_watcher_that_comes_too_late_for_old_events_gets_a_gap_and_the_task(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    for step in range(EVENTS_KEPT):
        await backend.report(job, status="PROCESSING", message=f"step {step}")
    await backend.report(job, status="COMPLETED", result=1)
    gap, *events = await gateway.events(task["id"])
    assert (gap["kind"], gap["task"]["status"]) == ("GAP", "COMPLETED")
    assert [event["seq"] for event in events] == list(
        range(gap["seq"] + 1, gap["seq"] + 1 + EVENTS_KEPT)
    )
    assert events[-1]["status"] == "COMPLETED"
