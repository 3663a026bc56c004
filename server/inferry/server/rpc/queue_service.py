"""QueueService: from messages to the queue and back."""

from typing import Any

from inferry.server.engine.pauses import Pauses
from inferry.server.engine.queue_view import QueueView, TypeState
from inferry.server.rpc.acts import noted
from inferry.server.rpc.convert import timestamp
from inferry.v1 import queue_pb2, queue_service_pb2_grpc
from inferry.v1 import queue_service_pb2 as pb

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


@noted
class QueueServicer(queue_service_pb2_grpc.QueueServiceServicer):
    """Everything that can be done with the queue as a whole."""

    def __init__(self, pauses: Pauses, queue: QueueView) -> None:
        self._pauses = pauses
        self._queue = queue

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> pb.GetQueueResponse:
        """Shows what waits, by type, and which types are paused."""
        state = await self._queue.state()
        return pb.GetQueueResponse(
            waiting=state.waiting,
            limit=state.limit,
            left_last_minute=state.left_last_minute,
            types=[_type_to_proto(one) for one in state.types],
        )

    async def PauseType(
        self, request: pb.PauseTypeRequest, context: Context
    ) -> pb.PauseTypeResponse:
        """Starts no more tasks of a type, from before the answer on."""
        await self._pauses.pause(request.type, request.reason)
        state = await self._queue.type_state(request.type)
        return pb.PauseTypeResponse(queue=_type_to_proto(state))

    async def ResumeType(
        self, request: pb.ResumeTypeRequest, context: Context
    ) -> pb.ResumeTypeResponse:
        """Ends a pause."""
        await self._pauses.resume(request.type)
        state = await self._queue.type_state(request.type)
        return pb.ResumeTypeResponse(queue=_type_to_proto(state))


def _type_to_proto(state: TypeState) -> queue_pb2.TypeQueue:
    pause = state.pause
    return queue_pb2.TypeQueue(
        type=state.type,
        waiting=state.count.waiting,
        delayed=state.count.delayed,
        paused=pause is not None,
        pause_reason="" if pause is None else pause.reason,
        paused_at=None if pause is None else timestamp(pause.since_ms),
        oldest_at=timestamp(state.oldest_ms),
        tenants=[
            queue_pb2.TenantQueue(tenant=one.tenant, waiting=one.waiting, turns=one.turns)
            for one in state.tenants
        ],
    )
