"""The one real connection to the database, lent to all stores: only one of them is ever at work.

Who lets go of a connection in the middle of a transaction leaves nothing of it; whether a COMMIT
arrives whose answer is lost, the lender's owner says.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from typing import Any
from unittest.mock import patch

import asyncpg

from inferry.server.store.postgres import shared, store, writer
from inferry.server.store.postgres.connections import Connection, connect
from inferry.server.store.postgres.options import PostgresOptions

_COMMIT = "COMMIT"
#: What a query has to which the answer is another one each time.
_CLOCK = "clock_timestamp"
_UPDATE = "UPDATE replicas SET head"


class Luck(Enum):
    """What becomes of a message."""

    FINE = 0
    #: It does not arrive, and the connection is lost.
    LOST = 1
    #: It arrives, and the connection is lost before the answer is there.
    UNANSWERED = 2


class Lender:
    """Lends it.

    Args:
        options: Where the database is.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._real: Connection | None = None
        #: What was read since something was last written: nobody else writes.
        self._known: dict[tuple[str, str], Sequence[Any]] = {}
        #: Whether the database is not to be had.
        self.away: Callable[[], bool] = lambda: False
        #: What becomes of the COMMIT of a gateway that is on its way.
        self.luck: Callable[[], Luck] = lambda: Luck.FINE

    async def open(self) -> None:
        """Connects."""
        self._real = await connect(self._options, "simulation")

    async def close(self) -> None:
        """Lets go."""
        if self._real is not None:
            await self._real.close()

    async def real(self) -> Connection:
        """Gives the connection itself, in no transaction."""
        assert self._real is not None
        if self._real.is_in_transaction():
            await self._real.execute("ROLLBACK")
        return self._real

    async def read(self, query: str, *values: Any) -> Sequence[Any]:
        """Reads rows, unless they are known."""
        key = query, repr(values)
        rows = self._known.get(key)
        if rows is None:
            rows = await (await self.real()).fetch(query, *values)
            if _CLOCK not in query:
                self._known[key] = rows
        return rows

    def changed(self) -> None:
        """Something may be written from here on."""
        self._known.clear()

    async def lend(self) -> "Lent":
        """Lends it.

        Raises:
            ConnectionRefusedError: The database is away.
        """
        self.look()
        return Lent(self, await self.real())

    def look(self) -> None:
        """Looks whether the database is there.

        Raises:
            ConnectionRefusedError: It is away.
        """
        if self.away():
            raise ConnectionRefusedError("the database is away")

    @contextmanager
    def lends(self) -> Iterator[None]:
        """Has all stores of this process borrow it, until the block ends."""

        async def borrow(*_: Any) -> Lent:
            return await self.lend()

        async def borrow_pool(*_: Any) -> LentPool:
            return LentPool(self)

        with (
            patch.object(writer, "connect", borrow),
            patch.object(shared, "connect", borrow),
            patch.object(store, "new_pool", borrow_pool),
        ):
            yield


class Lent:
    """A connection, as a store sees it."""

    def __init__(self, lender: Lender, real: Connection) -> None:
        self._lender = lender
        self._real = real
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        self._look()
        self._lender.changed()
        return getattr(self._real, name)

    async def execute(self, query: str, *given: Any, **named: Any) -> Any:
        """See ``asyncpg``."""
        self._look()
        self._lender.changed()
        luck = Luck.FINE
        if query.startswith(_UPDATE) and query.endswith(_COMMIT):
            luck = self._lender.luck()
        if luck is Luck.LOST:
            self._lose()
        done = await self._real.execute(query, *given, **named)
        if luck is Luck.UNANSWERED:
            self._lose()
        return done

    def is_closed(self) -> bool:
        """See ``asyncpg``."""
        return self._closed

    def terminate(self) -> None:
        """See ``asyncpg``."""
        self._closed = True

    async def close(self) -> None:
        """See ``asyncpg``."""
        self._closed = True

    def _look(self) -> None:
        if self._closed or self._lender.away():
            self._lose()

    def _lose(self) -> None:
        self._closed = True
        raise asyncpg.ConnectionDoesNotExistError("the connection was lost")


class LentReader:
    """A connection of a pool, as a store sees it."""

    def __init__(self, lender: Lender) -> None:
        self.fetch = lender.read


class LentPool:
    """A pool, as a store sees it."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender

    @asynccontextmanager
    async def acquire(self, **_named: Any) -> AsyncIterator[LentReader]:
        """See ``asyncpg``."""
        self._lender.look()
        yield LentReader(self._lender)

    async def close(self) -> None:
        """See ``asyncpg``."""

    def terminate(self) -> None:
        """See ``asyncpg``."""
