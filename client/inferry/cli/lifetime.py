"""What the commands that run servers share: options, the start, the stop."""

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import structlog
import typer
import uvloop
from pydantic_settings import BaseSettings

from inferry.cli.exit_codes import ExitCode
from inferry.cli.settings import service_links
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


def run(
    main: Coroutine[None, None, None],
    failures: Mapping[type[Exception], ExitCode] = MappingProxyType({OSError: ExitCode.FAILED}),
) -> None:
    """Runs a server to its end.

    Args:
        main: The server.
        failures: What keeps it from starting and says why, and the status that it ends with.

    Raises:
        Exit: It could not start.
    """
    try:
        uvloop.run(main)
    except tuple(failures) as error:
        code = next(code for kind, code in failures.items() if isinstance(error, kind))
        raise failed(error, code) from None


def failed(error: Exception, code: ExitCode) -> typer.Exit:
    """Says why a server cannot start; gives what to raise."""
    say(f"inferry cannot start: {error}", err=True)
    return typer.Exit(code)


def note_links(kind: type[BaseSettings]) -> None:
    """Logs the variables that look like settings of a kind and are Kubernetes'."""
    for variable in service_links(kind).values():
        _log.info("passed over: a service link, no setting", variable=variable)


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
