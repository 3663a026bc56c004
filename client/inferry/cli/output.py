"""How answers look: tables for people, tab-separated lines for pipes, JSON for programs.

Answers go to standard output; progress and errors go to standard error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import Attempt, Task

_OUT = Console(highlight=False, soft_wrap=True)

#: Integers beyond this are not exact in JSON (RFC 7493).
_EXACT = 2**53

#: Left out of JSON when empty, as the REST interface does.
_LEFT_OUT_EMPTY = ("error", "code", "message", "lastError")


def document(message: Message) -> dict[str, Any]:
    """Gives a message as the JSON object that the REST interface shows."""
    given = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    for name in _LEFT_OUT_EMPTY:
        if given.get(name) == "":
            del given[name]
    if isinstance(message, Server):
        given["status"] = given["status"].lower()
    if "seq" in given:
        given["seq"] = int(given["seq"])
    names = (field.json_name for field in message.DESCRIPTOR.fields)
    return {name: _whole(given[name]) for name in names if name in given}


def print_json(value: Any, *, indent: bool = True) -> None:
    """Prints a JSON value."""
    options = orjson.OPT_INDENT_2 if indent else None
    typer.echo(orjson.dumps(value, option=options).decode())


def print_result(task: Task) -> None:
    """Prints what a task ended with: its result, or on standard error why it has none."""
    if task.status == Task.COMPLETED:
        print_json(_whole(json_format.MessageToDict(task.result)))
        return
    text = f"{task.id} {Task.Status.Name(task.status)}"
    why = f": {task.error}" if task.error else ""
    code = f" ({task.code})" if task.code else ""
    typer.echo(plain(f"{text}{why}{code}"), err=True)


def print_task(task: Task) -> None:
    """Prints all that is known of a task, a line a field."""
    fields = document(task)
    for name in ("payload", "result", "details", "labels", "lateResult"):
        if fields.get(name):
            fields[name] = orjson.dumps(fields[name]).decode()
    rows = [(name, _text(value)) for name, value in fields.items() if value not in ("", [], {})]
    _print_rows(None, rows)


def print_tasks(tasks: Sequence[Task]) -> None:
    """Prints a line a task."""
    _print_rows(
        ("ID", "TYPE", "STATUS", "PROGRESS", "SERVER", "CREATED"),
        [
            (
                task.id,
                task.type,
                Task.Status.Name(task.status),
                percent(task.progress),
                task.server_id or "-",
                _time(task.created_at),
            )
            for task in tasks
        ],
    )


def print_attempts(attempts: Sequence[Attempt]) -> None:
    """Prints a line an attempt."""
    _print_rows(
        ("NUMBER", "SERVER", "OUTCOME", "STARTED", "ENDED", "ERROR"),
        [
            (
                str(attempt.number),
                attempt.server_id,
                Attempt.Outcome.Name(attempt.outcome),
                _time(attempt.started_at),
                _time(attempt.ended_at) if attempt.HasField("ended_at") else "-",
                attempt.error or "-",
            )
            for attempt in attempts
        ],
    )


def print_servers(servers: Sequence[Server]) -> None:
    """Prints a line a server."""
    _print_rows(
        ("ID", "NAME", "STATUS", "ACTIVE", "URL", "CAPABILITIES", "LAST ERROR"),
        [
            (
                server.id,
                server.name,
                Server.Status.Name(server.status).lower(),
                f"{server.active}/{server.max_concurrent}",
                server.url,
                ", ".join(server.capabilities) or "any",
                server.last_error or "-",
            )
            for server in servers
        ],
    )


def percent(progress: float) -> str:
    """Gives a progress of 0 to 100 as text."""
    return f"{progress:g}%"


def _whole(value: Any) -> Any:
    """Gives JSON with its whole numbers as people write them: 1 and not 1.0."""
    match value:
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case _:
            return value


def plain(text: str) -> str:
    """Takes out of a backend's text what a terminal would obey, and line ends and tabs."""
    return "".join(char if char.isprintable() else " " for char in text)


def _print_rows(head: Sequence[str] | None, given: Sequence[Sequence[str]]) -> None:
    rows = [[plain(cell) for cell in row] for row in given]
    if not _OUT.is_terminal:
        for row in [head, *rows] if head else rows:
            typer.echo("\t".join(row))
        return
    table = Table(*(head or ("", "")), show_header=head is not None, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _OUT.print(table)


def _time(timestamp: Timestamp) -> str:
    return timestamp.ToJsonString()


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | Mapping():
            return orjson.dumps(value).decode()
        case _:
            return str(value)
