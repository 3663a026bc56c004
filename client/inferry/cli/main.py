"""The ``inferry`` command: what comes before the commands."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from inferry.cli.access import Access, Address, Authorities, DataDir, Tls, Token
from inferry.cli.commands import Commands
from inferry.cli.exit_codes import ExitCode
from inferry.cli.terminal import (
    escape_what_cannot_be_shown,
    open_what_is_closed,
    say,
    unreadable,
)

app = typer.Typer(
    name="inferry",
    cls=Commands,
    help="Ferries inference tasks to the backends that can run them, and the results back.",
    epilog="Exit status: 0 done, 1 the task failed, 2 wrong usage, 3 the task timed out or was "
    "cancelled, 4 the gateway cannot be reached, 5 the gateway refused.",
    no_args_is_help=True,
    # The first is named where somebody is sent there.
    context_settings={"help_option_names": ["--help", "-h"]},
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
    address: Address = None,
    token: Token = None,
    data_dir: DataDir = None,
    tls: Tls = False,
    authorities: Authorities = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Hand the global options to the command."""
    context.obj = Access(address, token or None, data_dir, tls, authorities, context.obj)
    if data_dir is not None:
        # These have an option of the name.
        context.default_map = {name: {"data_dir": str(data_dir)} for name in ("serve", "token")}


def main() -> None:
    """Run the ``inferry`` command."""
    open_what_is_closed()
    escape_what_cannot_be_shown()
    problem = unreadable(sys.argv[1:])
    if problem:
        say(problem, err=True)
        sys.exit(ExitCode.USAGE)
    try:
        app()
    except OSError as error:
        # The disk that the output goes to is full, or whatever else no command reckons with.
        sys.exit(f"inferry cannot go on: {error}")
