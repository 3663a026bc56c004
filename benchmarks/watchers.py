"""Measures what it costs to tell watchers their tasks' places. See docs/benchmarks.md.

python -m benchmarks.watchers
"""

import asyncio
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.gateway import Metadata, bearer, running_gateway
from inferry.server.app.gateway import Gateway
from inferry.server.logs import set_up_logs
from inferry.v1.task_pb2 import TaskEvent
from inferry.v1.task_service_pb2 import CancelTaskRequest, CreateTaskRequest, WatchTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub

#: One task each, all of one route; no server is there for them.
TENANTS = 1_000
#: Tasks that leave the queue in a second while it moves: all behind them get another place.
MOVES_A_SECOND = 10
LOOK_S = 10.0


class Crowd:
    """Tenants with a waiting task each, and whoever watches it."""

    def __init__(self, gateway: Gateway) -> None:
        self._stub: Any = TaskServiceStub(gateway.channel)
        self._waiting: list[tuple[str, Metadata]] = []
        self._watchers: list[asyncio.Task[None]] = []
        #: Words on places that watchers have got.
        self.told = 0

    async def enter(self) -> None:
        """Creates the tasks."""
        for number in range(TENANTS):
            metadata = bearer(f"tenant-{number}")
            request = CreateTaskRequest(type="benchmark", queue_timeout_ms=3_600_000)
            created = await self._stub.CreateTask(request, metadata=metadata)
            self._waiting.append((created.task.id, metadata))

    async def watch(self) -> None:
        """Has all that still wait be watched; returns when each has its first place."""
        before = self.told
        self._watchers = [asyncio.create_task(self._follow(*one)) for one in self._waiting]
        while self.told - before < len(self._waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def move(self) -> None:
        """Lets one task after the other leave the queue from the front, for ever."""
        while True:
            task_id, metadata = self._waiting.pop(0)
            await self._stub.CancelTask(CancelTaskRequest(id=task_id), metadata=metadata)
            await asyncio.sleep(1 / MOVES_A_SECOND)

    async def leave(self) -> None:
        """Ends all watches."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _follow(self, task_id: str, metadata: Metadata) -> None:
        async for response in self._stub.WatchTask(WatchTaskRequest(id=task_id), metadata=metadata):
            self.told += response.event.kind == TaskEvent.QUEUED


async def _share(crowd: Crowd) -> tuple[float, float]:
    """Measures the percent of a core that this process takes, and words on places a second."""
    used_s, began_s, told = time.process_time(), time.perf_counter(), crowd.told
    await asyncio.sleep(LOOK_S)
    took_s = time.perf_counter() - began_s
    return 100 * (time.process_time() - used_s) / took_s, (crowd.told - told) / took_s


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="watchers-") as folder:
        set_up_logs("json", "info", StringIO())
        async with running_gateway(Path(folder)) as gateway:
            crowd = Crowd(gateway)
            await crowd.enter()
            table = Table("queue", "watchers", "% of a core", "places told a second")

            async def row(queue: str, watchers: str) -> None:
                share, told = await _share(crowd)
                table.add_row(queue, watchers, f"{share:.1f}", f"{told:,.0f}")

            await row("still", "none")
            await crowd.watch()
            await row("still", f"{TENANTS:,}")
            moving = asyncio.create_task(crowd.move())
            await row("moving", f"{TENANTS:,}")
            await crowd.leave()
            await row("moving", "none")
            moving.cancel()
        Console().print(table)


if __name__ == "__main__":
    uvloop.run(_main())
