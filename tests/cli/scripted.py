"""A gateway on a real socket that does what a test says, and ``inferry`` against it."""

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from typer.testing import CliRunner

from inferry.cli.main import app
from inferry.v1.queue_service_pb2 import GetQueueRequest, GetQueueResponse
from inferry.v1.server_service_pb2 import ListServersRequest, ListServersResponse
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResponse,
    BatchCreateTasksResult,
    CreateTaskRequest,
    FollowTasksRequest,
    FollowTasksResponse,
    GetTaskRequest,
    GetTaskResponse,
    WatchTaskRequest,
    WatchTaskResponse,
    WatchTasksRequest,
    WatchTasksResponse,
)
from tests.cli.real import WITHIN_S, Ran
from tests.ports import own_port
from tests.processes import INFERRY

Context = grpc.aio.ServicerContext[Any, Any]
Follow = Callable[["Tasks", AsyncIterator[FollowTasksRequest]], AsyncIterator[FollowTasksResponse]]
Events = Callable[[WatchTaskRequest, Context], AsyncIterator[WatchTaskResponse]]
Watch = Callable[[WatchTasksRequest, Context], AsyncIterator[WatchTasksResponse]]


class Tasks:
    """Creates every task, remembers request ids, and lets each complete when it is followed."""

    def __init__(self) -> None:
        #: Each call that created tasks.
        self.batches: list[BatchCreateTasksRequest] = []
        #: Tasks by request id.
        self.created: dict[str, Task] = {}
        self.answers: Callable[[CreateTaskRequest], BatchCreateTasksResult | None] = lambda _: None
        #: Called before a batch is answered.
        self.before: Callable[[Context], Awaitable[None]] | None = None
        self.after: Callable[[Context], Awaitable[None]] | None = None
        #: Tasks that can be asked for one by one.
        self.kept: dict[str, Task] = {}
        self.follow: Follow = completing
        self.followed = 0
        #: Set when who follows has been told something.
        self.shown = asyncio.Event()
        #: What a stream ends with that a ``ConnectionResetError`` breaks off.
        self.break_with = grpc.StatusCode.UNAVAILABLE
        #: Watches one task.
        self.events: Events | None = None
        self.watch: Watch | None = None
        self.watched: list[WatchTasksRequest] = []

    @property
    def requests(self) -> list[CreateTaskRequest]:
        return [request for batch in self.batches for request in batch.requests]

    def by_id(self, task_id: str) -> Task:
        return next(task for task in self.created.values() if task.id == task_id)

    async def BatchCreateTasks(
        self, request: BatchCreateTasksRequest, context: Context
    ) -> BatchCreateTasksResponse:
        self.batches.append(request)
        if self.before is not None:
            await self.before(context)
        response = BatchCreateTasksResponse(results=map(self._create, request.requests))
        if self.after is not None:
            await self.after(context)
        return response

    def _create(self, request: CreateTaskRequest) -> BatchCreateTasksResult:
        answer = self.answers(request)
        if answer is not None:
            return answer
        replayed = request.request_id in self.created
        task = Task(id=f"task_{len(self.created) + 1}", type=request.type, status=Task.PENDING)
        task = self.created.setdefault(request.request_id, task)
        return BatchCreateTasksResult(task=task, replayed=replayed)

    async def GetTask(self, request: GetTaskRequest, context: Context) -> GetTaskResponse:
        if request.id not in self.kept:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no task {request.id}")
        return GetTaskResponse(task=self.kept[request.id])

    async def FollowTasks(
        self, requests: AsyncIterator[FollowTasksRequest], context: Context
    ) -> AsyncIterator[FollowTasksResponse]:
        self.followed += 1
        try:
            async for response in self.follow(self, requests):
                yield response
                self.shown.set()
        except ConnectionResetError:
            await context.abort(self.break_with, "broken off")

    async def WatchTask(
        self, request: WatchTaskRequest, context: Context
    ) -> AsyncIterator[WatchTaskResponse]:
        assert self.events is not None
        async for response in self.events(request, context):
            yield response

    async def WatchTasks(
        self, request: WatchTasksRequest, context: Context
    ) -> AsyncIterator[WatchTasksResponse]:
        assert self.watch is not None
        kept = WatchTasksRequest()
        kept.CopyFrom(request)
        self.watched.append(kept)
        async for response in self.watch(request, context):
            yield response


