"""The tables: a line a task, an attempt, a server."""

from collections.abc import Sequence

import orjson

from inferry.cli.output import NOTHING, document, percent, print_fields, print_rows, time_of
from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import Attempt, Task

#: Fields of a task that are JSON.
_JSON_FIELDS = ("payload", "result", "details", "labels", "lateResult")


def print_task(task: Task) -> None:
    """Prints all that is known of a task, a line a field."""
    fields = document(task)
    for name in _JSON_FIELDS:
        if fields.get(name):
            fields[name] = orjson.dumps(fields[name]).decode()
    print_fields(fields)


def print_tasks(tasks: Sequence[Task]) -> None:
    """Prints a line a task."""
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


def print_attempts(attempts: Sequence[Attempt]) -> None:
    """Prints a line an attempt."""
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
    """Prints a line a server."""
    print_rows(
        ("ID", "NAME", "STATUS", "ACTIVE", "BREAKER", "REACHED AT", "CAPABILITIES", "LAST ERROR"),
        [
            (
                server.id,
                server.name,
                _status(server),
                f"{server.active}/{server.max_concurrent}",
                _breaker(server),
                _way(server),
                ", ".join(server.capabilities) or "any",
                server.last_error or NOTHING,
            )
            for server in servers
        ],
    )


def _status(server: Server) -> str:
    """Tells whether a server gets tasks; of one that rests, until when."""
    word = Server.Status.Name(server.status).lower()
    return word + _until(server) if server.status == Server.RESTING else word


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
