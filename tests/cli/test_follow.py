from collections.abc import AsyncIterator
from io import StringIO

import grpc
import pytest
from rich.console import Console

from inferry.cli.follow import line
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse
from tests.cli.scripted import Context, Gateway, finished

CREATED = TaskEvent(seq=1, kind=TaskEvent.CREATED, status=Task.PENDING)
QUEUED = TaskEvent(seq=1, kind=TaskEvent.QUEUED, status=Task.PENDING, queue_position=3)


def test_a_line_tells_the_place_in_the_queue() -> None:
    assert line(QUEUED, 0) == "1 QUEUED PENDING 0% place 3 in the queue"
    assert line(CREATED, 0) == "1 CREATED PENDING 0%"


@pytest.mark.parametrize("status", [Task.TIMEOUT, Task.CANCELLED, Task.FAILED])
async def test_a_long_message_never_cuts_how_the_task_ended(
    scripted: Gateway, monkeypatch: pytest.MonkeyPatch, status: Task.Status.ValueType
) -> None:
    async def events(_: WatchTaskRequest, __: Context) -> AsyncIterator[WatchTaskResponse]:
        last = finished("task_1")
        last.status = last.task.status = status
        last.message = "no server took the task within 300000 ms: " + "none can take it; " * 9
        yield WatchTaskResponse(event=last)

    scripted.tasks.events = events
    shown = StringIO()
    console = Console(file=shown, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr("inferry.cli.follow.Console", lambda **_: console)
    await scripted.run("watch", "task_1")
    assert f"{Task.Status.Name(status)} " in shown.getvalue()


async def test_a_watch_says_that_the_gateway_went_away_and_goes_on(scripted: Gateway) -> None:
    after: list[int] = []

    async def events(
        request: WatchTaskRequest, context: Context
    ) -> AsyncIterator[WatchTaskResponse]:
        after.append(request.after_seq)
        if len(after) == 1:
            yield WatchTaskResponse(event=CREATED)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield WatchTaskResponse(event=finished("task_1"))

    scripted.tasks.events = events
    ran = await scripted.run("watch", "task_1")
    assert (ran.status, ran.out, after) == (0, '"done"\n', [0, 1])
    created, away, ended = ran.err.splitlines()
    assert (created[:9], ended[:10]) == ("1 CREATED", "2 FINISHED")
    assert away.startswith("the gateway is away, tries again in 0.")
    assert "(gone)" in away


@pytest.mark.parametrize(
    ("code", "status"), [(grpc.StatusCode.UNAVAILABLE, 4), (grpc.StatusCode.NOT_FOUND, 5)]
)
async def test_a_watch_that_never_began_is_not_repeated(
    scripted: Gateway, code: grpc.StatusCode, status: int
) -> None:
    watched, nothing = 0, list[WatchTaskResponse]()

    async def events(_: WatchTaskRequest, context: Context) -> AsyncIterator[WatchTaskResponse]:
        nonlocal watched
        watched += 1
        for response in nothing:
            yield response
        await context.abort(code, "no")

    scripted.tasks.events = events
    ran = await scripted.run("watch", "task_1", "--json")
    assert (ran.status, ran.out, watched) == (status, "", 1)
