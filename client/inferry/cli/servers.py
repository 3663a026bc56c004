"""The commands on servers."""

from typing import Annotated

import typer

from inferry.cli import arguments, output, tables
from inferry.cli.output import plain
from inferry.cli.session import CALL_TIMEOUT_S, Session, connected
from inferry.cli.tasks import AsJson
from inferry.cli.terminal import say
from inferry.client.paging import Pages
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    DrainServerRequest,
    ListServersRequest,
    ListServersResponse,
    ResumeServerRequest,
)

#: Servers a page, at most.
_PAGE = 500

ServerId = Annotated[str, typer.Argument(metavar="ID", help="The server.", show_default=False)]


def list_servers(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the servers with their state and load."""
    with connected(context) as session:
        found = all_servers(session)
    if as_json:
        output.print_json(output.document(ListServersResponse(servers=found)))
    else:
        tables.print_servers(found)
        for server in found:
            for note in server.notes:
                say(plain(f"note: {server.name}: {note}"), err=True)


def all_servers(session: Session) -> list[Server]:
    """Asks for all servers, by name."""
    found: list[Server] = []
    request = ListServersRequest(page_size=_PAGE)
    pages, more = Pages(), True
    while more:
        page = session.call(session.servers.ListServers, request)
        found.extend(page.servers)
        more = pages.turn(request, page.next_page_token)
    return found


def drain(context: typer.Context, server_id: ServerId, *, as_json: AsJson = False) -> None:
    """Send a server no more tasks; those it has go on."""
    with connected(context) as session:
        request = DrainServerRequest(id=server_id)
        server = session.call(session.servers.DrainServer, request).server
    _show(server, as_json=as_json)


def resume(context: typer.Context, server_id: ServerId, *, as_json: AsJson = False) -> None:
    """Send a server tasks again that was drained, or that rests."""
    with connected(context) as session:
        request = ResumeServerRequest(id=server_id)
        server = session.call(session.servers.ResumeServer, request).server
    _show(server, as_json=as_json)


def deregister(
    context: typer.Context,
    server_id: ServerId,
    *,
    grace: Annotated[
        int,
        typer.Option(
            parser=arguments.span_or_0_ms,
            metavar="DURATION",
            help="How long the tasks it has may take to end.",
        ),
    ] = "30s",  # type: ignore[assignment] # the parser reads the default, too
    as_json: AsJson = False,
) -> None:
    """Take a server out of the list; the tasks it still has after a time of grace are lost to it.

    Tasks that may run twice (--idempotent) then go to other servers, the others end as FAILED.
    """
    with connected(context) as session:
        request = DeregisterServerRequest(id=server_id, grace_ms=grace)
        # The gateway may wait for the tasks before it answers.
        limit_s = CALL_TIMEOUT_S + grace / 1_000
        answer = session.call(session.servers.DeregisterServer, request, limit_s)
    if as_json:
        output.print_json(output.document(answer))
    else:
        say(plain(f"{server_id} is out of the list"))


def _show(server: Server, *, as_json: bool) -> None:
    if as_json:
        output.print_json(output.document(server))
    else:
        tables.print_servers([server])
