"""What servers are called, for tables that people read."""

from collections.abc import Iterable, Mapping

from inferry.cli import output
from inferry.cli.session import Session
from inferry.client.errors import InferryError
from inferry.v1.server_service_pb2 import ListServersRequest

#: Servers whose names are asked for, at most: a table is not worth a second call.
_MOST = 500


def server_names(session: Session, ids: Iterable[str]) -> Mapping[str, str]:
    """Asks for the names of servers if a table on a terminal is to show any.

    Args:
        session: The way to the gateway.
        ids: The servers; empty ones are none.

    Returns:
        Names by id. What is unknown, or cannot be had, is left out: a table does without.
    """
    if not (output.OUT.is_terminal and any(ids)):
        return {}
    try:
        page = session.call(session.servers.ListServers, ListServersRequest(page_size=_MOST))
    except InferryError:
        return {}
    return {server.id: server.name for server in page.servers}
