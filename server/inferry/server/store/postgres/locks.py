"""Reads and locks what operations are about: names of requests, then tasks, each in one order."""

from collections.abc import Iterable, Sequence

import asyncpg

from inferry.server.store import StoreError
from inferry.server.store.operations import Change, ClaimTasks, Insert, Operation
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.draft import Draft, Held, KeptKey, KeyId
from inferry.server.store.postgres.queries import KEY_ID, QUERIES, REQUEST_ID, TASK_ID, arrays
from inferry.server.store.postgres.words import write_words
from inferry.server.store.rows import TASK, Row, task_of

#: How often a name may be dropped by a purge just before it is read.
_TRIES = 5
#: Tasks that are known to be locked by a stranger, at most: more are found out again.
_BARRED_LIMIT = 10_000


class BarredError(Exception):
    """A stranger keeps tasks locked. Done again, the batch leaves them out."""


async def lock(
    db: Connection,
    draft: Draft,
    operations: Sequence[Operation],
    replica: int,
    barred: set[str],
) -> None:
    """Brings into a new draft what the operations of a replica need.

    Args:
        db: In a transaction.
        draft: The draft.
        operations: What is to be done.
        replica: Its epoch.
        barred: Tasks that may be locked for long; those are not waited for. It is kept up to date.

    Raises:
        BarredError: Tasks were waited for in vain.
    """
    await _lock_keys(db, draft, operations)
    await _look_for_foreign(db, draft, operations, replica)
    # A task that was created under a name is looked at as well.
    wanted: dict[tuple[str, str | None], None] = {
        (key.task_id, key.tenant): None for key in draft.keys.values() if key is not None
    }
    wanted.update(
        ((one.task_id, one.tenant), None) for one in operations if isinstance(one, Change)
    )
    added = {one.record.spec.id for one in operations if isinstance(one, Insert)}
    await _lock_tasks(db, draft, list(wanted), barred)
    claims = (one.task_ids for one in operations if isinstance(one, ClaimTasks))
    await _lock_waiting(db, draft, set().union(*claims))
    gone = {task_id for task_id, _ in wanted if task_id not in draft.tasks} - added
    if gone:
        draft.buried.update(await fetch(db, QUERIES["tombstones"], write_words(gone)))


async def _lock_keys(db: Connection, draft: Draft, operations: Sequence[Operation]) -> None:
    given: dict[KeyId, KeptKey] = {}
    for one in operations:
        if isinstance(one, Insert) and one.key is not None:
            tenant, key = one.record.spec.tenant, one.key
            kept = KeptKey(tenant, key.request_id, key.digest, one.record.spec.id, key.until_ms)
            given.setdefault(kept[:2], kept)
    missing = given
    for _ in range(_TRIES):
        if not missing:
            return
        kept_rows = arrays([*missing.values()], REQUEST_ID)
        for tenant, request_id in await fetch(db, QUERIES["reserve_request_ids"], *kept_rows):
            key_id = tenant, request_id
            draft.stood[key_id], draft.keys[key_id] = missing.pop(key_id), None
        if missing:
            names = arrays([*missing], KEY_ID)
            for row in await fetch(db, QUERIES["lock_request_ids"], *names):
                kept = KeptKey(*row)
                draft.stood[kept[:2]] = draft.keys[kept[:2]] = kept
                del missing[kept[:2]]
    raise StoreError("names of requests come and go too quickly")


async def _look_for_foreign(
    db: Connection, draft: Draft, operations: Sequence[Operation], replica: int
) -> None:
    """Finds out which servers are not this replica's.

    Nobody takes one away before the commit without the lock on this replica's row, which the
    transaction has: but for a worker that dials another replica. What it is given meanwhile is
    taken up there once it is heard.
    """
    named = {one.server_id for one in operations if isinstance(one, ClaimTasks)}
    for one in operations:
        if isinstance(one, Insert) and one.claimed is not None:
            named.add(one.claimed.record.server_id or "")
    named.discard("")
    if named:
        found = await fetch(db, QUERIES["foreign_servers"], write_words(named), replica)
        draft.foreign.update(server_id for (server_id,) in found)


async def _lock_tasks(
    db: Connection, draft: Draft, wanted: Sequence[tuple[str, str | None]], barred: set[str]
) -> None:
    if not wanted:
        return
    clear = [one for one in wanted if one[0] not in barred]
    if barred:
        # Whoever keeps those may keep more: nobody waits long for each of them.
        await db.execute(QUERIES["hurry_locks"])
        doubtful = [one for one in wanted if one[0] in barred]
        # One at least is looked at, so that none is taken for locked for ever.
        await _lock_barred(db, draft, doubtful or [(next(iter(barred)), None)], barred)
    if not clear:
        return
    try:
        rows = await fetch(db, QUERIES["lock_tasks"], *arrays(clear, TASK_ID))
    except asyncpg.LockNotAvailableError as error:
        if len(barred) > _BARRED_LIMIT:
            barred.clear()
        barred.update(task_id for task_id, _ in clear)
        raise BarredError from error
    for row in rows:
        _hold(draft, row)


async def _lock_barred(
    db: Connection, draft: Draft, wanted: Sequence[tuple[str, str | None]], barred: set[str]
) -> None:
    """Locks those that are free again."""
    for row in await fetch(db, QUERIES["lock_free_tasks"], *arrays(wanted, TASK_ID)):
        _hold(draft, row)
    known = await fetch(db, QUERIES["known_tasks"], *arrays(wanted, TASK_ID))
    draft.barred = {task_id for (task_id,) in known} - draft.tasks.keys()
    barred -= {task_id for task_id, _ in wanted} - draft.barred


async def _lock_waiting(db: Connection, draft: Draft, wanted: Iterable[str]) -> None:
    ids = write_words(wanted)
    if ids:
        for row in await fetch(db, QUERIES["lock_waiting"], ids):
            held = _hold(draft, row)
            held.payload, held.paused = row[-2:]
            draft.free.add(held.record.spec.id)


def _hold(draft: Draft, row: Row) -> Held:
    record = task_of(row)
    held = draft.tasks.get(record.spec.id)
    if held is None:
        number, position = row[0], row[len(TASK)]
        held = draft.tasks[record.spec.id] = Held(record, record, number, position)
    return held
