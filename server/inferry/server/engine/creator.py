"""The use case of creating tasks, one or many. A free server gets a task in the same commit."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import structlog

from inferry.server.engine.allocator import Allocator
from inferry.server.engine.committer import Committer, Order, Settle
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.tracing import note_trace
from inferry.server.errors import InferryError
from inferry.server.store.operations import Insert, Replayed, RequestKey
from inferry.server.task.hook import Hook
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
    #: The task's own webhook.
    hook: Hook | None = None


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
        created: TaskRecord | Replayed = await self._committer.do(*self._begin(new))
        return created

    async def create_all(
        self, many: Iterable[NewTask | InferryError]
    ) -> list[TaskRecord | Replayed | InferryError]:
        """Adds tasks, all at once: they share commits. Each has an answer in its place.

        Args:
            many: The tasks; what was refused before keeps its place.
        """
        begun = [one if isinstance(one, InferryError) else self._begin(one) for one in many]
        orders = [one for one in begun if not isinstance(one, InferryError)]
        results = iter(await self._committer.do_all(orders))
        return [one if isinstance(one, InferryError) else next(results) for one in begun]

    def _begin(self, new: NewTask) -> Order:
        """Finds a slot for a task, if there is one; tells what is to be committed."""
        spec = new.spec
        record, created = create(spec, new.not_before_ms)
        room = self._ledger.room
        server_id = self._allocator.free_server(record, spec.created_ms)
        if server_id is None:
            operation = Insert(record, new.payload, (created,), new.key, room, hook=new.hook)
            settle: Settle = self._ledger.created_waiting
            note_trace(record)
        else:
            claim = apply(record, Claim(server_id), spec.created_ms, self._rules)
            operation = Insert(record, new.payload, (created,), new.key, room, claim, new.hook)
            self._ledger.take_slot(claim.record)
            note_trace(claim.record)
            settle = partial(
                self._ledger.created_claimed, claimed=claim.record, payload=new.payload
            )
        self._log.debug("task created", task_id=spec.id, type=spec.type, tenant=spec.tenant)
        return operation, settle
