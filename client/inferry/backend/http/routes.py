"""What is answered to the gateway's calls, whatever server brings them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

import orjson

from inferry.backend.attempt import AttemptKey, Report, Taking
from inferry.backend.engine import Engine
from inferry.backend.http import bodies
from inferry.backend.http.bodies import Json
from inferry.backend.http.callers import UnknownCallerError
from inferry.backend.http.keys import NoKeysError
from inferry.backend.load import LoadMeter
from inferry.wire.errors import FieldError

#: How long a cancel may wait for the end of the work; the gateway waits for 10 s.
_STOPPED_WITHIN_S = 8.0
#: Answers that are kept for a gateway that asks again, and their bytes in all.
_KEPT = 256
_KEPT_BYTES = 8 * 1024 * 1024

_OK, _BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _CONFLICT = 200, 400, 401, 403, 409
_UNAVAILABLE = 503
_LATER: Mapping[str, str] = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of HTTP."""

    status: int
    #: JSON.
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Routes:
    """Answers.

    Args:
        engine: Takes the work.
        load: Measured when the gateway asks.
    """

    def __init__(self, engine: Engine, load: LoadMeter) -> None:
        self._engine = engine
        self._load = load
        #: Calls that wait for the end of an attempt.
        self._waiting: dict[AttemptKey, list[asyncio.Future[bytes]]] = {}
        self._kept: OrderedDict[AttemptKey, bytes] = OrderedDict()

    async def process(self, body: bytes, headers: Mapping[str, str], issuer: str | None) -> Answer:
        """Takes a task: answers at once, or with its result if there is no callback URL.

        Args:
            body: As it came.
            headers: With the trace that it belongs to, if any.
            issuer: What a callback URL has to begin with; None takes any.
        """
        try:
            named = bodies.read_named(body)
            attempt = named.attempt or self._engine.uncounted(named.id)
            assignment, callback_url = bodies.read_job(body, attempt, headers)
        except FieldError as error:
            return _error(_BAD_REQUEST, str(error), "INVALID_PAYLOAD")
        if issuer is not None and not (callback_url or f"{issuer}/").startswith(f"{issuer}/"):
            why = f"callback_url: it has to begin with {issuer}/, for that gateway calls"
            return _error(_FORBIDDEN, why, "PERMISSION_DENIED")
        taking = self._engine.take(assignment, callback_url)
        if taking is Taking.STALE:
            return _error(_CONFLICT, "a newer attempt of the task is here", "STALE_ATTEMPT")
        if taking is Taking.REFUSED:
            why = self._engine.why_not()
            return _error(_UNAVAILABLE, why, "RESOURCE_LIMIT", _LATER)
        if callback_url is not None:
            return _say({"status": "accepted", "message": "Task queued for processing"})
        return await self._end_of(assignment.key)

    async def cancel(self, body: bytes) -> Answer:
        """Stops a task; answers when its work has stopped and its slot is free."""
        try:
            named = bodies.read_named(body)
        except FieldError as error:
            return _error(_BAD_REQUEST, str(error), "INVALID_PAYLOAD")
        attempt = named.attempt or self._engine.newest(named.id)
        gone = self._engine.cancel((named.id, attempt))
        if gone is None:
            return _say({"cancelled": False})
        try:
            async with asyncio.timeout(_STOPPED_WITHIN_S):
                await gone.wait()
        except TimeoutError:
            return _error(_UNAVAILABLE, "the work has not stopped yet", "TIMEOUT", _LATER)
        return _say({"cancelled": True})

    def health(self) -> Answer:
        """Tells how it is; who drains is still healthy, for it reports."""
        engine = self._engine
        load = self._load.measure(engine.active)
        said = {
            "status": "healthy" if engine.ready else "loading",
            "timestamp": time.time_ns() // 1_000_000,
            "load": {
                "cpu": load.cpu,
                "memory": load.memory,
                "active_tasks": load.active_tasks,
                "queue_length": load.queue_length,
            },
            "capabilities": engine.app.capabilities,
            "draining": engine.leaving,
        }
        return _say(said, _OK if engine.ready else _UNAVAILABLE)

    def ready(self) -> Answer:
        """Tells whether it takes tasks."""
        if self._engine.ready and not self._engine.leaving:
            return _say({"ready": True})
        return _say({"ready": False, "reason": self._engine.why_not()}, _UNAVAILABLE)

    def end(self, report: Report) -> None:
        """Has the calls answered that wait for a last report."""
        self._settle(report.key, orjson.dumps(bodies.answer(report.update)))

    def stopped(self, key: AttemptKey) -> None:
        """Has the calls answered that wait for work that was cancelled."""
        if key in self._waiting:
            self._settle(key, orjson.dumps(bodies.CANCELLED))

    async def _end_of(self, key: AttemptKey) -> Answer:
        if key in self._kept:
            return Answer(_OK, self._kept[key])
        if not self._engine.has(key) and key not in self._waiting:
            return _error(_CONFLICT, "the attempt was here, and has ended", "STALE_ATTEMPT")
        end: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(end)
        try:
            return Answer(_OK, await end)
        except asyncio.CancelledError:
            waiting = self._waiting.get(key, [])
            if end in waiting:
                waiting.remove(end)
            if not waiting:
                # The gateway hung up: nobody wants the result.
                self._waiting.pop(key, None)
                self._engine.cancel(key)
            raise

    def _settle(self, key: AttemptKey, text: bytes) -> None:
        self._keep(key, text)
        for end in self._waiting.pop(key, ()):
            if not end.done():
                end.set_result(text)

    def _keep(self, key: AttemptKey, text: bytes) -> None:
        self._kept[key] = text
        while len(self._kept) > _KEPT or sum(map(len, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)


def refusal(error: UnknownCallerError | NoKeysError) -> Answer:
    """Answers a call that is not known to be the gateway's.

    If it is, all the same, its task goes to another server.
    """
    if isinstance(error, NoKeysError):
        wait = {"Retry-After": str(ceil(error.rest_s))}
        return _error(_UNAVAILABLE, f"who calls cannot be told: {error}", "UNAVAILABLE", wait)
    said = {"status": "error", "error": str(error), "code": "UNAUTHENTICATED"}
    body = orjson.dumps({**said, "loss": "not_started"})
    return Answer(_UNAUTHENTICATED, body, {"WWW-Authenticate": "Bearer"})


def _say(said: Json, status: int = _OK) -> Answer:
    return Answer(status, orjson.dumps(said))


def _error(status: int, error: str, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    said = {"status": "error", "error": error, "code": code}
    return Answer(status, orjson.dumps(said), headers or {})
