"""What the commands that run servers share: options, the start, the stop."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop
from pydantic_settings import BaseSettings

from inferry.cli.exit_codes import ExitCode
from inferry.cli.settings import nearest_variables, service_links
from inferry.cli.terminal import say
from inferry.wire.hosts import with_port

_log = structlog.get_logger(__name__)

SettingsFile = Annotated[
    Path | None, typer.Option("--config", help="The settings file (TOML); or INFERRY_CONFIG.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
RestPort = Annotated[
    int | None, typer.Option(help="Port of REST; 0 takes a free one.", show_default="8787")
]


def run(main: Coroutine[None, None, None]) -> None:
    """Runs a server to its end.

    Raises:
        Exit: It could not start.
    """
    try:
        uvloop.run(main)
    except OSError as error:
        raise failed(str(error), ExitCode.FAILED) from None


def failed(why: str, code: ExitCode) -> typer.Exit:
    """Says why a server cannot start; gives what to raise."""
    say(f"inferry cannot start: {why}", err=True)
    return typer.Exit(code)


def note_variables(kind: type[BaseSettings]) -> None:
    """Logs the variables that look like settings of a kind and are Kubernetes', or nobody's."""
    for variable in service_links(kind).values():
        _log.info("passed over: a service link, no setting", variable=variable)
    for variable, nearest in nearest_variables().items():
        _log.warning("passed over: no setting is called so", variable=variable, nearest=nearest)


def stop_signal() -> asyncio.Event:
    """Gives what SIGTERM and SIGINT set; after the first, the next one ends the process."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped


def url_of(host: str, port: int) -> str:
    """Gives the URL of a bound address."""
    return f"http://{with_port(host, port)}"
