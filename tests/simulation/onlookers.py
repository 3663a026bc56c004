"""An operator at the console: reads everything, pauses types, and has failed tasks run again."""

import asyncio
from typing import Any

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.v1.queue_service_pb2 import GetQueueRequest, PauseTypeRequest, ResumeTypeRequest
from inferry.v1.server_service_pb2 import ListServersRequest
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    ExplainTaskRequest,
    ListAttemptsRequest,
    ListTasksRequest,
    RetryTasksRequest,
)
from tests.simulation.clients import TYPES, Metadata
from tests.simulation.site import BrokenError, Site
from tests.simulation.world import World

#: What a call of an operator may be refused with.
_FINE = (StatusCode.UNAVAILABLE, StatusCode.NOT_FOUND)


class Onlooker:
    """Somebody who may see and do everything, and does."""

    def __init__(self, world: World, site: Site, metadata: Metadata) -> None:
        self.world = world
        self.site = site
        self._metadata = metadata
        self._random = world.random("onlooker")

    async def run(self, within_s: float) -> None:
        """Looks around, and meddles if this world is one for that."""
        await asyncio.gather(self._look(within_s), self._meddle(within_s))

    async def _look(self, within_s: float) -> None:
        for _ in range(self._random.choice((0, 2, 6))):
            await asyncio.sleep(self._random.uniform(0, within_s / 6))
            await self._call("queue_stub", "GetQueue", GetQueueRequest())
            await self._call("server_stub", "ListServers", ListServersRequest())
            status = self._random.choice((Task.STATUS_UNSPECIFIED, Task.PENDING, Task.FAILED))
            page = await self._call("task_stub", "ListTasks", ListTasksRequest(status=status))
            for task in [] if page is None else page.tasks[:2]:
                await self._call("task_stub", "ExplainTask", ExplainTaskRequest(id=task.id))
                await self._call("task_stub", "ListAttempts", ListAttemptsRequest(id=task.id))

    async def _meddle(self, within_s: float) -> None:
        for _ in range(self.world.weather.meddle_n):
            await asyncio.sleep(self._random.uniform(0, within_s / 3))
            if self._random.random() < 0.3:
                self.world.history.bulk_retries += 1
                await self._call("task_stub", "RetryTasks", RetryTasksRequest())
                continue
            paused = self._random.choice(TYPES)
            request = PauseTypeRequest(type=paused, reason="a new model")
            await self._call("queue_stub", "PauseType", request)
            await asyncio.sleep(self._random.uniform(0, 5))
            await self.resume(paused)

    async def resume(self, paused: str) -> None:
        """Ends a pause, however often that takes."""
        request = ResumeTypeRequest(type=paused)
        while True:
            if await self._call("queue_stub", "ResumeType", request) is not None:
                return
            await asyncio.sleep(0.5)

    async def _call(self, stub: str, method: str, request: Any) -> Any:
        """Calls the gateway; None if there was no answer."""
        try:
            reply = await self.site.call(
                lambda life: getattr(getattr(life, stub), method)(request, metadata=self._metadata)
            )
        except BrokenError:
            return None
        except AioRpcError as error:
            if error.code() not in _FINE:
                self.world.violate(f"{method} ended with {error.code().name}: {error.details()}")
            return None
        self.world.trace("onlooker", method)
        return reply
