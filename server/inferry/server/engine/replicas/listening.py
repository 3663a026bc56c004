"""Listens to what other replicas commit, and has it followed up here."""

from collections import deque
from collections.abc import Sequence

from inferry.server.engine.committer import Committer
from inferry.server.engine.figures.tally import Tally
from inferry.server.engine.hearing import Ended, Hearing
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.tail import Tail
from inferry.server.store import Store
from inferry.server.store.operations import Logged
from inferry.server.store.shared import Shared


class Listening(Tail):
    """Reads the log for the feed, and for all else that is in memory.

    Args:
        store: Whose log.
        shared: Is lost when some of the log was dropped before it was read.
        feed: Is told first.
        tally: Counts it.
        hearing: Is told then.
        ledger: Knows what own commits changed meanwhile.
        committer: Is asked for what has been followed up.
        interval_s: How long to wait for news.
    """

    def __init__(
        self,
        *,
        store: Store,
        shared: Shared,
        feed: Feed,
        tally: Tally,
        hearing: Hearing,
        ledger: Ledger,
        committer: Committer,
        interval_s: float,
    ) -> None:
        super().__init__(store, feed, self._gather, self._miss, interval_s)
        self._shared = shared
        self._tally = tally
        self._hearing = hearing
        self._ledger = ledger
        self._committer = committer
        self._others: Sequence[Logged] = ()
        #: Attempts that have ended, and are still to be let go of.
        self._ended: deque[Ended] = deque()

    async def read_page(self) -> bool:
        """See ``Tail.read_page``."""
        await self._let_go()
        with self._ledger.reads.begin() as since:
            self._others = ()
            whole = await super().read_page()
            await self._committer.settled()
            self._ended += self._hearing.heard(self._others, since)
        await self._let_go()
        return whole

    async def _let_go(self) -> None:
        """Lets go of what ended in the last page, which is read in one go."""
        if self._ended:
            closed = await self._shared.closed([one.attempt for one in self._ended])
            while self._ended:
                one = self._ended.popleft()
                self._hearing.ended(one, closed.get(one.attempt))

    def _gather(self, others: Sequence[Logged]) -> None:
        self._tally.hear(others)
        self._others = others

    async def _miss(self) -> None:
        """Begins anew: nobody can tell what is true of what is in memory."""
        self._shared.lost.set()
