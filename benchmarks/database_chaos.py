"""Measures how two replicas get over what is done to their PostgreSQL under a steady load.

In each part something is done to the database; then tasks a second are counted from 10 s after it
was over, for as long as before it. During all of it an idle transaction of somebody else holds
locks on tasks, and one client asks each second to cancel one of them.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.machine import describe
from tests.backends import Backend, running_backend, say
from tests.crash.database import Database
from tests.crash.gateways import Gateways, running_gateways
from tests.postgres import PostgresServer, database

CLIENTS = 16
#: Between the beginnings of two tasks of a client: less than what the gateways could do, so that
#: what is measured is them, and not what else the machine does.
EACH_S = 0.25
MEASURE_S = 15.0
RECOVERED_WITHIN_S = 10.0
WARM_UP_S = 5.0
LOCKED = 3
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
    """

    def __init__(self, gateways: Gateways, http: aiohttp.ClientSession) -> None:
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
            due_s = max(time.monotonic(), due_s + EACH_S)
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


@asynccontextmanager
async def under_steady_load(gateways: Gateways, backend: Backend) -> AsyncIterator[Steady]:
    """Puts load on gateways until the block ends."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {gateways.token}"},
        timeout=aiohttp.ClientTimeout(total=30),
        connector=aiohttp.TCPConnector(limit=0),
    ) as http:
        server = {"url": backend.url, "name": "steady", "capabilities": [_TYPE]}
        url = f"{gateways.rest[0]}/api/servers/register"
        async with http.post(url, json={**server, "maxConcurrent": 1_000}) as response:
            response.raise_for_status()
        steady = Steady(gateways, http)
        lives = [steady.live() for _ in range(CLIENTS)]
        living = [asyncio.create_task(one) for one in (*lives, steady.nag())]
        try:
            yield steady
        finally:
            for one in living:
                one.cancel()
            await asyncio.gather(*living, return_exceptions=True)


async def measure(steady: Steady, name: str, harm: Callable[[], Awaitable[None]]) -> None:
    """Prints a line on what one harm did."""
    began_s = time.monotonic()
    await asyncio.sleep(MEASURE_S)
    baseline, refused = steady.rate(began_s, time.monotonic()), steady.refused
    await harm()
    over_s = time.monotonic()
    await asyncio.sleep(RECOVERED_WITHIN_S + MEASURE_S)
    begin_s = over_s + RECOVERED_WITHIN_S
    after = steady.rate(begin_s, begin_s + MEASURE_S)
    first_s = next((one - over_s for one in steady.ends_s if one > over_s), float("nan"))
    print(
        f"{name:<36}{baseline:>8.0f}{after:>8.0f}{after / baseline:>8.1%}"
        f"{first_s:>10.2f}{steady.refused - refused:>9}",
        flush=True,
    )


async def nothing() -> None:
    """Does nothing, which tells how much the numbers say."""


async def main() -> None:
    """Prints a line for each thing that is done to the database."""
    SCRATCH.mkdir(exist_ok=True)
    for what, value in describe(SCRATCH).items():
        print(f"{what:<12}{value}")
    with running_postgres() as server:
        folder = Path(tempfile.mkdtemp(dir=SCRATCH))
        async with (
            database(server.url) as url,
            running_backend(say({"status": "success", "result": 1})) as backend,
            running_gateways(folder, {}, url, 2) as gateways,
            under_steady_load(gateways, backend) as steady,
        ):
            chaos = Database(server, url, CAREFUL)
            print(f"{'':<36}{'before':>8}{'after':>8}{'':>8}{'first, s':>10}{'refused':>9}")
            await asyncio.sleep(WARM_UP_S)
            await measure(steady, "nothing", nothing)
            locked = [await steady.wait_for_nobody() for _ in range(LOCKED)]
            for name, harm in (
                ("tasks locked by an idle transaction", lambda: chaos.lock(locked)),
                ("every connection terminated", chaos.terminate_all),
                ("every connection taken for 3 s", chaos.exhaust),
                ("restarted in order", chaos.restart),
                ("crashed and recovered", chaos.crash),
            ):
                await measure(steady, name, harm)
            await chaos.let_go()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Runs one that is as careful with its disk as one in earnest."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        server.create()
        server.start(**CAREFUL)
        try:
            yield server
        finally:
            server.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
