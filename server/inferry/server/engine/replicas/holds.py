"""Keeps the pauses in memory as they are stored, whoever changed them."""

from inferry.server.engine.allocator import Allocator
from inferry.server.engine.committer import Committer
from inferry.server.engine.pause_ledger import PauseLedger
from inferry.server.queue.pauses import PausedTypes
from inferry.server.store import Store


class Holds:
    """The types that are held back.

    Args:
        store: Knows them.
        committer: Is asked for what has been followed up.
        ledger: Knows what own commits changed of them.
        pauses: Are to be as they are stored.
        allocator: Is woken when one has ended.
    """

    def __init__(
        self,
        *,
        store: Store,
        committer: Committer,
        ledger: PauseLedger,
        pauses: PausedTypes,
        allocator: Allocator,
    ) -> None:
        self._store = store
        self._committer = committer
        self._ledger = ledger
        self._pauses = pauses
        self._allocator = allocator
        #: The last change that has been followed; None when some of it has to be read again.
        self._revision: int | None = None

    async def follow(self, revision: int) -> None:
        """Takes the pauses as they are, if they have changed.

        Args:
            revision: How often they were changed, by a look from before now.
        """
        if self._revision is not None and revision <= self._revision:
            return
        with self._ledger.reads.begin() as since:
            stored = {one.type: one for one in await self._store.paused_types()}
            await self._committer.settled()
            self._revision = revision
            for name in stored.keys() | set(self._pauses):
                if since.touched(name):
                    self._revision = None
                elif name in stored:
                    self._pauses.pause(stored[name])
                else:
                    self._pauses.resume(name)
        self._allocator.wake()
