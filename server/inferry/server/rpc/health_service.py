"""Health over gRPC: whether the gateway serves, told to anybody who asks, or who watches.

The servicer that comes with gRPC writes to its watchers one by one under a lock: who takes what is
written byte by byte, or not at all, keeps the gateway from saying anything more, and from stopping.
Here each watcher waits for itself alone.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Context = Any

_Response = health_pb2.HealthCheckResponse

#: Watchers at once: each holds a call open, and anybody may.
_WATCHERS = 1_000


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells how the gateway is, which is the service without a name; there is no other.

    Args:
        watchers: How many may watch at once.
    """

    def __init__(self, watchers: int = _WATCHERS) -> None:
        self._free = watchers
        self._status: Any = _Response.SERVING
        self._stopping = False
        #: Set, and replaced, with each change.
        self._changed = asyncio.Event()

    def say(self, *, serving: bool) -> None:
        """Tells whoever asks from now on, and all watchers; nothing after ``say_stopping``."""
        if not self._stopping:
            self._status = _Response.SERVING if serving else _Response.NOT_SERVING
            self._changed.set()
            self._changed = asyncio.Event()

    def say_stopping(self) -> None:
        """Tells for the rest of the time that the gateway does not serve."""
        self.say(serving=False)
        self._stopping = True

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Answers at once."""
        if request.service:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, "the gateway is asked for without a service's name"
            )
        return _Response(status=self._status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Answers at once, and again with each change."""
        if not self._free:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")
        self._free -= 1
        try:
            told = None
            while True:
                changed = self._changed
                status = _Response.SERVICE_UNKNOWN if request.service else self._status
                if status != told:
                    yield _Response(status=status)
                    told = status
                await changed.wait()
        finally:
            self._free += 1
