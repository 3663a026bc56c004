"""The commands on the queue: what waits, and which types are held back."""

import time
from typing import Annotated

import typer

from inferry.cli import output
from inferry.cli.output import NOTHING, moment_of
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson
from inferry.cli.terminal import say
from inferry.v1.queue_pb2 import TypeQueue
from inferry.v1.queue_service_pb2 import GetQueueRequest, PauseTypeRequest, ResumeTypeRequest

TaskType = Annotated[
    str, typer.Argument(metavar="TYPE", help="The type of task.", show_default=False)
]


def queue(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show how many tasks wait, by type, and which types are paused."""
    with connected(context) as session:
        found = session.call(session.queue.GetQueue, GetQueueRequest())
    if as_json:
        output.print_json(output.document(found))
        return
    output.print_fields(
        {
            "waiting": f"{found.waiting} of {found.limit}",
            "left in the last minute": found.left_last_minute,
        }
    )
    if found.types:
        say()
        _print_types(*found.types)


def pause(
    context: typer.Context,
    task_type: TaskType,
    *,
    reason: Annotated[str, typer.Option(help="Why, for a person.")] = "",
    as_json: AsJson = False,
) -> None:
    """Start no more tasks of a type; those that run go on."""
    with connected(context) as session:
        request = PauseTypeRequest(type=task_type, reason=reason)
        found = session.call(session.queue.PauseType, request).queue
    _show(found, as_json=as_json)


def unpause(context: typer.Context, task_type: TaskType, *, as_json: AsJson = False) -> None:
    """Resume a paused type: its tasks start again."""
    with connected(context) as session:
        found = session.call(session.queue.ResumeType, ResumeTypeRequest(type=task_type)).queue
    _show(found, as_json=as_json)


def _show(found: TypeQueue, *, as_json: bool) -> None:
    if as_json:
        output.print_json(output.document(found))
    else:
        _print_types(found)


def _print_types(*types: TypeQueue) -> None:
    now_s = time.time()
    output.print_rows(
        ("TYPE", "WAITING", "DELAYED", "PAUSED SINCE", "WHY"),
        [
            (
                one.type,
                str(one.waiting),
                str(one.delayed),
                moment_of(one, "paused_at", now_s) if one.paused else NOTHING,
                one.pause_reason or NOTHING,
            )
            for one in types
        ],
        {"TYPE": 16, "WHY": 12},
    )
