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

from inferry.wire.health import ALIVE, NOT_READY, STOPPING

Context = Any

_Response = health_pb2.HealthCheckResponse

#: Watchers at once: each holds a call open, and anybody may.
_WATCHERS = 1_000


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Tells how the gateway is, which is the service without a name, and that it is there.

    Why it does not serve comes with the answer, as metadata: who does not know that need not look.

    Args:
        watchers: How many may watch at once.
        reason: Why it does not serve yet; empty if it does.
    """

    def __init__(self, watchers: int = _WATCHERS, reason: str = "") -> None:
        self._free = watchers
        self._reason = reason
        #: Set, and replaced, with each change.
        self._changed = asyncio.Event()

    @property
    def serves(self) -> bool:
        """Whether the gateway does."""
        return not self._reason

    def say(self, reason: str) -> None:
        """Tells whoever asks from now on, and all watchers; a gateway that stops does so for good.

        Args:
            reason: Why the gateway does not serve; empty if it does.
        """
        if self._reason != STOPPING:
            self._reason = reason
            self._changed.set()
            self._changed = asyncio.Event()

    def _status_of(self, service: str) -> Any:
        """Gives the status of a service; None if there is none of that name."""
        if service == ALIVE or (not service and self.serves):
            return _Response.SERVING
        return None if service else _Response.NOT_SERVING

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Answers at once."""
        status = self._status_of(request.service)
        if status is None:
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"ask for the gateway without a service's name, or for {ALIVE}",
            )
        if status == _Response.NOT_SERVING:
            context.set_trailing_metadata(((NOT_READY, self._reason),))
        return _Response(status=status)

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
                known = self._status_of(request.service)
                status = _Response.SERVICE_UNKNOWN if known is None else known
                if status != told:
                    yield _Response(status=status)
                    told = status
                await changed.wait()
        finally:
            self._free += 1
