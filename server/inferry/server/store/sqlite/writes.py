"""Each operation, as statements on the one connection that writes."""

import apsw
import orjson

from inferry.server.errors import PurgedError, RequestReusedError, TaskNotFoundError
from inferry.server.store import EPOCHS_KEPT, EVENTS_KEPT
from inferry.server.store.codes import PutCode, TakeCode
from inferry.server.store.counting import AddFigures
from inferry.server.store.journal import Journal
from inferry.server.store.operations import (
    Change,
    Claimed,
    ClaimTasks,
    DrainServer,
    DropServer,
    EndRetention,
    Insert,
    Operation,
    PauseType,
    Postpone,
    Purge,
    PutServer,
    Replayed,
    RequestKey,
    Result,
    ResumeType,
    RoomFor,
)
from inferry.server.store.rows import Row, attempt_row, event_row, spec_row, state_row, task_of
from inferry.server.store.sqlite.codes import write_code
from inferry.server.store.sqlite.figures import add_figures
from inferry.server.store.sqlite.hooks import HookWrites
from inferry.server.store.sqlite.queries import QUERIES
from inferry.server.store.sqlite.servers import write_server
from inferry.server.store.sqlite.sweeps import end_retention, postpone, purge
from inferry.server.store.sqlite.task_rows import TaskRows
from inferry.server.store.sqlite.waiting_counts import WaitingCounts
from inferry.server.store.webhooks import Notify
from inferry.server.task.record import Event, Outcome, TaskRecord
from inferry.server.task.steps import Transition

_INSERT_TASK = QUERIES["insert_task"]
_INSERT_PAYLOAD = QUERIES["insert_payload"]
_INSERT_EVENT = QUERIES["insert_event"]
_INSERT_LABEL = QUERIES["insert_label"]
_INSERT_ATTEMPT = QUERIES["insert_attempt"]
_TASK_AND_PAYLOAD = QUERIES["task_and_payload"]

_NO_LABELS = b"{}"
#: The latest time is kept anew when it is so much later.
_TIME_STEP_MS = 1_000


