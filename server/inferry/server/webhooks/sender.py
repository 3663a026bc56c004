"""Sends what waits: takes it from the store, brings it to its receiver, writes down how that went.

Whatever happens in between, it is in the store: what a gateway had claimed when it ended is sent by
the next one, or by another replica, under the same name.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer, nothing_follows
from inferry.server.errors import InferryError, UnavailableError
from inferry.server.loop import Loop, wait_for
from inferry.server.replica.tenure import Tenure
from inferry.server.store import Store
from inferry.server.store.webhooks import ClaimDeliveries, SettleDelivery
from inferry.server.task.hook import Claim, DeliveryState
from inferry.server.webhooks.attempts import add_try
from inferry.server.webhooks.delivering import Postman, Verdict
from inferry.server.webhooks.slots import Slots

#: Hosts that are looked at in one round.
HOSTS_LIMIT = 1_000
#: Between two rounds: at least, and at least as long as one takes; and if nobody rings, for another
#: replica may have ended.
_STEP_S, _INTERVAL_S = 0.01, 5.0
#: Before what could not be written down, or not be sent by this replica, is tried again.
_AGAIN_S = 1.0
#: What is on its way when the gateway stops may take so long.
_LAST_S = 2.0
_NEVER_MS = 2**62

_log = structlog.get_logger(__name__)

#: Hears how each try went: this is the one place where that is told.
Listener = Callable[[Claim, Verdict], object]


class Sender(Loop):
    """Sends deliveries.

    Args:
        store: Has them.
        committer: Claims and settles them.
        postman: Brings each to its receiver.
        slots: Who may send how much at once.
        bell: Is set when there may be more.
        clock: The time.
        tenure: Whether this replica may send.
    """

    def __init__(
        self,
        *,
        store: Store,
        committer: Committer,
        postman: Postman,
        slots: Slots,
        bell: asyncio.Event,
        clock: Clock,
        tenure: Tenure,
    ) -> None:
        super().__init__()
        self._store = store
        self._committer = committer
        self._postman = postman
        self._slots = slots
        self._bell = bell
        self._clock = clock
        self._tenure = tenure
        self.listener: Listener = _unheard
        self._under_way: set[asyncio.Task[None]] = set()
        #: The last host that was looked at.
        self._after = ""
        #: When the next is due of those that could be sent then: of all hosts, and of those that
        #: were looked at since the first one.
        self._due_ms = self._due_so_far_ms = _NEVER_MS
        self._took_s = 0.0
        #: When it is looked next for what others left behind, by the loop's clock.
        self._frees_at_s = 0.0
        self._stopping = False

    async def run_once(self) -> None:
        """Takes what is due and may be sent now, and begins to send it."""
        time_s = asyncio.get_running_loop().time
        began_s = time_s()
        self._bell.clear()
        now_ms = self._clock.now_ms()
        left = False
        if began_s >= self._frees_at_s:
            left = await self._store.left_claims()
            self._frees_at_s = began_s + _INTERVAL_S
        rooms = await self._look(now_ms)
        self._took_s = time_s() - began_s
        if rooms or left:
            operation = ClaimDeliveries(now_ms, rooms)
            await self._committer.do(operation, partial(self._take, rooms=rooms))

    async def pause(self) -> None:
        """Waits until something is due, or there is room for it."""
        await asyncio.sleep(max(_STEP_S, self._took_s))
        wait_s = min(_INTERVAL_S, (self._due_ms - self._clock.now_ms()) / 1_000)
        if wait_s > 0:
            await wait_for(self._bell, wait_s)

    async def stop(self) -> None:
        """Takes nothing more; what is on its way has a moment, and is sent again later if not."""
        self._stopping = True
        await super().stop()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_LAST_S)
        left = [*self._under_way]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _look(self, now_ms: int) -> Mapping[str, int]:
        """Finds out how much may go to which host, and takes slots for that."""
        hosts = await self._store.due_hosts(self._after, HOSTS_LIMIT)
        rooms: dict[str, int] = {}
        for host, due_ms in hosts:
            room = self._slots.room(host)
            if room:
                self._due_so_far_ms = min(due_ms, self._due_so_far_ms)
            if room and due_ms <= now_ms:
                self._slots.take(host, room)
                rooms[host] = room
        # Round and round: who comes first in one round does not in the next.
        if len(hosts) == HOSTS_LIMIT:
            self._after, self._due_ms = hosts[-1][0], now_ms
        else:
            self._after, self._due_ms, self._due_so_far_ms = "", self._due_so_far_ms, _NEVER_MS
        return rooms

    def _take(self, result: tuple[Claim, ...] | InferryError, rooms: Mapping[str, int]) -> None:
        claims = () if isinstance(result, InferryError) else result
        left = dict(rooms)
        for claim in claims:
            left[claim.host] -= 1
            if self._stopping:
                self._slots.give(claim.host, 1)
                continue
            task = asyncio.create_task(self._send(claim), name="webhook")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        for host, slots in left.items():
            self._slots.give(host, slots)

    async def _send(self, claim: Claim) -> None:
        good = False
        try:
            # Else it stood still, or lost sight of the store: another replica may send this by now,
            # and what comes after it. Nothing announces that the lease goes on.
            while not self._tenure.holds:  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN_S)
            verdict = await self._postman.deliver(claim)
            good = verdict.answered
            self.listener(claim, verdict)
            await self._settle(claim, verdict)
        finally:
            self._slots.give(claim.host, 1)
            self._slots.judge(claim.host, good=good)
            self._bell.set()

    async def _settle(self, claim: Claim, verdict: Verdict) -> None:
        operation = SettleDelivery(
            claim.key,
            verdict.state,
            self._clock.now_ms(),
            verdict.next_ms,
            partial(add_try, one=verdict.attempt),
            verdict.disable,
        )
        while True:
            try:
                state = await self._committer.do(operation, nothing_follows)
            except UnavailableError:
                # It was sent, and is not to be sent again for that.
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        if verdict.disable:
            _log.warning("a webhook is disabled", webhook_id=claim.key.hook_id, why=verdict.disable)
        if state is DeliveryState.FAILED:
            _log.warning(
                "a webhook was not told",
                webhook_id=claim.key.hook_id,
                task_id=claim.key.task_id,
                seq=claim.key.seq,
                status=verdict.attempt.status,
                tries=claim.tries + 1,
                # Its task may have ended days ago.
                **({"trace_id": claim.trace_id} if claim.traceparent else {}),
            )


def _unheard(_claim: Claim, _verdict: Verdict) -> None:
    """Is told where nobody counts."""
