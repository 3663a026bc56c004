"""The command that registers an HTTP backend and looks at once whether the gateway reaches it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

import typer

from inferry.cli import output
from inferry.cli.arguments import http_url
from inferry.cli.exit_codes import ExitCode
from inferry.cli.output import plain
from inferry.cli.session import Session, connected
from inferry.cli.tasks import AsJson
from inferry.cli.terminal import say
from inferry.server.carriers.http.health import LIMIT_BYTES, HealthAnswer, read_health
from inferry.server.outbound.client import Outbound
from inferry.server.outbound.errors import OutboundError
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import GetServerRequest, RegisterServerRequest

#: How long the backend may take to say what it can do.
_ANSWER_WITHIN_S = 5.0
#: How long the gateway may take to look at it: it does so at once, and waits 5 s for an answer.
_PROBED_WITHIN_S = 15.0
_LOOK_EACH_S = 0.1

#: What to do, by how what is wrong begins.
_REMEDIES: Mapping[str, str] = {
    "no connection": "start it, and have it listen where the gateway reaches it: 127.0.0.1 is "
    "this machine, or container, to itself alone",
    "the URL leads to an address": "give one at which the gateway reaches it: 0.0.0.0 is where a "
    "program listens, and no place to call",
    "the name does not resolve": "give a name that is known where the gateway runs",
    "no whole answer": "let GET /health answer at once, also while work runs",
    "no TLS": "https:// is for where it speaks TLS, http:// for where it does not",
    "the answer is not valid HTTP": "https:// is for where it speaks TLS; its port for HTTP is "
    "another one than that for gRPC",
    "the connection broke": "https:// is for where it speaks TLS, http:// for where it does not",
    "the backend's TLS certificate": "give it a certificate for this name that the gateway's "
    "machine trusts",
    "the health check answered 3": "give the URL that it leads to: redirects are not followed",
    "the health check answered 401": "it takes the calls of another gateway, or wants a token of "
    "its own: GET /health is for this gateway",
    "the health check answered 403": "it takes the calls of another gateway, or wants a token of "
    "its own: GET /health is for this gateway",
    "the health check answered 404": "give the URL that /health and /process stand right under, "
    "without either",
    "the health check answered 405": "let it answer GET /health",
    "the health check answered 5": "its own log says why",
    "the health check said": 'it counts as healthy when GET /health answers {"status":"healthy"}',
}
_ELSE = "`inferry check` with its URL tries what a backend has to do"


def register(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Argument(
            parser=http_url,
            metavar="URL",
            help="Where the gateway reaches it: /health and /process stand right under it.",
            show_default=False,
        ),
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="Its name. Default: host and port of the URL.")
    ] = None,
    capabilities: Annotated[
        list[str] | None,
        typer.Option(
            "--capability",
            metavar="NAME",
            help="A type that it takes, or what else it can; repeatable. Default: what its "
            "/health names; every type if that names none.",
        ),
    ] = None,
    max_concurrent: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Tasks at once. Default: the gateway's, 10."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register an HTTP backend, and show how the gateway finds it.

    The gateway looks at it at once. Exit status 0: it is healthy, and gets tasks. A backend that
    is not stays registered, and is looked at again and again.
    """
    takes = capabilities or _claims(url)
    request = RegisterServerRequest(
        url=url,
        name=name or urlsplit(url).netloc,
        capabilities=takes,
        max_concurrent=max_concurrent,
    )
    with connected(context) as session:
        server_id = session.call(session.servers.RegisterServer, request).id
        server = _probed(session, server_id)
    if as_json:
        output.print_json(output.document(server))
    else:
        output.print_rows(None, _rows(server))
    _say_what_is_wrong(server)


def _claims(url: str) -> list[str]:
    """Asks a backend what it can do.

    Raises:
        Exit: It does not say; to take it for one that takes every type would be a guess.
    """
    answer = asyncio.run(_ask(url))
    if answer.error and not answer.claims:
        say(
            f"not registered: {url}/health was asked from here what it can do: "
            f"{plain(answer.error)}\n→ {_remedy(answer.error)}; or say what it can do with "
            "--capability, and only the gateway has to reach it",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)
    return sorted(answer.claims)


async def _ask(url: str) -> HealthAnswer:
    outbound = Outbound(LIMIT_BYTES)
    await outbound.start()
    try:
        answer = await outbound.get(
            f"{url}/health", timeout_s=_ANSWER_WITHIN_S, private_allowed=True
        )
    except OutboundError as error:
        return HealthAnswer(None, str(error))
    finally:
        await outbound.close()
    return read_health(answer.status, answer.body)


def _probed(session: Session, server_id: str) -> Server:
    """Waits until the gateway has looked at a server since it registered."""
    last = time.monotonic() + _PROBED_WITHIN_S
    while True:
        request = GetServerRequest(id=server_id)
        server = session.call(session.servers.GetServer, request).server
        if _is_probed(server) or time.monotonic() >= last:
            return server
        time.sleep(_LOOK_EACH_S)


def _is_probed(server: Server) -> bool:
    if not server.HasField("probed_at"):
        return False
    return server.probed_at.ToNanoseconds() >= server.updated_at.ToNanoseconds()


def _rows(server: Server) -> list[tuple[str, str]]:
    rows = [
        ("id", server.id),
        ("name", server.name),
        ("url", server.url),
        ("takes", ", ".join(server.capabilities) or "every type"),
        ("at once", str(server.max_concurrent)),
        ("status", Server.Status.Name(server.status).lower()),
    ]
    if server.HasField("load"):
        load = server.load
        working = f"{load.active_tasks} active, {load.queue_length} queued"
        rows.append(("load", f"cpu {load.cpu:.0f}%, memory {load.memory:.0f}%, {working}"))
    rows.append(("health", _found(server)))
    return rows


def _found(server: Server) -> str:
    if not _is_probed(server):
        return f"the gateway has not looked at it within {_PROBED_WITHIN_S:g} s"
    return server.last_error or "healthy"


def _say_what_is_wrong(server: Server) -> None:
    """Says what looks like a mistake, and what to do where it gets no tasks.

    Raises:
        Exit: It gets none.
    """
    for note in server.notes:
        say(f"note: {plain(note)}", err=True)
    if server.status == Server.DRAINING:
        say(f"→ it drains, and gets no tasks: `inferry resume {server.id}` ends that", err=True)
        raise typer.Exit(ExitCode.FAILED)
    if server.last_error or not _is_probed(server):
        say(
            f"→ {_remedy(server.last_error)}\nit stays registered, and gets tasks as soon as it is "
            f"healthy; `inferry deregister {server.id}` takes it out",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)


def _remedy(error: str) -> str:
    return next((text for begins, text in _REMEDIES.items() if error.startswith(begins)), _ELSE)
