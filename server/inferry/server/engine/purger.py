"""Drops final tasks on request, before their time of retention is over."""

from collections.abc import Sequence

from inferry.server.clock import Clock
from inferry.server.engine.announcer import note_purged
from inferry.server.engine.committer import Committer
from inferry.server.errors import InferryError
from inferry.server.store.operations import EndRetention, Purge, Result
from inferry.server.task.record import TaskRecord


class Purger:
    """Drops tasks that have ended.

    Args:
        committer: Writes.
        clock: The time.
        tombstone_ms: How long ids of what is dropped are kept.
    """

    def __init__(self, committer: Committer, clock: Clock, tombstone_ms: int) -> None:
        self._committer = committer
        self._clock = clock
        self._tombstone_ms = tombstone_ms

    async def drop(self, tasks: Sequence[TaskRecord]) -> int:
        """Drops final tasks in one go; returns how many.

        Args:
            tasks: The tasks as they were seen; those that were started again since then stay,
                whatever they are by now.

        Raises:
            InferryError: The store cannot do it.
        """
        if not tasks:
            return 0
        end = EndRetention([(task.spec.id, task.seq) for task in tasks])
        # They are the first of all that it drops.
        purge = Purge(self._clock.now_ms(), len(tasks), self._tombstone_ms)
        ended, dropped = await self._committer.do_all([(end, _nothing), (purge, note_purged)])
        for result in (ended, dropped):
            if isinstance(result, InferryError):
                raise result
        return int(ended)


def _nothing(_result: Result) -> None:
    """Nothing in memory is theirs."""
