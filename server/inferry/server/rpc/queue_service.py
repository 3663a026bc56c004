"""QueueService: from messages to the queue and back."""

from functools import partial
from typing import Any

from inferry.server.backlog import TypeCount
from inferry.server.clock import Clock
from inferry.server.committer import Committer
from inferry.server.errors import InferryError, InvalidPayloadError
from inferry.server.ledger import Ledger
from inferry.server.rpc.convert import timestamp
from inferry.server.rpc.task_requests import name_of
from inferry.server.store import PausedType, PauseType, ResumeType
from inferry.v1 import queue_pb2, queue_service_pb2_grpc
from inferry.v1 import queue_service_pb2 as pb

REASON_LIMIT = 255

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


class QueueServicer(queue_service_pb2_grpc.QueueServiceServicer):
    """Everything that can be done with the queue as a whole."""

    def __init__(self, committer: Committer, ledger: Ledger, clock: Clock) -> None:
        self._committer = committer
        self._ledger = ledger
        self._backlog = ledger.backlog
        self._clock = clock

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
        paused = PausedType(task_type, request.reason, self._clock.now_ms())
        before = self._backlog.pause_of(task_type)
        self._backlog.pause(paused)
        await self._committer.do(PauseType(paused), partial(self._paused, paused, before))
        return pb.PauseTypeResponse(queue=self._type(task_type, self._backlog.types()))

    async def ResumeType(
        self, request: pb.ResumeTypeRequest, context: Context
    ) -> pb.ResumeTypeResponse:
        """Ends a pause."""
        task_type = name_of("type", request.type)
        await self._committer.do(ResumeType(task_type), partial(self._resumed, task_type))
        return pb.ResumeTypeResponse(queue=self._type(task_type, self._backlog.types()))

    def _paused(
        self, paused: PausedType, before: PausedType | None, result: InferryError | None
    ) -> None:
        """Takes a pause back that is not on disk, unless another one has come since."""
        if result is None or self._backlog.pause_of(paused.type) is not paused:
            return
        if before is not None:
            self._backlog.pause(before)
        else:
            self._resumed(paused.type, None)

    def _resumed(self, task_type: str, result: InferryError | None) -> None:
        if result is None:
            self._backlog.resume(task_type)
            self._ledger.claimable.set()

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
