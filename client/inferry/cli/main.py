"""The ``inferry`` command: what there is and how it is grouped."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module, metadata
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from inferry.cli.access import Access
from inferry.cli.arguments import host_port
from inferry.cli.exit_codes import ExitCode
from inferry.cli.terminal import escape_what_cannot_be_shown, say, unreadable


class _Command(NamedTuple):
    """A command, as yet unread."""

    panel: str
    #: Of ``inferry.cli``.
    module: str
    function: str


_TASKS, _QUEUE, _SERVERS, _GATEWAY = "Tasks", "Queue", "Servers", "Gateway"
_WEBHOOKS = "Webhooks"

_COMMANDS: Mapping[str, _Command] = {
    "submit": _Command(_TASKS, "submit", "submit"),
    "get": _Command(_TASKS, "tasks", "get"),
    "list": _Command(_TASKS, "tasks", "list_tasks"),
    "watch": _Command(_TASKS, "live.watch", "watch"),
    "stream-url": _Command(_TASKS, "stream_url", "stream_url"),
    "cancel": _Command(_TASKS, "cancel", "cancel"),
    "retry": _Command(_TASKS, "retry", "retry"),
    "attempts": _Command(_TASKS, "tasks", "attempts"),
    "explain": _Command(_TASKS, "explain", "explain"),
    "queue": _Command(_QUEUE, "queue", "queue"),
    "pause": _Command(_QUEUE, "queue", "pause"),
    "unpause": _Command(_QUEUE, "queue", "unpause"),
    "stats": _Command(_QUEUE, "stats", "stats"),
    "failures": _Command(_QUEUE, "stats", "failures"),
    "servers": _Command(_SERVERS, "servers", "list_servers"),
    "register": _Command(_SERVERS, "register", "register"),
    "top": _Command(_SERVERS, "live.top", "top"),
    "drain": _Command(_SERVERS, "servers", "drain"),
    "resume": _Command(_SERVERS, "servers", "resume"),
    "deregister": _Command(_SERVERS, "servers", "deregister"),
    "ui": _Command(_GATEWAY, "ui", "ui"),
    "webhooks": _Command(_WEBHOOKS, "webhooks.command", "webhooks"),
    "webhook": _Command(_WEBHOOKS, "webhooks.listen", "webhook"),
    "serve": _Command(_GATEWAY, "serve", "serve"),
    "bridge": _Command(_GATEWAY, "bridge", "bridge"),
    "migrate-store": _Command(_GATEWAY, "migrate_store", "migrate_store"),
    "token": _Command(_GATEWAY, "tokens", "token"),
    "worker": _Command(_GATEWAY, "worker.command", "worker"),
    "mock": _Command(_GATEWAY, "mock.command", "mock"),
    "check": _Command(_GATEWAY, "check.command", "check_backend"),
}


#: Of the gateway's, those that run no code of others'.
_WITH_A_LOG = frozenset({"serve", "bridge"})


class _Commands(TyperGroup):
    """Reads the module of a command when it is asked for: who wants one needs no other's."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: dict[str, Any] = dict.fromkeys(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Gives a command; None if there is none of the name."""
        if cmd_name in _COMMANDS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _read(cmd_name)
        return self.commands.get(cmd_name)


def _read(name: str) -> Any:
    panel, module, function = _COMMANDS[name]
    if panel != _GATEWAY or name in _WITH_A_LOG:
        # These say in sentences what goes wrong, or in a log of one format; gRPC's own log would go
        # in between. It asks when it is loaded.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    run = getattr(import_module(f"inferry.cli.{module}"), function)
    if isinstance(run, typer.Typer):
        # It has commands of its own.
        return typer.main.get_command(run)
    alone = typer.Typer(add_completion=False)
    alone.command(name, rich_help_panel=panel)(run)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="inferry",
    cls=_Commands,
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
        str | None,
        typer.Option(
            envvar="INFERRY_ADDRESS",
            parser=host_port,
            metavar="HOST:PORT",
            help="gRPC of the gateway.",
            show_default="127.0.0.1:50051",
        ),
    ] = None,
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
    if token and not (token.isascii() and token.isprintable()):
        raise typer.BadParameter("it holds what no token does", param_hint="--token")
    context.obj = Access(address, token or None, context.obj)


def main() -> None:
    """Run the ``inferry`` command."""
    escape_what_cannot_be_shown()
    problem = unreadable(sys.argv[1:])
    if problem:
        say(problem, err=True)
        sys.exit(ExitCode.USAGE)
    app()
