"""Stops work that nobody waits for any more: ``POST {url}/cancel {"id", "attempt"}``.

A cancelled or timed out attempt keeps its slot until the server is known to have stopped: it
answered the cancel, or reported and was told, or the time of grace is over. A server without the
endpoint is asked once and then left to its callbacks. What a gateway did not live to see is taken
up by the next one, which tells the server again. (Design sections 4 and 6.)
"""

import asyncio

import orjson
import structlog

from inferry.server.clock import Clock
from inferry.server.engine.ledger import Ledger
from inferry.server.fleet.record import ServerRecord
from inferry.server.outbound.client import Outbound, OutboundError
from inferry.server.task.record import Attempt

#: Statuses of a server that knows no such endpoint.
_NO_ENDPOINT = frozenset({404, 405, 501})
#: Between two tries to reach a server.
_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


class Stopper:
    """Tells servers to stop, and gives their slots back."""

    def __init__(self, ledger: Ledger, outbound: Outbound, clock: Clock, grace_ms: int) -> None:
        self._ledger = ledger
        self._outbound = outbound
        self._clock = clock
        self._grace_ms = grace_ms
        self._stopping: dict[tuple[str, int], asyncio.Task[None]] = {}
        #: When each server without the endpoint last registered: a newer one is asked again.
        self._deaf: dict[str, int] = {}

    def stop(self, task_id: str, closed: Attempt, *, known: bool) -> None:
        """Stops an attempt in the background; its slot is free when this is done.

        Args:
            task_id: Its task.
            closed: The attempt.
            known: The server knows, for it said so itself.
        """
        member = self._ledger.fleet.get(closed.server_id)
        if member is None or known:
            self._ledger.release(closed.server_id, task_id, closed.number)
            return
        key = task_id, closed.number
        left_ms = closed.ended_ms + self._grace_ms - self._clock.now_ms()
        stopping = asyncio.create_task(self._stop(member.record, *key, left_ms))
        self._stopping[key] = stopping
        # Not at the end of the task: one that is confirmed before it began never gets there.
        stopping.add_done_callback(lambda _: self._stopped(closed.server_id, *key))

    def confirm(self, task_id: str, attempt: int) -> None:
        """Takes note that a server knows: there is nothing more to wait for."""
        stopping = self._stopping.get((task_id, attempt))
        if stopping is not None:
            stopping.cancel()

    async def close(self) -> None:
        """Gives up on all that has not stopped yet."""
        stopping = list(self._stopping.values())
        for one in stopping:
            one.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)

    async def _stop(self, server: ServerRecord, task_id: str, attempt: int, left_ms: int) -> None:
        try:
            async with asyncio.timeout(left_ms / 1000):
                if not await self._told(server, task_id, attempt):
                    await asyncio.Event().wait()
        except TimeoutError:
            _log.info("stop not confirmed", task_id=task_id, attempt=attempt, server_id=server.id)

    def _stopped(self, server_id: str, task_id: str, attempt: int) -> None:
        del self._stopping[task_id, attempt]
        self._ledger.release(server_id, task_id, attempt)

    async def _told(self, server: ServerRecord, task_id: str, attempt: int) -> bool:
        """Tells a server, again if need be; False if it has no ear for that."""
        while self._deaf.get(server.id) != server.updated_ms:
            status = await self._tell(server, task_id, attempt)
            if 200 <= status < 300:  # noqa: PLR2004  # the 2xx class
                return True
            if status in _NO_ENDPOINT:
                # Who has gone meanwhile is not remembered for ever.
                fleet = self._ledger.fleet
                self._deaf = {one: since for one, since in self._deaf.items() if fleet.get(one)}
                self._deaf[server.id] = server.updated_ms
            else:
                await asyncio.sleep(_PAUSE_S)
        return False

    async def _tell(self, server: ServerRecord, task_id: str, attempt: int) -> int:
        """Tells a server once; returns the status that it answers, 0 if it does not."""
        try:
            answer = await self._outbound.post(
                f"{server.url}/cancel",
                orjson.dumps({"id": task_id, "attempt": attempt}),
                timeout_s=self._grace_ms / 1000,
                private_allowed=server.private_allowed,
            )
        except OutboundError:
            return 0
        except Exception:  # noqa: BLE001  # whatever it was, the next try may do better
            _log.exception("a cancel broke", task_id=task_id, server_id=server.id)
            return 0
        return answer.status
