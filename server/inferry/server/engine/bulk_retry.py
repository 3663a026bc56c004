"""Starts many tasks that ended badly again."""

import asyncio
from dataclasses import dataclass

from inferry.server.engine.reader import Reader
from inferry.server.engine.tasks import Engine
from inferry.server.errors import IllegalTransitionError, NotFoundError, QueueFullError
from inferry.server.store import TaskFilter

#: Tasks looked at in one call, whether they match or not.
SCAN_LIMIT = 10_000
#: Tasks started in one step: the queue may overrun its limit by so many.
_STEP = 50


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a bulk retry."""

    count: int
    #: Where to go on; None when all have been looked at.
    before: int | None
    #: Whether it stopped because the queue is full.
    queue_full: bool = False


async def retry_many(
    engine: Engine, reader: Reader, wanted: TaskFilter, code: str, limit: int, before: int | None
) -> Retried:
    """Retries the tasks that match, newest first.

    Args:
        engine: Retries each.
        reader: Lists them.
        wanted: Names a final status, and whose tasks.
        code: Only tasks that ended with it; empty for all.
        limit: Tasks at most.
        before: Goes on below this number; None begins with the newest.
    """
    count = scanned = 0
    while count < limit and scanned < SCAN_LIMIT:
        page = await reader.tasks(wanted, before, min(_STEP, limit - count))
        if not page:
            return Retried(count, None)
        scanned += len(page)
        ids = [record.spec.id for _, record in page if code in ("", record.code)]
        tenant = wanted.tenant
        results = await asyncio.gather(
            *(engine.retry(task_id, tenant) for task_id in ids), return_exceptions=True
        )
        count += sum(not isinstance(result, BaseException) for result in results)
        for result in results:
            if isinstance(result, QueueFullError):
                # Those that found no room are looked at again.
                return Retried(count, before, queue_full=True)
            # Somebody else was quicker: it runs already, or its retention is over.
            expected = IllegalTransitionError | NotFoundError
            if isinstance(result, BaseException) and not isinstance(result, expected):
                raise result
        before = page[-1][0]
    return Retried(count, before)
