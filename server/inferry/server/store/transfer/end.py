"""Either end of a move: a store that is read or written as rows, not as tasks."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from inferry.server.store import StoreError
from inferry.server.store.rows import Row
from inferry.server.store.transfer.layout import Table

#: In a store that is half moved, and in no other. It has one row: the source, and the move.
MARK = "moving"


class InUseError(StoreError):
    """A gateway has the store open."""


class NotEmptyError(StoreError):
    """The target has something in it that no move brought."""

    def __init__(self) -> None:
        super().__init__("it is not empty: a store is moved into one that nobody has used")


class End(Protocol):
    """A store that nobody else has while it is moved."""

    #: Names it, without a password.
    place: str

    async def open_source(self) -> None:
        """Opens it to be read, and keeps gateways away. Nothing of it is changed.

        Raises:
            InUseError: A gateway has it.
            StoreError: There is none, it is half moved itself, or of another version.
        """
        ...

    async def open_target(self, source: str) -> bool:
        """Opens it to be written and marks it as half moved; whatever a broken-off move left goes.

        Returns:
            Whether there was such a move.

        Raises:
            InUseError: A gateway has it.
            StoreError: It is not empty, or half moved from another source.
        """
        ...

    def rows(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        """Reads a table in the order of its key, a page at a time, and what is beside it."""
        ...

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        """Adds rows, in one transaction."""
        ...

    async def complete(self) -> None:
        """Makes what is not copied; to be called when everything was."""
        ...

    async def finish(self) -> None:
        """Says that the target is whole: from here on gateways open it."""
        ...

    async def close(self) -> None:
        """Lets go of it."""
        ...


def half_moved(source: str) -> StoreError:
    """Says why a store cannot be opened, and what to do."""
    return StoreError(
        f"it is half moved: a move from {source} was broken off or still runs; "
        "run inferry migrate-store once more to its end"
    )


def not_of(source: str) -> StoreError:
    """Says that a target is half moved from another source."""
    return StoreError(f"it is half moved from {source}: move that one, or empty the target")


def other_version(schema: int, known: int) -> StoreError:
    """Says that a source is older or newer than this code."""
    return StoreError(
        f"it has schema {schema}, and this version of Inferry schema {known}: "
        "run a gateway of the newer version on it once, and move it with that version"
    )
