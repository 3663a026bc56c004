"""The commands that run servers: the whole gateway, or the bridge alone."""

import gc
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import grpc.aio
import structlog
import typer
import uvloop
from pydantic_settings import BaseSettings

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.cli.exit_codes import ExitCode
from inferry.cli.lifetime import stop_signal, url_of
from inferry.cli.settings import SettingsError, load_settings, service_links
from inferry.cli.terminal import say
from inferry.server.access.secret import SecretError
from inferry.server.app import Gateway
from inferry.server.clock import SystemClock
from inferry.server.config import Config
from inferry.server.logs import set_up_logs
from inferry.server.store import StoreError

_log = structlog.get_logger(__name__)

SettingsFile = Annotated[
    Path | None, typer.Option("--config", help="The settings file (TOML); or INFERRY_CONFIG.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
RestPort = Annotated[
    int | None, typer.Option(help="Port of REST; 0 takes a free one.", show_default="8787")
]


def serve(
    host: Host = None,
    port: RestPort = None,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port of gRPC; 0 takes a free one.", show_default="50051")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the database is.", show_default="~/.local/share/…")
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
        "public_url": public_url,
    }
    try:
        config = load_settings(Config, settings_file, flags)
        bridge_config = load_settings(BridgeConfig, settings_file, flags)
    except SettingsError as error:
        raise _failed(error, ExitCode.USAGE) from None
    set_up_logs(config.log_format, config.log_level, sys.stderr)
    _note_links(Config)
    _run(_serve(config, bridge_config))


def bridge(
    upstream: Annotated[str, typer.Option(metavar="HOST:PORT", help="gRPC of the gateway.")],
    host: Host = None,
    port: RestPort = None,
    settings_file: SettingsFile = None,
) -> None:
    """Run the REST bridge alone, in front of a gateway's gRPC."""
    flags = {"host": host, "port": port}
    try:
        config = load_settings(BridgeConfig, settings_file, flags)
    except SettingsError as error:
        raise _failed(error, ExitCode.USAGE) from None
    set_up_logs("auto", "info", sys.stderr)
    _note_links(BridgeConfig)
    _run(_bridge(upstream, config))


async def _serve(config: Config, bridge_config: BridgeConfig) -> None:
    stopped = stop_signal()
    grace_s = config.shutdown_grace_ms / 1_000
    gateway = Gateway(config, clock=SystemClock())
    rest = Bridge(gateway.channel, bridge_config)
    # Callback URLs carry the port: it is taken before the gateway starts.
    url = url_of(*await rest.bind())
    try:
        await gateway.start(config.public_url or url)
        await rest.serve()
        _settle_garbage_collector()
        say(f"inferry ready rest={url} grpc={gateway.grpc_address}")
        await stopped.wait()
        _log.info("stopping", grace_s=grace_s)
    finally:
        gateway.begin_stop()
        # What REST still has to answer needs the gateway: REST goes first.
        await rest.stop(grace_s)
        await gateway.stop()


def _settle_garbage_collector() -> None:
    """Keeps the collector from walking again and again over what lives as long as the process.

    Requests make many objects and hardly any cycles: with the default thresholds a tenth of the
    gateway's processor time went into looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _bridge(upstream: str, config: BridgeConfig) -> None:
    stopped = stop_signal()
    options = [
        # The gateway bounds its messages; a second, smaller bound would cut its answers off.
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ]
    async with grpc.aio.insecure_channel(upstream, options=options) as channel:
        rest = Bridge(channel, config)
        url = url_of(*await rest.bind())
        try:
            await rest.serve()
            say(f"inferry bridge ready rest={url}")
            await stopped.wait()
        finally:
            await rest.stop(20.0)


def _note_links(kind: type[BaseSettings]) -> None:
    for variable in service_links(kind).values():
        _log.info("passed over: a service link, no setting", variable=variable)


def _run(main: Coroutine[None, None, None]) -> None:
    try:
        uvloop.run(main)
    except (OSError, SecretError, StoreError) as error:
        raise _failed(error, ExitCode.FAILED) from None


def _failed(error: Exception, code: ExitCode) -> typer.Exit:
    say(f"inferry cannot start: {error}", err=True)
    return typer.Exit(code)
