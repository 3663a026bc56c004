"""Counts what gateways ask of their PostgreSQL: from its log of statements and its statistics.

It says the same however busy the machine is, which no time does. The log holds up what it counts,
so that it is on for a while apart from whatever is timed.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from inferry.server.store.postgres.queries import QUERIES
from inferry.server.task.record import EventKind
from tests.postgres import PostgresServer, on

#: What the log has to be told when the server starts.
LOGGING = {"log_line_prefix": "%p %a@%d|"}
_ENTRY = re.compile(
    r"^\d+ (?P<who>[^|]*)@(?P<database>[^|@]*)\|(?P<kind>\w+):  (?P<text>.*)", re.DOTALL
)
_SAID = re.compile(r"^(?:statement|execute [^:]*): (?P<said>.*)", re.DOTALL)
#: The first array that a statement was given.
_NAMES = re.compile(r"\$1 = '\{([^}]*)\}'")
_OURS = "inferry"
#: The statement that asks for tasks by their names to give them away.
_CLAIM = "lock_waiting"

_STATE = f"""SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS log_bytes,
    (SELECT sum(commits) FROM replicas) AS commits,
    (SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0) FROM pg_stat_user_tables
     WHERE relname = 'tasks') AS rows_read,
    (SELECT count(*) FROM events WHERE kind = {EventKind.CREATED:d}) AS created,
    (SELECT count(*) FROM events WHERE kind = {EventKind.FINISHED:d}) AS ended,
    (SELECT count(*) FROM events AS began WHERE kind = {EventKind.DISPATCHED:d} AND NOT EXISTS (
        SELECT FROM events AS made WHERE made.position = began.position - 1
            AND made.task_number = began.task_number AND made.at_ms = began.at_ms)) AS claimed"""


@dataclass(slots=True)
class Counts:
    """What was asked while it was counted."""

    #: Tasks that ended meanwhile.
    tasks: int = 0
    #: Transactions of replicas that wrote.
    commits: int = 0
    #: Bytes of the database's own log.
    log_bytes: int = 0
    #: Rows of tasks that were read.
    rows_read: int = 0
    #: Tasks that were claimed out of the queue, and how many were asked for.
    claimed: int = 0
    asked: int = 0
    #: Round trips, by the names of the queries.
    trips: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Says it, a task; in all if no task ended."""
        tasks = max(1, self.tasks)
        yield (
            f"{self.tasks} tasks, {'each' if self.tasks else 'in all'}: "
            f"{self.commits / tasks:.2f} commits, {self.trips.total() / tasks:.2f} round trips, "
            f"{self.rows_read / tasks:.2f} rows of tasks read, "
            f"{self.log_bytes / tasks:,.0f} bytes logged"
        )
        if self.asked:
            contested = self.asked - self.claimed
            yield f"{self.asked} slots claimed for, {contested / self.asked:.1%} in vain"
        most = self.trips.most_common(14)
        yield ", ".join(f"{name} {number / tasks:.2f}" for name, number in most)


@asynccontextmanager
async def counted(server: PostgresServer | None, url: str) -> AsyncIterator[Counts]:
    """Counts until the block ends.

    Args:
        server: Started with ``LOGGING``; None counts nothing.
        url: The database.
    """
    counts = Counts()
    if server is None:
        yield counts
        return
    await _log_statements(server, "all")
    begin, before = server.log.stat().st_size, await _state(url)
    try:
        yield counts
    finally:
        after = await _state(url)
        await _log_statements(server, "none")
    grown = {name: int(after[name] - before[name]) for name in before}
    counts.tasks, counts.commits, counts.claimed = (
        grown["ended"],
        grown["commits"],
        grown["claimed"],
    )
    counts.log_bytes, counts.rows_read = grown["log_bytes"], grown["rows_read"]
    with server.log.open("rb") as log:
        log.seek(begin)
        name = urlsplit(url).path.removeprefix("/")
        _read(log.read().decode(errors="replace"), name, counts)


async def _log_statements(server: PostgresServer, which: str) -> None:
    await on(server.url, f"ALTER SYSTEM SET log_statement = '{which}'")
    await on(server.url, "SELECT pg_reload_conf()")


async def _state(url: str) -> dict[str, int]:
    # What a backend has counted it tells when it is idle for a while; this makes it known here.
    (row,) = await on(url, _STATE)
    return {name: int(value) for name, value in row.items()}


def _read(text: str, database: str, counts: Counts) -> None:
    names = {" ".join(query.split()): name for name, query in QUERIES.items()}
    claims = False
    for entry in re.split(r"\n(?!\t)", text):
        found = _ENTRY.match(entry)
        ours = found is not None and found["who"].startswith(_OURS)
        if found is None or not ours or found["database"] != database:
            continue
        if found["kind"] == "DETAIL" and claims and (names_given := _NAMES.search(found["text"])):
            counts.asked += 1 + names_given[1].count(",")
        said = _SAID.match(found["text"]) if found["kind"] == "LOG" else None
        if said is not None:
            name = _name(" ".join(said["said"].split()), names)
            counts.trips[name] += 1
            claims = name == _CLAIM
        else:
            claims = False


def _name(said: str, names: dict[str, str]) -> str:
    if said in names:
        return names[said]
    if said.startswith("UPDATE replicas SET head"):
        return "finish"
    return said.split(maxsplit=1)[0].rstrip(";").lower() if said else "empty"
