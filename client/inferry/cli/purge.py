"""The command that drops tasks that have ended, before the gateway would."""

import sys
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer

from inferry.cli import arguments, output
from inferry.cli.moments import ago
from inferry.cli.output import time_of
from inferry.cli.session import Session, connected
from inferry.cli.tasks import AsJson, Fingerprint, Labelled, Tenant
from inferry.cli.terminal import say
from inferry.client.errors import InferryError
from inferry.client.paging import Pages
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import PurgeTasksRequest

#: Tasks a call, at most.
_PAGE = 1_000


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
        say(_would(counted.matched) if dry_run else _said(counted.purged))


def _all_pages(session: Session, request: PurgeTasksRequest, limit: int | None) -> _Found:
    purged = matched = 0
    pages, more = Pages(), True
    request.page_token = ""
    try:
        while more and (limit is None or matched < limit):
            request.limit = _PAGE if limit is None else min(_PAGE, limit - matched)
            answer = session.call(session.tasks.PurgeTasks, request)
            purged, matched = purged + answer.purged, matched + answer.matched
            more = pages.turn(request, answer.next_page_token)
    except InferryError:
        if not request.dry_run:
            say(_said(purged), err=True)
        raise
    return _Found(purged, matched)


def _said(done: int) -> str:
    return f"{done:,} {'task was' if done == 1 else 'tasks were'} dropped"


def _would(count: int) -> str:
    return f"{count:,} {'task' if count == 1 else 'tasks'} would be dropped"


def _question(request: PurgeTasksRequest, count: int) -> str:
    words = [
        f"{count:,}",
        Task.Status.Name(request.status) if request.status else "final",
        "task" if count == 1 else "tasks",
        f"of type {request.type}" if request.type else "",
        f"of server {request.server_id}" if request.server_id else "",
        f"with code {request.code}" if request.code else "",
        f"of tenant {request.tenant}" if request.tenant else "",
        f"of the failures {request.fingerprint}" if request.fingerprint else "",
        f"that ended before {time_of(request, 'finished_before')}"
        if request.HasField("finished_before")
        else "",
        *(f"with {key}={value}" for key, value in sorted(request.labels.items())),
    ]
    return f"Drop {' '.join(word for word in words if word)} for good?"
