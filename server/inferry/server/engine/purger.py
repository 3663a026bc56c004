"""Drops final tasks on request, before their time of retention is over."""

from collections.abc import Sequence

from inferry.server.clock import Clock
from inferry.server.engine.announcer import note_purged
from inferry.server.engine.committer import Committer
from inferry.server.errors import InferryError
from inferry.server.store.operations import EndRetention, Purge, Result


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

    async def drop(self, task_ids: Sequence[str], ended_before_ms: int) -> int:
        """Drops final tasks in one go; returns how many.

        Args:
            task_ids: The tasks; those that are not final any more stay.
            ended_before_ms: Those that ended later stay, too; 0 for no such time.

        Raises:
            InferryError: The store cannot do it.
        """
        if not task_ids:
            return 0
        now = self._clock.now_ms()
        # What has just ended has ended.
        end = EndRetention(task_ids, ended_before_ms or now + 1)
        # They are the first of all that it drops.
        purge = Purge(now, len(task_ids), self._tombstone_ms)
        ended, dropped = await self._committer.do_all([(end, _nothing), (purge, note_purged)])
        for result in (ended, dropped):
            if isinstance(result, InferryError):
                raise result
        return int(ended)


def _nothing(_result: Result) -> None:
    """Nothing in memory is theirs."""
