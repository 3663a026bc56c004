"""How the database is reached."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """What the store needs to know of its database, and how long it waits for it."""

    #: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...``, as libpq reads it.
    url: str
    #: Connections that read at most; one more writes.
    connections: int = 4
    #: For a connection, and for one of those that read.
    connect_timeout_ms: int = 5_000
    #: For a statement.
    statement_timeout_ms: int = 10_000
    #: For a row that somebody else has locked.
    lock_timeout_ms: int = 5_000
    #: How long a replica lives without a renewal.
    lease_ms: int = 15_000
    #: Whether replicas tell each other at once that there is news.
    notify: bool = True
    #: Whether a PgBouncer that pools transactions is in between: sessions then keep nothing.
    pgbouncer: bool = False
    #: Where a process leaves word of which replica it is; see ``Footprint``.
    folder: Path | None = None
