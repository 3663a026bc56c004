"""Reads and locks what operations are about: names of requests, then tasks, each in one order."""

import asyncio
from collections import deque
from collections.abc import Sequence

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
#: Between two looks at one of those that nobody asks for.
_LOOK_S = 1.0


class Barred(set[str]):
    """Tasks that strangers were found to keep locked.

    While there are any, nobody waits long for a row: whoever keeps those may keep more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._look_s = 0.0

    def look_due(self) -> bool:
        """Whether to look at one that nobody asks for: none is taken for locked for ever."""
        now_s = asyncio.get_running_loop().time()
        if not self or now_s < self._look_s:
            return False
        self._look_s = now_s + _LOOK_S
        return True


class BarredError(Exception):
    """A stranger keeps tasks locked. Done again, the batch leaves them out."""


async def lock(
    db: Connection,
    draft: Draft,
    operations: Sequence[Operation],
    barred: Barred,
) -> None:
    """Brings into a new draft what the operations of a replica need of names and tasks.

    Args:
        db: In a transaction.
        draft: The draft.
        operations: What is to be done.
        barred: Tasks that may be locked for long; those are not waited for. It is kept up to date.

    Raises:
        BarredError: Tasks were waited for in vain.
    """
    await _lock_keys(db, draft, operations)
    # A task that was created under a name is looked at as well.
    wanted: dict[tuple[str, str | None], None] = {
        (key.task_id, key.tenant): None for key in draft.keys.values() if key is not None
    }
    wanted.update(
        ((one.task_id, one.tenant), None) for one in operations if isinstance(one, Change)
    )
    added = {one.record.spec.id for one in operations if isinstance(one, Insert)}
    await _lock_tasks(db, draft, list(wanted), barred)
    await _lock_waiting(db, draft, [one for one in operations if isinstance(one, ClaimTasks)])
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


async def _lock_tasks(
    db: Connection, draft: Draft, wanted: Sequence[tuple[str, str | None]], barred: Barred
) -> None:
    if not wanted:
        return
    clear = [one for one in wanted if one[0] not in barred]
    doubtful = [one for one in wanted if one[0] in barred]
    if not doubtful and barred.look_due():
        doubtful = [(next(iter(barred)), None)]
    if doubtful:
        await _lock_barred(db, draft, doubtful, barred)
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
    db: Connection, draft: Draft, wanted: Sequence[tuple[str, str | None]], barred: Barred
) -> None:
    """Locks those that are free again."""
    for row in await fetch(db, QUERIES["lock_free_tasks"], *arrays(wanted, TASK_ID)):
        _hold(draft, row)
    known = await fetch(db, QUERIES["known_tasks"], *arrays(wanted, TASK_ID))
    draft.barred = {task_id for (task_id,) in known} - draft.tasks.keys()
    barred -= {task_id for task_id, _ in wanted} - draft.barred


async def _lock_waiting(db: Connection, draft: Draft, claims: Sequence[ClaimTasks]) -> None:
    wanted = {task_id for claim in claims for task_id in claim.task_ids}
    if not wanted:
        return
    due_ms = min(claim.now_ms for claim in claims)
    given = write_words(wanted), write_words(draft.tasks), due_ms
    for row in await fetch(db, QUERIES["lock_waiting"], *given):
        held = _hold(draft, row)
        in_place_of, held.payload, held.paused = row[-3:]
        task_id = held.record.spec.id
        draft.free.add(task_id)
        if in_place_of is not None:
            line = draft.next.setdefault(in_place_of[0], deque())
            line.append(task_id)
            draft.next.update(dict.fromkeys(in_place_of, line))


def _hold(draft: Draft, row: Row) -> Held:
    record = task_of(row)
    held = draft.tasks.get(record.spec.id)
    if held is None:
        number, position = row[0], row[len(TASK)]
        held = draft.tasks[record.spec.id] = Held(record, record, number, position)
    return held
