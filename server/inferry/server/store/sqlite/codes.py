"""One-time codes in SQLite."""

import apsw

from inferry.server.access.codes import KeptCode
from inferry.server.store.codes import CodeOperation, PutCode
from inferry.server.store.sqlite.queries import QUERIES


def write_code(cursor: apsw.Cursor, operation: CodeOperation) -> KeptCode | None:
    """Keeps or drops one; see the operations for the result."""
    if isinstance(operation, PutCode):
        cursor.execute(QUERIES["put_code"], operation.kept)
        return None
    found = [KeptCode(*row) for row in cursor.execute(QUERIES["take_code"], (operation.hash,))]
    return next((kept for kept in found if kept.until_ms > operation.now_ms), None)
