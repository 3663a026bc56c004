"""What is done with many tasks at once, as a page of them a call."""

from inferry.server.engine.bulk import cancel_many, purge_many, retry_many
from inferry.server.engine.purger import Purger
from inferry.server.engine.reader import Reader
from inferry.server.engine.tasks import Engine
from inferry.server.rpc.admission import visible_tenant
from inferry.server.rpc.pages import read_cursor, write_cursor
from inferry.server.rpc.task_filters import cancels_of, purges_of, retries_of
from inferry.v1 import task_service_pb2 as pb


class Bulk:
    """Starts many tasks again, ends many, drops many.

    Args:
        engine: Changes each.
        reader: Lists them.
        purger: Drops them.
    """

    def __init__(self, engine: Engine, reader: Reader, purger: Purger) -> None:
        self._engine = engine
        self._reader = reader
        self._purger = purger

    async def retry(self, request: pb.RetryTasksRequest) -> pb.RetryTasksResponse:
        """Starts tasks that ended badly again."""
        (wanted, sieve), limit = retries_of(request, visible_tenant())
        before = read_cursor(request.page_token)
        done = await retry_many(self._engine, self._reader, wanted, sieve, limit, before)
        return pb.RetryTasksResponse(
            retried=done.count, next_page_token=_token(done.before), queue_full=done.queue_full
        )

    async def cancel(self, request: pb.CancelTasksRequest) -> pb.CancelTasksResponse:
        """Ends tasks that are not final yet."""
        (wanted, sieve), limit = cancels_of(request, visible_tenant())
        before = read_cursor(request.page_token)
        why = request.reason
        done = await cancel_many(self._engine, self._reader, wanted, sieve, why, limit, before)
        return pb.CancelTasksResponse(cancelled=done.count, next_page_token=_token(done.before))

    async def purge(self, request: pb.PurgeTasksRequest) -> pb.PurgeTasksResponse:
        """Drops final tasks for good, or counts those that it would drop."""
        (wanted, sieve), limit = purges_of(request, visible_tenant())
        before = read_cursor(request.page_token)
        purger = None if request.dry_run else self._purger
        done = await purge_many(purger, self._reader, wanted, sieve, limit, before)
        return pb.PurgeTasksResponse(
            purged=0 if request.dry_run else done.count,
            matched=done.count,
            next_page_token=_token(done.before),
        )


def _token(before: int | None) -> str:
    return "" if before is None else write_cursor(before)
