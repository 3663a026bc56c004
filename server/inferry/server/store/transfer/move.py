"""The move: copies every table, reads both stores again, and only then says that it is whole."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from hashlib import blake2b
from typing import NamedTuple

from inferry.server.store import StoreError
from inferry.server.store.rows import Row
from inferry.server.store.transfer.end import End, InUseError
from inferry.server.store.transfer.layout import BATCH_ROWS, TABLES, Table

#: What a transaction may have to write, unless a few rows alone have more.
_BATCH_BYTES = 8 << 20
#: Between two looks whether the gateways have gone.
_WAIT_S = 0.5
_DIGEST_BYTES = 16


class Step(NamedTuple):
    """How far the move is."""

    #: "copying" or "comparing".
    doing: str
    table: str
    #: Rows of the table that are done.
    rows: int


class Digest(NamedTuple):
    """A table at one look."""

    rows: int
    #: Of all rows in their order, as hexadecimal digits.
    hash: str


class Compared(NamedTuple):
    """A table in both stores."""

    table: str
    source: Digest
    target: Digest

    @property
    def same(self) -> bool:
        """Whether both have the same."""
        return self.source == self.target


#: Hears of each step.
Tell = Callable[[Step], object]


async def open_ends(source: End, target: End, *, wait: bool) -> bool:
    """Opens both stores; tells whether a move into the target had been broken off before.

    Args:
        source: Is only read.
        target: Has to be empty, but for such a move.
        wait: Whether to wait while a gateway has the source.

    Raises:
        InUseError: A gateway has one of them.
        StoreError: One of them cannot be used.
    """
    if source.place == target.place:
        raise StoreError(f"{source.place} is source and target at once")
    while True:
        try:
            await source.open_source()
        except InUseError:
            if not wait:
                raise
            await asyncio.sleep(_WAIT_S)
        else:
            return await target.open_target(source.place)


async def move(source: End, target: End, tell: Tell) -> list[Compared]:
    """Moves everything; the target is whole if all that is compared is the same, else unusable.

    Raises:
        StoreError: A store cannot be used any more; the target is half moved.
    """
    for table in TABLES:
        if table.copied:
            await _copy(source, target, table, tell)
    await target.complete()
    compared = [
        Compared(table.name, await digest(source, table, tell), await digest(target, table, tell))
        for table in TABLES
        if table.compared
    ]
    if all(one.same for one in compared):
        await target.finish()
    return compared


async def digest(end: End, table: Table, tell: Tell) -> Digest:
    """Counts a table's rows and hashes them, in the order of their key."""
    count, sum_ = 0, blake2b(digest_size=_DIGEST_BYTES)
    width = len(table.columns)
    async with aclosing(end.rows(table)) as pages:
        async for page in pages:
            for row in page:
                sum_.update(repr(row[:width]).encode())
            count += len(page)
            tell(Step("comparing", table.name, count))
    return Digest(count, sum_.hexdigest())


async def _copy(source: End, target: End, table: Table, tell: Tell) -> None:
    count = 0
    async with aclosing(source.rows(table)) as pages, aclosing(_batches(pages)) as batches:
        async for batch in batches:
            await target.put(table, batch)
            count += len(batch)
            tell(Step("copying", table.name, count))


async def _batches(pages: AsyncIterator[Sequence[Row]]) -> AsyncGenerator[Sequence[Row]]:
    """Puts small pages together."""
    batch: list[Row] = []
    weight = 0
    async for page in pages:
        batch += page
        weight += sum(len(value) for row in page for value in row if isinstance(value, bytes))
        if len(batch) >= BATCH_ROWS or weight >= _BATCH_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
