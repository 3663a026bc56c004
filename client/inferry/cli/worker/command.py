"""The command that runs a backend written with the SDK."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from inferry.backend import Backend, RefusedError, SetupError
from inferry.backend.grpc import Worker
from inferry.backend.grpc.channel import Dial
from inferry.backend.host import Host
from inferry.backend.http import Gateway, Place, Server
from inferry.backend.signals import run_until_signal
from inferry.backend.token import Token
from inferry.cli.access import Access
from inferry.cli.arguments import host_port, http_url, only_for, span_or_0_ms
from inferry.cli.exit_codes import ExitCode
from inferry.cli.session import settings_of
from inferry.cli.terminal import say
from inferry.cli.tokens import local_token
from inferry.cli.worker.target import TargetError, load
from inferry.client.config import Settings
from inferry.server.logs import set_up_logs

_GRPC, _HTTP = "Over gRPC: it dials in", "Over HTTP: the gateway calls it"


Target = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:APP",
        help="The module, from the current directory or installed, and its Backend. "
        "Without :APP it is called app.",
    ),
]
GivenToken = Annotated[
    str | None, typer.Option(help="Token to connect with. Default: as for other commands.")
]
Spool = Annotated[
    Path | None,
    typer.Option(help="Folder for reports that wait for delivery, to outlive the process."),
]
DrainTimeout = Annotated[
    int,
    typer.Option(
        parser=span_or_0_ms, metavar="TIME", help="How long running work may take to end."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        parser=host_port,
        metavar="HOST:PORT",
        help="gRPC of the gateway. Default: as for other commands.",
        rich_help_panel=_GRPC,
    ),
]
Tls = Annotated[
    bool, typer.Option("--tls", help="Use TLS, with the system's roots.", rich_help_panel=_GRPC)
]
OverHttp = Annotated[
    bool, typer.Option("--http", help="Serve over HTTP instead.", rich_help_panel=_HTTP)
]
ListenHost = Annotated[str, typer.Option(help="Address to listen on.", rich_help_panel=_HTTP)]
ListenPort = Annotated[
    int,
    typer.Option(
        min=0, max=65_535, help="Port to listen on; 0 takes a free one.", rich_help_panel=_HTTP
    ),
]
GatewayUrl = Annotated[
    str,
    typer.Option(
        parser=http_url,
        metavar="URL",
        help="REST of the gateway to register at.",
        rich_help_panel=_HTTP,
    ),
]
OwnUrl = Annotated[
    str | None,
    typer.Option(
        parser=http_url,
        metavar="URL",
        help="How the gateway reaches it, if by another address.",
        rich_help_panel=_HTTP,
    ),
]


def worker(  # noqa: PLR0913  # an option each
    context: typer.Context,
    target: Target,
    *,
    token: GivenToken = None,
    spool: Spool = None,
    drain_timeout: DrainTimeout = "600s",  # type: ignore[assignment]  # what the parser reads
    address: Address = None,
    tls: Tls = False,
    http: OverHttp = False,
    host: ListenHost = "127.0.0.1",
    port: ListenPort = 8080,
    gateway: GatewayUrl = "http://127.0.0.1:8787",
    url: OwnUrl = None,
) -> None:
    """Run a backend written in Python with inferry.backend.

    It keeps trying until the gateway is there. SIGTERM or Ctrl-C lets running work end; a second
    one breaks it off.
    """
    if http:
        only_for("gRPC", context, "address", "tls")
    else:
        only_for("--http", context, "host", "port", "gateway", "url")
    access: Access = context.obj
    settings = settings_of(
        replace(
            access,
            address=address or access.address,
            token=token or access.token,
            tls=tls or access.tls,
        )
    )
    where = settings.address
    name = (urlsplit(gateway).hostname if http else where.rpartition(":")[0]) or ""
    app = _loaded(target)
    shown = _token(settings, name, access.data_dir)
    set_up_logs("auto", "info", sys.stderr)
    drain_s = drain_timeout / 1_000
    if http:
        place, known = Place(host, port, url), Gateway(gateway, shown)
        _run(
            Server(
                app, place, gateway=known, spool=spool, drain_timeout=drain_s, on_ready=_say_served
            ),
            gateway,
        )
    else:
        dial = Dial(where, shown, settings.credentials or False)
        _run(Worker(app, dial, spool=spool, drain_timeout=drain_s, on_ready=_say_connected), where)


def _loaded(target: str) -> Backend:
    try:
        return load(target)
    except TargetError as error:
        if error.trace:
            say(error.trace.rstrip(), err=True)
        say(f"inferry worker cannot start: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None


def _token(settings: Settings, name: str, data_dir: Path | None) -> Token:
    """Gives the token; one that a command makes of itself is made anew before it ends."""
    # From options and files comes no function that gives one.
    given = settings.token if isinstance(settings.token, str) else None
    return given or (lambda: local_token(name, data_dir))


def _run(host: Host, gateway: str) -> None:
    try:
        run_until_signal(host)
    except RefusedError as error:
        say(f"the gateway at {gateway} refuses: {error}", err=True)
        raise typer.Exit(ExitCode.REFUSED) from None
    except (SetupError, OSError) as error:
        say(f"inferry worker cannot start: {error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None


def _say_connected(server_id: str) -> None:
    say(f"inferry worker ready id={server_id}")


def _say_served(url: str, server_id: str) -> None:
    say(f"inferry worker ready {url} id={server_id}")
