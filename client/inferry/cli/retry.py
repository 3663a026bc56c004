"""The command that starts tasks again: one, or all that ended badly."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from inferry.cli import arguments, output
from inferry.cli.bulk import in_pages, narrowed, said
from inferry.cli.exit_codes import ExitCode
from inferry.cli.moments import ago
from inferry.cli.session import Session, connected
from inferry.cli.tasks import (
    AsJson,
    CreatedWithin,
    Fingerprint,
    FinishedWithin,
    Labelled,
    Tenant,
    show,
)
from inferry.cli.terminal import say
from inferry.client.errors import InferryError
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    RetryTaskRequest,
    RetryTasksRequest,
    RetryTasksResponse,
)

_WITH_ALL: Any = {"rich_help_panel": "With --all"}


class BadEnd(StrEnum):
    """The ends from which a task can be started again."""

    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


def retry(  # noqa: PLR0913 - an option each
    context: typer.Context,
    task_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The task.", show_default=False)
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All tasks that ended badly.")] = False,
    status: Annotated[
        BadEnd | None,
        typer.Option(case_sensitive=False, help="How they ended. Default: FAILED.", **_WITH_ALL),
    ] = None,
    task_type: Annotated[
        str, typer.Option("--type", help="Only tasks of this type.", **_WITH_ALL)
    ] = "",
    server: Annotated[str, typer.Option(help="Only tasks of this server.", **_WITH_ALL)] = "",
    label: Labelled = None,
    code: Annotated[
        str, typer.Option(help="Only tasks with this code, such as INTERNAL_ERROR.", **_WITH_ALL)
    ] = "",
    tenant: Tenant = "",
    fingerprint: Fingerprint = "",
    created_since: CreatedWithin = None,
    finished_since: FinishedWithin = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Tasks at most, the newest.", **_WITH_ALL)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", **_WITH_ALL)] = False,
    as_json: AsJson = False,
) -> None:
    """Start a task again that failed, timed out or was cancelled; with --all, many."""
    given = (status, task_type, server, label, code, tenant, fingerprint, limit)
    narrowed = any((*given, created_since, finished_since))
    if every == (task_id is not None) or (narrowed and not every):
        raise typer.BadParameter("give the ID of a task, or --all and what to pick from")
    if task_id is not None:
        with connected(context) as session:
            task = session.call(
                session.tasks.RetryTask, RetryTaskRequest(id=task_id, value_format=JSON_TEXT)
            ).task
        show(task, as_json=as_json)
        return
    request = RetryTasksRequest(
        status=Task.Status.Value((status or BadEnd.FAILED).value),
        type=task_type,
        server_id=server,
        code=code,
        labels=arguments.labels(label or ()),
        tenant=tenant,
        fingerprint=fingerprint,
        created_since=ago(created_since),
        finished_since=ago(finished_since),
    )
    if not yes and sys.stdin.isatty():
        typer.confirm(_question(request, limit), abort=True, err=True)
    with connected(context) as session:
        _retry_all(session, request, limit, as_json=as_json)


def _retry_all(
    session: Session, request: RetryTasksRequest, limit: int | None, *, as_json: bool
) -> None:
    done, full = 0, False

    def call(page: RetryTasksRequest) -> RetryTasksResponse:
        return session.call(session.tasks.RetryTasks, page)

    try:
        for answer in in_pages(call, request, limit, lambda answer: answer.retried):
            done += answer.retried
            full = answer.queue_full
            if full:
                break
    except InferryError:
        say(said(done, "started again"), err=True)
        raise
    if as_json:
        output.print_json({"retried": done, "queueFull": full})
    else:
        say(said(done, "started again"))
    if full:
        say("stopped: the queue is full. Say the same later to go on with the rest", err=True)
        raise typer.Exit(ExitCode.REFUSED)


def _question(request: RetryTasksRequest, limit: int | None) -> str:
    which = f"the newest {limit:,}" if limit else "all"
    return f"Start {which} {Task.Status.Name(request.status)} tasks{narrowed(request)} again?"
