"""What is written of servers and of pauses; a server's statement answers with the row as it is."""

from dataclasses import replace

from inferry.server.errors import ServerNotFoundError
from inferry.server.fleet.record import ServerRecord
from inferry.server.store.operations import (
    DrainServer,
    DropServer,
    PauseType,
    PutServer,
    ResumeType,
)
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.queries import QUERIES
from inferry.server.store.rows import SERVER, Row, server_of, server_row

ServerWrite = PutServer | DrainServer | DropServer
PauseWrite = PauseType | ResumeType


async def write_server(db: Connection, operation: ServerWrite, replica: int) -> ServerRecord | None:
    """Does one operation of a replica on a server.

    Raises:
        ServerNotFoundError: There is no such server.
    """
    await db.execute(QUERIES["count_servers_change"])
    match operation:
        case PutServer(record):
            return await _written(db, "put_server", (*server_row(record), replica), record.id)
        case DrainServer(server_id, draining):
            return await _written(db, "drain_server", (draining, server_id), server_id)
        case DropServer(server_id):
            await db.execute(QUERIES["drop_server"], server_id)
            return None


async def write_pause(db: Connection, operation: PauseWrite) -> None:
    """Does one operation on a pause."""
    await db.execute(QUERIES["count_pauses_change"])
    match operation:
        case PauseType(paused):
            await db.execute(QUERIES["pause_type"], paused.type, paused.reason, paused.since_ms)
        case ResumeType():
            await db.execute(QUERIES["resume_type"], operation.type)


def owned_of(row: Row) -> ServerRecord:
    """Reads a server from the columns of ``SERVER`` and whose it is."""
    return replace(server_of(row[: len(SERVER)]), owner=row[len(SERVER)])


async def _written(db: Connection, query: str, values: Row, server_id: str) -> ServerRecord:
    for row in await fetch(db, QUERIES[query], *values):
        return owned_of(row)
    raise ServerNotFoundError(server_id)
