"""A servicer and stubs that call it: in the same process and over a socket."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from grpc_status import rpc_status
from structlog.testing import LogCapture
from structlog.typing import EventDict, WrappedLogger

from inferry.server.access.callback import CallbackSigner
from inferry.server.access.keys import SecretKey
from inferry.server.access.tokens import Role, TokenVerifier, issue_token
from inferry.server.rpc.admission import Admission, caller
from inferry.server.rpc.interceptors import ServerInterceptor
from inferry.server.rpc.unread import Vouching
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2_grpc import TaskServiceServicer
from tests.server.token_rules import TOKEN_RULES

if TYPE_CHECKING:
    from inferry.v1.task_service_pb2_grpc import TaskServiceAsyncStub

SECRET = b"0123456789abcdef0123456789abcdef"
NOW_MS = 1_704_067_200_000
TASK = "task_01HK153X00PYXZ6CXT0BGWJ8MG"


class FixedClock:
    def now_ms(self) -> int:
        return NOW_MS


def bearer(role: Role) -> tuple[tuple[str, str], ...]:
    token = issue_token(SECRET, f"a-{role}", role, None, 60, NOW_MS)
    return (("authorization", f"Bearer {token}"),)


#: Makes the tokens of callbacks.
SIGNER = CallbackSigner(b"k" * 32, "http://gateway")


def callback_token(task_id: str = TASK) -> str:
    return SIGNER.url(task_id, 1, "srv_1").partition("?token=")[2]


def interceptor(**limits: Any) -> ServerInterceptor:
    verifier = TokenVerifier(SecretKey(SECRET), FixedClock(), TOKEN_RULES)
    return ServerInterceptor(Admission(verifier), Vouching(SIGNER, **limits))


CLIENT = bearer(Role.CLIENT)
BACKEND = bearer(Role.BACKEND)
ADMIN = bearer(Role.ADMIN)


class Servicer(TaskServiceServicer):
    """Does what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        #: The tasks of the last stream of reports.
        self.reported: list[str] = []
        self.started = asyncio.Event()
        self.ended = asyncio.Event()

    async def CreateTask(self, request: pb.CreateTaskRequest, context: Any) -> Any:
        return pb.CreateTaskResponse(task=Task(id=TASK, tenant=caller().tenant))

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        if request.wait_seconds:
            await self._hang()
        return pb.GetTaskResponse(task=Task(id=request.id, tenant=caller().tenant))

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Any) -> Any:
        context.set_trailing_metadata((("trail", "er"),))
        await context.send_initial_metadata((("initi", "al"),))
        await context.abort(StatusCode.ABORTED, "by the servicer")

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Any) -> Any:
        for seq in range(1, 4):
            event = TaskEvent(seq=seq, task_id=caller().tenant)
            yield pb.WatchTaskResponse(event=event)
        if self.error is not None:
            raise self.error
        if request.after_seq:
            await self._hang()

    async def UpdateTask(self, request: pb.UpdateTaskRequest, context: Any) -> Any:
        return pb.UpdateTaskResponse(id="nobody" if request.token else caller().subject)

    async def ReportTask(self, request_iterator: Any, context: Any) -> Any:
        reports = [request async for request in request_iterator]
        self.reported = [report.id for report in reports]
        who = "nobody" if reports[-1].token else caller().subject
        return pb.ReportTaskResponse(id=who, reports=len(reports))

    async def _hang(self) -> None:
        self.started.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()


class Log(LogCapture):
    """Keeps lines, and tells when there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> NoReturn:
        self.written.set()
        super().__call__(logger, method, event)


@dataclass(frozen=True, slots=True)
class Wired:
    """A servicer and the stubs that call it."""

    stub: "TaskServiceAsyncStub"
    health: Any
    servicer: Servicer


def as_rest_sees_it(error: grpc.aio.AioRpcError) -> tuple[StatusCode, Any, list[Any]]:
    """Decodes everything that an error carries."""
    status = rpc_status.from_call(cast("Any", error))
    details = [] if status is None else MessageToDict(status)["details"]
    return error.code(), error.details(), details


async def failure(call: Awaitable[Any]) -> tuple[StatusCode, Any, list[Any]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return as_rest_sees_it(caught.value)


def info(reason: str, **metadata: str) -> dict[str, Any]:
    packed = "type.googleapis.com/google.rpc.ErrorInfo"
    found: dict[str, Any] = {"@type": packed, "reason": reason, "domain": "inferry"}
    return found | ({"metadata": metadata} if metadata else {})


def struct(**details: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.protobuf.Struct", "value": details}
