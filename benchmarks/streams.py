"""Measures tasks that go by streams: created in batches, done by a worker, watched by one call.

python -m benchmarks.streams [--seconds N]

All of it is durable, as in service: a task is on disk before its creation is answered, and its end
before the watcher sees it. See docs/benchmarks.md.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.processes import BIN, GRPC_READY, output_of, processor_s, running
from benchmarks.stream_worker import TYPE
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CreateTaskRequest,
    WatchTasksRequest,
)
from inferry.v1.task_service_pb2_grpc import TaskServiceStub

#: Tasks a call, and calls at once.
BATCH, CALLS = 100, 8
SLOTS = 1_000
#: What the latency is measured under, and how often a task is created then.
CALM_RATE = 500
#: Workers that have nothing to do, and how long they are looked at.
IDLE_WORKERS, IDLE_S = 1_000, 20.0
SCRATCH = Path(".build")
_PAYLOAD = b'{"prompt":"a picture of a ferry","steps":30,"seed":42}'
_US = 1_000_000


@dataclass(slots=True)
class Place:
    """A gateway that runs, and how it is called."""

    gateway: Process
    address: str
    token: str
    stub: Any
    metadata: tuple[tuple[str, str], ...]


class Watch:
    """One stream that sees all tasks end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.ended = 0
        #: Of each task that has ended: when its work began, in nanoseconds.
        self.begun_ns: dict[str, int] = {}
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        """Watches, for ever."""
        request = WatchTasksRequest(type=TYPE, value_format=JSON_TEXT)
        async for response in self._place.stub.WatchTasks(request, metadata=self._place.metadata):
            ended = [event.task for event in response.events if event.HasField("task")]
            for task in ended:
                if task.status != Task.COMPLETED:
                    raise RuntimeError(f"{task.id}: {Task.Status.Name(task.status)} {task.error}")
                self.begun_ns[task.id] = int(task.result_json)
            if ended:
                async with self._progress:
                    self.ended += len(ended)
                    self._progress.notify_all()

    async def until(self, count: int) -> None:
        """Waits until so many have ended."""
        async with self._progress:
            await self._progress.wait_for(lambda: self.ended >= count)


@asynccontextmanager
async def gateway_at(scratch: Path) -> AsyncIterator[Place]:
    """Runs a gateway whose data and log are in a folder."""
    inferry, data = BIN / "inferry", ("--data-dir", scratch / "data")
    log = scratch / "inferry.log"
    ports = ("--port", "0", "--grpc-port", "0")
    serve: list[str | Path] = [sys.executable, inferry, "serve", *ports, *data]
    async with running(serve, log, GRPC_READY) as (process, address):
        token = await output_of([inferry, "token", *data, "--role", "admin"])
        async with grpc.aio.insecure_channel(address) as channel:
            metadata = (("authorization", f"Bearer {token}"),)
            yield Place(process, address, token, TaskServiceStub(channel), metadata)


@asynccontextmanager
async def workers_of(place: Place, scratch: Path, slots: int, count: int) -> AsyncIterator[Process]:
    """Runs so many workers, each with so many slots, in one process."""
    module = [sys.executable, "-m", "benchmarks.stream_worker"]
    command = [*module, place.address, place.token, str(slots), str(count)]
    async with running(command, scratch / "worker.log") as (process, _):
        yield process


async def create(place: Place, count: int, payload: bytes = _PAYLOAD) -> list[str]:
    """Creates so many tasks in one call; gives their ids."""
    request = CreateTaskRequest(type=TYPE, payload_json=payload)
    batch = BatchCreateTasksRequest(requests=[request] * count)
    answer = await place.stub.BatchCreateTasks(batch, metadata=place.metadata)
    for result in answer.results:
        if result.HasField("refusal"):
            raise RuntimeError(result.refusal.error)
    return [result.task.id for result in answer.results]


async def _full_speed(place: Place, worker: Process, watch: Watch, seconds: float) -> list[str]:
    """Creates as many as the gateway takes; gives the figures of all that ended by then."""
    pids = {"gateway": place.gateway.pid, "worker": worker.pid}
    used = {name: processor_s(pid) for name, pid in pids.items()}
    own_s, began_s, before = time.process_time(), time.perf_counter(), watch.ended
    created = before

    async def client() -> None:
        nonlocal created
        while time.perf_counter() < began_s + seconds:
            # What is under way is bounded: the figure is that of whole lives.
            created += BATCH
            await watch.until(created - SLOTS)
            await create(place, BATCH)

    async with asyncio.TaskGroup() as clients:
        for _ in range(CALLS):
            clients.create_task(client())
    await watch.until(created)
    took_s, tasks = time.perf_counter() - began_s, created - before
    costs = [(processor_s(pid) - used[name]) / tasks for name, pid in pids.items()]
    costs.append((time.process_time() - own_s) / tasks)
    return [f"{tasks / took_s:,.0f}", *(f"{cost * _US:.0f}" for cost in costs)]


async def _latency(place: Place, watch: Watch, seconds: float) -> tuple[float, float]:
    """From the answer to a creation to the begin of the work, in milliseconds: p50 and p99."""
    acknowledged_ns: dict[str, int] = {}
    count, before = int(CALM_RATE * seconds), watch.ended
    began_s = time.perf_counter()

    async def one(number: int) -> None:
        await asyncio.sleep(max(0, began_s + number / CALM_RATE - time.perf_counter()))
        (task_id,) = await create(place, 1)
        acknowledged_ns[task_id] = time.monotonic_ns()

    await asyncio.gather(*(one(number) for number in range(count)))
    await watch.until(before + count)
    # Work may begin before its creation is answered: both are on disk by then.
    waits = sorted(
        max(0, watch.begun_ns[task_id] - at_ns) / 1e6 for task_id, at_ns in acknowledged_ns.items()
    )
    return waits[count // 2], waits[int(count * 0.99)]


async def _idle_share(place: Place, scratch: Path) -> float:
    """The percent of a core that a gateway takes whose workers have nothing to do."""
    async with workers_of(place, scratch, 1, IDLE_WORKERS):
        used_s, began_s = processor_s(place.gateway.pid), time.perf_counter()
        await asyncio.sleep(IDLE_S)
        took_s = time.perf_counter() - began_s
        return 100 * (processor_s(place.gateway.pid) - used_s) / took_s


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    seconds = parser.parse_args().seconds
    speed = Table("tasks/s", "gateway µs/task", "worker µs/task", "client µs/task")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SCRATCH) as folder:
        scratch = Path(folder)
        machine = describe(scratch)
        async with gateway_at(scratch) as place:
            watch = Watch(place)
            watching = asyncio.create_task(watch.run())
            async with workers_of(place, scratch, SLOTS, 1) as worker:
                await _full_speed(place, worker, watch, 1.0)
                for _ in range(3):
                    speed.add_row(*await _full_speed(place, worker, watch, seconds))
                p50_ms, p99_ms = await _latency(place, watch, seconds)
            watching.cancel()
            idle = await _idle_share(place, scratch)
    console = Console()
    console.print(speed)
    console.print(f"begin of work after creation: p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms")
    console.print(f"{IDLE_WORKERS:,} idle workers: {idle:.1f} % of a core")
    for name, value in machine.items():
        console.print(f"{name}: {value}")


if __name__ == "__main__":
    SCRATCH.mkdir(exist_ok=True)
    uvloop.run(_main())
