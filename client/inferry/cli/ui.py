"""The command that opens the web page of a gateway."""

import webbrowser
from typing import Annotated

import typer

from inferry.cli.session import connected
from inferry.cli.terminal import say
from inferry.v1.access_service_pb2 import CreateCodeRequest


def ui(
    context: typer.Context,
    *,
    url: Annotated[
        str, typer.Option(help="Where the gateway's REST is. Default: as the gateway says.")
    ] = "",
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Whether to open it in a browser.")
    ] = True,
) -> None:
    """Open the web page of the gateway, signed in.

    The address has a code that holds for a minute and works once. The page changes it for a token
    of the same role, which holds for eight hours at most.
    """
    with connected(context) as session:
        answer = session.call(session.access.CreateCode, CreateCodeRequest())
    # What follows the # never leaves the browser.
    address = f"{(url or answer.url).rstrip('/')}/ui/#code={answer.code}"
    say(address)
    if open_it and not webbrowser.open(address):
        say("no browser was found here: open the address within a minute", err=True)
