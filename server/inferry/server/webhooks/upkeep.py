"""Looks after what is kept of webhooks: drops what is old, and ends what would never end."""

import asyncio

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer, nothing_follows
from inferry.server.engine.company import Company
from inferry.server.errors import HookNotFoundError
from inferry.server.loop import Loop
from inferry.server.store import Store
from inferry.server.store.webhooks import ChangeHook, ForgetDeliveries
from inferry.server.task.hook import Hook
from inferry.server.webhooks.addressing import Addressing

#: Deliveries that are dropped in one commit.
_STEP = 256
_INTERVAL_S = 5.0
#: Between two looks for what is old.
_FORGETS_MS = 60_000

_log = structlog.get_logger(__name__)


class Upkeep(Loop):
    """Does so every few seconds.

    Args:
        store: Has the deliveries.
        committer: Drops them.
        addressing: Knows for which webhooks too much may wait.
        company: The leader alone drops what is old.
        clock: The time.
        keep_ms: How long what was told is kept.
        waiting_limit: So many may wait for a webhook.
    """

    def __init__(
        self,
        *,
        store: Store,
        committer: Committer,
        addressing: Addressing,
        company: Company,
        clock: Clock,
        keep_ms: int,
        waiting_limit: int,
    ) -> None:
        super().__init__()
        self._store = store
        self._committer = committer
        self._addressing = addressing
        self._company = company
        self._clock = clock
        self._keep_ms = keep_ms
        self._waiting_limit = waiting_limit
        self._forgets_at_ms = 0

    async def run_once(self) -> None:
        """Counts what waits where it may be too much, and drops what is old."""
        for hook_id in self._addressing.crowded():
            waiting = await self._store.waiting_deliveries(hook_id, self._waiting_limit)
            self._addressing.count(hook_id, waiting)
            if waiting >= self._waiting_limit:
                await self._disable(hook_id)
        now_ms = self._clock.now_ms()
        if self._company.leads and now_ms >= self._forgets_at_ms:
            await self._forget(now_ms - self._keep_ms)
            self._forgets_at_ms = now_ms + _FORGETS_MS

    async def pause(self) -> None:
        """Waits for the next round."""
        await asyncio.sleep(_INTERVAL_S)

    async def _forget(self, ended_ms: int) -> None:
        operation = ForgetDeliveries(ended_ms, _STEP)
        # Looked at before: where there is nothing, nothing is committed.
        while (first_ms := await self._store.first_ended_ms()) and first_ms <= ended_ms:
            await self._committer.do(operation, nothing_follows)

    async def _disable(self, hook_id: str) -> None:
        why = f"{self._waiting_limit:,} deliveries waited for it"

        def disabled(hook: Hook) -> Hook:
            return hook if hook.disabled else hook._replace(disabled=why)

        try:
            now_ms = self._clock.now_ms()
            await self._committer.do(ChangeHook(hook_id, None, disabled, now_ms), nothing_follows)
        except HookNotFoundError:
            return
        _log.warning("a webhook is disabled", webhook_id=hook_id, why=why)
