"""Plays the gateway for a command that runs in a thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import grpc
import grpc_testing
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import MethodDescriptor
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from typer.testing import CliRunner, Result

from inferry.cli.main import app
from inferry.v1 import (
    access_service_pb2,
    queue_service_pb2,
    server_service_pb2,
    stats_service_pb2,
    task_service_pb2,
)
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTaskResponse

Request = TypeVar("Request")

WITHIN_S = 20
TASKS = task_service_pb2.DESCRIPTOR.services_by_name["TaskService"]
SERVERS = server_service_pb2.DESCRIPTOR.services_by_name["ServerService"]
QUEUE = queue_service_pb2.DESCRIPTOR.services_by_name["QueueService"]
STATS = stats_service_pb2.DESCRIPTOR.services_by_name["StatsService"]
ACCESS = access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]
SERVICES = {service.name: service for service in (TASKS, SERVERS, QUEUE, ACCESS, STATS)}


class Play:
    """One run of ``inferry`` in a thread, and the gateway's side of its calls."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._channel = open_channel()
        self._run: Future[Result] | None = None
        self.metadata: dict[str, str] = {}

    def run(self, *arguments: str) -> None:
        given = ["--address", "gateway.example:1", "--token", "secret", *arguments]
        self._run = self._pool.submit(
            lambda: CliRunner().invoke(app, given, obj=lambda _settings: self._channel)
        )

    def answer(self, method: MethodDescriptor, response: Any, _kind: type[Request]) -> Request:
        metadata, request, rpc = self._take(self._channel.take_unary_unary, method)
        self.metadata = dict(metadata)
        # The command may use its request again for the next call.
        request = deepcopy(request)
        rpc.terminate(response, (), grpc.StatusCode.OK, "")
        assert isinstance(request, _kind)
        return request

    def answer_late(
        self, method: MethodDescriptor, response: Any, _kind: type[Request], **told: str
    ) -> Request:
        """Answers a call that tells something, as initial metadata, before it is answered."""
        _, request, rpc = self._take(self._channel.take_unary_stream, method)
        rpc.send_initial_metadata(tuple(told.items()))
        rpc.send_response(response)
        rpc.terminate((), grpc.StatusCode.OK, "")
        assert isinstance(request, _kind)
        return request

    def refuse(self, method: MethodDescriptor, code: grpc.StatusCode, reason: str | None) -> None:
        _, _, rpc = self._take(self._channel.take_unary_unary, method)
        rpc.terminate(None, _details(code, reason), code, "no")

    def stream(self, *events: TaskEvent) -> None:
        """Answers a watch."""
        _, _, rpc = self._take(self._channel.take_unary_stream, TASKS.methods_by_name["WatchTask"])
        for event in events:
            rpc.send_response(WatchTaskResponse(event=event))
        rpc.terminate((), grpc.StatusCode.OK, "")

    @staticmethod
    def _take(take: Callable[[MethodDescriptor], Any], method: MethodDescriptor) -> Any:
        """Takes a call, but does not wait for ever for one that does not come."""
        taken: SimpleQueue[Any] = SimpleQueue()
        Thread(target=lambda: taken.put(take(method)), daemon=True).start()
        return taken.get(timeout=WITHIN_S)

    def result(self) -> Result:
        assert self._run is not None
        return self._run.result(WITHIN_S)


def open_channel() -> Any:
    """Makes a channel on which the test plays all of the gateway's services."""
    return grpc_testing.channel(SERVICES.values(), grpc_testing.strict_real_time())


def _details(code: grpc.StatusCode, reason: str | None) -> tuple[tuple[str, bytes], ...]:
    if reason is None:
        return ()
    info = Packed()
    info.Pack(ErrorInfo(reason=reason, domain="inferry"))
    status = Status(code=code.value[0], message="no", details=[info])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def rpc(name: str) -> MethodDescriptor:
    """Finds a method of any service."""
    for service in SERVICES.values():
        if name in service.methods_by_name:
            return service.methods_by_name[name]
    raise KeyError(name)


def ended(status: Task.Status.ValueType, **fields: Any) -> Task:
    """Makes a task that reached a status."""
    return Task(id="task_1", type="test-processing", status=status, **fields)
