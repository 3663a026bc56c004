"""The endpoint that creates tasks: how long its caller waits, and what names its request."""

import re
from contextlib import suppress

import grpc.aio
from aiohttp import web

from inferry.bridge.contract import KEY_HEADER, REPLAYED_HEADER
from inferry.bridge.errors import BridgeError, invalid
from inferry.bridge.exchange import Call, Exchange
from inferry.bridge.rpc_errors import http_error
from inferry.bridge.transcode import Transcoder
from inferry.v1 import task_pb2, task_service_pb2
from inferry.wire.checks import rules_of
from inferry.wire.errors import show

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)
#: The draft of the header has its value in quotes, most clients have not: both mean the same.
KEY = re.compile(r"\"([!#-\[\]-~]{1,255})\"|([!#-~][!-~]{0,254})", re.ASCII)
_WAIT_FIELD = task_service_pb2.GetTaskRequest.DESCRIPTOR.fields_by_name["wait_seconds"]
#: Seconds that a client may prefer to wait at most; what GetTask takes.
_LONGEST_WAIT_S = rules_of(_WAIT_FIELD).maximum


class Create:
    """Creates a task. Its caller may wait for the end, or a while, or not at all."""

    def __init__(self, transcoder: Transcoder, create: Call, read: Call, path_prefix: str) -> None:
        self._transcoder = transcoder
        self._tasks = f"{path_prefix}/api/tasks/"
        self._create = create
        self._read = read

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with the final task if that was waited for, else 202 with the task.

        A task that the same request created before is answered alike: 202 says that nobody waited,
        not that it still runs.
        """
        metadata = exchange.metadata()
        request = await self._transcoder.request(exchange, metadata)
        if KEY_HEADER in exchange.request.headers:
            _name(request, exchange.request.headers.getall(KEY_HEADER))
        waits = request.HasField("asynchronous") and not request.asynchronous
        if waits:
            exchange.end_with_client()
        try:
            response = await self._create(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error) from None
        task = response.task
        headers = {"Location": f"{self._tasks}{task.id}"}
        if response.replayed:
            headers[REPLAYED_HEADER] = "true"
        if waits:
            return exchange.answer(self._transcoder.plain(response), 200, headers)
        wait_s = preferred_wait_s(exchange.request.headers.get("Prefer", ""))
        if wait_s and task.status < task_pb2.Task.COMPLETED:
            exchange.end_with_client()
            patient = task_service_pb2.GetTaskRequest(
                id=task.id, wait_seconds=wait_s, value_format=task_pb2.JSON_TEXT
            )
            # The task is there: who is told of an error would create it again.
            with suppress(grpc.aio.AioRpcError):
                response = await self._read(patient, metadata=metadata)
        if wait_s and response.task.status >= task_pb2.Task.COMPLETED:
            headers["Preference-Applied"] = f"wait={wait_s}"
            return exchange.answer(self._transcoder.plain(response), 200, headers)
        return exchange.answer(self._transcoder.plain(response), 202, headers)

    def _refusal(self, error: grpc.aio.AioRpcError) -> BridgeError:
        """Makes the answer to a refused creation; one that led to a task says where it is."""
        refused = http_error(error)
        task_id = refused.details.get("taskId")
        if isinstance(task_id, str):
            refused.headers = {**refused.headers, "Location": f"{self._tasks}{task_id}"}
        return refused


def _name(request: task_service_pb2.CreateTaskRequest, keys: list[str]) -> None:
    """Names a request by its header; the field for callers of gRPC may say the same."""
    # A header that came twice is a list, and a list is no key.
    given = ", ".join(keys)
    match = KEY.fullmatch(given)
    if match is None:
        raise invalid(
            f"{KEY_HEADER}: expected 1 to 255 printable ASCII characters without spaces, "
            f"at best a UUID, got {show(given)}"
        )
    key = match[match.lastindex or 0]
    if request.request_id not in {"", key}:
        raise invalid(
            f"requestId: expected the same as the header {KEY_HEADER}, or none, "
            f"got {show(request.request_id)}",
            field="requestId",
        )
    request.request_id = key


def preferred_wait_s(prefer: str) -> int:
    """Reads ``wait=N`` from a ``Prefer`` header (RFC 7240); 0 when there is none."""
    match = _WAIT.search(prefer) if prefer else None
    return min(int(match[1]), _LONGEST_WAIT_S) if match else 0
