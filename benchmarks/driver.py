"""The load: so many clients, each with one task at a time, for so long."""

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson

from benchmarks.processes import processor_s

TYPE = "benchmark"
_PAYLOAD = {"prompt": "a picture of a ferry", "steps": 30, "seed": 42}


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of load."""

    name: str
    #: Whether the end of a task comes by callback.
    asynchronous: bool
    #: Clients at once.
    clients: int


LOADS = (Load("async", True, 64), Load("sync", False, 64), Load("serial", False, 1))


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of load measured."""

    tasks: int
    seconds: float
    #: Processor time of the gateway.
    processor_s: float
    #: From the create call to the known end of each task, in milliseconds, ascending.
    latencies_ms: list[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    @property
    def processor_us(self) -> float:
        """Processor time of the gateway for one task, in microseconds."""
        return self.processor_s * 1e6 / self.tasks

    def percentile_ms(self, share: float) -> float:
        """The latency that ``share`` of the tasks did not exceed."""
        return self.latencies_ms[min(self.tasks - 1, int(self.tasks * share))]


class Ends:
    """Tells when a task has ended: the backend prints each, in whatever order."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def of(self, task_id: str) -> None:
        """Waits for the end of a task, which may have come already."""
        await self._future(task_id)
        del self._waiting[task_id]

    async def listen(self, backend: Process) -> None:
        """Reads what the backend prints, for ever."""
        assert backend.stdout is not None
        async for line in backend.stdout:
            word, task_id, *rest = line.decode().split(maxsplit=2)
            future = self._future(task_id)
            if word == "done":
                future.set_result(None)
            else:
                future.set_exception(RuntimeError(f"callback of {task_id} {word}: {rest}"))

    def _future(self, task_id: str) -> asyncio.Future[None]:
        future = self._waiting.get(task_id)
        if future is None:
            future = self._waiting[task_id] = asyncio.get_running_loop().create_future()
        return future


@asynccontextmanager
async def listening(backend: Process) -> AsyncIterator[Ends]:
    """Listens to a backend for the ends of tasks."""
    ends = Ends()
    listener = asyncio.create_task(ends.listen(backend))
    try:
        yield ends
    finally:
        listener.cancel()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway under load."""

    name: str
    url: str
    pid: int
    #: Sends the token with every call.
    session: aiohttp.ClientSession

    async def register(self, backend_url: str) -> None:
        """Makes a backend known to it."""
        body = {"url": backend_url, "name": "benchmark", "capabilities": [TYPE]}
        call = self.session.post(
            f"{self.url}/api/servers/register", json={**body, "maxConcurrent": 10_000}
        )
        async with call as response:
            response.raise_for_status()

    async def press(self, load: Load, seconds: float, ends: Ends) -> Round:
        """Puts load on it for a while; what has begun is ended."""
        body = orjson.dumps({"type": TYPE, "async": load.asynchronous, "payload": _PAYLOAD})
        live = self._asynchronous if load.asynchronous else self._synchronous
        latencies_ms: list[float] = []
        used_s, began_s = processor_s(self.pid), time.perf_counter()
        async with asyncio.TaskGroup() as clients:
            for _ in range(load.clients):
                clients.create_task(
                    _client(lambda: live(body, ends), began_s + seconds, latencies_ms)
                )
        elapsed_s = time.perf_counter() - began_s
        used_s = processor_s(self.pid) - used_s
        return Round(len(latencies_ms), elapsed_s, used_s, sorted(latencies_ms))

    async def _synchronous(self, body: bytes, _: Ends) -> None:
        task = await self._create(body, 200)
        if task["status"] != "COMPLETED":
            message = f"{self.name}: {task}"
            raise RuntimeError(message)

    async def _asynchronous(self, body: bytes, ends: Ends) -> None:
        task = await self._create(body, 202)
        await ends.of(task["id"])

    async def _create(self, body: bytes, expected: int) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        call = self.session.post(f"{self.url}/api/tasks", data=body, headers=headers)
        async with call as response:
            answer = await response.read()
        if response.status != expected:
            message = f"{self.name} answered {response.status}: {answer!r}"
            raise RuntimeError(message)
        task: dict[str, str] = orjson.loads(answer)
        return task


async def _client(
    live: Callable[[], Awaitable[None]], until_s: float, latencies_ms: list[float]
) -> None:
    while (began_s := time.perf_counter()) < until_s:
        await live()
        latencies_ms.append((time.perf_counter() - began_s) * 1e3)
