"""What whoever started a server may want next: where its pages are, and how to get a token."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from inferry.cli.lifetime import url_of
from inferry.cli.places import Places, variable_of
from inferry.cli.terminal import say
from inferry.client.config import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TOKEN_VARIABLE
from inferry.server.config import Config
from inferry.wire.hosts import is_everywhere

#: Where ``inferry mock`` looks for its gateway by itself.
_MOCK_GATEWAY = "http://127.0.0.1:8787"
_NOT_HERE = "from whoever has the private key"

_log = structlog.get_logger(__name__)


def pages(address: tuple[str, int], *, web: bool) -> dict[str, str]:
    """Tells where the pages of a REST port are, for whoever sits at this machine.

    Args:
        address: The address that it listens on, and the port.
        web: Whether the web page is served.
    """
    host, port = address
    url = url_of("127.0.0.1" if is_everywhere(host) else host, port)
    return ({"page": f"{url}/ui/"} if web else {}) | {"docs": f"{url}/docs"}


def tell_of_pages(found: Mapping[str, str]) -> None:
    """Tells where the pages of a bridge are: on a terminal in lines, elsewhere in the log."""
    if sys.stderr.isatty():
        _print({**found, "token": "from the gateway's machine: inferry token"})
    else:
        _log.info("where to go on", **found)


def tell_of_gateway(
    found: Mapping[str, str], grpc_address: str, config: Config, places: Places
) -> None:
    """Tells where the pages of a gateway are, and how to call it; likewise.

    Args:
        found: Its pages.
        grpc_address: ``HOST:PORT`` of its gRPC.
        config: Its settings.
        places: Where they come from.
    """
    command = "" if config.jwt_public_key else shlex.join(token_command(config, places))
    if not sys.stderr.isatty():
        _log.info("where to go on", **found, token_from=command or _NOT_HERE)
        return
    steps = {**found, "token": f"export {TOKEN_VARIABLE}=$({command})" if command else _NOT_HERE}
    if places.of("jwt_secret") == variable_of("jwt_secret"):
        steps["token"] += f"   # where {variable_of('jwt_secret')} is the same"
    host, _, port = grpc_address.rpartition(":")
    here = f"127.0.0.1:{port}" if is_everywhere(host) else grpc_address
    if here != DEFAULT_ADDRESS:
        steps["gRPC"] = f"export {ADDRESS_VARIABLE}={here}"
    steps["data"] = str(config.data_dir)
    name, url = shlex.join(_this_command()), found["docs"].removesuffix("/docs")
    gateway = "" if url == _MOCK_GATEWAY else f" --gateway {url}"
    steps["then"] = f"{name} ui opens the page signed in, {name} mock{gateway} is a backend to try"
    _print(steps)


def token_command(config: Config, places: Places) -> list[str]:
    """Tells what prints a token for a gateway with settings from these places."""
    command = [*_this_command(), "token"]
    if places.path is not None:
        command += ["--config", str(places.path)]
    if places.of("data_dir") in {"--data-dir", variable_of("data_dir")}:
        command += ["--data-dir", str(config.data_dir)]
    return command


def _this_command() -> list[str]:
    """Tells how to run this command again: by its name if a shell finds it under that."""
    here, found = Path(sys.argv[0]), shutil.which("inferry")
    if here.name == "__main__.py":
        return [sys.executable, "-m", "inferry"]
    same = found is not None and here.exists() and Path(found).samefile(here)
    return ["inferry"] if same else [str(here)]


def _print(steps: Mapping[str, str]) -> None:
    wide = max(map(len, steps)) + 2
    lines = [f"  {name:<{wide}}{step}" for name, step in steps.items()]
    say("\n".join(["", *lines, ""]), err=True)
