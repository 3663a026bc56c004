"""The command that lets somebody without a token watch one task."""

from typing import Annotated

import typer

from inferry.cli import output
from inferry.cli.arguments import span_ms
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson, TaskId
from inferry.cli.terminal import say
from inferry.v1.task_service_pb2 import CreateStreamUrlRequest


def stream_url(
    context: typer.Context,
    task_id: TaskId,
    *,
    ttl: Annotated[
        int,
        typer.Option(parser=span_ms, metavar="DURATION", help="How long it holds, 1s to 1h."),
    ] = "15m",  # type: ignore[assignment] # the parser reads the default, too
    as_json: AsJson = False,
) -> None:
    """Print a URL that shows a task's events for a while to whoever has it: for a browser."""
    with connected(context) as session:
        request = CreateStreamUrlRequest(id=task_id, ttl_ms=ttl)
        answer = session.call(session.tasks.CreateStreamUrl, request)
    if as_json:
        output.print_json(output.document(answer))
    else:
        say(answer.url)
