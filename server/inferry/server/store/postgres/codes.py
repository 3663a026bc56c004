"""One-time codes in PostgreSQL."""

from inferry.server.access.codes import KeptCode
from inferry.server.store.codes import CodeOperation, PutCode
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.queries import QUERIES


async def write_code(db: Connection, operation: CodeOperation) -> KeptCode | None:
    """Keeps or drops one; see the operations for the result."""
    if isinstance(operation, PutCode):
        await db.execute(QUERIES["put_code"], *operation.kept)
        return None
    found = [KeptCode(*row) for row in await fetch(db, QUERIES["take_code"], operation.hash)]
    return next((kept for kept in found if kept.until_ms > operation.now_ms), None)
