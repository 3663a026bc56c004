"""The command that receives webhooks, for who builds a receiver and wants to see what comes."""

import asyncio
import contextlib
from typing import Annotated

import typer
from aiohttp import web

from inferry.cli import output
from inferry.cli.lifetime import run, stop_signal, url_of
from inferry.cli.tasks import AsJson
from inferry.cli.terminal import say
from inferry.client.webhooks import NotVerified, verify

#: A message has some 64 KiB at most.
_LARGEST_BYTES = 1 << 20
_STOPS_WITHIN_S = 1.0
#: What no secret signed.
_UNSIGNED = {"webhook-id": "none", "webhook-timestamp": "0", "webhook-signature": "none"}

webhook = typer.Typer(
    name="webhook",
    help="Receive webhooks.",
    add_completion=False,
    no_args_is_help=True,
    rich_help_panel="Webhooks",
)


@webhook.callback()
def entry() -> None:
    """Receive webhooks."""


@webhook.command("listen")
def listen(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 9000,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            envvar="INFERRY_WEBHOOK_SECRET",
            help="The webhook's, or both while it is changed; without one nothing is verified.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Receive messages, verify them, print them: a line each, with what they say.

    A message that is not signed with the secret, or is old, is answered with 401, any other with
    204.
    """
    secrets = secret or []
    try:
        # A secret that is none is an error now, and not with each message.
        with contextlib.suppress(NotVerified):
            verify(b"{}", _UNSIGNED, secrets, now_s=0)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--secret") from None
    run(_listen(host, port, secrets, as_json=as_json))


async def _listen(host: str, port: int, secrets: list[str], *, as_json: bool) -> None:
    stopped: asyncio.Event = stop_signal()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        verdict = _judge(body, request, secrets)
        _print(request, body, verdict, as_json=as_json)
        return web.Response(status=401 if verdict.startswith("refused") else 204)

    app = web.Application(client_max_size=_LARGEST_BYTES)
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOPS_WITHIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        say(f"inferry webhook ready {url_of(*runner.addresses[0][:2])}")
        await stopped.wait()
    finally:
        await runner.cleanup()


def _judge(body: bytes, request: web.Request, secrets: list[str]) -> str:
    if not secrets:
        return "not verified: no --secret"
    try:
        verify(body, request.headers, secrets)
    except NotVerified as error:
        return f"refused: {error}"
    return "verified"


def _print(request: web.Request, body: bytes, verdict: str, *, as_json: bool) -> None:
    name = request.headers.get("webhook-id", "")
    text = body.decode(errors="replace")
    if as_json:
        shown = {"id": name, "verdict": verdict, "path": request.path, "body": text}
        output.print_json_line(shown)
    else:
        say(output.plain(f"{verdict}  {name}  {request.path}  {text}"))
