"""The command that watches: one task to its end, or all as they come and go."""

from typing import Annotated, Any

import typer

from inferry.cli import arguments, exit_codes, output
from inferry.cli.follow import follow
from inferry.cli.live import lines
from inferry.cli.live.picture import draw
from inferry.cli.session import connected, say_away
from inferry.cli.tasks import AsJson, TaskStatus, end
from inferry.client.sync.watching import changes, events_of
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import GetTaskRequest, WatchTasksRequest

_WITH_ALL: Any = {"rich_help_panel": "With --all"}


def watch(
    context: typer.Context,
    task_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The task.", show_default=False)
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All tasks, until Ctrl-C.")] = False,
    task_type: Annotated[
        str, typer.Option("--type", help="Only tasks of this type.", **_WITH_ALL)
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Only tasks with this label; repeatable.", **_WITH_ALL
        ),
    ] = None,
    status: Annotated[
        TaskStatus | None,
        typer.Option(case_sensitive=False, help="Only what has this status.", **_WITH_ALL),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a task to its end and print its result; with --all, a live table of all tasks.

    With --json, or --all in a pipe: a line a change.
    """
    narrowed = bool(task_type or label or status)
    if every == (task_id is not None) or (narrowed and not every):
        raise typer.BadParameter("give the ID of a task, or --all and what to pick from")
    if task_id is not None:
        _watch_one(context, task_id, as_json=as_json)
        return
    request = WatchTasksRequest(
        type=task_type,
        labels=arguments.labels(label or ()),
        value_format=JSON_TEXT,
        without_results=not as_json,
    )
    only = Task.Status.Value(status.value) if status else None
    with connected(context) as session:
        told = changes(session.calls, request, say_away)
        if as_json:
            lines.print_json_lines(told, only)
        elif output.OUT.is_terminal:
            draw(told, task_type, only)
        else:
            lines.print_lines(told, only)


def _watch_one(context: typer.Context, task_id: str, *, as_json: bool) -> None:
    with connected(context) as session:
        if not as_json:
            task = follow(session, task_id)
        else:
            for event in events_of(session.calls, task_id, 0, say_away):
                output.print_json_line(output.document(event))
            task = session.call(
                session.tasks.GetTask, GetTaskRequest(id=task_id, value_format=JSON_TEXT)
            ).task
    if as_json:
        raise typer.Exit(exit_codes.of_task(task))
    end(task, as_json=False)
