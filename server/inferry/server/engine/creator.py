"""The use case of creating tasks, one or many. A free server gets a task in the same commit."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import structlog

from inferry.server.engine.allocator import Allocator
from inferry.server.engine.committer import Committer, Settle
from inferry.server.engine.ledger import Ledger
from inferry.server.errors import InferryError
from inferry.server.store.operations import Insert, Replayed, RequestKey
from inferry.server.task.inputs import Claim
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import TaskRecord, TaskSpec
from inferry.server.task.rules import TaskRules

_log = structlog.get_logger(__name__)


class NewTask(NamedTuple):
    """A task to create."""

    #: What its creator said.
    spec: TaskSpec
    #: A JSON object.
    payload: bytes
    #: 0 for at once.
    not_before_ms: int = 0
    #: What the creator named the request; the same again adds nothing.
    key: RequestKey | None = None


class Creator:
    """Adds tasks."""

    def __init__(
        self, *, committer: Committer, ledger: Ledger, allocator: Allocator, rules: TaskRules
    ) -> None:
        self._committer = committer
        self._ledger = ledger
        self._allocator = allocator
        self._rules = rules
        self._log = _log.bind()

    async def create(self, new: NewTask) -> TaskRecord | Replayed:
        """Adds a task; on disk when this returns.

        Raises:
            QueueFullError: It would have to wait, and too many do.
            RequestReusedError: The key stands for another request.
            GoneError: The task that the key stands for is gone.
        """
        return await self._begin(new)

    async def create_all(
        self, many: Iterable[NewTask | InferryError]
    ) -> list[TaskRecord | Replayed | InferryError]:
        """Adds tasks, all at once: they share commits. Each has an answer in its place.

        Args:
            many: The tasks; what was refused before keeps its place.
        """
        begun = [
            _refused(one) if isinstance(one, InferryError) else self._begin_or_refuse(one)
            for one in many
        ]
        answers = await asyncio.gather(*begun, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, InferryError):
                raise answer
        return answers  # type: ignore[return-value]  # as just looked at

    def _begin_or_refuse(self, new: NewTask) -> "asyncio.Future[TaskRecord | Replayed]":
        try:
            return self._begin(new)
        except InferryError as refusal:
            return _refused(refusal)

    def _begin(self, new: NewTask) -> "asyncio.Future[TaskRecord | Replayed]":
        spec = new.spec
        record, created = create(spec, new.not_before_ms)
        server_id = self._allocator.free_server(record, spec.created_ms)
        if server_id is None:
            refusal = self._ledger.refusal(spec.tenant)
            if refusal is not None and new.key is None:
                raise refusal
            self._ledger.expect(spec.tenant)
            operation = Insert(record, new.payload, (created,), new.key, refusal)
            settle: Settle = partial(self._ledger.created_waiting, tenant=spec.tenant)
        else:
            claim = apply(record, Claim(server_id), spec.created_ms, self._rules)
            operation = Insert(claim.record, new.payload, (created, claim.event), new.key)
            self._ledger.take_slot(claim.record)
            settle = partial(
                self._ledger.created_claimed, claimed=claim.record, payload=new.payload
            )
        self._log.debug("task created", task_id=spec.id, type=spec.type, tenant=spec.tenant)
        return self._committer.put(operation, settle)


def _refused(refusal: InferryError) -> "asyncio.Future[TaskRecord | Replayed]":
    future: asyncio.Future[TaskRecord | Replayed] = asyncio.get_running_loop().create_future()
    future.set_exception(refusal)
    return future
