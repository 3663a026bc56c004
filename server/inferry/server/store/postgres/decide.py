"""What each operation on tasks does to a draft. Nothing here waits for the database.

An operation that raises has changed nothing.
"""

from inferry.server.errors import (
    NotOwnerError,
    PurgedError,
    RequestReusedError,
    TaskNotFoundError,
)
from inferry.server.store.journal import Journal
from inferry.server.store.operations import (
    Change,
    Claimed,
    ClaimTasks,
    Insert,
    Replayed,
    RequestKey,
    RoomFor,
)
from inferry.server.store.postgres.draft import Draft, Ended, Held, KeptKey, Logging
from inferry.server.store.postgres.rooms import QueueState, Rooms
from inferry.server.store.webhooks import Notify
from inferry.server.task.record import Event, Outcome, TaskRecord
from inferry.server.task.steps import Transition


class ImpossibleError(Exception):
    """An operation that no store can do; the message says why."""


class Decisions:
    """Does operations on tasks, one by one.

    Args:
        draft: What was locked for them.
        journal: Hands out the events' positions.
        state: What waits, and what is paused.
        rooms: Tells whether more may wait.
        notices: Tells what is to be told of it.
    """

    def __init__(
        self,
        draft: Draft,
        journal: Journal,
        state: QueueState,
        rooms: Rooms,
        notices: Notify,
    ) -> None:
        self._notices = notices
        self._draft = draft
        self._journal = journal
        self._state = state
        self._rooms = rooms

    def insert(self, operation: Insert) -> TaskRecord | Replayed:
        """Does one.

        Raises:
            InferryError: It is refused.
            ImpossibleError: There is a task with this id.
        """
        record, key, draft = operation.record, operation.key, self._draft
        spec = record.spec
        replayed = None if key is None else self._replay(record, key)
        if replayed is not None:
            return replayed
        if spec.id in draft.tasks:
            raise ImpossibleError(f"a task {spec.id} is there")
        events, claimed = operation.events, operation.claimed
        paused = spec.type in self._state.paused
        if claimed is not None and not paused and not draft.is_foreign(claimed.record):
            record, events = claimed.record, (*events, claimed.event)
        if record.waiting:
            self._rooms.admit(self._state, record, operation.room)
        held = draft.tasks[spec.id] = Held(record, None, None, 0, operation.payload, paused)
        draft.free.add(spec.id)
        if key is not None:
            kept = KeptKey(spec.tenant, key.request_id, key.digest, spec.id, key.until_ms)
            draft.keys[kept[:2]] = kept
        for event in events:
            self._log(held, event, None)
        if operation.hook is not None:
            draft.telling.hooks.append(operation.hook)
        self._note_time(record.updated_ms)
        return record

    def change(self, operation: Change) -> Transition | TaskRecord:
        """Does one.

        Raises:
            InferryError: It is refused.
        """
        held = self._draft.find(operation.task_id, operation.tenant)
        transition = operation.decide(held.record)
        if transition is None:
            return held.record
        self._take(held, transition, operation.room)
        return transition

    def claim(self, operation: ClaimTasks) -> list[Claimed]:
        """Does one.

        Raises:
            InferryError: It is refused.
        """
        if operation.server_id in self._draft.foreign:
            raise NotOwnerError(f"the server {operation.server_id} is another replica's")
        chosen: dict[str, tuple[Held, bytes, Transition]] = {}
        for named in operation.task_ids:
            line = self._draft.next.get(named)
            task_id = line.popleft() if line else named
            held = self._draft.tasks.get(task_id)
            if held is None or held.payload is None or task_id not in self._draft.free:
                continue
            record = held.record
            due = record.waiting and record.not_before_ms <= operation.now_ms
            if due and not held.paused and task_id not in chosen:
                chosen[task_id] = held, held.payload, operation.decide(record)
        # Only now: a decision that refuses must find nothing changed.
        for held, _, transition in chosen.values():
            self._take(held, transition)
        return [Claimed(transition, payload) for _, payload, transition in chosen.values()]

    def _replay(self, record: TaskRecord, key: RequestKey) -> Replayed | None:
        """Finds what was created under this key."""
        tenant = record.spec.tenant
        kept = self._draft.keys.get((tenant, key.request_id))
        if kept is None or kept.until_ms <= record.spec.created_ms:
            return None
        if kept.digest != key.digest:
            raise RequestReusedError(key.request_id, kept.task_id)
        try:
            return Replayed(self._draft.find(kept.task_id, tenant).record)
        except TaskNotFoundError:
            raise PurgedError(kept.task_id) from None

    def _take(self, held: Held, transition: Transition, room: RoomFor | None = None) -> None:
        draft, record = self._draft, transition.record
        if record.waiting and not held.record.waiting:
            self._rooms.admit(self._state, record, room)
        elif held.record.waiting and not record.waiting:
            self._state.count(held.record, -1)
        draft.telling.notices += self._notices(held.record, transition)
        held.record = record
        self._log(held, transition.event, transition.outcome)
        if transition.closed is not None:
            draft.attempts.append((held, transition.closed))
        if transition.outcome is not None:
            ended = draft.ended.setdefault(record.spec.id, Ended(held))
            ended.add(transition.outcome)
        self._note_time(record.updated_ms)

    def _log(self, held: Held, event: Event, outcome: Outcome | None) -> None:
        held.position = self._journal.add(event, held.record, outcome, held.position)
        self._draft.events.append(Logging(held, event, held.position))

    def _note_time(self, at_ms: int) -> None:
        self._draft.latest_ms = max(self._draft.latest_ms, at_ms)
