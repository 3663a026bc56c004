"""The command that drops tasks that have ended, before the gateway would."""

import sys
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer

from inferry.cli import arguments, output
from inferry.cli.bulk import in_pages, narrowed, said
from inferry.cli.moments import ago
from inferry.cli.session import Session, connected
from inferry.cli.tasks import AsJson, Fingerprint, Labelled, Tenant
from inferry.cli.terminal import say
from inferry.client.errors import InferryError
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import PurgeTasksRequest, PurgeTasksResponse


class End(StrEnum):
    """How a task ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


class _Found(NamedTuple):
    """What became of all calls."""

    purged: int
    matched: int


def purge(  # noqa: PLR0913 - an option each
    context: typer.Context,
    *,
    older_than: Annotated[
        int | None,
        typer.Option(
            parser=arguments.duration_ms,
            metavar="DURATION",
            help="Only tasks that ended longer ago.",
        ),
    ] = None,
    status: Annotated[
        End | None,
        typer.Option(case_sensitive=False, help="How they ended. Default: in any way."),
    ] = None,
    task_type: Annotated[str, typer.Option("--type", help="Only tasks of this type.")] = "",
    server: Annotated[str, typer.Option(help="Only tasks of this server.")] = "",
    label: Labelled = None,
    code: Annotated[
        str, typer.Option(help="Only tasks with this code, such as INTERNAL_ERROR.")
    ] = "",
    tenant: Tenant = "",
    fingerprint: Fingerprint = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Tasks at most, the newest.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drop tasks that have ended, with their results, for good. Counts them first, and asks.

    The gateway itself drops what has been kept for its time of retention.
    """
    if not any((older_than, status, task_type, server, label, code, tenant, fingerprint)):
        raise typer.BadParameter("say which: --older-than, --status, --type, --label, …")
    request = PurgeTasksRequest(
        finished_before=ago(older_than),
        status=Task.Status.Value(status.value) if status else Task.STATUS_UNSPECIFIED,
        type=task_type,
        server_id=server,
        labels=arguments.labels(label or ()),
        code=code,
        tenant=tenant,
        fingerprint=fingerprint,
    )
    asks = not yes and sys.stdin.isatty()
    with connected(context) as session:
        if dry_run or asks:
            request.dry_run = True
            counted = _all_pages(session, request, limit)
        if not dry_run:
            if asks and counted.matched:
                typer.confirm(_question(request, counted.matched), abort=True, err=True)
            request.dry_run = False
            counted = _all_pages(session, request, limit)
    if as_json:
        output.print_json(counted._asdict())
    else:
        say(_would(counted.matched) if dry_run else said(counted.purged, "dropped"))


def _all_pages(session: Session, request: PurgeTasksRequest, limit: int | None) -> _Found:
    purged = matched = 0

    def call(page: PurgeTasksRequest) -> PurgeTasksResponse:
        return session.call(session.tasks.PurgeTasks, page)

    try:
        for answer in in_pages(call, request, limit, lambda answer: answer.matched):
            purged, matched = purged + answer.purged, matched + answer.matched
    except InferryError:
        if not request.dry_run:
            say(said(purged, "dropped"), err=True)
        raise
    return _Found(purged, matched)


def _would(count: int) -> str:
    return f"{count:,} {'task' if count == 1 else 'tasks'} would be dropped"


def _question(request: PurgeTasksRequest, count: int) -> str:
    how = Task.Status.Name(request.status) if request.status else "final"
    return f"Drop {count:,} {how} {'task' if count == 1 else 'tasks'}{narrowed(request)} for good?"
