"""The command that runs the bridge alone. It needs neither the database nor the engine."""

import sys
from typing import Annotated

import grpc.aio
import typer

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.cli.arguments import host_port
from inferry.cli.exit_codes import ExitCode
from inferry.cli.first_steps import pages, tell_of_pages
from inferry.cli.lifetime import (
    Host,
    RestPort,
    SettingsFile,
    failed,
    note_variables,
    run,
    stop_signal,
    url_of,
)
from inferry.cli.places import Places
from inferry.cli.settings import SettingsError, load_settings
from inferry.cli.start_faults import blaming
from inferry.cli.terminal import say
from inferry.server.logs import set_up_logs

_GRACE_S = 20.0


def bridge(
    upstream: Annotated[
        str, typer.Option(parser=host_port, metavar="HOST:PORT", help="gRPC of the gateway.")
    ],
    host: Host = None,
    port: RestPort = None,
    settings_file: SettingsFile = None,
) -> None:
    """Run the REST bridge alone, in front of a gateway's gRPC."""
    flags = {"host": host, "port": port}
    try:
        config = load_settings(BridgeConfig, settings_file, flags)
    except SettingsError as error:
        raise failed(str(error), ExitCode.USAGE) from None
    set_up_logs(config.log_format, config.log_level, sys.stderr)
    note_variables(BridgeConfig)
    run(_bridge(upstream, config, Places(flags, settings_file)))


async def _bridge(upstream: str, config: BridgeConfig, places: Places) -> None:
    stopped = stop_signal()
    options = [
        # The gateway bounds its messages; a second, smaller bound would cut its answers off.
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ]
    async with grpc.aio.insecure_channel(upstream, options=options) as channel:
        rest = Bridge(channel, config)
        with blaming(places, "port"):
            address = await rest.start()
        try:
            say(f"inferry bridge ready rest={url_of(*address)}")
            tell_of_pages(pages(address, web=config.web))
            await stopped.wait()
        finally:
            await rest.stop(_GRACE_S)
