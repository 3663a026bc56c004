"""Serves a backend over HTTP, as the development guide has it.

The gateway calls ``POST /process``, ``POST /cancel`` and ``GET /health``; reports go to the
callback URL. ``GET /ready`` is for whoever else asks whether it takes tasks. A backend that knows
its gateway takes calls of nobody else.
"""

from collections.abc import Callable
from pathlib import Path

from inferry.backend.app import Backend
from inferry.backend.host import Host
from inferry.backend.http.asgi import AsgiApp
from inferry.backend.http.registration import Gateway
from inferry.backend.http.transport import HttpTransport, Place
from inferry.backend.signals import run_program
from inferry.backend.token import Token, token_or_variable

__all__ = ["Gateway", "Place", "Server", "asgi", "serve"]


def serve(  # noqa: PLR0913 - where it is, whose it is, how it ends
    app: Backend,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    gateway: str | None = None,
    token: Token = None,
    register: bool = True,
    url: str | None = None,
    spool: Path | str | None = None,
    drain_timeout: float = 600.0,
) -> None:
    """Serves a backend until SIGTERM or SIGINT: running work ends first; a second one hurries it.

    Args:
        app: The backend.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        gateway: REST of the gateway that it belongs to, such as ``http://localhost:8787``. It takes
            calls of that one alone, as far as that signs them. None takes everybody's, and does
            not register.
        token: A token of role ``backend`` or ``admin``, or what gives one. Default:
            ``INFERRY_TOKEN``.
        register: Whether to register with the gateway; False leaves that to others.
        url: Where the gateway reaches this backend, as it is registered. Default: where it listens.
        spool: A folder for reports that wait for their delivery, to outlive this process.
        drain_timeout: Seconds that running work may take to end.

    Raises:
        SetupError: The setup failed.
        SystemExit: It cannot listen there, has no token, or the gateway refuses: in one line.
    """

    def server() -> Server:
        return Server(
            app,
            Place(host, port, url),
            gateway=_known(gateway, token, register=register),
            spool=spool,
            drain_timeout=drain_timeout,
        )

    run_program(server)


def asgi(  # noqa: PLR0913 - where it runs, and for whom
    app: Backend,
    *,
    gateway: str | None = None,
    token: Token = None,
    register: bool = True,
    url: str | None = None,
    spool: Path | str | None = None,
    drain_timeout: float = 600.0,
    on_ready: Callable[[str, str], None] | None = None,
    on_refused: Callable[[str], None] | None = None,
) -> AsgiApp:
    """Makes an ASGI application of a backend, for a server such as uvicorn.

    It starts and drains with the server's lifespan; an application that mounts it has its
    ``lifespan`` for that. Arguments are those of ``serve``; ``on_ready`` is called once with the
    URL and the id at the gateway, empty without one, and ``on_refused`` with why, on the server's
    loop, if the gateway will not have it: what the server does then is up to you.

    Raises:
        ValueError: There is a gateway and no URL to register.
        RefusedError: There is a gateway and no token.
    """
    if gateway is not None and url is None:
        raise ValueError("url: a gateway has to know where this backend is reached")
    server = Server(
        app,
        Place(None, 0, url),
        gateway=_known(gateway, token, register=register),
        spool=spool,
        drain_timeout=drain_timeout,
        on_ready=on_ready,
    )
    return AsgiApp(server, on_refused)


def _known(gateway: str | None, token: Token, *, register: bool) -> Gateway | None:
    if gateway is None:
        return None
    return Gateway(gateway.rstrip("/"), token_or_variable(token), register)


class Server(Host):
    """A backend that serves HTTP, to start and stop by hand.

    Args:
        app: The backend.
        place: Where it is reached.
        gateway: The one that it belongs to; None takes everybody's calls, and does not register.
        spool: As for ``serve``.
        drain_timeout: As for ``serve``.
        on_ready: Called once with its URL and its id at the gateway, empty without one.
    """

    def __init__(
        self,
        app: Backend,
        place: Place,
        *,
        gateway: Gateway | None = None,
        spool: Path | str | None = None,
        drain_timeout: float = 600.0,
        on_ready: Callable[[str, str], None] | None = None,
    ) -> None:
        super().__init__(
            app,
            lambda engine, _lag: HttpTransport(engine, place, gateway, on_ready),
            spool=None if spool is None else Path(spool),
            drain_timeout=drain_timeout,
        )

    @property
    def http(self) -> HttpTransport:
        """The transport, once it has started."""
        assert isinstance(self.transport, HttpTransport)  # noqa: S101 - made above
        return self.transport

    @property
    def url(self) -> str:
        """Where it is reached, once it has started."""
        return self.http.url
