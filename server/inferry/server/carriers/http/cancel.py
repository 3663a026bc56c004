"""Stops work that nobody waits for any more: ``POST {url}/cancel {"id", "attempt"}``.

A cancelled or timed out attempt keeps its slot until the server is known to have stopped: it
answered the cancel, or reported and was told, or the time of grace is over. A server without the
endpoint is asked once and then left to its callbacks. What a gateway did not live to see is taken
up by the next one, which tells the server again. (Design sections 4 and 6.)
"""

import asyncio
from collections.abc import Callable

import orjson
import structlog

from inferry.server.carriers.http.caller import Caller
from inferry.server.clock import Clock
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import ServerRecord
from inferry.server.outbound.errors import OutboundError
from inferry.server.task.record import Attempt

#: Statuses of a server that knows no such endpoint.
_NO_ENDPOINT = frozenset({404, 405, 501})
#: Between two tries to reach a server.
_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


class Stopper:
    """Tells servers to stop, and tells when they have."""

    def __init__(self, fleet: Fleet, caller: Caller, clock: Clock, grace_ms: int) -> None:
        self._fleet = fleet
        self._caller = caller
        self._clock = clock
        self._grace_ms = grace_ms
        self._stopping: dict[AttemptKey, asyncio.Task[None]] = {}
        #: When each server without the endpoint last registered: a newer one is asked again.
        self._deaf: dict[str, int] = {}

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        """Stops an attempt in the background; see ``Carrier.stop``."""
        member = self._fleet.get(closed.server_id)
        if member is None:
            stopped()
            return
        key = task_id, closed.number
        going_on = self._stopping.get(key)
        if going_on is not None:
            # Its server was given away and came back meanwhile.
            going_on.add_done_callback(lambda _: stopped())
            return
        left_ms = closed.ended_ms + self._grace_ms - self._clock.now_ms()
        stopping = asyncio.create_task(self._stop(member.record, *key, left_ms))
        self._stopping[key] = stopping
        # Not at the end of the task: one that is confirmed before it began never gets there.
        stopping.add_done_callback(lambda _: self._stopped(key, stopped))

    def confirm(self, task_id: str, attempt: int) -> None:
        """Takes note that a server knows of a stop: there is nothing more to wait for."""
        stopping = self._stopping.get((task_id, attempt))
        if stopping is not None:
            stopping.cancel()

    def stops(self, attempt: AttemptKey) -> bool:
        """Whether an attempt is being stopped: its slot will be free."""
        return attempt in self._stopping

    async def close(self) -> None:
        """Gives up on all attempts that have not stopped yet."""
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

    def _stopped(self, key: AttemptKey, stopped: Callable[[], None]) -> None:
        del self._stopping[key]
        stopped()

    async def _told(self, server: ServerRecord, task_id: str, attempt: int) -> bool:
        """Tells a server, again if need be; False if it has no ear for that."""
        while self._deaf.get(server.id) != server.updated_ms:
            status = await self._tell(server, task_id, attempt)
            if 200 <= status < 300:  # noqa: PLR2004  # the 2xx class
                return True
            if status in _NO_ENDPOINT:
                # Who has gone meanwhile is not remembered for ever.
                self._deaf = {
                    server_id: since_ms
                    for server_id, since_ms in self._deaf.items()
                    if self._fleet.get(server_id) is not None
                }
                self._deaf[server.id] = server.updated_ms
            else:
                await asyncio.sleep(_PAUSE_S)
        return False

    async def _tell(self, server: ServerRecord, task_id: str, attempt: int) -> int:
        """Tells a server once; returns the status that it answers, 0 if it does not."""
        try:
            said = orjson.dumps({"id": task_id, "attempt": attempt})
            answer = await self._caller.post(server, "/cancel", said, self._grace_ms / 1000)
        except OutboundError:
            return 0
        except Exception:  # noqa: BLE001  # whatever it was, the next try may do better
            _log.exception("a cancel broke", task_id=task_id, server_id=server.id)
            return 0
        return answer.status
