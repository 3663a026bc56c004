"""The command that runs the whole gateway."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.bridge.ports import take_ports
from inferry.cli.exit_codes import ExitCode
from inferry.cli.first_steps import pages, tell_of_gateway
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
from inferry.cli.store_faults import blaming_data
from inferry.cli.terminal import say
from inferry.server.app.gateway import LAST_WORDS_S
from inferry.server.app.lives import Lives
from inferry.server.config import Config
from inferry.server.logs import set_up_logs

_log = structlog.get_logger(__name__)


def serve(
    host: Host = None,
    port: RestPort = None,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port of gRPC; 0 takes a free one.", show_default="50051")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the database is.", show_default="~/.local/share/…")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Where tasks are kept: sqlite:PATH or postgresql://…",
            show_default="inferry.db in the data directory",
        ),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(help="Where backends reach the gateway.", show_default="http://HOST:PORT"),
    ] = None,
    settings_file: SettingsFile = None,
) -> None:
    """Run a gateway: REST, gRPC and the database, in one process.

    Prints one line on standard output when both ports listen. SIGTERM and Ctrl-C stop it in
    order; a second one stops it at once. Every other setting comes from the environment or the
    settings file.
    """
    flags = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "data_dir": data_dir,
        "store": store,
        "public_url": public_url,
    }
    try:
        config = load_settings(Config, settings_file, flags)
        bridge_config = load_settings(BridgeConfig, settings_file, flags)
    except SettingsError as error:
        raise failed(str(error), ExitCode.USAGE) from None
    set_up_logs(config.log_format, config.log_level, sys.stderr)
    note_variables(Config)
    run(_serve(config, bridge_config, Places(flags, settings_file)))


async def _serve(config: Config, bridge_config: BridgeConfig, places: Places) -> None:
    stopped = stop_signal()
    grace_s = config.shutdown_grace_ms / 1_000
    # Callback URLs carry the port: it is taken before there is a gateway.
    with blaming(places, "port"):
        ports = await take_ports(bridge_config.host, bridge_config.port)
    url = url_of(*ports.address)
    with blaming(places, "data_dir"), blaming_data(places, config):
        gateway = Lives(config, config.public_url or url)
    rest = Bridge(gateway.channel, bridge_config)
    try:
        with blaming(places, "grpc_port"), blaming_data(places, config):
            await gateway.start()
        await rest.serve(ports)
        _calm_garbage_collector()
        say(f"inferry ready rest={url} grpc={gateway.grpc_address}")
        found = pages(ports.address, web=bridge_config.web)
        tell_of_gateway(found, gateway.grpc_address, config, places)
        await stopped.wait()
        _log.info("stopping", grace_s=grace_s)
    finally:
        ends_s = gateway.begin_stop() + LAST_WORDS_S
        # What REST still has to answer needs the gateway: REST goes first.
        await rest.stop(ends_s - asyncio.get_running_loop().time())
        ports.close()
        await gateway.stop()


def _calm_garbage_collector() -> None:
    """Keeps the collector from walking again and again over what lives as long as the process.

    Requests make many objects and hardly any cycles: with the default thresholds a tenth of the
    gateway's processor time went into looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
