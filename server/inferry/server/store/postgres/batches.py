"""Batches of operations, inside a transaction that somebody else begins and ends.

A batch is done in rounds: all that it is about is locked and read, everything is decided in memory
in the batch's order, and what came of it is written. What is not about one task ends a round.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import structlog

from inferry.server.access.codes import KeptCode
from inferry.server.errors import InferryError, UnavailableError
from inferry.server.store import StoreError
from inferry.server.store.codes import CodeOperation
from inferry.server.store.counting import AddFigures
from inferry.server.store.journal import Journal
from inferry.server.store.operations import (
    Change,
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
    Result,
    ResumeType,
)
from inferry.server.store.postgres.codes import write_code
from inferry.server.store.postgres.connections import DATABASE_ERRORS, Connection
from inferry.server.store.postgres.decide import Decisions
from inferry.server.store.postgres.draft import Draft
from inferry.server.store.postgres.figures import add_figures
from inferry.server.store.postgres.hooks import Telling, write_hooks
from inferry.server.store.postgres.locks import Barred, BarredError, lock
from inferry.server.store.postgres.queries import QUERIES
from inferry.server.store.postgres.rooms import NearLimitError, QueueState, Rooms, read_queue
from inferry.server.store.postgres.servers import write_pause, write_server
from inferry.server.store.postgres.sweeps import sweep
from inferry.server.store.postgres.writes import write
from inferry.server.store.webhooks import HookOperation, Notify

_log = structlog.get_logger(__name__)


class BrokenOperationError(Exception):
    """One operation cannot be done; its cause says why."""


@dataclass(slots=True)
class Batch:
    """What a transaction came to."""

    results: list[Result] = field(default_factory=list)
    #: Whether it wrote anything.
    changed: bool = False
    #: Whether it wrote anything of servers or pauses.
    registry: bool = False
    #: The latest time of anything that it wrote.
    latest_ms: int = 0
    #: What webhooks are to be told; written last.
    telling: Telling = field(default_factory=Telling)
    #: Whether anything may be sent to webhooks now.
    told: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """What a replica has of its own."""

    journal: Journal
    rooms: Rooms
    notices: Notify
    #: Tasks that strangers were found to keep locked.
    barred: Barred = field(default_factory=Barred)


#: What ends a round, and is done by itself.
Apart = Purge | EndRetention | Postpone | PauseType | ResumeType | AddFigures | CodeOperation
#: Does a batch of operations.
Run = Callable[[Connection, Own, Sequence[Operation]], Awaitable[Batch]]


async def run(db: Connection, own: Own, operations: Sequence[Operation]) -> Batch:
    """Runs operations in order, each upon the ones before it.

    Raises:
        BrokenOperationError: The transaction must be rolled back; ``run_apart`` does the others.
        NearLimitError, BarredError: So it must; the batch has to be done again.
        DATABASE_ERRORS: So it must.
    """
    batch = Batch()
    gathered: list[Operation] = []
    on_hooks = [one for one in operations if isinstance(one, HookOperation)]
    try:
        for operation in operations:
            if isinstance(operation, HookOperation):
                continue
            if isinstance(operation, Apart):
                await _round(db, own, gathered, batch)
                gathered = []
                batch.results.append(await _do_apart(db, own, operation, batch))
                batch.changed = True
            else:
                gathered.append(operation)
        await _round(db, own, gathered, batch)
        own.rooms.confirm()
        await _tell(db, own, operations, on_hooks, batch)
    except Exception as error:
        if _is_broken(error):
            raise BrokenOperationError from error
        raise
    return batch


async def run_apart(db: Connection, own: Own, operations: Sequence[Operation]) -> Batch:
    """Does so and refuses each operation that cannot be done; what it wrote is taken back.

    That is so, too, of one that waited in vain for a row that somebody else keeps locked.

    Raises:
        DATABASE_ERRORS: The transaction must be rolled back.
    """
    whole = Batch()
    for operation in operations:
        before = len(own.journal)
        await db.execute("SAVEPOINT apart")
        try:
            one = await run(db, own, [operation])
        except (BrokenOperationError, asyncpg.LockNotAvailableError) as error:
            # The others do not wait as long for the same row.
            await db.execute(f"ROLLBACK TO apart; {QUERIES['hardly_wait']}")
            own.journal.cut(before)
            whole.results.append(_refusal(error, operation))
        else:
            whole.results += one.results
            whole.changed = whole.changed or one.changed
            whole.registry = whole.registry or one.registry
            whole.told = whole.told or one.told
            whole.latest_ms = max(whole.latest_ms, one.latest_ms)
        await db.execute("RELEASE apart")
    return whole


async def _tell(
    db: Connection,
    own: Own,
    operations: Sequence[Operation],
    on_hooks: Sequence[HookOperation],
    batch: Batch,
) -> None:
    """Does what there is to do about webhooks, and puts all results in order."""
    telling = batch.telling
    if not (on_hooks or telling.hooks or telling.notices):
        return
    done = iter(await write_hooks(db, telling, on_hooks, own.journal.epoch.number))
    others = iter(batch.results)
    batch.results = [
        next(done) if isinstance(one, HookOperation) else next(others) for one in operations
    ]
    batch.told = batch.changed = True


async def _do_apart(
    db: Connection, own: Own, operation: Apart, batch: Batch
) -> KeptCode | int | None:
    if isinstance(operation, CodeOperation):
        return await write_code(db, operation)
    if isinstance(operation, AddFigures):
        return await add_figures(db, operation, own.journal.epoch.number)
    if isinstance(operation, PauseType | ResumeType):
        await write_pause(db, operation)
        batch.registry = True
        return None
    if isinstance(operation, Purge):
        batch.latest_ms = max(batch.latest_ms, operation.now_ms)
    return await sweep(db, operation)


async def _round(db: Connection, own: Own, operations: Sequence[Operation], batch: Batch) -> None:
    # Servers first: their rows are locked before those of tasks.
    written = {
        place: await _write_server(db, operation, batch, own.journal.epoch.number)
        for place, operation in enumerate(operations)
        if not isinstance(operation, Insert | Change | ClaimTasks)
    }
    draft, state = Draft(), QueueState()
    if len(written) < len(operations):
        await lock(db, draft, operations, own.barred)
        replica, written_here = own.journal.epoch.number, own.rooms.written
        state = await read_queue(db, draft, operations, replica, written_here)
    decisions = Decisions(draft, own.journal, state, own.rooms, own.notices)
    for place, operation in enumerate(operations):
        batch.results.append(written[place] if place in written else _decide(decisions, operation))
    if draft.events:
        number = own.journal.epoch.number
        changed = ((*pair, number, tasks) for pair, tasks in state.changed.items() if tasks)
        await write(db, draft, [*changed])
        own.rooms.written += state.changed.total()
        batch.changed = True
        batch.telling.hooks += draft.telling.hooks
        batch.telling.notices += draft.telling.notices
        batch.latest_ms = max(batch.latest_ms, draft.latest_ms)


async def _write_server(db: Connection, operation: Operation, batch: Batch, replica: int) -> Result:
    if not isinstance(operation, PutServer | DrainServer | DropServer):
        raise TypeError(f"{operation} is no operation on servers")
    try:
        result = await write_server(db, operation, replica)
    except InferryError as refusal:
        return refusal
    batch.changed = batch.registry = True
    return result


def _decide(decisions: Decisions, operation: Operation) -> Result:
    try:
        match operation:
            case Change():
                return decisions.change(operation)
            case Insert():
                return decisions.insert(operation)
            case ClaimTasks():
                return decisions.claim(operation)
            case _:
                raise TypeError(f"{operation} is no operation on tasks")
    except InferryError as refusal:
        return refusal


def _refusal(error: Exception, operation: Operation) -> InferryError:
    if isinstance(error, asyncpg.LockNotAvailableError):
        return UnavailableError("somebody keeps a row locked in the database; try again")
    _log.error("an operation broke", operation=type(operation).__name__, exc_info=error)
    return InferryError("internal error")


def _is_broken(error: Exception) -> bool:
    """Whether an operation is to blame, and not the database."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError | asyncpg.DataError):
        return True
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return True  # asyncpg's own, of a value that it cannot lay out
    return not isinstance(error, (*DATABASE_ERRORS, StoreError, NearLimitError, BarredError))