class SqliteWrites:
    """Does operations, one by one, inside a transaction."""

    def __init__(self, db: apsw.Connection, journal: Journal, notices: Notify) -> None:
        self._db = db
        self._journal = journal
        self._notices = notices
        # One cursor for all statements: making one costs as much as a small statement.
        self._cursor = db.cursor()
        self._rows = TaskRows(self._cursor)
        self._waiting = WaitingCounts(self._cursor)
        # By its tag: a start that logs nothing leaves its number to the next one.
        self.hooks = HookWrites(self._cursor, journal.epoch.tag)
        #: The paused types; None before they are read.
        self._paused: set[str] | None = None
        #: The latest time that was kept.
        self._noted_ms = 0
        #: Whether this start of the gateway is.
        self._epoch_noted = False

    def do(self, operation: Operation) -> Result:  # noqa: C901, PLR0911  # a case for each kind
        """Does one operation, upon what those before it left.

        Raises:
            InferryError: It is refused, and nothing is written.
            Exception: It cannot be done; the transaction, or a part of it, must be rolled back.
        """
        match operation:
            case Change():
                return self._change(operation)
            case Insert():
                return self._insert(operation)
            case ClaimTasks():
                return self._claim(operation)
            case PutServer() | DrainServer() | DropServer():
                return write_server(self._cursor, operation)
            case PauseType(paused):
                values = (paused.type, paused.reason, paused.since_ms)
                self._cursor.execute(QUERIES["pause_type"], values)
                self._paused = None
            case ResumeType():
                self._cursor.execute(QUERIES["resume_type"], (operation.type,))
                self._paused = None
            case Purge():
                self._note_time(operation.now_ms)
                self._rows.write()
                return purge(self._cursor, operation)
            case EndRetention():
                self._rows.write()
                self._rows.forget()
                return end_retention(self._cursor, operation)
            case Postpone():
                self._rows.write()
                self._rows.forget()
                return postpone(self._cursor, operation)
            case PutCode() | TakeCode():
                return write_code(self._cursor, operation)
            case AddFigures():
                return add_figures(self._cursor, operation, self._journal.epoch.number)
            case _:
                return self.hooks.do(operation)
        return None

    def finish(self) -> None:
        """Writes what operations left to be written: to be called before the commit."""
        self._rows.write()
        self._waiting.write()

    def forget(self) -> None:
        """Has to be called when a transaction was rolled back."""
        self._rows.forget()
        self._waiting.forget()
        self._paused = None
        self._noted_ms = 0
        self._epoch_noted = False

    def _insert(self, operation: Insert) -> TaskRecord | Replayed:
        record, key, execute = operation.record, operation.key, self._cursor.execute
        replayed = None if key is None else self._replay(record, key)
        if replayed is not None:
            return replayed
        events, claimed = operation.events, operation.claimed
        if claimed is not None and not self._is_paused(record.spec.type):
            record, events = claimed.record, (*events, claimed.event)
        if record.waiting:
            self._waiting.admit(record, operation.room)
        if key is not None:
            names = (record.spec.tenant, key.request_id, key.digest, record.spec.id, key.until_ms)
            execute(QUERIES["put_request_id"], names)
        execute(_INSERT_TASK, (*spec_row(record.spec), *state_row(record)))
        number = self._db.last_insert_rowid()
        execute(_INSERT_PAYLOAD, (number, operation.payload))
        if record.spec.labels != _NO_LABELS:
            for label, value in orjson.loads(record.spec.labels).items():
                execute(_INSERT_LABEL, (number, label, value, record.spec.tenant))
        for event in events:
            self._log(number, event, record, None)
        if operation.hook is not None:
            self.hooks.add(operation.hook)
        self._rows.remember(number, record)
        self._note_time(record.updated_ms)
        return record

    def _replay(self, record: TaskRecord, key: RequestKey) -> Replayed | None:
        """Finds what was created under this key."""
        tenant, now_ms = record.spec.tenant, record.spec.created_ms
        values = (tenant, key.request_id, now_ms)
        rows: list[Row] = self._cursor.execute(QUERIES["request_id"], values).fetchall()
        for digest, task_id in rows:
            if digest != key.digest:
                raise RequestReusedError(key.request_id, task_id)
            try:
                _, earlier = self._rows.find(task_id, tenant)
            except TaskNotFoundError:
                raise PurgedError(task_id) from None
            return Replayed(earlier)
        return None

    def _change(self, operation: Change) -> Transition | TaskRecord:
        number, record = self._rows.find(operation.task_id, operation.tenant)
        transition = operation.decide(record)
        if transition is None:
            return record
        self._write(number, record, transition, operation.room)
        return transition

    def _write(
        self, number: int, before: TaskRecord, transition: Transition, room: RoomFor | None = None
    ) -> None:
        after = transition.record
        if after.waiting and not before.waiting:
            self._waiting.admit(after, room)
        elif before.waiting and not after.waiting:
            self._waiting.leave(before)
        self._rows.change(number, before, after)
        self._log(number, transition.event, after, transition.outcome)
        if transition.closed is not None:
            self._cursor.execute(_INSERT_ATTEMPT, (number, *attempt_row(transition.closed)))
        if transition.outcome is not None:
            self._keep(number, transition.outcome)
        notices = self._notices(before, transition)
        if notices:
            self.hooks.tell(notices)
        self._note_time(after.updated_ms)

    def _note_time(self, at_ms: int) -> None:
        if at_ms >= self._noted_ms + _TIME_STEP_MS:
            self._cursor.execute(QUERIES["note_time"], (at_ms,))
            self._noted_ms = at_ms

    def _log(self, number: int, event: Event, record: TaskRecord, outcome: Outcome | None) -> None:
        if not self._epoch_noted:
            self._note_epoch()
        position = self._journal.add(event, record, outcome)
        self._cursor.execute(_INSERT_EVENT, (number, *event_row(event), position))
        if event.seq > EVENTS_KEPT:
            dropped = (number, event.seq - EVENTS_KEPT)
            self._cursor.execute(QUERIES["note_forgotten"], dropped)
            self._cursor.execute(QUERIES["forget_events"], dropped)

    def _note_epoch(self) -> None:
        epoch = self._journal.epoch
        self._cursor.execute(QUERIES["put_epoch"], (epoch.number, epoch.tag))
        self._cursor.execute(QUERIES["forget_epochs"], (epoch.number - EPOCHS_KEPT,))
        self._epoch_noted = True

    def _keep(self, number: int, outcome: Outcome) -> None:
        if outcome == Outcome():
            self._cursor.execute(QUERIES["clear_outcome"], (number,))
        else:
            values = (number, outcome.result, outcome.details, outcome.late_result)
            self._cursor.execute(QUERIES["merge_outcome"], values)

    def _claim(self, operation: ClaimTasks) -> list[Claimed]:
        chosen: list[tuple[Row, TaskRecord, Transition]] = []
        self._rows.write()
        for task_id in operation.task_ids:
            for row in self._cursor.execute(_TASK_AND_PAYLOAD, (task_id,)).fetchall():
                record = task_of(row)
                due = record.waiting and record.not_before_ms <= operation.now_ms
                if due and not self._is_paused(record.spec.type):
                    chosen.append((row, record, operation.decide(record)))
        # Only now: a decision that refuses must find nothing written.
        for row, record, transition in chosen:
            self._write(row[0], record, transition)
        return [Claimed(transition, row[-1]) for row, _, transition in chosen]

    def _is_paused(self, task_type: str) -> bool:
        if self._paused is None:
            rows: list[Row] = self._cursor.execute(QUERIES["paused_types"]).fetchall()
            self._paused = {name for name, *_ in rows}
        return task_type in self._paused
