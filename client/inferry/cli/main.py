"""The ``inferry`` command: what there is and how it is grouped."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from inferry.cli import (
    explain,
    mock,
    queue,
    retry,
    serve,
    servers,
    session,
    submit,
    tasks,
    terminal,
    tokens,
)
from inferry.cli.exit_codes import ExitCode
from inferry.cli.terminal import say

_TASKS, _QUEUE, _SERVERS, _GATEWAY = "Tasks", "Queue", "Servers", "Gateway"

app = typer.Typer(
    name="inferry",
    help="Ferries inference tasks to the backends that can run them, and the results back.",
    epilog="Exit status: 0 done, 1 the task failed, 2 wrong usage, 3 the task timed out or was "
    "cancelled, 4 the gateway cannot be reached, 5 the gateway refused.",
    no_args_is_help=True,
    # Tracebacks with local variables would show tokens and payloads.
    pretty_exceptions_enable=False,
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        say(f"inferry {metadata.version('inferry')}")
        raise typer.Exit


@app.callback()
def entry(
    context: typer.Context,
    *,
    address: Annotated[
        str,
        typer.Option(envvar="INFERRY_ADDRESS", metavar="HOST:PORT", help="gRPC of the gateway."),
    ] = "127.0.0.1:50051",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="INFERRY_TOKEN",
            help="Your token. Default: one made with the secret in the data directory, for a "
            "gateway on this machine.",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Hand the global options to the command."""
    if not terminal.is_text(address):
        raise typer.BadParameter("the address is no UTF-8", param_hint="--address")
    if token and not (token.isascii() and token.isprintable()):
        raise typer.BadParameter("it holds what no token does", param_hint="--token")
    open_channel = context.obj or session.open_channel
    context.obj = session.Access(address, token or None, open_channel)


app.command(rich_help_panel=_TASKS)(submit.submit)
app.command(rich_help_panel=_TASKS)(tasks.get)
app.command("list", rich_help_panel=_TASKS)(tasks.list_tasks)
app.command(rich_help_panel=_TASKS)(tasks.watch)
app.command(rich_help_panel=_TASKS)(tasks.cancel)
app.command(rich_help_panel=_TASKS)(retry.retry)
app.command(rich_help_panel=_TASKS)(tasks.attempts)
app.command(rich_help_panel=_TASKS)(explain.explain)
app.command(rich_help_panel=_QUEUE)(queue.queue)
app.command(rich_help_panel=_QUEUE)(queue.pause)
app.command(rich_help_panel=_QUEUE)(queue.unpause)
app.command("servers", rich_help_panel=_SERVERS)(servers.list_servers)
app.command(rich_help_panel=_SERVERS)(servers.drain)
app.command(rich_help_panel=_SERVERS)(servers.resume)
app.command(rich_help_panel=_SERVERS)(servers.deregister)
app.command(rich_help_panel=_GATEWAY)(serve.serve)
app.command(rich_help_panel=_GATEWAY)(serve.bridge)
app.command(rich_help_panel=_GATEWAY)(tokens.token)
app.command(rich_help_panel=_GATEWAY)(mock.mock)


def main() -> None:
    """Run the ``inferry`` command."""
    terminal.escape_what_cannot_be_shown()
    problem = terminal.unreadable(sys.argv[1:])
    if problem:
        say(problem, err=True)
        sys.exit(ExitCode.USAGE)
    app()
