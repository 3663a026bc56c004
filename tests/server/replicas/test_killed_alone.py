"""A replica that was killed and starts again where it was waits for no lease of its own."""

from pathlib import Path
from typing import Any, cast

import aiohttp

from tests.backends import ACCEPTED, running_backend
from tests.gateways import SECRET, Running
from tests.processes import start_gateway

#: Nobody waits for it here.
LONG_MS = 600_000
NOT_HERE = cast("Any", None)


async def test_a_killed_replica_that_starts_again_has_its_servers_at_once(
    postgres_url: str, tmp_path: Path
) -> None:
    settings = {
        "INFERRY_STORE": postgres_url,
        "INFERRY_JWT_SECRET": SECRET,
        "INFERRY_REPLICA_LEASE_MS": str(LONG_MS),
    }
    process = await start_gateway(tmp_path, settings=settings)
    async with running_backend(ACCEPTED) as backend, aiohttp.ClientSession() as http:
        there = Running(NOT_HERE, NOT_HERE, NOT_HERE, process.rest, http)
        await there.register(backend)
        for _ in range(2):
            task = await there.create()
            job = await backend.next_job()
            assert job["id"] == task["id"]
            await process.kill()
            await process.restart()
            # What it had goes on.
            assert (await backend.report(job, status="COMPLETED", result=1))[0] == 200
            assert (await there.task(task["id"]))["status"] == "COMPLETED"
    await process.stop()
