"""The commands on what webhooks were told."""

from typing import Annotated

import typer
from google.protobuf.message import Message

from inferry.cli import arguments, output
from inferry.cli.moments import ago
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson, TaskId
from inferry.cli.webhooks.tables import print_deliveries
from inferry.v1.webhook_service_pb2 import (
    ListDeliveriesRequest,
    RedeliverRequest,
    ReplayWebhookRequest,
)

HookId = Annotated[str, typer.Argument(metavar="ID", help="The webhook.", show_default=False)]


def deliveries(context: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """List what was, or is to be, told of a task."""
    with connected(context) as session:
        request = ListDeliveriesRequest(id=task_id)
        found = session.call(session.webhooks.ListDeliveries, request)
    if as_json:
        output.print_json(output.document(found))
    else:
        print_deliveries(found.deliveries)


def redeliver(
    context: typer.Context,
    task_id: TaskId,
    seq: Annotated[
        int, typer.Argument(min=1, metavar="SEQ", help="The event's number.", show_default=False)
    ],
    *,
    webhook: Annotated[str, typer.Option(metavar="ID", help="Only to this webhook.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send what was told of an event, or given up, again."""
    with connected(context) as session:
        request = RedeliverRequest(id=task_id, seq=seq, webhook_id=webhook)
        answer = session.call(session.webhooks.Redeliver, request)
    print_answer(answer, as_json=as_json)


def replay(
    context: typer.Context,
    hook_id: HookId,
    *,
    since: Annotated[
        int,
        typer.Option(
            parser=arguments.duration_ms, metavar="DURATION", help="Of events so long ago at most."
        ),
    ] = "24h",  # type: ignore[assignment] # the parser reads the default, too
    delivered: Annotated[
        bool, typer.Option("--delivered", help="What was delivered, not what was given up.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a webhook again what it was to be told since a time."""
    request = ReplayWebhookRequest(id=hook_id, since=ago(since), delivered=delivered)
    with connected(context) as session:
        answer = session.call(session.webhooks.ReplayWebhook, request)
    print_answer(answer, as_json=as_json)


def print_answer(answer: Message, *, as_json: bool) -> None:
    """Prints an answer that is no more than a few fields."""
    shown = output.document(answer)
    if as_json:
        output.print_json(shown)
    else:
        output.print_fields(shown)