def finished(
    task_id: str, status: Task.Status.ValueType = Task.COMPLETED, **more: Any
) -> TaskEvent:
    """The event that ends a task."""
    if status == Task.COMPLETED:
        more = {"result_json": b'"done"', **more}
    task = Task(id=task_id, status=status, **more)
    kind = TaskEvent.FINISHED
    return TaskEvent(task_id=task_id, seq=2, kind=kind, status=status, progress=0, task=task)


async def completing(
    tasks: Tasks, requests: AsyncIterator[FollowTasksRequest]
) -> AsyncIterator[FollowTasksResponse]:
    """Shows each task and completes it."""
    async for request in requests:
        yield FollowTasksResponse(tasks=[tasks.by_id(task_id) for task_id in request.add_ids])
        yield FollowTasksResponse(events=map(finished, request.add_ids))


async def hanging(
    tasks: Tasks, requests: AsyncIterator[FollowTasksRequest]
) -> AsyncIterator[FollowTasksResponse]:
    """Shows each task, and nothing ends."""
    async for request in requests:
        yield FollowTasksResponse(tasks=[tasks.by_id(task_id) for task_id in request.add_ids])
    await asyncio.Event().wait()


class Gateway:
    """The gateway, and commands against it."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.servers = ListServersResponse()
        self.queue = GetQueueResponse()
        #: How often the servers were asked for.
        self.looks = 0
        #: With what right they were.
        self.tokens: list[str | bytes | None] = []
        self.port = own_port()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listens; again on the same port after ``stop``."""
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(self._services())
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    def _services(self) -> list[grpc.GenericRpcHandler]:
        """What it can do; all else it has never heard of."""
        tasks: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "BatchCreateTasks": grpc.unary_unary_rpc_method_handler(
                self.tasks.BatchCreateTasks,
                BatchCreateTasksRequest.FromString,
                BatchCreateTasksResponse.SerializeToString,
            ),
            "GetTask": grpc.unary_unary_rpc_method_handler(
                self.tasks.GetTask, GetTaskRequest.FromString, GetTaskResponse.SerializeToString
            ),
            "FollowTasks": grpc.stream_stream_rpc_method_handler(
                self.tasks.FollowTasks,
                FollowTasksRequest.FromString,
                FollowTasksResponse.SerializeToString,
            ),
            "WatchTask": grpc.unary_stream_rpc_method_handler(
                self.tasks.WatchTask,
                WatchTaskRequest.FromString,
                WatchTaskResponse.SerializeToString,
            ),
            "WatchTasks": grpc.unary_stream_rpc_method_handler(
                self.tasks.WatchTasks,
                WatchTasksRequest.FromString,
                WatchTasksResponse.SerializeToString,
            ),
        }
        servers = grpc.unary_unary_rpc_method_handler(
            self._list_servers,
            ListServersRequest.FromString,
            ListServersResponse.SerializeToString,
        )
        queue = grpc.unary_unary_rpc_method_handler(
            self._get_queue, GetQueueRequest.FromString, GetQueueResponse.SerializeToString
        )
        named = {
            "TaskService": tasks,
            "ServerService": {"ListServers": servers},
            "QueueService": {"GetQueue": queue},
        }
        make = grpc.method_handlers_generic_handler
        return [make(f"inferry.v1.{name}", methods) for name, methods in named.items()]

    async def _list_servers(self, _: ListServersRequest, context: Context) -> ListServersResponse:
        self.looks += 1
        self.tokens.append(dict(context.invocation_metadata() or ()).get("authorization"))
        return self.servers

    async def _get_queue(self, _: GetQueueRequest, __: Context) -> GetQueueResponse:
        return self.queue

    async def stop(self) -> None:
        """Ends all streams, and listens no more."""
        assert self._server is not None
        await self._server.stop(None)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "INFERRY_ADDRESS": f"127.0.0.1:{self.port}",
            "INFERRY_TOKEN": "secret",
        }

    async def run(self, *arguments: str | Path) -> Ran:
        """Runs a command to its end, in this process."""
        given = [str(argument) for argument in arguments]
        async with asyncio.timeout(WITHIN_S):
            result = await asyncio.to_thread(CliRunner().invoke, app, given, env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    async def start_command(
        self, *arguments: str | Path, stdin: int | None = None, stdout: int = PIPE
    ) -> Process:
        """Starts a command in a process of its own."""
        return await asyncio.create_subprocess_exec(
            INFERRY, *arguments, stdin=stdin, stdout=stdout, stderr=PIPE, env=self.environment
        )


@asynccontextmanager
async def scripted_gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
