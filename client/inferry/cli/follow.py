"""Follows a task to its end: a progress bar on a terminal, a line an event elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from inferry.cli.output import percent, place, plain
from inferry.cli.session import Session, say_away
from inferry.cli.terminal import say
from inferry.cli.waiting import waiting_for
from inferry.client.sync.watching import events_of
from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import GetTaskRequest

Draw = Callable[[TaskEvent], None]

#: Cells of the longest status.
_STATUS = max(map(len, Task.Status.keys()[1:]))


def follow(session: Session, task_id: str, new: Task | None = None) -> Task:
    """Draws a task's way to its end on standard error, and gives the task as it is then.

    Args:
        session: The way to the gateway.
        task_id: The task.
        new: The same, if it was just created.
    """
    console = Console(stderr=True)
    drawing = _bar(console, task_id) if console.is_terminal else _lines()
    last = TaskEvent()
    with waiting_for(session, task_id, new), drawing as draw:
        for last in events_of(session.calls, task_id, 0, say_away):
            draw(last)
    if last.HasField("task"):
        return last.task
    return session.call(
        session.tasks.GetTask, GetTaskRequest(id=task_id, value_format=JSON_TEXT)
    ).task


@contextmanager
def _bar(console: Console, task_id: str) -> Iterator[Draw]:
    # What is said is cut where a line is full; how it stands never is.
    columns = (
        TextColumn("{task.fields[status]}", table_column=Column(no_wrap=True, min_width=_STATUS)),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        row = bar.add_task(task_id, total=100.0, status="PENDING")

        def draw(event: TaskEvent) -> None:
            status = Task.Status.Name(event.status)
            done = 100.0 if event.status == Task.COMPLETED else event.progress
            text = place(event, time.time()) or plain(event.message) or task_id
            bar.update(row, completed=done, description=text, status=status)

        yield draw


@contextmanager
def _lines() -> Iterator[Draw]:
    yield lambda event: say(line(event, time.time()), err=True)


def line(event: TaskEvent, now_s: float) -> str:
    """Gives an event as one line: its number, kind, status, progress, message and place.

    Args:
        event: The event.
        now_s: The time, in seconds since the epoch.
    """
    words = [
        str(event.seq),
        TaskEvent.Kind.Name(event.kind),
        Task.Status.Name(event.status),
        percent(event.progress),
        event.message,
        place(event, now_s),
    ]
    return plain(" ".join(word for word in words if word))
