"""What commands there are, how they are grouped, and how each is read when it is asked for."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from inferry.cli.access import take_options


class _Command(NamedTuple):
    """A command, as yet unread."""

    panel: str
    #: Of ``inferry.cli``.
    module: str
    function: str
    #: How its help begins: a list of all commands reads none of them.
    says: str


_TASKS, _QUEUE, _SERVERS, _GATEWAY = "Tasks", "Queue", "Servers", "Gateway"
_WEBHOOKS = "Webhooks"

COMMANDS: Mapping[str, _Command] = {
    "submit": _Command(
        _TASKS,
        "submit",
        "submit",
        "Create a task. Prints its id, or its result with --sync or --follow.",
    ),
    "get": _Command(_TASKS, "tasks", "get", "Show a task."),
    "list": _Command(_TASKS, "tasks", "list_tasks", "List your tasks, newest first."),
    "watch": _Command(
        _TASKS,
        "live.watch",
        "watch",
        "Follow a task to its end and print its result; with --all, a live table of all tasks.",
    ),
    "stream-url": _Command(
        _TASKS,
        "stream_url",
        "stream_url",
        "Print a URL that shows a task's events for a while to whoever has it: for a browser.",
    ),
    "cancel": _Command(
        _TASKS, "cancel", "cancel", "Cancel a task that has not ended, or all that fit."
    ),
    "retry": _Command(
        _TASKS,
        "retry",
        "retry",
        "Start a task again that failed, timed out or was cancelled; with --all, many.",
    ),
    "purge": _Command(
        _TASKS,
        "purge",
        "purge",
        "Drop tasks that have ended, with their results, for good. Counts them first, and asks.",
    ),
    "attempts": _Command(_TASKS, "tasks", "attempts", "List a task's attempts, oldest first."),
    "explain": _Command(
        _TASKS,
        "explain",
        "explain",
        "Tell why a task runs where it runs, or why it does not run and what would change that.",
    ),
    "queue": _Command(
        _QUEUE, "queue", "queue", "Show how many tasks wait, by type, and which types are paused."
    ),
    "pause": _Command(
        _QUEUE, "queue", "pause", "Start no more tasks of a type; those that run go on."
    ),
    "unpause": _Command(_QUEUE, "queue", "unpause", "Resume a paused type: its tasks start again."),
    "stats": _Command(
        _QUEUE,
        "stats",
        "stats",
        "Show how many tasks came, ended, waited and ran, and how long they took.",
    ),
    "failures": _Command(
        _QUEUE,
        "stats",
        "failures",
        "Show what failed, in groups of one type, code and message, that of the latest first.",
    ),
    "servers": _Command(
        _SERVERS, "servers", "list_servers", "List the servers with their state and load."
    ),
    "register": _Command(
        _SERVERS,
        "register",
        "register",
        "Register an HTTP backend, and show how the gateway finds it.",
    ),
    "top": _Command(
        _SERVERS,
        "live.top",
        "top",
        "Show servers, slots, queue and rates, live, until Ctrl-C. In a pipe: one look.",
    ),
    "drain": _Command(
        _SERVERS, "servers", "drain", "Send a server no more tasks; those it has go on."
    ),
    "resume": _Command(
        _SERVERS,
        "servers",
        "resume",
        "Send a server tasks again that was drained, or that rests.",
    ),
    "deregister": _Command(
        _SERVERS,
        "servers",
        "deregister",
        "Take a server out of the list; the tasks it still has after a time of grace are lost to "
        "it.",
    ),
    "ui": _Command(_GATEWAY, "ui", "ui", "Open the web page of the gateway, signed in."),
    "webhooks": _Command(
        _WEBHOOKS, "webhooks.command", "webhooks", "Have others told of what happens to tasks."
    ),
    "webhook": _Command(_WEBHOOKS, "webhooks.listen", "webhook", "Receive webhooks."),
    "serve": _Command(
        _GATEWAY,
        "serve",
        "serve",
        "Run a gateway: REST, gRPC and the database, in one process.",
    ),
    "bridge": _Command(
        _GATEWAY, "bridge", "bridge", "Run the REST bridge alone, in front of a gateway's gRPC."
    ),
    "migrate-store": _Command(
        _GATEWAY,
        "migrate_store",
        "migrate_store",
        "Move all that a gateway keeps to another store: from a file to PostgreSQL, or back.",
    ),
    "token": _Command(
        _GATEWAY, "tokens", "token", "Print a token for the gateway of this machine."
    ),
    "worker": _Command(
        _GATEWAY,
        "worker.command",
        "worker",
        "Run a backend written in Python with inferry.backend.",
    ),
    "mock": _Command(
        _GATEWAY,
        "mock.command",
        "mock",
        "Run a backend that does what the payload of a task says, for trying things out.",
    ),
    "check": _Command(
        _GATEWAY,
        "check.command",
        "check_backend",
        "Check whether a backend keeps its contract, in whatever language it is written.",
    ),
}
#: What asks no gateway, or does it in its own way.
_ALONE = frozenset(
    {"serve", "bridge", "migrate-store", "token", "worker", "mock", "check", "webhook"}
)
#: Of those, the ones that run no code of others'.
_WITH_A_LOG = frozenset({"serve", "bridge"})


class Commands(TyperGroup):
    """Reads the module of a command when it is asked for: who wants one needs no other's."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: dict[str, Any] = {
            name: TyperCommand(name, help=one.says, rich_help_panel=one.panel)
            for name, one in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Gives the command that is to run, and the arguments that are left for it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = read(name)
            _name_no_value_of_flags(command, ctx)
        return name, command, rest

    def get_params(self, ctx: Any) -> list[Any]:
        """Gives the options that stand before the commands."""
        return _without_value(super().get_params(ctx))


def _name_no_value_of_flags(command: Any, context: Any) -> None:
    """Keeps the help of a command, or of each of a group, from saying that a flag takes a value."""
    _without_value(command.get_params(context))
    for one in getattr(command, "commands", {}).values():
        _name_no_value_of_flags(one, context)


def _without_value(parameters: list[Any]) -> list[Any]:
    for one in parameters:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return parameters


def read(name: str) -> Any:
    """Reads a command's module, and makes the command."""
    panel, module, function, _ = COMMANDS[name]
    if name not in _ALONE or name in _WITH_A_LOG:
        # These say in sentences what goes wrong, or in a log of one format; gRPC's own log would go
        # in between. It asks when it is loaded.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    run = getattr(import_module(f"inferry.cli.{module}"), function)
    if not isinstance(run, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name, rich_help_panel=panel)(run)
        run = alone
    command = typer.main.get_command(run)
    if name not in _ALONE:
        take_options(command)
    return command
