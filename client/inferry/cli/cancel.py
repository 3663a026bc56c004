"""The command that cancels tasks: one, or all that fit."""

import sys
from typing import Annotated, Any

import typer

from inferry.cli import arguments, output
from inferry.cli.bulk import in_pages, narrowed, said
from inferry.cli.moments import ago
from inferry.cli.session import Session, connected
from inferry.cli.tasks import AsJson, CreatedWithin, Labelled, TaskStatus, Tenant, show
from inferry.cli.terminal import say
from inferry.client.errors import InferryError
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    CancelTaskRequest,
    CancelTasksRequest,
    CancelTasksResponse,
)

_MANY: Any = {"rich_help_panel": "Without an ID: many"}


def cancel(  # noqa: PLR0913 - an option each
    context: typer.Context,
    task_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The task.", show_default=False)
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for a person.")] = "",
    status: Annotated[
        TaskStatus | None,
        typer.Option(case_sensitive=False, help="Only PENDING or PROCESSING ones.", **_MANY),
    ] = None,
    task_type: Annotated[
        str, typer.Option("--type", help="Only tasks of this type.", **_MANY)
    ] = "",
    server: Annotated[str, typer.Option(help="Only tasks of this server.", **_MANY)] = "",
    label: Labelled = None,
    tenant: Tenant = "",
    created_since: CreatedWithin = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Tasks at most, the newest.", **_MANY)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", **_MANY)] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a task that has not ended, or all that fit."""
    fits = any((status, task_type, server, label, tenant, created_since))
    if fits == (task_id is not None):
        raise typer.BadParameter("give the ID of a task, or what to pick from: --type, --label, …")
    if task_id is not None:
        with connected(context) as session:
            one = CancelTaskRequest(id=task_id, reason=reason, value_format=JSON_TEXT)
            task = session.call(session.tasks.CancelTask, one).task
        show(task, as_json=as_json)
        return
    request = CancelTasksRequest(
        status=Task.Status.Value(status.value) if status else Task.STATUS_UNSPECIFIED,
        type=task_type,
        server_id=server,
        labels=arguments.labels(label or ()),
        tenant=tenant,
        created_since=ago(created_since),
        reason=reason,
    )
    if not yes and sys.stdin.isatty():
        typer.confirm(_question(request, limit), abort=True, err=True)
    with connected(context) as session:
        _cancel_all(session, request, limit, as_json=as_json)


def _cancel_all(
    session: Session, request: CancelTasksRequest, limit: int | None, *, as_json: bool
) -> None:
    done = 0

    def call(page: CancelTasksRequest) -> CancelTasksResponse:
        return session.call(session.tasks.CancelTasks, page)

    try:
        for answer in in_pages(call, request, limit, lambda answer: answer.cancelled):
            done += answer.cancelled
    except InferryError:
        say(said(done, "cancelled"), err=True)
        raise
    if as_json:
        output.print_json({"cancelled": done})
    else:
        say(said(done, "cancelled"))


def _question(request: CancelTasksRequest, limit: int | None) -> str:
    which = f"the newest {limit:,}" if limit else "all"
    status = Task.Status.Name(request.status) if request.status else "open"
    return f"Cancel {which} {status} tasks{narrowed(request)}?"
