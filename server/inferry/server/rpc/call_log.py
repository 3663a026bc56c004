"""The end of one call: its log line, and what its error becomes."""

import logging
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import grpc
from grpc import StatusCode
from structlog.typing import FilteringBoundLogger

from inferry.server.access.tokens import Principal
from inferry.server.errors import InferryError, UnavailableError
from inferry.server.rpc.call_figures import CallFigures
from inferry.server.rpc.status import status_of, to_grpc
from inferry.server.store import StoreError
from inferry.wire.request_ids import request_id_of

Context = grpc.aio.ServicerContext[Any, Any]

_ULID_CHARS = 26
#: What the bridge asks for itself, for the call that it asks about has a line; and what each server
#: says every few seconds.
_ROUTINE = frozenset(
    {"/inferry.v1.AccessService/CheckAccess", "/inferry.v1.ServerService/Heartbeat"}
)


class _Subject(NamedTuple):
    """What a request was about."""

    id: str


class CallLines:
    """The lines of calls: good ones have so many a second, and those beyond it at ``debug``.

    Args:
        log: Where they go.
        per_second: Of good calls.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        per_second: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.log = log
        self._clock = clock
        self._per_second = per_second
        self._second = 0
        #: Of this second.
        self._lines = self._left_out = 0

    def good(self, method: str) -> Callable[..., object] | None:
        """Gives what logs a call of a method that went well; None if nothing does."""
        if method not in _ROUTINE and self._has_room():
            return self.log.info
        return self.log.debug if self.log.is_enabled_for(logging.DEBUG) else None

    def _has_room(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            left_out, self._left_out = self._left_out, 0
            self._second, self._lines = second, 0
            if left_out and self._per_second:
                self.log.info("calls went well and have no line", calls=left_out)
        if self._lines >= self._per_second:
            self._left_out += 1
            return False
        self._lines += 1
        return True


class CallLog:
    """One call that runs.

    No token, payload or query is ever in its line: names, numbers and ids alone.
    """

    __slots__ = (
        "_context",
        "_figures",
        "_lines",
        "_method",
        "_started",
        "about",
        "caller",
        "request_id",
    )

    def __init__(
        self,
        lines: CallLines,
        method: str,
        context: Context,
        about: Any = None,
        figures: CallFigures | None = None,
    ) -> None:
        self._lines = lines
        self._method = method
        self._context = context
        self._figures = figures
        self._started = perf_counter()
        #: Read now: gRPC frees what a call came with when it is over, and who hung up on a stream
        #: has it end later than that.
        self.request_id = request_id_of(context.invocation_metadata())
        #: What has the id of the task or the server, if anything has.
        self.about = about
        #: Who calls, once that is known.
        self.caller: object = None

    def ended(self, code: StatusCode, response: Any = None) -> None:
        """Logs and counts a call that went as its caller wanted."""
        self._count(code)
        say = self._lines.good(self._method)
        if say is not None:
            say("call ended", **self._facts(code, response))

    def read(self, raw: bytes, parse: Callable[[bytes], Any]) -> Any:
        """Parses what was asked, and keeps no more of it than what it is about: it may be large."""
        request = parse(raw)
        self.about = _Subject(getattr(request, "id", ""))
        return request

    async def fail(self, error: Exception) -> None:
        """Logs and counts a call that failed and aborts it, always.

        Raises:
            grpc.aio.AbortError: As ``context.abort_with_status`` does.
        """
        log, context = self._lines.log, self._context
        match error:
            case grpc.aio.AbortError():
                log.info("call failed", **self._facts(context.code()))
                self._count(context.code())
                raise error
            case InferryError():
                known = error
                log.info("call failed", **self._facts(status_of(known)), reason=known.code)
                # Where it was raised, the whole request may be at hand: it is not to live as long
                # as what gRPC keeps of a call that was aborted.
                error.__traceback__ = error.__context__ = None
            case StoreError():
                known = UnavailableError("the store does not answer as it should; try again later")
                log.error("call failed", **self._facts(status_of(known)), exc_info=error)
            case _:
                known = InferryError("internal error")
                log.error("call failed", **self._facts(status_of(known)), exc_info=error)
        self._count(status_of(known))
        await context.abort_with_status(to_grpc(known))

    def _count(self, code: StatusCode) -> None:
        if self._figures is not None:
            self._figures.ended(self._method, code, perf_counter() - self._started)

    def _facts(self, code: StatusCode, response: Any = None) -> dict[str, Any]:
        duration_ms = round((perf_counter() - self._started) * 1_000, 3)
        facts: dict[str, Any] = {"method": self._method, "code": code.name}
        facts["duration_ms"] = duration_ms
        if self.request_id:
            facts["request_id"] = self.request_id
        if isinstance(self.caller, Principal):
            facts |= {"by": self.caller.subject, "tenant": self.caller.tenant}
        # An id that a caller made up is no id of ours, and no text for our log.
        for source in (self.about, response, getattr(response, "task", None)):
            name = getattr(source, "id", "")
            if _is_id(name, "task_"):
                # One that was only read may have ended long ago.
                trace_id = getattr(source, "trace_id", "")
                return facts | {"task_id": name} | ({"trace_id": trace_id} if trace_id else {})
            if _is_id(name, "srv_"):
                return facts | {"server_id": name}
        return facts


def _is_id(name: str, prefix: str) -> bool:
    ulid = name.removeprefix(prefix)
    return ulid != name and len(ulid) == _ULID_CHARS and ulid.isascii() and ulid.isalnum()
