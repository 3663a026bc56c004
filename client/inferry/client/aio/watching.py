"""Watches: streams that go on where they were when the gateway comes back."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import cast

import grpc

from inferry.client.aio.calls import Calls
from inferry.client.aio.machinery import sleep
from inferry.client.errors import InferryError, Unavailable
from inferry.client.failures import call_error
from inferry.client.patience import Absence
from inferry.client.reading import read
from inferry.client.records import Changes, TaskEvent
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import JSON_TEXT


async def events_of(calls: Calls, task_id: str, after: int) -> AsyncIterator[TaskEvent]:
    """Gives a task's events up to its end, as ``AsyncTask.events`` has it."""
    request = pb.WatchTaskRequest(id=task_id, after_seq=after, value_format=JSON_TEXT)
    absence = Absence()
    while True:
        absence.tried()
        connection = calls.here()
        call = connection.stubs.tasks.WatchTask(request, metadata=await connection.metadata())
        try:
            async for response in call:
                event = read(TaskEvent, response.event)
                if event.kind != "QUEUED":
                    request.after_seq = event.seq
                    absence.over()
                yield event
        except grpc.RpcError as broken:
            error = call_error(cast("grpc.Call", broken), calls.settings.address)
        else:
            return
        finally:
            call.cancel()
        pause_s = absence.pause_s(error)
        if pause_s is None:
            raise error
        await sleep(pause_s)


async def changes(
    calls: Calls,
    ids: Iterable[str],
    task_type: str,
    labels: Mapping[str, str],
    after: str,
    *,
    results: bool,
) -> AsyncIterator[Changes]:
    """Gives what happens to many tasks, for ever, as ``AsyncClient.watch`` has it."""
    request = pb.WatchTasksRequest(
        ids=ids,
        type=task_type,
        labels=labels,
        cursor=after,
        value_format=JSON_TEXT,
        without_results=not results,
    )
    absence = Absence()
    while True:
        absence.tried()
        connection = calls.here()
        call = connection.stubs.tasks.WatchTasks(request, metadata=await connection.metadata())
        error: InferryError = Unavailable("the gateway ended the stream")
        try:
            async for response in call:
                absence.over()
                # Before it is handed on: who stops here and comes again has had it.
                request.cursor = response.cursor or request.cursor
                yield read(Changes, response)
        except grpc.RpcError as broken:
            error = call_error(cast("grpc.Call", broken), calls.settings.address)
        finally:
            call.cancel()
        pause_s = absence.pause_s(error)
        if pause_s is None:
            raise error
        await sleep(pause_s)
