"""QueueService: from messages to the queue and back."""

from typing import Any

from inferry.server.engine.pauses import Pauses
from inferry.server.errors import InvalidPayloadError
from inferry.server.queue.backlog import Backlog, TypeCount
from inferry.server.rpc.convert import timestamp
from inferry.server.rpc.task_requests import name_of
from inferry.v1 import queue_pb2, queue_service_pb2_grpc
from inferry.v1 import queue_service_pb2 as pb

REASON_LIMIT = 255

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


class QueueServicer(queue_service_pb2_grpc.QueueServiceServicer):
    """Everything that can be done with the queue as a whole."""

    def __init__(self, pauses: Pauses, backlog: Backlog) -> None:
        self._pauses = pauses
        self._backlog = backlog

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> pb.GetQueueResponse:
        """Shows what waits, by type, and which types are paused."""
        counts = self._backlog.types()
        return pb.GetQueueResponse(
            waiting=len(self._backlog),
            limit=self._backlog.limit,
            left_last_minute=self._backlog.left_last_minute,
            types=[self._type(one, counts) for one in sorted(counts.keys() | self._backlog.pauses)],
        )

    async def PauseType(
        self, request: pb.PauseTypeRequest, context: Context
    ) -> pb.PauseTypeResponse:
        """Starts no more tasks of a type, from before the answer on."""
        task_type = name_of("type", request.type)
        if len(request.reason) > REASON_LIMIT:
            raise InvalidPayloadError(f"reason: right is {REASON_LIMIT} characters at most")
        await self._pauses.pause(task_type, request.reason)
        return pb.PauseTypeResponse(queue=self._type(task_type, self._backlog.types()))

    async def ResumeType(
        self, request: pb.ResumeTypeRequest, context: Context
    ) -> pb.ResumeTypeResponse:
        """Ends a pause."""
        task_type = name_of("type", request.type)
        await self._pauses.resume(task_type)
        return pb.ResumeTypeResponse(queue=self._type(task_type, self._backlog.types()))

    def _type(self, task_type: str, counts: dict[str, TypeCount]) -> queue_pb2.TypeQueue:
        count = counts.get(task_type, TypeCount(0, 0))
        paused = self._backlog.pause_of(task_type)
        return queue_pb2.TypeQueue(
            type=task_type,
            waiting=count.waiting,
            delayed=count.delayed,
            paused=paused is not None,
            pause_reason="" if paused is None else paused.reason,
            paused_at=None if paused is None else timestamp(paused.since_ms),
        )
