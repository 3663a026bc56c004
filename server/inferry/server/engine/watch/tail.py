"""Reads what other gateways on the store log, and hands it on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.vectors import epoch_of
from inferry.server.loop import Loop
from inferry.server.store import Store, StoreError
from inferry.server.store.operations import Logged

#: Events that are read at once.
PAGE = 1_000

_log = structlog.get_logger(__name__)


class Tail(Loop):
    """Reads on in the log again and again: at once when there is news, and anyway after a while.

    Args:
        store: Whose log.
        feed: Is told of all that it does not know yet.
        heard: Is called with what others logged, in the order of causes, after the feed.
        missed: Is called when some of that was dropped before it was read: all may have changed.
        interval_s: How long to wait for news.
    """

    def __init__(
        self,
        store: Store,
        feed: Feed,
        heard: Callable[[Sequence[Logged]], object],
        missed: Callable[[], Awaitable[object]],
        interval_s: float,
    ) -> None:
        super().__init__()
        self._store = store
        self._feed = feed
        self._heard = heard
        self._missed = missed
        self._interval_s = interval_s
        #: Whether the last read failed: it is said once.
        self._failing = False

    async def run_once(self) -> None:
        """Reads until there is nothing more."""
        self._feed.behind.clear()
        self._store.news.clear()
        try:
            while not await self.read_page():
                pass
        except StoreError as error:
            if not self._failing:
                _log.warning("cannot read what other gateways did", error=str(error))
            self._failing = True
        else:
            self._failing = False

    async def read_page(self) -> bool:
        """Reads a page and hands it on; returns whether that was all there is.

        Raises:
            StoreError: It cannot be read now.
        """
        feed = self._feed
        # What had ended before the read has nothing more once all of it was read.
        ended = feed.ended
        page = await self._store.logged(feed.vector, PAGE)
        if page is None:
            _log.warning("what other gateways did was dropped before it was read")
            await feed.load(self._store)
            await self._missed()
            return False
        await feed.hear(page)
        own = self._store.epoch.number
        others = [one for one in page if epoch_of(one) != own]
        if others:
            self._heard(others)
        whole = len(page) < PAGE
        if whole:
            feed.pass_over(ended)
        return whole

    async def pause(self) -> None:
        """Waits for news, or for as long as there is none."""
        bells = [asyncio.ensure_future(one.wait()) for one in (self._feed.behind, self._store.news)]
        try:
            # A store that cannot be read has its own events too: they wait all the same.
            timeout_s = self._interval_s
            await asyncio.wait(bells, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for bell in bells:
                bell.cancel()
            await asyncio.gather(*bells, return_exceptions=True)
