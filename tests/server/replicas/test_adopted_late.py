"""A replica takes up what a server has though the store fails it in the middle of that."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from inferry.server.store import StoreError
from inferry.server.store.operations import Change, Operation
from tests.backends import ACCEPTED, Job, running_backend
from tests.server.replicas.crowd import Crowd, Replica, crowd
from tests.server.replicas.test_lost_replicas import elsewhere, report_here
from tests.server.replicas.test_servers_shared import seen, until


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


class Failing:
    """Has a method of something fail once, before it does anything or after it did all.

    Args:
        of: Whose it is.
        method: Its name.
        after: Whether it does its work before.
        suits: Which call it is to be.
    """

    def __init__(
        self,
        of: Any,
        method: str,
        *,
        after: bool = False,
        suits: Callable[..., bool] = lambda *_: True,
    ) -> None:
        self._work: Callable[..., Any] = getattr(of, method)
        self._after = after
        self._suits = suits
        self.failed = asyncio.Event()
        setattr(of, method, self)

    async def __call__(self, *given: Any) -> Any:
        if self.failed.is_set() or not self._suits(*given):
            return await self._work(*given)
        if self._after:
            await self._work(*given)
        self.failed.set()
        raise StoreError("the store failed")


def failing(here: Replica, step: str) -> Failing:
    store = here.lives.gateway._store
    shared = store.shared
    assert shared is not None
    match step:
        case "it takes the server":
            return Failing(shared, "take")
        case "it has taken the server":
            return Failing(shared, "take", after=True)
        case "it reads the list":
            return Failing(shared, "servers")
        case "it reads what the server has":
            return Failing(shared, "running")
        case "it reads what was stopped":
            return Failing(store, "stopped")
        case _:
            return Failing(store, "commit", suits=_changes_a_task)


def _changes_a_task(operations: Sequence[Operation]) -> bool:
    return any(isinstance(one, Change) for one in operations)


STEPS = [
    "it takes the server",
    "it has taken the server",
    "it reads the list",
    "it reads what the server has",
    "it reads what was stopped",
    "it ends what was cut",
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_server_is_taken_over_whole_though_the_store_failed_once_as(
    step: str, many: Crowd, postgres_url: str, tmp_path: Path
) -> None:
    async def answer(job: Job) -> web.StreamResponse:
        if job["callback_url"] is None:
            await asyncio.sleep(3_600)
        return await ACCEPTED(job)

    # Its store is to stay the one that fails.
    here = await many.join(replica_lease_ms=10_000)
    async with running_backend(answer) as backend, elsewhere(postgres_url, tmp_path, here) as there:
        server_id = await there.register(backend, maxConcurrent=2)
        await seen(here, server_id)
        waited_for = asyncio.ensure_future(here.create(timeout=600_000, **{"async": False}))
        await backend.next_job()
        accepted = await here.create()
        job = await backend.next_job()
        await there.eventually(
            f"/api/tasks/{accepted['id']}", lambda body: body["status"] == "PROCESSING"
        )
        fault = failing(here, step)
        await there.process.kill()
        await fault.failed.wait()
        await until(lambda: here.own() == {server_id})
        # Its call was cut with the replica that made it; what was accepted goes on, and has a slot.
        async with asyncio.timeout(60):
            assert (await waited_for)["code"] == "INTERNAL_ERROR"
        await here.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 1)
        await here.create()
        async with asyncio.timeout(60):
            await backend.next_job()
        await report_here(here, job)
        assert (await here.task(accepted["id"]))["status"] == "COMPLETED"
        await there.process.restart()
