"""Measures what watchers of many tasks cost, and what a batch saves. See docs/benchmarks.md.

python -m benchmarks.many_watched
"""

import asyncio
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.gateway import bearer, running_gateway
from inferry.server.app.gateway import Gateway
from inferry.server.logs import set_up_logs
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CancelTasksRequest,
    CreateTaskRequest,
    WatchTasksRequest,
)
from inferry.v1.task_service_pb2_grpc import TaskServiceStub

WATCHERS = 1_000
#: Tasks a second that come and are cancelled while watchers are measured: two events each.
TASKS_A_SECOND = 500
LOOK_S = 10.0
#: Tasks that are created for each figure of a batch.
CREATED = 4_000
SIZES = (1, 10, 100, 1_000)
#: Calls at once: of single creations, and of batches.
SINGLE_CALLS, BATCH_CALLS = 64, 4
_PAYLOAD = b'{"prompt":"a picture of a ferry","steps":30,"seed":42}'


class Crowd:
    """Whoever watches, and the tasks that come and go."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._watchers: list[asyncio.Task[None]] = []
        self._begun = 0
        #: Events that watchers have got.
        self.told = 0

    async def watch(self, **asked: Any) -> None:
        """Adds a watcher for each label, or one that asks for something else."""
        wanted = [asked] if asked else [{"labels": {"job": str(n)}} for n in range(WATCHERS)]
        self._begun = 0
        self._watchers = [asyncio.create_task(self._follow(**one)) for one in wanted]
        while self._begun < len(wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """Ends all watches."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def work(self) -> None:
        """Lets tasks come and go, each with the label of one watcher, for ever."""
        number, size = 0, 50
        while True:
            began_s = time.perf_counter()
            labels = [{"job": str((number + n) % WATCHERS)} for n in range(size)]
            requests = [CreateTaskRequest(type="benchmark", labels=one) for one in labels]
            await self._stub.BatchCreateTasks(BatchCreateTasksRequest(requests=requests))
            await self._stub.CancelTasks(CancelTasksRequest(type="benchmark"))
            number += size
            left_s = size / TASKS_A_SECOND - (time.perf_counter() - began_s)
            await asyncio.sleep(max(0.0, left_s))

    async def _follow(self, **asked: Any) -> None:
        async for response in self._stub.WatchTasks(WatchTasksRequest(**asked)):
            self._begun += response.snapshot_complete
            self.told += len(response.events)


class WithToken:
    """A stub whose calls carry a token."""

    def __init__(self, channel: Any) -> None:
        self._stub: Any = TaskServiceStub(channel)
        self._metadata = bearer("benchmark")

    def __getattr__(self, rpc: str) -> Any:
        """Gives what calls an RPC."""
        call = getattr(self._stub, rpc)
        return lambda request: call(request, metadata=self._metadata)


async def _share(crowd: Crowd) -> tuple[float, float]:
    """Measures the percent of a core that this process takes, and events told a second."""
    used_s, began_s, told = time.process_time(), time.perf_counter(), crowd.told
    await asyncio.sleep(LOOK_S)
    took_s = time.perf_counter() - began_s
    return 100 * (time.process_time() - used_s) / took_s, (crowd.told - told) / took_s


async def _watchers(stub: Any) -> Table:
    crowd = Crowd(stub)
    table = Table("tasks", "watchers", "% of a core", "events told a second")

    async def row(tasks: str, watchers: str) -> None:
        share, told = await _share(crowd)
        table.add_row(tasks, watchers, f"{share:.1f}", f"{told:,.0f}")

    await row("none", "none")
    await crowd.watch()
    await row("none", f"{WATCHERS:,}, a label each")
    working = asyncio.create_task(crowd.work())
    await row(f"{TASKS_A_SECOND} a second", f"{WATCHERS:,}, a label each")
    await crowd.leave()
    await row(f"{TASKS_A_SECOND} a second", "none")
    await crowd.watch(type="benchmark")
    await row(f"{TASKS_A_SECOND} a second", "one of all")
    working.cancel()
    await crowd.leave()
    return table


async def _create(stub: Any, size: int) -> tuple[float, float]:
    """Creates tasks; returns the time and the processor time for each, in microseconds."""
    request = CreateTaskRequest(type="later", payload_json=_PAYLOAD)
    batch = BatchCreateTasksRequest(requests=[request] * size)
    calls = iter(range(CREATED // size))

    async def client() -> None:
        for _ in calls:
            await (stub.CreateTask(request) if size == 1 else stub.BatchCreateTasks(batch))

    used_s, began_s = time.process_time(), time.perf_counter()
    at_once = SINGLE_CALLS if size == 1 else BATCH_CALLS
    await asyncio.gather(*(client() for _ in range(at_once)))
    took_s, used_s = time.perf_counter() - began_s, time.process_time() - used_s
    return took_s / CREATED * 1e6, used_s / CREATED * 1e6


async def _batches(gateway: Gateway) -> Table:
    table = Table("tasks a call", "channel", "µs/task", "processor µs/task")
    async with grpc.aio.insecure_channel(gateway.grpc_address) as socket:
        for name, channel in (("in the process", gateway.channel), ("gRPC", socket)):
            stub = WithToken(channel)
            for size in SIZES:
                rounds = sorted([await _create(stub, size) for _ in range(3)])
                table.add_row(f"{size:,}", name, *(f"{figure:.0f}" for figure in rounds[1]))
    return table


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="many-") as folder:
        set_up_logs("json", "warning", StringIO())
        limits = {"queue_limit": 1_000_000, "queue_limit_per_tenant": 1_000_000}
        async with running_gateway(Path(folder), **limits) as gateway:
            Console().print(await _watchers(WithToken(gateway.channel)))
            Console().print(await _batches(gateway))


if __name__ == "__main__":
    uvloop.run(_main())
