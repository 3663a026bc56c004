"""Does the same with many tasks, newest first: starts them again, ends them, drops them."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from inferry.server.engine.purger import Purger
from inferry.server.engine.reader import Reader
from inferry.server.engine.sieve import SCAN_LIMIT, Sieve
from inferry.server.engine.tasks import Engine
from inferry.server.errors import IllegalTransitionError, NotFoundError, QueueFullError
from inferry.server.store import TaskFilter
from inferry.server.task.record import Status, TaskRecord

#: Tasks changed in one step: the queue may overrun its limit by so many.
_STEP = 50

_Page = list[tuple[int, TaskRecord]]
#: Lists tasks below a number, so many at most.
_Pages = Callable[[int | None, int], Awaitable[_Page]]
#: Does with some tasks what is to be done with all; gives what became of each.
_Do = Callable[[list[TaskRecord]], Awaitable[Sequence[object]]]
#: The ends of tasks.
_ENDS = tuple(status for status in Status if status.final)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of all that."""

    count: int
    #: Where to go on; None when all have been looked at.
    before: int | None
    #: Whether it stopped because the queue is full.
    queue_full: bool = False


async def retry_many(
    engine: Engine, reader: Reader, wanted: TaskFilter, sieve: Sieve, limit: int, before: int | None
) -> Done:
    """Retries the tasks that match.

    Args:
        engine: Retries each.
        reader: Lists them.
        wanted: Names a final status, and whose tasks.
        sieve: Says what else they have to be.
        limit: Tasks at most.
        before: Goes on below this number; None begins with the newest.
    """
    pages = partial(reader.tasks, wanted)
    retry = _each(partial(engine.retry, tenant=wanted.tenant))
    return await _for_each(pages, retry, sieve, limit, before)


async def cancel_many(
    engine: Engine,
    reader: Reader,
    wanted: TaskFilter,
    sieve: Sieve,
    reason: str,
    limit: int,
    before: int | None,
) -> Done:
    """Cancels the tasks that match and are not final.

    Args:
        engine: Cancels each.
        reader: Lists them.
        wanted: Names PENDING, PROCESSING or no status, and whose tasks.
        sieve: Says what else they have to be.
        reason: Why, for a person.
        limit: Tasks at most.
        before: Goes on below this number; None begins with the newest.
    """
    pages = _pages_of(reader, wanted, (Status.PENDING, Status.PROCESSING))
    cancel = _each(partial(engine.cancel, tenant=wanted.tenant, reason=reason))
    return await _for_each(pages, cancel, sieve, limit, before)


async def purge_many(
    purger: Purger | None,
    reader: Reader,
    wanted: TaskFilter,
    sieve: Sieve,
    limit: int,
    before: int | None,
) -> Done:
    """Drops the tasks that match and are final.

    Args:
        purger: Drops them; None counts those that would be dropped.
        reader: Lists them.
        wanted: Names a final status or none, and whose tasks.
        sieve: Says what else they have to be.
        limit: Tasks at most.
        before: Goes on below this number; None begins with the newest.
    """

    async def drop(tasks: list[TaskRecord]) -> list[TaskRecord]:
        dropped = len(tasks) if purger is None else await purger.drop(tasks)
        return tasks[:dropped]

    return await _for_each(_pages_of(reader, wanted, _ENDS), drop, sieve, limit, before)


def _pages_of(reader: Reader, wanted: TaskFilter, statuses: Sequence[Status]) -> _Pages:
    """Lists tasks of the status that is wanted, or of each of these."""
    asked = (wanted.status,) if wanted.status else statuses

    async def pages(before: int | None, limit: int) -> _Page:
        lists = [
            await reader.tasks(replace(wanted, status=status), before, limit) for status in asked
        ]
        return list(islice(heapq.merge(*lists, key=_number, reverse=True), limit))

    return pages


def _each(do: Callable[[str], Awaitable[TaskRecord]]) -> _Do:
    """Does with some tasks what does it with one; what is raised is what became of that one."""
    return lambda tasks: asyncio.gather(
        *(do(task.spec.id) for task in tasks), return_exceptions=True
    )


async def _for_each(pages: _Pages, do: _Do, sieve: Sieve, limit: int, before: int | None) -> Done:
    count = scanned = 0
    while count < limit and scanned < SCAN_LIMIT:
        page = await pages(before, min(_STEP, limit - count))
        if not page:
            return Done(count, None)
        scanned += len(page)
        results = await do([record for _, record in page if sieve.passes(record)])
        count += sum(not isinstance(result, BaseException) for result in results)
        for result in results:
            if isinstance(result, QueueFullError):
                # Those that found no room are looked at again.
                return Done(count, before, queue_full=True)
            # Somebody else was quicker: it runs already, has ended, or its retention is over.
            expected = IllegalTransitionError | NotFoundError
            if isinstance(result, BaseException) and not isinstance(result, expected):
                raise result
        before, last = page[-1]
        if sieve.is_past(last):
            return Done(count, None)
    return Done(count, before)


def _number(numbered: tuple[int, TaskRecord]) -> int:
    return numbered[0]
