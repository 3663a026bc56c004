"""Creates tasks over gRPC, at gateways that may be gone at any time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import cycle
from typing import Any

import grpc
import orjson
from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.wire.refusals import read_refusal
from tests.crash.gateways import Gateways
from tests.crash.history import History, Json

#: Between two tries of a call.
_PAUSE_S = 0.02
_WITHIN_S = 30
#: How long one is waited for before the next one is tried.
_READY_S = 0.3
_OPTIONS = [
    # The gateway is back soon: a client that waits longer each time would miss it.
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
]


class Rpc:
    """A connection to each, made again and again. Answers are told in the words of REST."""

    def __init__(self, channels: Sequence[grpc.aio.Channel], token: str, history: History) -> None:
        self._channels = cycle([(channel, TaskServiceStub(channel)) for channel in channels])
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._history = history
        self._shared = len(channels) > 1

    async def create(self, said: Json, key: str | None) -> tuple[int, Any] | None:
        """Creates a task once there is a gateway that takes it; None if no answer came.

        With a key, or where the gateway refused, it is asked for again until it is answered.
        """
        request = _request(said, key)
        while True:
            stub = await self._ready()
            try:
                # Until there is a connection nothing is sent.
                reply = await stub.CreateTask(
                    request, metadata=self._metadata, timeout=_WITHIN_S, wait_for_ready=True
                )
            except AioRpcError as error:
                if error.code() is not StatusCode.UNAVAILABLE:
                    return 0, f"{error.code().name}: {error.details()}"
                if read_refusal(error.trailing_metadata()).code and not self._shared:
                    # The gateway itself says that it did nothing. One that others took over from
                    # may not know what became of its last commit.
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self._history.broken.append(f"CreateTask: {error.details()}")
                if key is None:
                    return None
                await asyncio.sleep(_PAUSE_S)
            else:
                self._history.by_rpc += 1
                return 202 if request.asynchronous else 200, _plain(reply.task)

    async def _ready(self) -> Any:
        """Finds one that there is a connection to."""
        while True:
            channel, stub = next(self._channels)
            with suppress(TimeoutError):
                async with asyncio.timeout(_READY_S):
                    await channel.channel_ready()
                return stub


def _request(said: Json, key: str | None) -> CreateTaskRequest:
    return CreateTaskRequest(
        type=said["type"],
        asynchronous=said["async"],
        idempotent=said["idempotent"],
        labels=said["labels"],
        payload_json=orjson.dumps(said["payload"]),
        timeout_ms=said.get("timeout"),
        request_id=key or "",
        value_format=JSON_TEXT,
    )


def _plain(task: Task) -> Json:
    """Shows of a task what REST would: as much as is looked at."""
    texts = {"result": task.result_json, "details": task.details_json}
    words = {"error": task.error, "code": task.code}
    return {
        "id": task.id,
        "status": Task.Status.Name(task.status),
        **{name: orjson.loads(text) for name, text in texts.items() if text},
        **{name: word for name, word in words.items() if word},
    }


@asynccontextmanager
async def running_rpc(gateways: Gateways, history: History) -> AsyncIterator[Rpc]:
    """Opens it."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=_OPTIONS))
            for address in gateways.grpc
        ]
        yield Rpc(channels, gateways.token, history)
