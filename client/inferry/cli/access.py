"""Which gateway, and with what right: the options before each command, and after it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from inferry.cli.arguments import host_port


@dataclass(frozen=True, slots=True)
class Access:
    """Where the gateway is and with what right to go there."""

    #: ``HOST:PORT`` of the gateway's gRPC; None for that of the settings file, or the default.
    address: str | None
    #: None for that of the settings file, or one that a gateway's data directory here gives.
    token: str | None
    #: Where the secret of a gateway of this machine is; None for the settings' own.
    data_dir: Path | None
    #: Whether the connection is encrypted.
    tls: bool
    #: PEM file of the authorities to trust in place of the machine's; it is encrypted then, too.
    authorities: Path | None
    #: Opens the channel that the client's settings ask for; None for a real one. Both need gRPC,
    #: which is not loaded yet.
    open_channel: Callable[[Any], Any] | None


def _token(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise typer.BadParameter("it holds what no token does", param_hint="--token")
    return text


Address = Annotated[
    str | None,
    typer.Option(
        envvar="INFERRY_ADDRESS",
        parser=host_port,
        metavar="HOST:PORT",
        help="gRPC of the gateway.",
        show_default="127.0.0.1:50051",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="INFERRY_TOKEN",
        parser=_token,
        metavar="TOKEN",
        help="Your token. Default: one made with the secret in the data directory, for a "
        "gateway on this machine.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIRECTORY", help="Data directory of a gateway on this machine.", show_default=False
    ),
]
Tls = Annotated[
    bool, typer.Option("--tls", envvar="INFERRY_TLS", help="Use TLS, with the machine's roots.")
]
Authorities = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="INFERRY_CA",
        metavar="FILE",
        help="Use TLS, with the roots in this PEM file.",
        show_default=False,
    ),
]


def take_options(command: Any) -> None:
    """Lets a command, or each of a group, take these options after its name, too.

    What stands there goes before what stands in front, and both before the environment.

    Args:
        command: What typer made of a function or a group. It finds them in its context.
    """
    if isinstance(command, TyperGroup):
        for one in command.commands.values():
            take_options(one)
        return
    alone = typer.Typer(add_completion=False)
    alone.command()(_shared)
    shared: list[Any] = typer.main.get_command(alone).params
    for option in shared:
        option.envvar = None
        option.rich_help_panel = "Which gateway"
        option.callback = _keep
        option.expose_value = False
        command.params.append(option)


def _shared(
    *,
    address: Address = None,
    token: Token = None,
    data_dir: DataDir = None,
    tls: Tls = False,
    authorities: Authorities = None,
) -> None:
    """Has the options that commands share."""


def _keep(context: Any, option: Any, value: Any) -> None:
    if value and not context.resilient_parsing:
        context.obj = replace(context.obj, **{str(option.name): value})
