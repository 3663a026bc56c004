"""The command that creates tasks."""

from typing import Annotated, Any

import typer

from inferry.cli import arguments, output
from inferry.cli.batch.command import submit_lines
from inferry.cli.follow import follow
from inferry.cli.session import connected
from inferry.cli.synchronous import create_and_wait
from inferry.cli.tasks import AsJson, end
from inferry.cli.terminal import say
from inferry.cli.waiting import say_held_up
from inferry.v1.task_pb2 import JSON_TEXT
from inferry.v1.task_service_pb2 import CreateTaskRequest


def _clock(text: str, *, may_be_0: bool = False) -> Any:
    """Makes an option that takes a duration."""
    parser = arguments.span_or_0_ms if may_be_0 else arguments.span_ms
    return typer.Option(parser=parser, metavar="DURATION", help=text, rich_help_panel="Clocks")


Timeout = Annotated[int | None, _clock("How long an attempt may run.")]
QueueTimeout = Annotated[int | None, _clock("How long it may wait for a server.")]
SilenceTimeout = Annotated[
    int | None, _clock("How long its server may say nothing of it; 0 is for ever.", may_be_0=True)
]
TotalTimeout = Annotated[int | None, _clock("From creation, or the end of its delay, to its end.")]
Delay = Annotated[int | None, _clock("Not started before so long from now.")]
Labels = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="A word of your own; repeatable.")
]
Capabilities = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="What the server must be capable of; repeatable."),
]
TaskType = Annotated[
    str, typer.Argument(metavar="TYPE", help="What kind of work.", show_default=False)
]
Payload = Annotated[
    str | None,
    typer.Argument(
        metavar="JSON", help="The work: a JSON object, @FILE, or - for stdin.", show_default="{}"
    ),
]
FromFile = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Many tasks, a line of JSON each (- for stdin): a payload or, without TYPE, a "
        "whole request.",
    ),
]
Sync = Annotated[
    bool, typer.Option("--sync", help="Wait for the result in the call that creates it.")
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Show its progress and wait for its end.")
]
Priority = Annotated[int, typer.Option(min=0, max=9, help="0 goes last, 9 goes first.")]
Idempotent = Annotated[
    bool, typer.Option("--idempotent", help="A second run does no harm: repeat when in doubt.")
]
MaxAttempts = Annotated[int | None, typer.Option(min=1, max=100, help="Attempts at most.")]
RequestId = Annotated[
    str, typer.Option(metavar="NAME", help="Your name for this creation: again creates no second.")
]


def submit(  # noqa: PLR0913 - an option each
    context: typer.Context,
    task_type: TaskType = "",
    payload: Payload = None,
    *,
    from_file: FromFile = None,
    sync: Sync = False,
    to_follow: Follow = False,
    timeout: Timeout = None,
    queue_timeout: QueueTimeout = None,
    silence_timeout: SilenceTimeout = None,
    total_timeout: TotalTimeout = None,
    delay: Delay = None,
    priority: Priority = 0,
    label: Labels = None,
    capability: Capabilities = None,
    idempotent: Idempotent = False,
    max_attempts: MaxAttempts = None,
    request_id: RequestId = "",
    as_json: AsJson = False,
) -> None:
    """Create a task. Prints its id, or its result with --sync or --follow.

    With --from, creates a task for each line of a file.
    """
    if sync and to_follow:
        raise typer.BadParameter("--sync waits by itself: leave --follow away")
    if from_file is None and not task_type:
        raise typer.BadParameter("give the TYPE of the task, or --from FILE")
    if from_file is not None and (sync or payload is not None):
        raise typer.BadParameter("--from FILE has the payloads: leave JSON and --sync away")
    request = CreateTaskRequest(
        type=task_type,
        payload_json=arguments.payload(payload or "{}"),
        value_format=JSON_TEXT,
        asynchronous=not sync,
        timeout_ms=timeout,
        queue_timeout_ms=queue_timeout,
        silence_timeout_ms=silence_timeout,
        total_timeout_ms=total_timeout,
        delay_ms=delay,
        priority=priority,
        labels=arguments.labels(label or ()),
        capabilities=capability or (),
        idempotent=idempotent,
        max_attempts=max_attempts,
        request_id=request_id,
    )
    if from_file is not None:
        submit_lines(context, from_file, request, follows=to_follow, as_json=as_json)
    _submit(context, request, to_follow=to_follow, as_json=as_json)


def _submit(
    context: typer.Context, request: CreateTaskRequest, *, to_follow: bool, as_json: bool
) -> None:
    sync = not request.asynchronous
    with connected(context) as session:
        if sync:
            created = create_and_wait(session, request)
        else:
            created = session.call(session.tasks.CreateTask, request)
        task = created.task
        if created.replayed:
            say(f"an earlier request {request.request_id} created {task.id}: replayed", err=True)
        if to_follow:
            task = follow(session, task.id, task)
    if sync or to_follow:
        end(task, as_json=as_json)
    if as_json:
        output.print_json(output.document(task))
    else:
        say(task.id)
    say_held_up(task)
