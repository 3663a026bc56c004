"""Replicas that share a queue start its tasks in the order of one gateway, but for a bound.

Counted whenever all slots are taken and nothing moves, so that no time matters.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from inferry.server.task.record import EventKind
from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import token
from tests.postgres import on
from tests.server.replicas.crowd import Crowd, Replica, crowd
from tests.server.replicas.test_servers_shared import until

REPLICAS, SLOTS = 3, 3
TENANTS = ("acme", "globex", "initech")
#: Who started, first to last, and what each was in the queue.
STARTED = f"""SELECT tenant, priority, id FROM tasks JOIN events USING (task_number)
WHERE kind = {EventKind.DISPATCHED:d} ORDER BY ord"""
QUEUED = "SELECT id FROM tasks ORDER BY queued_ms, id"


class Hall:
    """Replicas with a server of few slots each, and tasks that all of them know of.

    Args:
        url: Their database.
        replicas: They.
        backends: What their servers are; each ends a task when it is told to.
    """

    def __init__(self, url: str, replicas: list[Replica], backends: list[Backend]) -> None:
        self._url = url
        self._replicas = replicas
        self._backends = backends
        self._random = Random(7)
        self._created = self._ended = 0

    async def create(self, tenant: str = "acme", priority: int = 0) -> None:
        """Creates a task at the next replica."""
        replica = self._replicas[self._created % REPLICAS]
        body = {"type": "echo", "priority": priority}
        status, task = await replica.call("POST", "/api/tasks", body, token(tenant=tenant))
        assert status == 202, task
        self._created += 1

    async def begin(self) -> None:
        """Lets tasks start once all replicas have heard of all."""
        for replica in self._replicas:
            backlog = replica.lives.gateway._memory.ledger._backlog
            await until(lambda backlog=backlog: len(backlog) == self._created)  # type: ignore[misc]
        await self._replicas[0].call("POST", "/api/queue/resume", {"type": "echo"})

    async def at_rest(self) -> list[tuple[str, int, str]]:
        """Waits until all slots are taken, or nobody waits; lists what has started."""
        wanted = min(self._created, self._ended + REPLICAS * SLOTS)
        async with asyncio.timeout(30):
            while True:
                started = [tuple(row) for row in await on(self._url, STARTED)]
                if len(started) >= wanted:
                    assert len(started) == wanted
                    return started
                await asyncio.sleep(0.02)

    async def end_some(self) -> None:
        """Ends some of the tasks that run, whosever they are."""
        running = min(self._created - self._ended, REPLICAS * SLOTS)
        await until(lambda: sum(one.jobs.qsize() for one in self._backends) == running)
        busy = [one for one in self._backends if not one.jobs.empty()]
        for backend in self._random.sample(busy, self._random.randint(1, len(busy))):
            for _ in range(self._random.randint(1, backend.jobs.qsize())):
                job = await backend.next_job()
                status, _ = await backend.report(job, status="COMPLETED", result=1)
                assert status == 200
                self._ended += 1


@pytest.fixture(params=[True, False], ids=["notices", "polling"])
async def hall(
    request: pytest.FixtureRequest, postgres_url: str, tmp_path: Path
) -> AsyncIterator[Hall]:
    async with AsyncExitStack() as stack:
        many: Crowd = await stack.enter_async_context(crowd(postgres_url, tmp_path))
        replicas = [await many.join(store_notify=request.param) for _ in range(REPLICAS)]
        backends = [
            await stack.enter_async_context(running_backend(ACCEPTED)) for _ in range(REPLICAS)
        ]
        for replica, backend in zip(replicas, backends, strict=True):
            await replica.register(backend, maxConcurrent=SLOTS)
        await until(lambda: all(len(replica.own()) == 1 for replica in replicas))
        await replicas[0].call("POST", "/api/queue/pause", {"type": "echo", "reason": "yet"})
        await until(lambda: all("echo" in one.lives.gateway._memory.pauses for one in replicas))
        yield Hall(postgres_url, replicas, backends)


async def test_replicas_start_the_first_tasks_of_a_line_whoever_has_the_slots(
    hall: Hall, postgres_url: str
) -> None:
    for _ in range(45):
        await hall.create()
    queued = [row[0] for row in await on(postgres_url, QUEUED)]
    await hall.begin()
    started = await hall.at_rest()
    while len(started) < len(queued):
        assert {task_id for _, _, task_id in started} == set(queued[: len(started)])
        await hall.end_some()
        started = await hall.at_rest()
    # Each once: what another replica was quicker with was neither lost nor started again.
    assert sorted(task_id for _, _, task_id in started) == sorted(queued)


async def test_tenants_are_a_turn_apart_for_each_replica_and_priorities_not_at_all(
    hall: Hall,
) -> None:
    for number in range(45):
        # The first one brings all of its tasks before the others bring any.
        await hall.create(TENANTS[number // 15], 9 if number % 5 == 0 else 0)
    await hall.begin()
    started = await hall.at_rest()
    while len(started) < 45:
        urgent = [one for one in started if one[1] == 9]
        assert len(urgent) == min(9, len(started))
        for tasks in (urgent, [one for one in started if one[1] == 0]):
            turns = Counter(dict.fromkeys(TENANTS, 0))
            turns.update(tenant for tenant, _, _ in tasks)
            assert max(turns.values()) - min(turns.values()) <= REPLICAS, turns
        await hall.end_some()
        started = await hall.at_rest()
