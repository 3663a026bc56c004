"""The commands on tasks."""

from contextlib import nullcontext
from enum import StrEnum
from typing import Annotated

import typer

from inferry.cli import arguments, exit_codes, output, tables
from inferry.cli.moments import ago
from inferry.cli.names import server_names
from inferry.cli.session import CALL_TIMEOUT_S, Session, connected
from inferry.cli.terminal import say
from inferry.cli.waiting import waiting_for
from inferry.client.paging import Pages
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    GetTaskRequest,
    ListAttemptsRequest,
    ListTasksRequest,
    ListTasksResponse,
)

#: Tasks a page, at most.
_PAGE = 500

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task.", show_default=False)]
Labelled = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Only tasks with this label; repeatable."),
]
Tenant = Annotated[str, typer.Option(help="Only tasks of this tenant; for admins.")]
Fingerprint = Annotated[
    str, typer.Option(help="Only tasks that failed as those of a group of `inferry failures`.")
]
CreatedWithin = Annotated[
    int | None,
    typer.Option(
        parser=arguments.duration_ms, metavar="DURATION", help="Only tasks created no longer ago."
    ),
]
FinishedWithin = Annotated[
    int | None,
    typer.Option(
        parser=arguments.duration_ms,
        metavar="DURATION",
        help="Only tasks that ended no longer ago.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


def get(
    context: typer.Context,
    task_id: TaskId,
    *,
    wait: Annotated[float, typer.Option(min=0, max=60, help="Seconds to wait for its end.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show a task."""
    with connected(context) as session:
        request = GetTaskRequest(id=task_id, wait_seconds=wait, value_format=JSON_TEXT)
        with waiting_for(session, task_id) if wait else nullcontext():
            task = session.call(session.tasks.GetTask, request, CALL_TIMEOUT_S + wait).task
    show(task, as_json=as_json)


def list_tasks(  # noqa: PLR0913 - an option each
    context: typer.Context,
    *,
    status: Annotated[
        TaskStatus | None, typer.Option(case_sensitive=False, help="Only tasks of this status.")
    ] = None,
    task_type: Annotated[str, typer.Option("--type", help="Only tasks of this type.")] = "",
    server: Annotated[str, typer.Option(help="Only tasks of this server.")] = "",
    label: Labelled = None,
    code: Annotated[str, typer.Option(help="Only tasks that ended with this code.")] = "",
    tenant: Tenant = "",
    fingerprint: Fingerprint = "",
    created_since: CreatedWithin = None,
    finished_since: FinishedWithin = None,
    limit: Annotated[int, typer.Option(min=1, help="Tasks at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List your tasks, newest first."""
    request = ListTasksRequest(
        status=Task.Status.Value(status.value) if status else Task.STATUS_UNSPECIFIED,
        type=task_type,
        server_id=server,
        code=code,
        tenant=tenant,
        fingerprint=fingerprint,
        created_since=ago(created_since),
        finished_since=ago(finished_since),
        labels=arguments.labels(label or ()),
    )
    with connected(context) as session:
        found = _pages(session, request, limit)
        ids = () if as_json else (task.server_id for task in found.tasks)
        names = server_names(session, ids)
    if as_json:
        output.print_json(output.document(found))
    else:
        tables.print_tasks(found.tasks, names)
        if found.next_page_token:
            say(f"these are the newest {len(found.tasks):,}; --limit shows more", err=True)


def attempts(context: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """List a task's attempts, oldest first."""
    with connected(context) as session:
        request = ListAttemptsRequest(id=task_id)
        found = session.call(session.tasks.ListAttempts, request)
        ids = () if as_json else (attempt.server_id for attempt in found.attempts)
        names = server_names(session, ids)
    if as_json:
        output.print_json(output.document(found))
    else:
        tables.print_attempts(found.attempts, names)


def _pages(session: Session, request: ListTasksRequest, limit: int) -> ListTasksResponse:
    found = ListTasksResponse()
    pages, more = Pages(), True
    while more and len(found.tasks) < limit:
        request.page_size = min(_PAGE, limit - len(found.tasks))
        page = session.call(session.tasks.ListTasks, request)
        more = pages.turn(request, page.next_page_token)
        found.tasks.extend(page.tasks)
        found.next_page_token = page.next_page_token
    return found


def show(task: Task, *, as_json: bool) -> None:
    """Prints a task as it is now."""
    if as_json:
        output.print_json(output.document(task))
    else:
        tables.print_task(task)


def end(task: Task, *, as_json: bool) -> None:
    """Prints what a task ended with, and ends the command with the exit status for it."""
    if as_json:
        output.print_json(output.document(task))
    else:
        output.print_result(task)
    raise typer.Exit(exit_codes.of_task(task))
