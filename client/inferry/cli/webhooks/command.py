"""The commands that keep webhooks."""

from enum import StrEnum
from typing import Annotated

import typer

from inferry.cli import arguments, output
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson
from inferry.cli.terminal import say
from inferry.cli.webhooks.deliveries import HookId, deliveries, print_answer, redeliver, replay
from inferry.cli.webhooks.tables import print_webhook, print_webhooks
from inferry.v1.webhook_pb2 import Webhook
from inferry.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    DeleteWebhookRequest,
    GetWebhookKeyRequest,
    GetWebhookRequest,
    ListWebhooksRequest,
    PingWebhookRequest,
    RotateWebhookSecretRequest,
    UpdateWebhookRequest,
)

webhooks = typer.Typer(
    name="webhooks",
    help="Have others told of what happens to tasks.",
    add_completion=False,
    no_args_is_help=True,
    rich_help_panel="Webhooks",
)


webhooks.command("deliveries")(deliveries)
webhooks.command("redeliver")(redeliver)
webhooks.command("replay")(replay)


class HookEvent(StrEnum):
    """What a webhook hears of."""

    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"


Url = Annotated[str, typer.Argument(metavar="URL", help="Where to.", show_default=False)]
Events = Annotated[
    list[HookEvent] | None,
    typer.Option("--event", help="What it hears of; repeatable.", show_default="completed"),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only of tasks of this type; repeatable."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Only of tasks with it; repeatable."),
]
Description = Annotated[str, typer.Option(help="For a person.")]
Ed25519 = Annotated[bool, typer.Option("--ed25519", help="Sign with the tenant's key as well.")]
Disabled = Annotated[bool, typer.Option("--disabled", help="Have it hear of nothing for now.")]
Secret = Annotated[
    str, typer.Option(envvar="INFERRY_WEBHOOK_SECRET", help="Yours. Default: a new one.")
]


@webhooks.command("create")
def create(  # noqa: PLR0913 - an option each
    context: typer.Context,
    url: Url,
    *,
    event: Events = None,
    task_type: Types = None,
    label: Labels = None,
    description: Description = "",
    ed25519: Ed25519 = False,
    disabled: Disabled = False,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Create a webhook. Prints its secret, this once."""
    request = CreateWebhookRequest(
        url=url,
        events=event or (),
        types=task_type or (),
        labels=arguments.labels(label or ()),
        description=description,
        ed25519=ed25519,
        disabled=disabled,
        secret=secret,
    )
    with connected(context) as session:
        found = session.call(session.webhooks.CreateWebhook, request).webhook
    _show(found, as_json=as_json)


@webhooks.command("update")
def update(  # noqa: PLR0913 - an option each
    context: typer.Context,
    hook_id: HookId,
    url: Url,
    *,
    event: Events = None,
    task_type: Types = None,
    label: Labels = None,
    description: Description = "",
    ed25519: Ed25519 = False,
    disabled: Disabled = False,
    as_json: AsJson = False,
) -> None:
    """Say anew all of a webhook but its secret: what is left out is as it is by default."""
    request = UpdateWebhookRequest(
        id=hook_id,
        url=url,
        events=event or (),
        types=task_type or (),
        labels=arguments.labels(label or ()),
        description=description,
        ed25519=ed25519,
        disabled=disabled,
    )
    with connected(context) as session:
        found = session.call(session.webhooks.UpdateWebhook, request).webhook
    _show(found, as_json=as_json)


@webhooks.command("list")
def list_webhooks(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the webhooks, oldest first."""
    with connected(context) as session:
        found = session.call(session.webhooks.ListWebhooks, ListWebhooksRequest())
    if as_json:
        output.print_json(output.document(found))
    else:
        print_webhooks(found.webhooks)


@webhooks.command("get")
def get(context: typer.Context, hook_id: HookId, *, as_json: AsJson = False) -> None:
    """Show a webhook."""
    with connected(context) as session:
        found = session.call(session.webhooks.GetWebhook, GetWebhookRequest(id=hook_id)).webhook
    _show(found, as_json=as_json)


@webhooks.command("delete")
def delete(context: typer.Context, hook_id: HookId) -> None:
    """Remove a webhook; what waits for it is given up."""
    with connected(context) as session:
        session.call(session.webhooks.DeleteWebhook, DeleteWebhookRequest(id=hook_id))
    say(output.plain(f"{hook_id} is gone"))


@webhooks.command("rotate")
def rotate(
    context: typer.Context,
    hook_id: HookId,
    *,
    overlap: Annotated[
        int,
        typer.Option(
            parser=arguments.span_or_0_ms,
            metavar="DURATION",
            help="How long messages are signed with the present secret, too: 7d at most.",
        ),
    ] = "24h",  # type: ignore[assignment] # the parser reads the default, too
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """Give a webhook a new secret. Prints it, this once."""
    request = RotateWebhookSecretRequest(id=hook_id, overlap_ms=overlap, secret=secret)
    with connected(context) as session:
        found = session.call(session.webhooks.RotateWebhookSecret, request).webhook
    _show(found, as_json=as_json)


@webhooks.command("ping")
def ping(context: typer.Context, hook_id: HookId, *, as_json: AsJson = False) -> None:
    """Send a webhook a message that says nothing, and show what it answers."""
    with connected(context) as session:
        request = PingWebhookRequest(id=hook_id)
        attempt = session.call(session.webhooks.PingWebhook, request).attempt
    print_answer(attempt, as_json=as_json)


@webhooks.command("key")
def key(context: typer.Context) -> None:
    """Print the key that v1a signatures of your messages are verified with."""
    with connected(context) as session:
        answer = session.call(session.webhooks.GetWebhookKey, GetWebhookKeyRequest())
    say(answer.public_key)


def _show(found: Webhook, *, as_json: bool) -> None:
    if as_json:
        output.print_json(output.document(found))
    else:
        print_webhook(found)
