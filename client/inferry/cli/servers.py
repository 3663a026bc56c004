"""The commands on servers."""

from typing import Annotated

import typer

from inferry.cli import output
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    DrainServerRequest,
    ListServersRequest,
    ResumeServerRequest,
)

#: Servers a page, at most.
_PAGE = 500

ServerId = Annotated[str, typer.Argument(metavar="ID", help="The server.", show_default=False)]


def list_servers(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the servers with their state and load."""
    found: list[Server] = []
    with connected(context) as session:
        request = ListServersRequest(page_size=_PAGE)
        while True:
            page = session.call(session.servers.ListServers, request)
            found.extend(page.servers)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
    if as_json:
        output.print_json([output.document(server) for server in found])
    else:
        output.print_servers(found)


def drain(context: typer.Context, server_id: ServerId, *, as_json: AsJson = False) -> None:
    """Send a server no more tasks; those it has go on."""
    with connected(context) as session:
        request = DrainServerRequest(id=server_id)
        server = session.call(session.servers.DrainServer, request).server
    _show(server, as_json=as_json)


def resume(context: typer.Context, server_id: ServerId, *, as_json: AsJson = False) -> None:
    """Send a drained server tasks again."""
    with connected(context) as session:
        request = ResumeServerRequest(id=server_id)
        server = session.call(session.servers.ResumeServer, request).server
    _show(server, as_json=as_json)


def _show(server: Server, *, as_json: bool) -> None:
    if as_json:
        output.print_json(output.document(server))
    else:
        output.print_servers([server])
