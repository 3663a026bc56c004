"""What a watcher of many tasks asks for over gRPC, and what it got."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from inferry.server.access.tokens import Role
from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CreateTaskRequest,
    FollowTasksResponse,
    WatchTasksRequest,
    WatchTasksResponse,
)
from tests.gateways import token

#: Settings of a gateway in which many tasks wait.
ROOM: dict[str, Any] = {"queue_limit": 100_000, "queue_limit_per_tenant": 100_000}
CLIENT = token(Role.CLIENT)


def bearer(said: str = CLIENT) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {said}"),)


async def create(stub: Any, number: int, **more: Any) -> list[str]:
    """Creates tasks in batches; returns their ids."""
    ids: list[str] = []
    for first in range(0, number, 500):
        requests = [
            CreateTaskRequest(**{"type": "echo", "payload_json": b"{}", **more})
            for _ in range(min(500, number - first))
        ]
        made = await stub.BatchCreateTasks(
            BatchCreateTasksRequest(requests=requests), metadata=bearer()
        )
        assert all(one.HasField("task") for one in made.results), made.results[0]
        ids += [one.task.id for one in made.results]
    return ids


class Seen:
    """What a watcher got of each task: it takes whole messages, or none of them."""

    def __init__(self) -> None:
        self.cursor = ""
        self.shown: dict[str, Task] = {}
        self.events: dict[str, list[TaskEvent]] = {}
        self.final: set[str] = set()
        self.restarts = 0
        self.complete = 0
        self.missing: list[str] = []
        self.messages = 0

    def take(self, response: WatchTasksResponse | FollowTasksResponse) -> None:
        self.messages += 1
        self.restarts += response.restarted
        for task in response.tasks:
            self.shown[task.id] = task
        for event in response.events:
            self.events.setdefault(event.task_id, []).append(event)
            if event.kind == TaskEvent.FINISHED:
                self.final.add(event.task_id)
        if isinstance(response, FollowTasksResponse):
            self.missing += response.missing_ids
        else:
            self.complete += response.snapshot_complete
        self.cursor = response.cursor or self.cursor

    def seqs(self, task_id: str) -> list[int]:
        return [event.seq for event in self.events.get(task_id, [])]

    def heard_of(self, tasks: set[str]) -> bool:
        return set(self.events) >= tasks

    def ended(self, tasks: set[str]) -> bool:
        return self.final >= tasks

    async def until(self, responses: AsyncIterator[Any], enough: Callable[[], bool]) -> None:
        """Takes messages until there are enough."""
        async with asyncio.timeout(60):
            while not enough():
                self.take(await anext(responses))


def watch(stub: Any, cursor: str = "", said: str = CLIENT, **asked: Any) -> Any:
    asked = {"value_format": JSON_TEXT, **asked}
    return stub.WatchTasks(WatchTasksRequest(cursor=cursor, **asked), metadata=bearer(said))


async def begun(stub: Any, seen: Seen, **asked: Any) -> Any:
    """Begins a watch and takes its snapshot."""
    call = watch(stub, **asked)
    await seen.until(aiter(call), lambda: seen.complete > 0)
    return call
