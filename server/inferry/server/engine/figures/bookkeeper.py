"""Brings the figures into the store, and counts what others left uncounted."""

import asyncio
from collections import Counter

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer, nothing_follows
from inferry.server.engine.company import Company
from inferry.server.engine.figures.tally import Tally
from inferry.server.engine.queue_view import QueueView
from inferry.server.errors import UnavailableError
from inferry.server.figures.cell import ALL, KEPT_S
from inferry.server.figures.counting import Counts, cells_of
from inferry.server.loop import Loop
from inferry.server.store import POSITION_BITS, Store, StoreError
from inferry.server.store.counting import AddFigures
from inferry.server.store.figures import Uncounted

#: Between two writes, if anything happened.
_WRITE_S = 5
#: Between two looks at what waits and runs, if anything happened.
_LOOK_S = 1.0
#: Between two searches for what others left uncounted.
_RECOUNT_S = 60
#: Events that are counted again at once.
_PAGE = 1_000
_MINUTE_S = min(KEPT_S)


class Bookkeeper(Loop):
    """Writes what was counted, some seconds later at most.

    Args:
        tally: What was counted.
        store: Keeps it.
        committer: Writes it.
        queue: Knows what waits.
        company: One of the replicas tells what all share, and counts after those that are gone.
        clock: The time.
    """

    def __init__(
        self,
        *,
        tally: Tally,
        store: Store,
        committer: Committer,
        queue: QueueView,
        company: Company,
        clock: Clock,
    ) -> None:
        super().__init__()
        #: Held while figures are on their way to the store: then they are there and here, or not.
        self.turn = asyncio.Lock()
        self._tally = tally
        self._store = store
        self._committer = committer
        self._queue = queue
        self._company = company
        self._clock = clock
        #: When the last look was written.
        self._told_s = 0
        self._write_due_s = self._recount_due_s = 0

    async def run_once(self) -> None:
        """Looks what waits and runs; now and then writes, and counts what others left.

        Raises:
            UnavailableError: The store cannot be asked, or not be written to.
        """
        try:
            await self._go_round()
        except StoreError as error:
            # Nothing was noted of what could not be looked at.
            self._tally.stirred = True
            raise UnavailableError(f"figures are not kept meanwhile: {error}") from error

    async def _go_round(self) -> None:
        tally, now_s = self._tally, self._clock.now_ms() // 1_000
        if tally.stirred or now_s // _MINUTE_S != tally.looked_s // _MINUTE_S:
            await self._look(now_s)
        if now_s >= self._recount_due_s and self._company.leads:
            await self._recount()
            await self._learn_names(now_s)
            self._recount_due_s = now_s + _RECOUNT_S
        if now_s >= self._write_due_s:
            await self.write()
            self._write_due_s = now_s + _WRITE_S
        tally.forget(now_s)

    async def pause(self) -> None:
        """Waits a second."""
        await asyncio.sleep(_LOOK_S)

    async def write(self) -> None:
        """Writes what was counted here and, for all replicas, what waits and runs.

        Raises:
            UnavailableError: The store cannot be written to.
        """
        sampled = self._company.leads and self._tally.looked_s != self._told_s
        async with self.turn:
            order = self._tally.order(self._store.epoch.number, sampled=sampled)
            if order is not None:
                await self._committer.do(order, self._tally.settle)
                self._told_s = self._tally.looked_s if sampled else self._told_s

    async def _look(self, now_s: int) -> None:
        self._tally.stirred = False
        running = await self._store.running_counts()
        waiting = Counter({name: one.total for name, one in self._queue.counts().items()})
        names = sorted({*running, *waiting})
        self._tally.look(now_s, {name: (waiting[name], running.get(name, 0)) for name in names})

    async def _learn_names(self, now_s: int) -> None:
        since_s = now_s - KEPT_S[_MINUTE_S]
        kept = await self._store.figure_types(_MINUTE_S, since_s, now_s + 1)
        counted = (name for by_type in self._tally.unwritten.values() for name in by_type)
        self._tally.names.use({*kept, *counted, *self._tally.looked} - {ALL})

    async def _recount(self) -> None:
        for one in await self._store.uncounted():
            await self._count(one)

    async def _count(self, one: Uncounted) -> None:
        """Counts the rest of a start, a page at a time."""
        counted = one.counted
        while counted < one.logged:
            page = await self._store.logged_by(one.number, counted, _PAGE)
            counts = Counts(self._tally.names)
            for logged in page:
                counts.add(logged.event, logged.record)
            # What is missing of a page was dropped.
            whole = len(page) < _PAGE
            upto = one.logged if whole else page[-1].position % (1 << POSITION_BITS)
            order = AddFigures(cells_of(counts.take()), one.number, counted, upto)
            if await self._committer.do(order, nothing_follows) != upto:
                return
            counted = upto
