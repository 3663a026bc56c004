"""What is written of servers; each statement answers with the row as it is now."""

import apsw

from inferry.server.errors import ServerNotFoundError
from inferry.server.fleet.record import ServerRecord
from inferry.server.store.operations import DrainServer, DropServer, PutServer
from inferry.server.store.rows import Row, server_of, server_row
from inferry.server.store.sqlite.queries import QUERIES


def write_server(
    cursor: apsw.Cursor, operation: PutServer | DrainServer | DropServer
) -> ServerRecord | None:
    """Does one operation on a server.

    Raises:
        ServerNotFoundError: There is no such server.
    """
    match operation:
        case PutServer(record):
            return _written(cursor, "put_server", server_row(record), record.id)
        case DrainServer(server_id, draining):
            return _written(cursor, "drain_server", (draining, server_id), server_id)
        case DropServer(server_id):
            cursor.execute(QUERIES["drop_server"], (server_id,))
            return None


def _written(cursor: apsw.Cursor, query: str, values: Row, server_id: str) -> ServerRecord:
    for row in cursor.execute(QUERIES[query], values).fetchall():
        return server_of(row)
    raise ServerNotFoundError(server_id)
