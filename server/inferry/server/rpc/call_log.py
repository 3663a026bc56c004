"""The end of one call: its log line, and what its error becomes."""

import logging
from time import perf_counter
from typing import Any

import grpc
from grpc import StatusCode
from structlog.typing import FilteringBoundLogger

from inferry.server.errors import InferryError, UnavailableError
from inferry.server.rpc.call_figures import CallFigures
from inferry.server.rpc.status import status_of, to_grpc
from inferry.server.store import StoreError

Context = grpc.aio.ServicerContext[Any, Any]

_ULID_CHARS = 26


class CallLog:
    """One call that runs.

    No token, payload or query is ever in its line: names, numbers and ids alone.
    """

    __slots__ = ("_figures", "_log", "_method", "_started", "about")

    def __init__(
        self,
        log: FilteringBoundLogger,
        method: str,
        about: Any = None,
        figures: CallFigures | None = None,
    ) -> None:
        self._log = log
        self._method = method
        self._figures = figures
        self._started = perf_counter()
        #: What has the id of the task or the server, if anything has.
        self.about = about

    def ended(self, code: StatusCode, response: Any = None) -> None:
        """Logs and counts a call that went as its caller wanted."""
        self._count(code)
        if self._log.is_enabled_for(logging.DEBUG):
            self._log.debug("call ended", **self._facts(code, response))

    async def fail(self, error: Exception, context: Context) -> None:
        """Logs and counts a call that failed and aborts it, always.

        Raises:
            grpc.aio.AbortError: As ``context.abort_with_status`` does.
        """
        match error:
            case grpc.aio.AbortError():
                self._log.info("call failed", **self._facts(context.code()))
                self._count(context.code())
                raise error
            case InferryError():
                known = error
                self._log.info("call failed", **self._facts(status_of(known)), reason=known.code)
                # Where it was raised, the whole request may be at hand: it is not to live as long
                # as what gRPC keeps of a call that was aborted.
                error.__traceback__ = error.__context__ = None
            case StoreError():
                known = UnavailableError("the store does not answer as it should; try again later")
                self._log.error("call failed", **self._facts(status_of(known)), exc_info=error)
            case _:
                known = InferryError("internal error")
                self._log.error("call failed", **self._facts(status_of(known)), exc_info=error)
        self._count(status_of(known))
        await context.abort_with_status(to_grpc(known))

    def _count(self, code: StatusCode) -> None:
        if self._figures is not None:
            self._figures.ended(self._method, code, perf_counter() - self._started)

    def _facts(self, code: StatusCode, response: Any = None) -> dict[str, Any]:
        duration_ms = round((perf_counter() - self._started) * 1_000, 3)
        facts = {"method": self._method, "code": code.name, "duration_ms": duration_ms}
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
    return ulid != name and len(ulid) == _ULID_CHARS and ulid.isalnum()
