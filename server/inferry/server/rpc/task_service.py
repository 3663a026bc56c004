"""TaskService: from messages to the engine and back."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from inferry.server.engine.explain import Explainer
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.reader import Reader
from inferry.server.engine.tasks import Engine
from inferry.server.errors import InvalidPayloadError
from inferry.server.rpc.acts import noted
from inferry.server.rpc.admission import visible_tenant
from inferry.server.rpc.bulk import Bulk
from inferry.server.rpc.convert import (
    ValueFormat,
    add_values,
    attempt_to_proto,
    leave_out,
    task_to_proto,
    timestamp,
)
from inferry.server.rpc.creating import Creating, announcing
from inferry.server.rpc.explanation import explanation_to_proto
from inferry.server.rpc.pages import PAGE_DEFAULT, fitting, read_cursor, write_cursor
from inferry.server.rpc.report_door import ReportDoor
from inferry.server.rpc.task_filters import list_of
from inferry.server.rpc.watches import Watches
from inferry.server.task.lifecycle import STOPPED
from inferry.server.task.record import TaskRecord
from inferry.server.telemetry.trace import read_trace
from inferry.v1 import task_pb2, task_service_pb2_grpc
from inferry.v1 import task_service_pb2 as pb

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


@noted
class TaskServicer(task_service_pb2_grpc.TaskServiceServicer):
    """Everything that can be done with tasks."""

    def __init__(  # noqa: PLR0913 - what different calls need
        self,
        *,
        creating: Creating,
        engine: Engine,
        reader: Reader,
        watches: Watches,
        queue: QueueView,
        explainer: Explainer,
        reports: ReportDoor,
        largest: int,
        bulk: Bulk,
    ) -> None:
        self._creating = creating
        self._engine = engine
        self._reader = reader
        self._watches = watches
        self._queue = queue
        self._explainer = explainer
        self._reports = reports
        self._largest = largest
        self._bulk = bulk

    async def CreateTask(
        self, request: pb.CreateTaskRequest, context: Context
    ) -> pb.CreateTaskResponse:
        """Creates a task; waits for its end unless it is asynchronous."""
        trace = read_trace(context.invocation_metadata())
        creating = self._creating.one(request, trace, announcing(context))
        # It is not to be held for as long as that takes.
        del request
        return await creating

    async def BatchCreateTasks(
        self, request: pb.BatchCreateTasksRequest, context: Context
    ) -> pb.BatchCreateTasksResponse:
        """Creates many tasks, each with an answer of its own."""
        creating = self._creating.many(request, read_trace(context.invocation_metadata()))
        del request
        return await creating

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        """Reads a task; may wait for its end."""
        wait_s = request.wait_seconds
        tenant = visible_tenant()
        record = (
            await self._reader.wait(request.id, tenant, wait_s)
            if wait_s
            else await self._reader.task(request.id, tenant)
        )
        payload = None if request.without_payload else await self._reader.payload(record)
        limit = request.value_limit
        task = await self._task(record, request.value_format, payload, limit)
        return pb.GetTaskResponse(task=task)

    async def ListTasks(
        self, request: pb.ListTasksRequest, context: Context
    ) -> pb.ListTasksResponse:
        """Lists the tenant's tasks, newest first."""
        size = request.page_size or PAGE_DEFAULT
        wanted, sieve = list_of(request, visible_tenant())
        found = await self._reader.lists.page(wanted, sieve, read_cursor(request.page_token), size)
        records = [record for _, record in found.tasks]
        unserved = await self._explainer.unserved_of(records)
        places = self._queue.places_of(records)
        tasks = fitting(
            task_to_proto(one, places.get(one.spec.id), unserved.get(one.spec.id, ""))
            for one in records
        )
        cut = len(tasks) < len(found.tasks)
        before = found.tasks[len(tasks) - 1][0] if cut else found.before
        return pb.ListTasksResponse(
            tasks=tasks, next_page_token="" if before is None else write_cursor(before)
        )

    async def CountTasks(
        self, request: pb.CountTasksRequest, context: Context
    ) -> pb.CountTasksResponse:
        """Counts tasks."""
        counted = await self._reader.lists.count(*list_of(request, visible_tenant()))
        return pb.CountTasksResponse(count=counted.tasks, more=counted.more)

    def WatchTask(
        self, request: pb.WatchTaskRequest, context: Context
    ) -> AsyncGenerator[pb.WatchTaskResponse, None]:
        """Streams a task's events in order."""
        return self._watches.one(request)

    def WatchTasks(
        self, request: pb.WatchTasksRequest, context: Context
    ) -> AsyncGenerator[pb.WatchTasksResponse, None]:
        """Streams what happens to many tasks."""
        return self._watches.many(request)

    def FollowTasks(
        self, request_iterator: AsyncIterator[pb.FollowTasksRequest], context: Context
    ) -> AsyncGenerator[pb.FollowTasksResponse, None]:
        """Streams what happens to tasks that are named while it runs."""
        return self._watches.follow(request_iterator)

    async def UpdateTask(
        self, request: pb.UpdateTaskRequest, context: Context
    ) -> pb.UpdateTaskResponse:
        """Takes one report of a backend."""
        reporting = self._reports.take(request)
        del request
        record, report = await reporting
        return pb.UpdateTaskResponse(
            id=record.spec.id,
            status=_status(record),
            updated_at=timestamp(record.updated_ms),
            cancelled=record.status in STOPPED,
            notes=report.notes,
        )

    async def ReportTask(
        self, request_iterator: AsyncIterator[pb.ReportTaskRequest], context: Context
    ) -> pb.ReportTaskResponse:
        """Takes a stream of reports on one task."""
        record, reports = None, 0
        async for request in request_iterator:
            if record is not None and request.id != record.spec.id:
                raise InvalidPayloadError(
                    f"id: {request.id!r}; the stream is about {record.spec.id}"
                )
            record, _ = await self._reports.take(request)
            reports += 1
            if record.status.final:
                break
        if record is None:
            raise InvalidPayloadError("the stream ended without a report")
        return pb.ReportTaskResponse(
            id=record.spec.id,
            status=_status(record),
            updated_at=timestamp(record.updated_ms),
            cancelled=record.status in STOPPED,
            reports=reports,
        )

    async def CancelTask(
        self, request: pb.CancelTaskRequest, context: Context
    ) -> pb.CancelTaskResponse:
        """Ends a task that is not final yet."""
        record = await self._engine.cancel(request.id, visible_tenant(), request.reason)
        return pb.CancelTaskResponse(task=await self._task(record, request.value_format))

    async def RetryTask(
        self, request: pb.RetryTaskRequest, context: Context
    ) -> pb.RetryTaskResponse:
        """Starts a FAILED, TIMEOUT or CANCELLED task again."""
        record = await self._engine.retry(request.id, visible_tenant())
        return pb.RetryTaskResponse(task=await self._task(record, request.value_format))

    async def RetryTasks(
        self, request: pb.RetryTasksRequest, context: Context
    ) -> pb.RetryTasksResponse:
        """Starts tasks that ended badly again."""
        return await self._bulk.retry(request)

    async def CancelTasks(
        self, request: pb.CancelTasksRequest, context: Context
    ) -> pb.CancelTasksResponse:
        """Ends tasks that are not final yet."""
        return await self._bulk.cancel(request)

    async def PurgeTasks(
        self, request: pb.PurgeTasksRequest, context: Context
    ) -> pb.PurgeTasksResponse:
        """Drops final tasks for good."""
        return await self._bulk.purge(request)

    async def ExplainTask(
        self, request: pb.ExplainTaskRequest, context: Context
    ) -> pb.ExplainTaskResponse:
        """Tells why a task runs where it runs, or why it does not run."""
        return explanation_to_proto(await self._explainer.explain(request.id, visible_tenant()))

    async def ListAttempts(
        self, request: pb.ListAttemptsRequest, context: Context
    ) -> pb.ListAttemptsResponse:
        """Lists a task's attempts, oldest first."""
        attempts = await self._reader.attempts(request.id, visible_tenant())
        newest = fitting(attempt_to_proto(one) for one in reversed(attempts))
        return pb.ListAttemptsResponse(attempts=reversed(newest))

    async def CreateStreamUrl(
        self, request: pb.CreateStreamUrlRequest, context: Context
    ) -> pb.CreateStreamUrlResponse:
        """Makes a URL that shows a task's events for a while to whoever has it."""
        return await self._watches.urls.create(request, context.invocation_metadata())

    async def _task(
        self,
        record: TaskRecord,
        value_format: ValueFormat,
        payload: bytes | None = None,
        limit: int = 0,
    ) -> task_pb2.Task:
        record, outcome = await self._reader.ended(record)
        unserved = await self._explainer.unserved(record)
        task = task_to_proto(record, self._queue.place_of(record), unserved)
        payload, outcome = leave_out(task, payload, outcome, limit)
        return add_values(task, value_format, payload, outcome, self._largest)


def _status(record: TaskRecord) -> task_pb2.Task.Status.ValueType:
    return task_pb2.Task.Status.ValueType(record.status)
