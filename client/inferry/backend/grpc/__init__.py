"""Connects a backend to the gateway over gRPC: it dials in, and needs no address of its own."""

import os
from collections.abc import Callable
from pathlib import Path

import grpc

from inferry.backend.app import Backend
from inferry.backend.grpc.channel import Dial
from inferry.backend.grpc.transport import GrpcTransport
from inferry.backend.host import Host
from inferry.backend.signals import run_program
from inferry.backend.token import Token, token_or_variable

_ADDRESS = "127.0.0.1:50051"

__all__ = ["Worker", "connect"]


def connect(
    app: Backend,
    address: str | None = None,
    *,
    token: Token = None,
    tls: bool | grpc.ChannelCredentials = False,
    spool: Path | str | None = None,
    drain_timeout: float = 600.0,
) -> None:
    """Works for a gateway until SIGTERM or SIGINT: running work ends first; a second one hurries.

    Whatever ends the stream, another one is opened, and what runs goes on.

    Args:
        app: The backend.
        address: ``HOST:PORT`` of the gateway's gRPC. Default: ``INFERRY_ADDRESS``, or else
            ``127.0.0.1:50051``.
        token: A token of role ``backend`` or ``admin``, or what gives one: it is asked again before
            the last one ends. Default: ``INFERRY_TOKEN``.
        tls: Whether to use TLS with the system's roots; or credentials of your own.
        spool: A folder for reports that wait for their delivery, to outlive this process.
        drain_timeout: Seconds that running work may take to end.

    Raises:
        SetupError: The setup failed.
        SystemExit: There is no token, or the gateway refused five times in a row: in one line.
    """
    where = address or os.environ.get("INFERRY_ADDRESS") or _ADDRESS

    def worker() -> Worker:
        dial = Dial(where, token_or_variable(token), tls)
        return Worker(app, dial, spool=spool, drain_timeout=drain_timeout)

    run_program(worker)


class Worker(Host):
    """A backend that dials in, to start and stop by hand.

    Args:
        app: The backend.
        dial: The gateway.
        spool: As for ``connect``.
        drain_timeout: As for ``connect``.
        on_ready: Called once with its id at the gateway: it is connected, and its setup is done.
    """

    def __init__(
        self,
        app: Backend,
        dial: Dial,
        *,
        spool: Path | str | None = None,
        drain_timeout: float = 600.0,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(
            app,
            lambda engine, lag: GrpcTransport(engine, lag, dial, on_ready),
            spool=None if spool is None else Path(spool),
            drain_timeout=drain_timeout,
        )
