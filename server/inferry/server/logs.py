"""Logs, set up once: one line an event on stderr, never a token or a payload.

Both structlog's loggers and the standard library's (those of grpc, aiohttp and asyncio) end in the
same format: readable on a terminal, JSON elsewhere. Times are ISO 8601 in UTC. What is logged for
those who write these libraries, at ``debug``, is no news of ours.
"""

import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from inferry.wire.controls import escape_controls

#: Keys whose values are never logged.
SECRET_KEYS = frozenset(
    {
        "authorization",
        "callback_url",
        "cookie",
        "jwt_secret",
        "password",
        "payload",
        "result",
        "secret",
        "ticket",
        "token",
    }
)
MASK = "***"

#: A token inside a text: in a query, or after the scheme of an authorization header; and a secret
#: of a webhook, anywhere.
_TOKEN_IN_TEXT = re.compile(
    r"((?:token|ticket)(?:=|%3d)|bearer\s+|whsec_)[^\s&\"'<>]+", re.IGNORECASE
)


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces tokens, payloads and results by ``***``, however deep they are."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: object, value: object) -> object:
    if isinstance(key, str) and key.lower() in SECRET_KEYS:
        return MASK
    match value:
        case str():
            # A token follows one of these; ids and names, which most texts are, have none.
            suspect = "=" in value or " " in value or "%" in value or value.startswith("whsec_")
            return _TOKEN_IN_TEXT.sub(rf"\1{MASK}", value) if suspect else value
        case int() | float() | None:
            return value
        case Mapping():
            return {inner: _masked(inner, item) for inner, item in value.items()}
        case list() | tuple():
            return [_masked(None, item) for item in value]
        case _:
            return value


class TraceIds:
    """The traces of tasks, for the lines of the log that name them: few of these know more.

    Of tasks that run here, and of those that were heard of last. One without a trace takes nothing.

    Args:
        running: Tasks that run and are remembered, at most.
        others: Others that are.
    """

    def __init__(self, running: int, others: int) -> None:
        self._limits = {True: running, False: others}
        self._ids: dict[bool, OrderedDict[str, str]] = {True: OrderedDict(), False: OrderedDict()}

    def note(self, task_id: str, trace_id: str, *, held: bool = False) -> None:
        """Remembers the trace of a task; ``held`` while it runs."""
        ids = self._ids[held]
        if held and task_id in ids:
            return
        self._ids[not held].pop(task_id, None)
        ids[task_id] = trace_id
        ids.move_to_end(task_id)
        if len(ids) > self._limits[held]:
            ids.popitem(last=False)

    def add(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Adds the trace to a line that names a task and no trace."""
        task_id = event.get("task_id")
        if task_id is not None and "trace_id" not in event:
            trace_id = self._ids[True].get(task_id) or self._ids[False].get(task_id)
            if trace_id is not None:
                event["trace_id"] = trace_id
        return event


#: As loggers are, for all of the process: no two tasks have one id.
TRACE_IDS: Final = TraceIds(running=100_000, others=10_000)


#: The id of the request that is served here; empty if it has none.
REQUEST_ID: Final = ContextVar("request_id", default="")


class RequestIds:
    """The requests that created tasks, for the lines of the log that name those; of the last ones.

    Args:
        limit: Tasks that are remembered, at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, str] = OrderedDict()

    def note(self, task_id: str) -> None:
        """Remembers that the request that is served here creates a task."""
        request_id = REQUEST_ID.get()
        if request_id:
            self._ids[task_id] = request_id
            if len(self._ids) > self._limit:
                self._ids.popitem(last=False)

    def add(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Adds the request to a line that names a task and no request."""
        request_id = self._ids.get(event.get("task_id", ""))
        if request_id is not None:
            event.setdefault("request_id", request_id)
        return event


#: Likewise.
REQUEST_IDS: Final = RequestIds(10_000)


class _Stamp:
    """Notes the time of a line, in UTC; the text of a second is made once."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        second, micros = divmod(time.time_ns() // 1_000, 1_000_000)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        event["timestamp"] = f"{self._text}.{micros:06d}Z"
        return event


class _Lossy:
    """Loses what cannot be written: a full disk may stop the log, but not what is logged about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes if it can."""
        try:  # noqa: SIM105  # ``suppress`` takes as long as all else
            self._stream.write(text)
        except OSError:
            pass
        return len(text)

    def flush(self) -> None:
        """Flushes if it can."""
        try:  # noqa: SIM105  # likewise
            self._stream.flush()
        except OSError:
            pass


def set_up_logs(log_format: str, log_level: str, stream: TextIO) -> None:
    """Sends everything that is logged in this process to ``stream``.

    Args:
        log_format: ``auto``, ``pretty`` or ``json``.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        stream: Where to; ``auto`` is pretty when it is a terminal.
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    pretty = log_format == "pretty" or (log_format == "auto" and stream.isatty())
    last: list[Processor] = [structlog.processors.JSONRenderer(serializer=_json)]
    if pretty:
        last = [_show_controls, _pretty(stream)]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        _Stamp(),
        TRACE_IDS.add,
        REQUEST_IDS.add,
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(
            file=_Lossy(stream)  # type: ignore[arg-type]  # all of it that is used
        ),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))
    logging.captureWarnings(capture=True)


def _pretty(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        # Pretty tracebacks show local variables: tokens and payloads among them.
        exception_formatter=structlog.dev.plain_traceback,
    )


def _show_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Writes what a terminal would obey as escapes; a traceback keeps its lines."""
    for key, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if key == "exception" else [value]
            event[key] = "\n".join(map(escape_controls, lines))
    return event


def _json(event: Any, **_options: Any) -> str:
    try:
        line = orjson.dumps(event, default=repr).decode()
    except TypeError:
        # Half of a surrogate pair, a large number, a key that is no text: none of them may break
        # what is logged about. This spells them all.
        line = json.dumps(event, default=repr, skipkeys=True)
    # Some readers end a line where JSON does not.
    return escape_controls(line)
