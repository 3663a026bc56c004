"""What counts for a server that does not say."""

import asyncio
from pathlib import Path

from tests.backends import ACCEPTED, Backend
from tests.gateways import running_gateway


async def test_a_server_takes_as_many_tasks_as_the_setting_has_it(
    tmp_path: Path, backend: Backend
) -> None:
    async with running_gateway(tmp_path, max_concurrent=2) as gateway:
        path = f"/api/servers/{await gateway.register(backend)}"
        assert (await gateway.call("GET", path))[1]["maxConcurrent"] == 2
        await gateway.register(backend, maxConcurrent=7)
        assert (await gateway.call("GET", path))[1]["maxConcurrent"] == 7


async def test_a_server_that_is_taken_out_has_the_grace_of_the_setting(
    tmp_path: Path, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    async with running_gateway(tmp_path, deregister_grace_ms=0) as gateway:
        server_id = await gateway.register(backend)
        task = await gateway.create()
        await backend.next_job()
        async with asyncio.timeout(10):
            assert await gateway.call("DELETE", f"/api/servers/{server_id}") == (200, {})
        lost = await gateway.task(task["id"])
        assert (lost["status"], lost["details"]["reason"]) == ("FAILED", "lost")
