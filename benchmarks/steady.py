"""A load of synchronous tasks on gateways that share a store, and the database of such."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.backends import Backend
from tests.crash.gateways import Gateways
from tests.postgres import PostgresServer

CLIENTS = 16
SCRATCH = Path(__file__).parent.parent / ".build"
#: As careful with its disk as one that is in earnest.
CAREFUL = {
    "fsync": "on",
    "full_page_writes": "on",
    "max_connections": "60",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
}
_TYPE = "steady"
_BROKEN = (aiohttp.ClientError, TimeoutError)


class Steady:
    """Clients that each have one synchronous task at a time, whatever happens.

    Args:
        gateways: They call these in turns.
        http: Sends the token with every call.
        each_s: Between the beginnings of two tasks of a client, at least.
    """

    def __init__(self, gateways: Gateways, http: aiohttp.ClientSession, each_s: float) -> None:
        self._each_s = each_s
        self._gateways = gateways
        self._http = http
        #: When each task was known to have ended.
        self.ends_s: list[float] = []
        #: Calls that came to nothing.
        self.refused = 0
        self._nagged: list[str] = []
        self._count = 0

    async def live(self) -> None:
        """Goes on for ever."""
        due_s = time.monotonic()
        while True:
            due_s = max(time.monotonic(), due_s + self._each_s)
            await asyncio.sleep(due_s - time.monotonic())
            self._count += 1
            url = self._gateways.rest[self._count % len(self._gateways.rest)]
            try:
                body = {"type": _TYPE, "async": False, "payload": {"n": 1}}
                async with self._http.post(f"{url}/api/tasks", json=body) as response:
                    done = (await response.json()).get("status") == "COMPLETED"
            except _BROKEN:
                done = False
            if done:
                self.ends_s.append(time.monotonic())
            else:
                self.refused += 1

    async def wait_for_nobody(self) -> str:
        """Creates a task that nobody takes; it is asked to be cancelled each second from now on."""
        body = {"type": "nobody", "payload": {"n": 1}}
        async with self._http.post(f"{self._gateways.rest[0]}/api/tasks", json=body) as response:
            task_id = str((await response.json())["id"])
        self._nagged.append(task_id)
        return task_id

    async def nag(self) -> None:
        """Asks to cancel tasks, again and again."""
        while True:
            await asyncio.sleep(1)
            for url in self._gateways.rest if self._nagged else ():
                name = self._nagged.pop(0)
                self._nagged.append(name)
                with suppress(*_BROKEN):
                    async with self._http.delete(f"{url}/api/tasks/{name}") as response:
                        await response.read()

    def rate(self, begin_s: float, end_s: float) -> float:
        """Tasks a second between two times."""
        return sum(begin_s <= one < end_s for one in self.ends_s) / (end_s - begin_s)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered to gateways, and what they have for it."""

    clients: int = CLIENTS
    #: Between the beginnings of two tasks of a client, at least.
    each_s: float = 0.0
    servers: int = 1
    #: Of each server.
    slots: int = 1_000


@asynccontextmanager
async def under_steady_load(
    gateways: Gateways, backend: Backend, offer: Offer
) -> AsyncIterator[Steady]:
    """Puts load on gateways until the block ends."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {gateways.token}"},
        timeout=aiohttp.ClientTimeout(total=30),
        connector=aiohttp.TCPConnector(limit=0),
    ) as http:
        url = f"{gateways.rest[0]}/api/servers/register"
        for number in range(offer.servers):
            server = {"url": backend.url, "name": f"steady-{number}", "capabilities": [_TYPE]}
            async with http.post(url, json={**server, "maxConcurrent": offer.slots}) as response:
                response.raise_for_status()
        steady = Steady(gateways, http, offer.each_s)
        lives = [steady.live() for _ in range(offer.clients)]
        living = [asyncio.create_task(one) for one in (*lives, steady.nag())]
        try:
            yield steady
        finally:
            for one in living:
                one.cancel()
            await asyncio.gather(*living, return_exceptions=True)


@contextmanager
def running_postgres(**settings: str) -> Iterator[PostgresServer]:
    """Runs one that is as careful with its disk as one in earnest."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        server.create()
        server.start(**CAREFUL, **settings)
        try:
            yield server
        finally:
            server.stop()
