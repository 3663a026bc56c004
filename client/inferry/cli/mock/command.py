"""The command that runs the mock backend."""

import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from inferry.backend import RefusedError
from inferry.backend.http import Gateway, Place, Server
from inferry.backend.signals import run_until_signal
from inferry.cli.access import Access
from inferry.cli.arguments import http_url
from inferry.cli.exit_codes import ExitCode
from inferry.cli.mock.backend import mock_backend
from inferry.cli.terminal import say
from inferry.cli.tokens import local_token
from inferry.server.logs import set_up_logs


def mock(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    gateway: Annotated[
        str,
        typer.Option(parser=http_url, metavar="URL", help="REST of the gateway to register at."),
    ] = "http://127.0.0.1:8787",
    token: Annotated[
        str | None, typer.Option(help="Token to register with. Default: as for other commands.")
    ] = None,
    name: Annotated[str, typer.Option(help="Its name at the gateway.")] = "mock",
    capabilities: Annotated[
        str, typer.Option(help="Types it takes, separated by commas; empty takes every type.")
    ] = "test-processing",
    max_concurrent: Annotated[int, typer.Option(min=1, max=10_000, help="Tasks at once.")] = 10,
) -> None:
    """Run a backend that does what the payload of a task says, for trying things out.

    It registers itself and keeps trying until the gateway is there. A payload may say
    {"seconds": 2, "steps": 4, "result": …, "end": "complete|fail|hang|crash|timeout",
    "flaky": 1, "error": …, "code": …}; any other is echoed at once.
    """
    access: Access = context.obj
    set_up_logs("auto", "info", sys.stderr)
    takes = [word.strip() for word in capabilities.split(",") if word.strip()]
    given = token or access.token

    def current_token() -> str | None:
        return given or local_token(urlsplit(gateway).hostname or "", access.data_dir)

    server = Server(
        mock_backend(name, takes, max_concurrent),
        Place(host, port, None),
        gateway=Gateway(gateway, current_token),
        # It works for nobody in earnest: there is nothing to wait for.
        drain_timeout=0,
        on_ready=_say_ready,
    )
    try:
        run_until_signal(server)
    except RefusedError as error:
        say(f"the gateway at {gateway} refused the registration: {error}", err=True)
        raise typer.Exit(ExitCode.REFUSED) from None
    except OSError as error:
        say(f"inferry mock cannot start: {error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None


def _say_ready(url: str, server_id: str) -> None:
    say(f"inferry mock ready {url} id={server_id}")
