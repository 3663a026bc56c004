"""How answers look: tables for people, tab-separated lines for pipes, JSON for programs.

Answers go to standard output; progress and errors go to standard error.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from inferry.cli.columns import Column, lines
from inferry.cli.terminal import say
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import ExplainTaskResponse
from inferry.wire.controls import escape_controls
from inferry.wire.encode import encoder
from inferry.wire.scalars import print_timestamp

#: Outside of strings JSON has three of them, inside none.
_LINE_END = re.compile(r"\r\n?|\n")

OUT = Console(highlight=False, soft_wrap=True)

#: A cell that says nothing.
NOTHING = "-"
_EMPTY = frozenset({"", NOTHING})
#: Cells before what stands below its row.
_INDENT = 2

#: Units of long waits, and their seconds; each is used from twice its own length on.
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def document(message: Message) -> dict[str, Any]:
    """Gives a message as the JSON object that the REST interface shows, in the order of its proto.

    A field that REST leaves out is left out here, too.
    """
    printed = encoder(message.DESCRIPTOR)(message)
    names = (field.json_name for field in message.DESCRIPTOR.fields)
    return {name: printed[name] for name in names if name in printed}


def print_json(value: Any) -> None:
    """Prints a JSON value."""
    _say_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_json_line(value: Any) -> None:
    """Prints a JSON value as one line, whatever lines the texts in it have."""
    _say_json(_LINE_END.sub(" ", orjson.dumps(value).decode()))


def print_result(task: Task) -> None:
    """Prints what a task ended with: its result, or on standard error why it has none."""
    if task.status == Task.COMPLETED:
        _say_json(task.result_json.decode())
        return
    text = f"{task.id} {Task.Status.Name(task.status)}"
    why = f": {task.error}" if task.error else ""
    code = f" ({task.code})" if task.code else ""
    say(plain(f"{text}{why}{code}"), err=True)


def _say_json(text: str) -> None:
    """Prints a JSON text: to a pipe as it is, to a terminal with nothing that it would obey."""
    if sys.stdout.isatty():
        # Outside of strings these are space.
        lines = _LINE_END.sub("\n", text).replace("\t", " ").split("\n")
        text = "\n".join(map(escape_controls, lines))
    say(text)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Prints the fields of a document, a line each; empty ones are left out."""
    print_rows(None, [(name, _text(value)) for name, value in fields.items() if _says(value)])


def print_rows(
    head: Sequence[str] | None,
    given: Sequence[Sequence[str | Text]],
    cut: Mapping[str, int] = MappingProxyType({}),
    *,
    last_below: bool = False,
) -> None:
    """Prints rows: a table on a terminal, lines with tabs between the columns elsewhere.

    On a terminal columns that say nothing are left out, and what may be cut becomes as narrow as
    the terminal needs. No other cell is broken or cut, whatever its width: ids are there to be
    copied.

    Args:
        head: Names of the columns, if they have names.
        given: The rows; they may hold anything that a backend says. What has a style is coloured
            on a terminal.
        cut: Columns that may be cut, by name, and the fewest cells that are left of them.
        last_below: On a terminal the last cell of a row stands below it, where it has room.
    """
    rows = [[_plain_cell(cell) for cell in row] for row in given]
    if not OUT.is_terminal:
        for row in [head, *rows] if head else rows:
            say("\t".join(map(str, row)))
        return
    names = head or [""] * max(map(len, rows), default=0)
    columns = [
        Column(name, [row[number] for row in rows], cut.get(name))
        for number, name in enumerate(names[:-1] if last_below else names)
    ]
    head_line, *drawn = lines(columns, OUT.width, _EMPTY)
    if head:
        OUT.print(head_line)
        if not rows:
            OUT.print(Text("none", "dim"))
    for line, row in zip(drawn, rows, strict=True):
        OUT.print(line)
        if last_below and str(row[-1]) not in _EMPTY:
            below = Padding(Text(str(row[-1]), "dim"), (0, 0, 0, _INDENT))
            OUT.print(below, soft_wrap=False)


def percent(progress: float) -> str:
    """Gives a progress of 0 to 100 as text."""
    return f"{progress:g}%"


def place(waiting: Task | TaskEvent | ExplainTaskResponse, now_s: float) -> str:
    """Tells a task's place in the queue, and when it will start if that is known.

    Args:
        waiting: What the gateway says of the task.
        now_s: The time, in seconds since the epoch.

    Returns:
        A few words; empty if the task does not wait for its turn.
    """
    if not waiting.HasField("queue_position"):
        return ""
    later = " or later" if waiting.queue_position_at_least else ""
    text = f"place {waiting.queue_position}{later} in the queue"
    if not waiting.HasField("estimated_start_at"):
        return text
    left_s = waiting.estimated_start_at.seconds - now_s
    if later:
        return f"{text}, starts no sooner than in {_span(max(1.0, left_s))}"
    return f"{text}, starts {f'in about {_span(left_s)}' if left_s >= 1 else 'any moment'}"


def time_of(message: Message, field: str) -> str:
    """Gives a time that a message has as text; a dash if it does not have it."""
    timestamp: Timestamp = getattr(message, field)
    return print_timestamp(timestamp) if message.HasField(field) else NOTHING


def moment_of(message: Message, field: str, now_s: float) -> str:
    """Gives a time that a message has as it is read best: on a terminal how far it is from now.

    Args:
        message: The message.
        field: The time.
        now_s: The time now, in seconds since the epoch.
    """
    if not OUT.is_terminal or not message.HasField(field):
        return time_of(message, field)
    timestamp: Timestamp = getattr(message, field)
    left_s = timestamp.ToNanoseconds() / 1e9 - now_s
    return f"in {short(left_s)}" if left_s > 0 else f"{short(-left_s)} ago"


def age_of(message: Message, field: str, now_s: float) -> str:
    """Gives how long ago a time was that a message has; a dash if it does not have it."""
    if not message.HasField(field):
        return NOTHING
    timestamp: Timestamp = getattr(message, field)
    return short(now_s - timestamp.ToNanoseconds() / 1e9)


def short(seconds: float) -> str:
    """Spells a span of time as options take one, such as ``45s``, ``12m`` and ``3d``."""
    for unit_s, name in _UNITS:
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s:.0f}{name[0]}"
    return f"{max(0.0, seconds) // 1:.0f}s"


def plain(text: str) -> str:
    """Takes out of a backend's text what a terminal would obey, and line ends and tabs."""
    return "".join(char if char.isprintable() else " " for char in text)


def _span(seconds: float) -> str:
    for unit_s, name in _UNITS:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{seconds:.0f} s"


def _plain_cell(cell: str | Text) -> Text:
    return Text(plain(cell)) if isinstance(cell, str) else cell


def _says(value: Any) -> bool:
    return value not in ("", [], {})


def _text(value: Any) -> str | Text:
    match value:
        case Text():
            return value
        case bool():
            return "yes" if value else "no"
        case list() | Mapping():
            return orjson.dumps(value).decode()
        case _:
            return str(value)
