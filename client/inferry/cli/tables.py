"""The tables: a line a task, an attempt, a server. On a terminal for people, else for programs."""

import time
from collections.abc import Mapping, Sequence

import orjson
from rich.text import Text

from inferry.cli import output, styles
from inferry.cli.output import (
    NOTHING,
    age_of,
    document,
    moment_of,
    percent,
    print_fields,
    print_rows,
    short,
    time_of,
)
from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import Attempt, Task

#: Fields of a task that are JSON.
_JSON_FIELDS = ("payload", "result", "details", "labels", "lateResult")
#: The end of a server's id that tells it from others, where no name is known.
_TELLING_CHARS = 6
_SECOND_MS = 1_000


def print_task(task: Task) -> None:
    """Prints all that is known of a task, a line a field."""
    fields = document(task)
    for name in _JSON_FIELDS:
        if fields.get(name):
            fields[name] = orjson.dumps(fields[name]).decode()
    print_fields({**fields, "status": styles.task_status(task.status)})


def print_tasks(tasks: Sequence[Task], names: Mapping[str, str]) -> None:
    """Prints a line a task.

    Args:
        tasks: The tasks.
        names: Those of their servers, by id, as far as they are known.
    """
    now_s = time.time()
    if output.OUT.is_terminal:
        head = ("ID", "TYPE", "STATUS", "PROGRESS", "SERVER", "AGE")
        rows = [_task_row(task, names, now_s) for task in tasks]
        print_rows(head, rows, {"TYPE": 6, "SERVER": 7})
        return
    print_rows(
        ("ID", "TYPE", "STATUS", "PROGRESS", "SERVER", "CREATED", "PLACE", "STARTS"),
        [
            (
                task.id,
                task.type,
                Task.Status.Name(task.status),
                percent(task.progress),
                task.server_id or NOTHING,
                time_of(task, "created_at"),
                _place(task),
                time_of(task, "estimated_start_at"),
            )
            for task in tasks
        ],
    )


def print_attempts(attempts: Sequence[Attempt], names: Mapping[str, str]) -> None:
    """Prints a line an attempt.

    Args:
        attempts: The attempts.
        names: Those of their servers, by id, as far as they are known.
    """
    now_s = time.time()
    if output.OUT.is_terminal:
        head = ("NUMBER", "SERVER", "OUTCOME", "STARTED", "TOOK", "ERROR")
        rows = [
            (
                str(attempt.number),
                _server_name(attempt.server_id, names),
                styles.outcome(attempt.outcome),
                moment_of(attempt, "started_at", now_s),
                _took(attempt),
                attempt.error or NOTHING,
            )
            for attempt in attempts
        ]
        print_rows(head, rows, {"SERVER": 7, "ERROR": 24})
        return
    print_rows(
        ("NUMBER", "SERVER", "OUTCOME", "STARTED", "ENDED", "ERROR"),
        [
            (
                str(attempt.number),
                attempt.server_id,
                Attempt.Outcome.Name(attempt.outcome),
                time_of(attempt, "started_at"),
                time_of(attempt, "ended_at"),
                attempt.error or NOTHING,
            )
            for attempt in attempts
        ],
    )


def print_servers(servers: Sequence[Server]) -> None:
    """Prints a line a server; on a terminal where it is and what went wrong stand below."""
    now_s = time.time()
    if output.OUT.is_terminal:
        head = ("ID", "NAME", "STATUS", "ACTIVE", "CAPABILITIES", "")
        rows = [_server_row(server, now_s) for server in servers]
        print_rows(head, rows, {"NAME": 8, "CAPABILITIES": 8}, last_below=True)
        return
    print_rows(
        ("ID", "NAME", "STATUS", "ACTIVE", "BREAKER", "REACHED AT", "CAPABILITIES", "LAST ERROR"),
        [
            (
                server.id,
                server.name,
                _status(server),
                _active(server),
                _breaker(server),
                _way(server),
                _capabilities(server),
                server.last_error or NOTHING,
            )
            for server in servers
        ],
    )


def _server_row(server: Server, now_s: float) -> tuple[str | Text, ...]:
    if server.breaker == Server.OPEN and server.status != Server.RESTING:
        status = Text(f"breaker open{_still(server, now_s)}", "red")
    else:
        rests = _still(server, now_s) if server.status == Server.RESTING else ""
        status = styles.server_status(server.status, rests)
    return (
        server.id,
        server.name,
        status,
        _active(server),
        _capabilities(server),
        f"{_way(server)}  {server.last_error}".rstrip(),
    )


def _still(server: Server, now_s: float) -> str:
    """Tells for how long a server is left alone."""
    if not server.HasField("retry_at"):
        return ""
    return f" {short(server.retry_at.seconds - now_s)}"


def _task_row(task: Task, names: Mapping[str, str], now_s: float) -> tuple[str | Text, ...]:
    return (
        task.id,
        task.type,
        styles.task_status(task.status),
        _how_far(task, now_s),
        _server_name(task.server_id, names),
        age_of(task, "created_at", now_s),
    )


def _how_far(task: Task, now_s: float) -> str:
    """Tells of a task that runs its progress, of one that waits its place and when it starts."""
    if task.HasField("queue_position"):
        left_s = task.estimated_start_at.seconds - now_s
        starts = f" in {short(left_s)}" if task.HasField("estimated_start_at") else ""
        return f"#{_place(task)}{starts}"
    # What has ended well is done, and of the others it says little.
    return percent(task.progress) if task.status == Task.PROCESSING else NOTHING


def _server_name(server_id: str, names: Mapping[str, str]) -> str:
    return names.get(server_id) or (f"…{server_id[-_TELLING_CHARS:]}" if server_id else NOTHING)


def _took(attempt: Attempt) -> str:
    if not attempt.HasField("ended_at"):
        return NOTHING
    span_ms = attempt.ended_at.ToMilliseconds() - attempt.started_at.ToMilliseconds()
    return short(span_ms / _SECOND_MS) if span_ms >= _SECOND_MS else f"{span_ms}ms"


def _status(server: Server) -> str:
    """Tells whether a server gets tasks; of one that rests, until when."""
    word = Server.Status.Name(server.status).lower()
    return word + _until(server) if server.status == Server.RESTING else word


def _active(server: Server) -> str:
    return f"{server.active}/{server.max_concurrent}"


def _capabilities(server: Server) -> str:
    return ", ".join(server.capabilities) or "any"


def _way(server: Server) -> str:
    """Tells how tasks reach a server: its URL or, of a worker, how it stands with its stream."""
    if server.transport != Server.GRPC:
        return server.url
    return f"its stream: {Server.Connection.Name(server.connection).lower()}"


def _breaker(server: Server) -> str:
    """Tells whether calls to a server are held back, and until when."""
    match server.breaker:
        case Server.OPEN:
            return f"open{_until(server)}"
        case Server.HALF_OPEN:
            return "half open"
        case _:
            return "closed"


def _until(server: Server) -> str:
    return f" until {time_of(server, 'retry_at')}" if server.HasField("retry_at") else ""


def _place(task: Task) -> str:
    if not task.HasField("queue_position"):
        return NOTHING
    return f"{task.queue_position}{'+' if task.queue_position_at_least else ''}"
