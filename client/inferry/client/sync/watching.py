# Made of client/inferry/client/aio/watching.py by tools/unasync.py.
"""Watches: streams that go on where they were when the gateway comes back."""

from collections.abc import Iterator
from typing import cast

import grpc

from inferry.client.errors import InferryError
from inferry.client.failures import call_error, cut_error, legible
from inferry.client.following import FINAL
from inferry.client.patience import Absence, Away, in_silence
from inferry.client.sync.calls import Calls
from inferry.client.sync.machinery import received, sleep
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import JSON_TEXT


def events_of(
    calls: Calls, task_id: str, after: int, away: Away = in_silence
) -> Iterator[task_pb2.TaskEvent]:
    """Gives a task's events up to its end, as ``Task.events`` has it, but as messages.

    Args:
        calls: The way to the gateway.
        task_id: The task.
        after: Only events after this number.
        away: Told when the gateway is away.
    """
    request = pb.WatchTaskRequest(id=task_id, after_seq=after, value_format=JSON_TEXT)
    absence = Absence(calls.patience())
    # Of a task that had ended before ``after`` nothing comes.
    ended = True
    while True:
        absence.tried()
        connection = calls.here()
        call = connection.stubs.tasks.WatchTask(request, metadata=connection.metadata())
        try:
            for response in received(call):
                event = legible(response, calls.settings.address).event
                if event.kind != task_pb2.TaskEvent.QUEUED:
                    request.after_seq = event.seq
                    ended = event.status in FINAL
                    absence.over()
                yield event
        except grpc.RpcError as broken:
            error = call_error(cast("grpc.Call", broken), calls.settings.address)
        else:
            if ended:
                return
            error = cut_error(calls.settings.address)
        finally:
            call.cancel()
        pause_s = absence.pause_s(error)
        if pause_s is None:
            raise error
        away(error, pause_s)
        sleep(pause_s)


def changes(
    calls: Calls, request: pb.WatchTasksRequest, away: Away = in_silence
) -> Iterator[pb.WatchTasksResponse]:
    """Gives what happens to many tasks, for ever, as ``Client.watch`` has it, as messages.

    A stream that breaks before it had a cursor is shown all again; its first response then says
    ``restarted``.

    Args:
        calls: The way to the gateway.
        request: What to watch. Its cursor is moved on.
        away: Told when the gateway is away.
    """
    absence, told = Absence(calls.patience()), False
    while True:
        absence.tried()
        connection = calls.here()
        call = connection.stubs.tasks.WatchTasks(request, metadata=connection.metadata())
        again = told and not request.cursor
        error: InferryError = cut_error(calls.settings.address)
        try:
            for response in received(call):
                legible(response, calls.settings.address)
                absence.over()
                response.restarted |= again
                again, told = False, True
                # Before it is handed on: who stops here and comes again has had it.
                request.cursor = response.cursor or request.cursor
                yield response
        except grpc.RpcError as broken:
            error = call_error(cast("grpc.Call", broken), calls.settings.address)
        finally:
            call.cancel()
        pause_s = absence.pause_s(error)
        if pause_s is None:
            raise error
        away(error, pause_s)
        sleep(pause_s)
