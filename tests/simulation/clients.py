"""Simulated clients: each creates tasks and does with them what clients do."""

import asyncio
from typing import Any, cast

from google.rpc.error_details_pb2 import ErrorInfo
from grpc import Call, StatusCode
from grpc.aio import AioRpcError
from grpc_status import rpc_status

from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import (
    CancelTaskRequest,
    CreateTaskRequest,
    GetTaskRequest,
    RetryTaskRequest,
    WatchTaskRequest,
)
from tests.simulation.history import Seen
from tests.simulation.life import Life
from tests.simulation.site import BrokenError, DownError, Site
from tests.simulation.world import World

TYPES = ("draw", "echo", "sing")
FINAL = (Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED)
#: How often a request with a name is repeated until it is answered.
_TRIES = 6

Metadata = tuple[tuple[str, str], ...]


class Client:
    """One of a tenant's clients.

    Args:
        world: Where it lives.
        site: What it calls.
        name: Its own, part of the names of its requests.
        metadata: Its token.
    """

    def __init__(self, world: World, site: Site, name: str, metadata: Metadata) -> None:
        self.world = world
        self.site = site
        self.name = name
        self._metadata = metadata
        self._random = world.random(f"client/{name}")

    async def run(self, tasks: int, within_s: float) -> None:
        """Creates some tasks at random times and sees each of them through."""
        sessions = []
        for number in range(tasks):
            await asyncio.sleep(self._random.uniform(0, within_s / tasks))
            sessions.append(self.world.spawn(self._session(f"{self.name}-{number}")))
        await asyncio.gather(*sessions)

    async def _session(self, ask: str) -> None:
        request = self._request(ask)
        task_id = await self._create(ask, request)
        if task_id is None:
            return
        if request.request_id and self.world.happens(self.world.weather.reuse_p):
            await self._reuse(ask, request, task_id)
        random = self._random
        watchers = random.choice((0, 0, 1, 2))
        others = [self.world.spawn(self._watch(task_id)) for _ in range(watchers)]
        if random.random() < 0.2:
            await asyncio.sleep(random.choice((0.0, 0.01, 1.0, 4.0)) * random.random())
            await self._cancel(task_id)
        await self._follow(task_id)
        if random.random() < 0.3:
            await self._retry(task_id)
        await self._follow(task_id)
        await asyncio.gather(*others)
        if request.request_id and random.random() < 0.3:
            # Its answer may be long gone, and so may the task.
            await asyncio.sleep(random.uniform(0, 5))
            await self._create(ask, request)

    def _request(self, ask: str) -> CreateTaskRequest:
        random = self._random
        request = CreateTaskRequest(
            type=random.choice(TYPES),
            asynchronous=random.random() < 0.75,
            idempotent=random.random() < 0.5,
            priority=random.choice((0, 0, 5, 9)),
            timeout_ms=random.choice((300, 2_000, 5_000, 20_000, 20_000)),
            queue_timeout_ms=random.choice((1_000, 4_000, 12_000)),
            max_attempts=random.choice((1, 2, 3)),
            total_timeout_ms=random.choice((8_000, 15_000, 30_000)),
            silence_timeout_ms=random.choice((0, 0, 0, 1_500)),
            capabilities=["gpu"] if random.random() < 0.1 else [],
        )
        if random.random() < self.world.weather.fleeting_p:
            request.result_ttl_ms = random.choice((1, 1_000, 4_000))
        if random.random() < 0.15:
            request.delay_ms = random.randint(1, 3_000)
        if random.random() < 0.5:
            request.request_id = ask
        request.payload.update({"ask": ask})
        return request

    async def _create(self, ask: str, request: CreateTaskRequest) -> str | None:
        world, named = self.world, bool(request.request_id)
        tries = _TRIES if named else 1
        created = None
        while tries:
            tries -= 1
            world.history.tries[ask] += 1
            try:
                reply = await self._call("CreateTask", self._spelled(request))
            except DownError:
                tries += 1
                world.history.tries[ask] -= 1
                await asyncio.sleep(1.0)
                continue
            except BrokenError:
                await asyncio.sleep(0.3)
                continue
            except AioRpcError as error:
                if error.code() is StatusCode.UNAVAILABLE:
                    if (waited := _task_of(error)) is not None:
                        world.history.acknowledged(ask, waited, named=named)
                    await asyncio.sleep(1.0)
                    continue
                self._expect(error, StatusCode.RESOURCE_EXHAUSTED, StatusCode.NOT_FOUND)
                if error.code() is StatusCode.NOT_FOUND:
                    world.history.vanished_requests_s.setdefault(ask, world.loop.time())
                return None
            created = reply.task.id
            world.history.acknowledged(ask, created, named=named)
            self._see(reply.task)
            if self._random.random() < 0.7:  # others ask again all the same
                break
        return created

    def _spelled(self, request: CreateTaskRequest) -> CreateTaskRequest:
        """Says the same in other words: defaults may be left out."""
        spelled = CreateTaskRequest()
        spelled.CopyFrom(request)
        if request.asynchronous and self._random.random() < 0.5:
            spelled.ClearField("asynchronous")
        if request.max_attempts == 3 and self._random.random() < 0.5:
            spelled.ClearField("max_attempts")
        return spelled

    async def _reuse(self, ask: str, request: CreateTaskRequest, task_id: str) -> None:
        """Sends another request under the name of one that was answered."""
        other = CreateTaskRequest()
        other.CopyFrom(request)
        other.payload.update({"ask": f"{ask}-other"})
        try:
            await self._call("CreateTask", other)
        except BrokenError:
            return
        except AioRpcError as error:
            self._expect(error, StatusCode.ALREADY_EXISTS, StatusCode.UNAVAILABLE)
            if error.code() is StatusCode.ALREADY_EXISTS and _task_of(error) != task_id:
                self.world.violate(f"request {ask} made {task_id}, not {_task_of(error)}")
        else:
            self.world.violate(f"another request under the name of {ask} was taken")

    async def _follow(self, task_id: str) -> None:
        """Reads a task until it is final."""
        while True:
            request = GetTaskRequest(id=task_id, wait_seconds=self._random.choice((0, 3, 20, 20)))
            try:
                reply = await self._call("GetTask", request)
            except AioRpcError as error:
                if self._gone(task_id, error):
                    return
                self._expect(error, StatusCode.UNAVAILABLE)
            except BrokenError:
                pass
            else:
                self._see(reply.task)
                if reply.task.status in FINAL:
                    return
            await asyncio.sleep(1.0)

    async def _cancel(self, task_id: str) -> None:
        try:
            reply = await self._call("CancelTask", CancelTaskRequest(id=task_id, reason="enough"))
        except BrokenError:
            return
        except AioRpcError as error:
            if not self._gone(task_id, error):
                self._expect(error, StatusCode.FAILED_PRECONDITION, StatusCode.UNAVAILABLE)
            return
        if reply.task.status != Task.CANCELLED:
            status = Task.Status.Name(reply.task.status)
            self.world.violate(f"an acknowledged cancel left {task_id} {status}")
        self._see(reply.task)

    async def _retry(self, task_id: str) -> None:
        self.world.history.retries[task_id] += 1
        try:
            await self._call("RetryTask", RetryTaskRequest(id=task_id))
        except BrokenError:
            return
        except AioRpcError as error:
            if self._gone(task_id, error):
                return
            full = StatusCode.RESOURCE_EXHAUSTED
            self._expect(error, StatusCode.FAILED_PRECONDITION, StatusCode.UNAVAILABLE, full)

    async def _watch(self, task_id: str) -> None:
        """Watches a task to its end, over broken streams."""
        reached = [0]
        while True:
            try:
                await self.site.call(lambda life: self._pump(life, task_id, reached))
            except BrokenError:
                await asyncio.sleep(0.3)
            except AioRpcError as error:
                if self._gone(task_id, error):
                    return
                self._expect(error, StatusCode.UNAVAILABLE)
                await asyncio.sleep(0.3)
            else:
                break
        last = self.world.history.events.get((task_id, reached[0]))
        if last is None or last.status not in FINAL:
            self.world.violate(f"a watch of {task_id} ended after {last}")

    async def _pump(self, life: Life, task_id: str, reached: list[int]) -> None:
        request = WatchTaskRequest(id=task_id, after_seq=reached[0])
        async for response in life.task_stub.WatchTask(request, metadata=self._metadata):
            event: TaskEvent = response.event
            if event.kind == TaskEvent.QUEUED:
                continue
            if event.seq != reached[0] + 1:
                self.world.violate(f"a watch of {task_id} leapt from {reached[0]} to {event.seq}")
            reached[0] = event.seq
            self.world.trace(self.name, "sees", task_id, event.seq, event.kind, event.status)
            known = self.world.history.shown(event)
            if known:
                self.world.violate(f"event {event.seq} of {task_id} was {known}")
            if event.HasField("task"):
                self._see(event.task)
            if self._random.random() < 0.3:  # it reads slowly
                await asyncio.sleep(self._random.choice((1, 1, 5)) * self._random.random())

    async def _call(self, method: str, request: Any) -> Any:
        self.world.trace(self.name, method, getattr(request, "id", ""))
        patience_s = None
        if self.world.happens(self.world.weather.hang_up_p):
            patience_s = self._random.choice((0.0, 0.001, 0.05, 2.0))
        reply = await self.site.call(
            lambda life: getattr(life.task_stub, method)(request, metadata=self._metadata),
            patience_s,
        )
        task: Task = reply.task
        self.world.trace(self.name, method, "->", task.id, Task.Status.Name(task.status))
        return reply

    def _see(self, task: Task) -> None:
        if task.status == Task.COMPLETED and not task.HasField("result"):
            self.world.violate(f"{task.id} is COMPLETED and has no result")
        if task.status == Task.TIMEOUT and "phase" not in task.details:
            self.world.violate(f"{task.id} is TIMEOUT and does not say which timeout ran out")
        if task.status in FINAL:
            finished_ms = task.finished_at.ToMilliseconds()
            seen = Seen(task.id, Task.Status.Name(task.status), finished_ms)
            self.world.history.seen[seen] = None

    def _gone(self, task_id: str, error: AioRpcError) -> bool:
        """Notes that a task is gone, if an error says so: the end will tell whether it may be."""
        if error.code() is not StatusCode.NOT_FOUND:
            return False
        self.world.trace(self.name, "is told that it is gone:", task_id)
        self.world.history.gone_s.setdefault(task_id, self.world.loop.time())
        return True

    def _expect(self, error: AioRpcError, *codes: StatusCode) -> None:
        self.world.trace(self.name, "refused", error.code().name)
        if error.code() not in codes:
            self.world.violate(f"a call ended with {error.code().name}: {error.details()}")


def _task_of(error: AioRpcError) -> str | None:
    """Tells which task an error speaks of; None if it speaks of none."""
    status = rpc_status.from_call(cast("Call", error))
    info = ErrorInfo()
    for detail in () if status is None else status.details:
        if detail.Unpack(info):
            return str(info.metadata["taskId"]) if "taskId" in info.metadata else None
    return None
