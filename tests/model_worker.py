"""A small worker on the generated stubs, as somebody would write one from docs/workers.md."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from pydantic import SecretStr

from inferry.server.access.tokens import Role
from inferry.server.app.gateway import Gateway
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import ListServersRequest
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.worker_pb2 import (
    Assignment,
    AttemptCancel,
    AttemptRef,
    GatewayMessage,
    ReportAck,
    WorkerGoodbye,
    WorkerHeartbeat,
    WorkerHello,
    WorkerMessage,
    WorkerReport,
    WorkerWelcome,
)
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub
from inferry.wire.held import held_hash
from tests.gateways import SECRET, token

Key = tuple[str, int]


@dataclass
class Streamed:
    """A gateway on a socket, without REST."""

    gateway: Gateway
    config: Config

    @property
    def tasks(self) -> Any:
        """A TaskService stub in this process."""
        return TaskServiceStub(self.gateway.channel)

    @property
    def servers(self) -> Any:
        """A ServerService stub in this process."""
        return ServerServiceStub(self.gateway.channel)

    async def create(self, payload: bytes = b"{}", **more: Any) -> str:
        """Creates a task of type echo; returns its id."""
        request = CreateTaskRequest(type="echo", payload_json=payload, **more)
        answer = await self.tasks.CreateTask(request, metadata=admin())
        return str(answer.task.id)

    async def task(self, task_id: str, wait_s: float = 20) -> Task:
        """Reads a task once it has ended, or when the time is over."""
        request = GetTaskRequest(id=task_id, wait_seconds=wait_s)
        found: Task = (await self.tasks.GetTask(request, metadata=admin())).task
        return found

    async def server(self, name: str = "gpu-1") -> Server:
        """Reads a server by its name; an empty one if there is none."""
        answer = await self.servers.ListServers(ListServersRequest(), metadata=admin())
        return next((one for one in answer.servers if one.name == name), Server())

    async def until(self, wanted: Callable[[Server], bool], name: str = "gpu-1") -> Server:
        """Reads a server until it is as wanted; what no event announces."""
        async with asyncio.timeout(20):
            while True:
                server = await self.server(name)
                if wanted(server):
                    return server
                await asyncio.sleep(0.01)


def admin() -> tuple[tuple[str, str], ...]:
    """Says that an admin calls."""
    return (("authorization", f"Bearer {token()}"),)


@asynccontextmanager
async def streamed_gateway(
    data_dir: Path, clock: SteadyClock | None = None, **settings: Any
) -> AsyncIterator[Streamed]:
    """Runs a gateway on a free port until the block ends."""
    given = {"port": 0, "grpc_port": 0, **settings}
    config = Config(data_dir=data_dir, jwt_secret=SecretStr(SECRET), **given)
    gateway = Gateway(config, "http://127.0.0.1:1", clock)
    try:
        await gateway.start()
        yield Streamed(gateway, config)
    finally:
        await gateway.stop()


Work = Callable[["ModelWorker", Assignment], Awaitable[None]]


async def echo(worker: "ModelWorker", assignment: Assignment) -> None:
    """Gives the payload back."""
    worker.complete(assignment, assignment.payload_json)


@dataclass
class ModelWorker:
    """Holds what it is given until the gateway acknowledged its end.

    One stream at a time; a test that wants another one calls ``run`` again.
    """

    address: str
    name: str = "gpu-1"
    slots: int = 4
    work: Work = echo
    auth: str = field(default_factory=lambda: token(Role.BACKEND))
    resume_token: str = ""
    #: Whether it takes what it gets, and whether it speaks by itself.
    takes: bool = True
    beats: bool = True
    #: Whether it stops what is cancelled.
    stops: bool = True
    ready: bool = True
    lag_ms: int = 0
    welcome: WorkerWelcome | None = None
    held: dict[Key, asyncio.Task[None] | None] = field(default_factory=dict)
    #: All that it got, in order; what was cancelled; what became of reports.
    got: list[Key] = field(default_factory=list)
    cancels: list[AttemptCancel] = field(default_factory=list)
    acks: list[ReportAck] = field(default_factory=list)
    messages: list[GatewayMessage] = field(default_factory=list)
    received: int = 0
    granted: int = 0
    number: int = 0
    reports: dict[int, WorkerReport] = field(default_factory=dict)
    #: Why its last stream ended.
    code: grpc.StatusCode | None = None
    details: str = ""
    said: asyncio.Queue[WorkerMessage | None] = field(default_factory=asyncio.Queue)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    #: Cleared, it reads no more.
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    _running: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.reading.set()

    def hello(self) -> WorkerMessage:
        """Says who it is; with a resume token, what it has and what it could not report."""
        resumed = list(self.held) if self.resume_token else []
        return WorkerMessage(
            hello=WorkerHello(
                name=self.name,
                protocol_version=1,
                capabilities=["echo"],
                max_concurrent=self.slots,
                resume_token=self.resume_token,
                held=[_ref(one) for one in resumed],
                ready=self.ready,
                sdk="model/1",
            ),
            granted_total=self.grant(),
            reports=[self.reports[number] for number in sorted(self.reports)] if resumed else [],
        )

    def grant(self) -> int:
        """Asks for as many as it has slots."""
        self.granted = max(self.granted, self.received + self.slots - len(self.held))
        return self.granted

    def say(self, **parts: Any) -> None:
        """Says something."""
        self.said.put_nowait(WorkerMessage(**parts))

    async def run(self) -> None:
        """Opens a stream and works on it until it ends."""
        self.received = self.granted = 0
        self.said = asyncio.Queue()
        async with grpc.aio.insecure_channel(self.address) as channel:
            metadata = (("authorization", f"Bearer {self.auth}"),)
            call = WorkerServiceStub(channel).Connect(self._outgoing(), metadata=metadata)
            try:
                async for message in call:
                    self._hear(message)
                    await self.reading.wait()
                self.code = await call.code()
            except grpc.aio.AioRpcError as error:
                self.code, self.details = error.code(), error.details() or ""
            finally:
                call.cancel()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["ModelWorker"]:
        """Works on one stream until the block ends, and then cuts it."""
        self.start()
        try:
            await self.until(lambda: self.welcome is not None)
            yield self
        finally:
            await self.cut()

    def start(self) -> None:
        """Opens a stream in the background."""
        self.welcome = None
        self._running = asyncio.create_task(self.run())

    async def cut(self) -> None:
        """Cuts its stream: its work goes on."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def ended(self) -> None:
        """Waits for the end of its stream."""
        assert self._running is not None
        async with asyncio.timeout(20):
            await self._running

    async def die(self) -> None:
        """Dies: its work with it."""
        await self.cut()
        for work in self.held.values():
            if work is not None:
                work.cancel()
        self.held.clear()
        self.reports.clear()
        self.resume_token = ""

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Waits until what it heard is as wanted."""
        async with asyncio.timeout(20):
            while not wanted():
                await self.heard.wait()
                self.heard.clear()

    def report(self, assignment: Assignment, **update: Any) -> None:
        """Reports on an attempt."""
        self.number += 1
        named = _ref((assignment.task_id, assignment.attempt))
        report = WorkerReport(attempt=named, number=self.number, update=TaskUpdate(**update))
        self.reports[self.number] = report
        self.say(reports=[report])

    def complete(self, assignment: Assignment, result: bytes) -> None:
        """Reports a result."""
        self.report(assignment, status=Task.COMPLETED, result_json=result)

    def goodbye(self) -> None:
        """Says that it leaves."""
        self.say(goodbye=WorkerGoodbye(reason="done"))

    def beat(self, *, listed: bool = False) -> None:
        """Sends a heartbeat."""
        self.say(
            granted_total=self.grant(),
            heartbeat=WorkerHeartbeat(
                held_count=len(self.held),
                held_hash=held_hash(self.held),
                received_total=self.received,
                held=[_ref(one) for one in self.held] if listed else [],
                listed=listed,
                ready=self.ready,
                handler_lag_ms=self.lag_ms,
            ),
        )

    async def _outgoing(self) -> AsyncIterator[WorkerMessage]:
        yield self.hello()
        while (message := await self.said.get()) is not None:
            yield message

    def _hear(self, message: GatewayMessage) -> None:
        self.messages.append(message)
        if message.HasField("welcome"):
            self.welcome = message.welcome
            self.resume_token = message.welcome.resume_token
        for assignment in message.assignments:
            self._take(assignment)
        if message.assignments and self.takes:
            named = [AttemptRef(task_id=a.task_id, attempt=a.attempt) for a in message.assignments]
            self.say(acknowledged=named)
        for ack in message.report_acks:
            self._acknowledged(ack)
        for cancel in message.cancels:
            self._cancelled(cancel)
        if message.HasField("heartbeat") and self.beats:
            self.beat(listed=message.heartbeat.list)
        self.heard.set()

    def _take(self, assignment: Assignment) -> None:
        self.received += 1
        key = assignment.task_id, assignment.attempt
        self.got.append(key)
        if self.takes:
            self.held[key] = asyncio.create_task(_awaited(self.work(self, assignment)))

    def _acknowledged(self, ack: ReportAck) -> None:
        self.acks.append(ack)
        report = self.reports.get(ack.number)
        if report is None or ack.again:
            return
        del self.reports[ack.number]
        if report.update.status not in (Task.PENDING, Task.PROCESSING):
            self.held.pop((report.attempt.task_id, report.attempt.attempt), None)
            self.say(granted_total=self.grant())

    def _cancelled(self, cancel: AttemptCancel) -> None:
        self.cancels.append(cancel)
        if not self.stops:
            return
        work = self.held.pop((cancel.attempt.task_id, cancel.attempt.attempt), None)
        if work is not None:
            work.cancel()
        self.say(stopped=[cancel.attempt], granted_total=self.grant())


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _ref(key: Key) -> AttemptRef:
    return AttemptRef(task_id=key[0], attempt=key[1])
