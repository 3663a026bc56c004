"""How TaskService creates tasks: one, whose end may be waited for, or many."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import grpc.aio

from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.engine.creator import Creator, NewTask
from inferry.server.engine.explain import Explainer
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.submit import Submitter
from inferry.server.engine.tracing import Tracing
from inferry.server.errors import InferryError, InvalidPayloadError, PayloadTooLargeError
from inferry.server.rpc.admission import caller
from inferry.server.rpc.convert import add_values, task_to_proto
from inferry.server.rpc.requests import check_request
from inferry.server.rpc.status import to_refusal
from inferry.server.rpc.task_requests import Begin, new_task
from inferry.server.store.operations import Replayed
from inferry.server.task.record import TaskRecord
from inferry.server.telemetry.trace import Trace
from inferry.v1 import task_service_pb2 as pb
from inferry.wire.early import TASK_ID
from inferry.wire.limits import BATCH_BYTES, ENVELOPE_BYTES, MESSAGE_BYTES

#: Sends metadata before the answer.
Announce = Callable[[tuple[tuple[str, str], ...]], Awaitable[None]]


def announcing(context: Any) -> Announce | None:
    """Gives what tells a caller which task it waits for; None if it does not ask for that.

    Nobody else is to pay for a message more.
    """
    asks = any(name == TASK_ID for name, _ in context.invocation_metadata())
    return context.send_initial_metadata if asks else None


class Creating:
    """Creates tasks."""

    def __init__(
        self,
        *,
        creator: Creator,
        submitter: Submitter,
        explainer: Explainer,
        queue: QueueView,
        clock: Clock,
        config: Config,
        tracing: Tracing,
    ) -> None:
        self._tracing = tracing
        self._creator = creator
        self._submitter = submitter
        self._explainer = explainer
        self._queue = queue
        self._clock = clock
        self._config = config

    async def one(
        self, request: pb.CreateTaskRequest, trace: Trace, announce: Announce | None
    ) -> pb.CreateTaskResponse:
        """Creates a task in a trace; waits for its end unless it is asynchronous.

        Args:
            request: What to create.
            trace: Where it belongs.
            announce: Tells the caller before the end which task it waits for, if it wants to know.
        """
        begin = partial(self._tracing.begin, given=trace)
        new = new_task(request, caller().tenant, self._clock.now_ms(), self._config, begin)
        value_format = request.value_format
        # Parsed, a payload of small values takes many times its bytes: not for as long as it waits.
        del request

        done = await self._submitter.submit(new, announce and partial(_announced, announce))
        place = self._queue.place_of(done.record) if done.replayed else None
        task = task_to_proto(done.record, place)
        if done.record.waiting:
            task.unserved = await self._explainer.unserved(done.record)
        add_values(task, value_format, None, done.outcome, self._config.message_limit_bytes)
        return pb.CreateTaskResponse(task=task, replayed=done.replayed)

    async def many(
        self, request: pb.BatchCreateTasksRequest, trace: Trace
    ) -> pb.BatchCreateTasksResponse:
        """Creates tasks in a trace, each with an answer of its own."""
        size = request.ByteSize()
        if size > BATCH_BYTES:
            raise PayloadTooLargeError(f"the batch has {size} bytes; the limit is {BATCH_BYTES}")
        tenant, now_ms = caller().tenant, self._clock.now_ms()
        begin = partial(self._tracing.begin, given=trace)
        many = [self._new(one, tenant, now_ms, begin) for one in request.requests]
        del request
        answers = await self._creator.create_all(many)
        records = [one.record if isinstance(one, Replayed) else one for one in answers]
        unserved = await self._explainer.unserved_of(
            [one for one in records if isinstance(one, TaskRecord)]
        )
        response = pb.BatchCreateTasksResponse()
        for answer in answers:
            self._add(response, answer, unserved)
        if response.ByteSize() > MESSAGE_BYTES - ENVELOPE_BYTES:
            # Only what the requests did not bring can be too much: words on tasks of before.
            for result in response.results:
                if result.replayed:
                    result.task.ClearField("error")
                    result.task.ClearField("message")
        return response

    def _new(
        self, request: pb.CreateTaskRequest, tenant: str, now_ms: int, begin: Begin
    ) -> NewTask | InferryError:
        try:
            check_request(request)
            new = new_task(request, tenant, now_ms, self._config, begin)
        except InferryError as refusal:
            return refusal
        if not new.spec.asynchronous:
            return InvalidPayloadError("async: false; a batch waits for the end of no task")
        return new

    def _add(
        self,
        response: pb.BatchCreateTasksResponse,
        answer: TaskRecord | Replayed | InferryError,
        unserved: Mapping[str, str],
    ) -> None:
        """Makes an answer where it is to be: a message that is put into another one is copied."""
        results = response.results
        if isinstance(answer, InferryError):
            results.add(refusal=to_refusal(answer))
        elif isinstance(answer, Replayed):
            record, place = answer.record, self._queue.place_of(answer.record)
            why = unserved.get(record.spec.id, "")
            results.add(task=task_to_proto(record, place, why), replayed=True)
        else:
            results.add(task=task_to_proto(answer, None, unserved.get(answer.spec.id, "")))


async def _announced(announce: Announce, record: TaskRecord) -> None:
    # Whoever hung up meanwhile is not to be told; the wait ends by itself then.
    with suppress(grpc.aio.InternalError):
        await announce(((TASK_ID, record.spec.id),))
