"""A scripted gateway on a port: real gRPC, and tasks that do what a test says.

Its servers are gRPC's synchronous ones: it serves both forms of the client, whatever loop runs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2_grpc import TaskServiceServicer, add_TaskServiceServicer_to_server

WITHIN_S = 20
_FINAL = {Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED}

Context = Any


class Refusal:
    """What a call is answered with in place of what it asked for."""

    def __init__(
        self, status: grpc.StatusCode, code: str = "", text: str = "no", after_s: float = -1
    ) -> None:
        self.status, self.code, self.text, self.after_s = status, code, text, after_s

    def end(self, context: Context) -> None:
        if not self.code:
            context.abort(self.status, self.text)
        status = Status(code=self.status.value[0], message=self.text)
        details: list[Any] = [ErrorInfo(reason=self.code, domain="inferry")]
        if self.after_s >= 0:
            delay = Duration()
            delay.FromMilliseconds(round(self.after_s * 1_000))
            details.append(RetryInfo(retry_delay=delay))
        for detail in details:
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        context.abort_with_status(rpc_status.to_status(status))


class Scripted(TaskServiceServicer):
    """Tasks of type ``echo`` end at once with their payload; all others when the test says so."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = count(1)
        self.address = ""
        self.tasks: dict[str, Task] = {}
        self._keys: dict[str, str] = {}
        self._seqs: dict[str, int] = {}
        #: All events, in the order in which they happened: a cursor is a number of them.
        self._log: list[TaskEvent] = []
        #: What the next calls of a method meet: a refusal, None for nothing, or something to do.
        self.script: dict[str, deque[Refusal | Callable[[], None] | None]] = {}
        #: Makes an odd answer of the one to a batch.
        self.garble: Callable[[list[Any]], list[Any]] = list
        #: Whether the next watch of a task ends well after an event, as nobody but a proxy does.
        self.short_watches = 0
        #: The calls that came, by method.
        self.calls: dict[str, list[Any]] = {}
        #: The metadata of the last call.
        self.metadata: dict[str, str] = {}
        self.streams = 0
        #: Tasks that a stream has shown.
        self.shown: list[str] = []
        self._cuts = 0

    def on(self, method: str, *steps: Refusal | Callable[[], None] | None) -> None:
        """Says what the next calls of a method meet."""
        self.script.setdefault(method, deque()).extend(steps)

    def refuse(self, method: str, refusal: Refusal | None) -> None:
        """Says what all further calls of a method meet; None ends that."""
        # gRPC loses a status that comes while a message is being sent: the client asks once more.
        self.script[method] = deque([refusal] * 100 if refusal else [])

    def end(self, task_id: str, status: Task.Status.ValueType, **fields: Any) -> None:
        """Ends a task."""
        with self._changed:
            task = self.tasks[task_id]
            task.MergeFrom(Task(status=status, **fields))
            self._happen(task, TaskEvent.FINISHED)

    def place(self, task_id: str, position: int) -> None:
        """Tells the place of a task in the queue, under a number that nobody may go on after."""
        event = TaskEvent(task_id=task_id, seq=99, kind=TaskEvent.QUEUED, queue_position=position)
        with self._changed:
            self._log.append(event)
            self._changed.notify_all()

    def cut(self) -> None:
        """Ends all streams as a gateway does that goes away."""
        with self._changed:
            self._cuts += 1
            self._changed.notify_all()

    def until(self, wanted: Callable[[], bool]) -> None:
        """Waits until something has come to be."""
        with self._changed:
            assert self._changed.wait_for(wanted, WITHIN_S)

    @staticmethod
    def beside(work: Callable[[], None]) -> threading.Thread:
        """Does something while the caller waits."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def said(self, method: str) -> list[Any]:
        return self.calls.get(method, [])

    # The RPCs.

    def CreateTask(self, request: pb.CreateTaskRequest, context: Context) -> pb.CreateTaskResponse:
        self._met("CreateTask", request, context)
        task, replayed = self._create(request)
        return pb.CreateTaskResponse(task=task, replayed=replayed)

    def BatchCreateTasks(
        self, request: pb.BatchCreateTasksRequest, context: Context
    ) -> pb.BatchCreateTasksResponse:
        self._met("BatchCreateTasks", request, context)
        results = [self._result(one) for one in request.requests]
        return pb.BatchCreateTasksResponse(results=self.garble(results))

    def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        self._met("GetTask", request, context)
        return pb.GetTaskResponse(task=self._task(request.id, context))

    def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> pb.CancelTaskResponse:
        self._met("CancelTask", request, context)
        task = self._task(request.id, context)
        if task.status not in _FINAL:
            self.end(request.id, Task.CANCELLED, error=request.reason)
        return pb.CancelTaskResponse(task=task)

    def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> pb.RetryTaskResponse:
        self._met("RetryTask", request, context)
        return pb.RetryTaskResponse(task=self._task(request.id, context))

    def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        self._met("ListTasks", request, context)
        wanted = [
            task
            for task in self.tasks.values()
            if request.status in (0, task.status)
            and request.type in ("", task.type)
            and request.labels.items() <= task.labels.items()
        ]
        start = int(request.page_token or 0)
        page = wanted[start : start + 2]
        more = start + 2 < len(wanted)
        return pb.ListTasksResponse(tasks=page, next_page_token=str(start + 2) if more else "")

    def WatchTask(
        self, request: pb.WatchTaskRequest, context: Context
    ) -> Iterator[pb.WatchTaskResponse]:
        self._met("WatchTask", request, context)
        self._task(request.id, context)
        seen, cuts = 0, self._cuts
        short, self.short_watches = self.short_watches, 0
        while context.is_active():
            events, seen = self._news(seen, cuts, context)
            for event in events:
                if event.task_id == request.id and event.seq > request.after_seq:
                    yield pb.WatchTaskResponse(event=event)
                    if event.status in _FINAL or short:
                        return

    def WatchTasks(
        self, request: pb.WatchTasksRequest, context: Context
    ) -> Iterator[pb.WatchTasksResponse]:
        self._met("WatchTasks", request, context)
        cuts, seen = self._cuts, int(request.cursor or 0)
        if not request.cursor:
            with self._changed:
                tasks, seen = list(self.tasks.values()), len(self._log)
            yield pb.WatchTasksResponse(tasks=tasks, snapshot_complete=True, cursor=str(seen))
        while context.is_active():
            events, seen = self._news(seen, cuts, context)
            # One event a message: as many moments to be cut at as there can be.
            for number, event in enumerate(events, seen - len(events) + 1):
                yield pb.WatchTasksResponse(events=[event], cursor=str(number))

    def FollowTasks(
        self, request_iterator: Iterator[pb.FollowTasksRequest], context: Context
    ) -> Iterator[pb.FollowTasksResponse]:
        self._met("FollowTasks", None, context)
        stream = _Stream(self, self._cuts)
        with self._changed:
            self.streams += 1
            self._changed.notify_all()
        threading.Thread(target=stream.listen, args=(request_iterator,), daemon=True).start()
        yield from stream.responses(context)

    # What they stand on.

    def _met(self, method: str, request: Any, context: Context) -> None:
        with self._changed:
            if request is not None:
                self.calls.setdefault(method, []).append(request)
            self.metadata = dict(context.invocation_metadata())
            steps = self.script.get(method)
            step = steps.popleft() if steps else None
            self._changed.notify_all()
        if isinstance(step, Refusal):
            step.end(context)
        elif step is not None:
            step()

    def _create(self, request: pb.CreateTaskRequest) -> tuple[Task, bool]:
        with self._changed:
            known = self._keys.get(request.request_id)
            if known is not None:
                return self.tasks[known], True
            task = Task(
                id=f"task_{next(self._numbers)}",
                type=request.type,
                status=Task.PENDING,
                labels=request.labels,
                payload_json=request.payload_json,
            )
            self.tasks[task.id] = task
            self._keys[request.request_id] = task.id
            self._happen(task, TaskEvent.CREATED)
        if request.type == "echo":
            self.end(task.id, Task.COMPLETED, result_json=request.payload_json)
        return task, False

    def _result(self, request: pb.CreateTaskRequest) -> pb.BatchCreateTasksResult:
        if request.type == "wrong":
            refusal = pb.TaskRefusal(code="INVALID_PAYLOAD", error="type: wrong")
            return pb.BatchCreateTasksResult(refusal=refusal)
        steps = self.script.get("item")
        step = steps.popleft() if steps else None
        if isinstance(step, Refusal):
            refusal = pb.TaskRefusal(code=step.code, error=step.text)
            if step.after_s >= 0:
                refusal.retry_after_ms = round(step.after_s * 1_000)
            return pb.BatchCreateTasksResult(refusal=refusal)
        task, replayed = self._create(request)
        return pb.BatchCreateTasksResult(task=task, replayed=replayed)

    def _task(self, task_id: str, context: Context) -> Task:
        if task_id not in self.tasks:
            Refusal(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no task {task_id}").end(
                context
            )
        return self.tasks[task_id]

    def _happen(self, task: Task, kind: TaskEvent.Kind.ValueType) -> None:
        seq = self._seqs[task.id] = self._seqs.get(task.id, 0) + 1
        event = TaskEvent(task_id=task.id, seq=seq, kind=kind, status=task.status)
        if task.status in _FINAL:
            event.task.CopyFrom(task)
        self._log.append(event)
        self._changed.notify_all()

    def _news(self, seen: int, cuts: int, context: Context) -> tuple[list[TaskEvent], int]:
        with self._changed:
            self._changed.wait_for(lambda: len(self._log) > seen or self._cuts > cuts, 0.2)
            if self._cuts > cuts:
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
            return self._log[seen:], len(self._log)


class _Stream:
    """One FollowTasks: what it follows, and from where."""

    def __init__(self, gateway: Scripted, cuts: int) -> None:
        self._gateway = gateway
        self._changed = gateway._changed
        self._log = gateway._log
        self._cuts = cuts
        self._followed: set[str] = set()
        self._to_show: list[str] = []
        self._seen = len(self._log)

    def listen(self, requests: Iterator[pb.FollowTasksRequest]) -> None:
        try:
            for request in requests:
                with self._changed:
                    self._gateway.calls.setdefault("FollowTasks", []).append(request)
                    self._followed |= set(request.add_ids)
                    self._followed -= set(request.remove_ids)
                    if request.cursor:
                        self._seen = int(request.cursor)
                    else:
                        self._to_show += request.add_ids
                    self._changed.notify_all()
        except Exception:  # noqa: BLE001 - the stream has ended
            return

    def responses(self, context: Context) -> Iterator[pb.FollowTasksResponse]:
        while context.is_active():
            with self._changed:
                self._changed.wait_for(self._something, 0.2)
                if self._gateway._cuts > self._cuts:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
                response = self._response()
            if response is not None:
                yield response

    def _something(self) -> bool:
        cut = self._gateway._cuts > self._cuts
        return bool(self._to_show) or len(self._log) > self._seen or cut

    def _response(self) -> pb.FollowTasksResponse | None:
        response = pb.FollowTasksResponse()
        for event in self._log[self._seen :]:
            if event.task_id in self._followed and event.task_id not in self._to_show:
                response.events.append(event)
        self._seen = len(self._log)
        for task_id in self._to_show:
            task = self._gateway.tasks.get(task_id)
            if task is None:
                response.missing_ids.append(task_id)
            else:
                response.tasks.append(task)
        shown = [*response.tasks, *(event.task for event in response.events)]
        self._followed -= {task.id for task in shown if task.status in _FINAL}
        self._gateway.shown += self._to_show
        self._changed.notify_all()
        self._to_show = []
        response.cursor = str(self._seen)
        return response if response.tasks or response.events or response.missing_ids else None


@contextmanager
def running(address: str = "127.0.0.1:0", gateway: Scripted | None = None) -> Iterator[Scripted]:
    """Runs a scripted gateway until the block ends."""
    # The RPCs that it lacks are answered with UNIMPLEMENTED.
    gateway = gateway or Scripted()  # type: ignore[abstract]
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    add_TaskServiceServicer_to_server(gateway, server)
    port = server.add_insecure_port(address)
    gateway.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield gateway
    finally:
        gateway.cut()
        server.stop(0).wait(WITHIN_S)
