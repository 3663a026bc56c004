"""Group commit: many operations, one transaction, one fsync.

While one batch is being committed the next one gathers. An operation's ``settle`` runs as soon as
its fate is known, in order, whether or not its caller still waits: what follows from a durable
change must not depend on a client's patience. It is always a method of the ledger.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import structlog

from inferry.server.errors import InferryError, UnavailableError
from inferry.server.store import Store, StoreError
from inferry.server.store.operations import Operation, Result

BATCH_LIMIT = 256
WAITING_LIMIT = 20_000
#: When to try again that the store could not do.
RETRY_S = 1

_log = structlog.get_logger(__name__)

#: Gets an operation's result, or the error that refused it.
Settle = Callable[[Any], None]
#: What is to be done, and what follows from it.
Order = tuple[Operation, Settle]


def nothing_follows(_result: object) -> None:
    """Settles what nothing in memory follows from, but what the store tells of by itself."""


#: Hears of each transaction how many operations it had, and what it took, in seconds.
Note = Callable[[int, float], None]


class _Group:
    """Orders that were given together, and who waits for all of them."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._results: list[Any] = []
        self.future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def take(self, result: Result) -> None:
        """Takes the next result."""
        self._results.append(result)
        self._missing -= 1
        if not self._missing and not self.future.done():
            self.future.set_result(self._results)


_Waiting = tuple[Operation, Settle, _Group]


class Committer:
    """Turns single operations into batches.

    Args:
        store: Where they are committed.
        note: Is told of each transaction; None for nobody.
    """

    def __init__(self, store: Store, note: Note | None = None) -> None:
        self._store = store
        self._note = note
        self._waiting: deque[_Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None
        #: Cleared while a batch is on its way to the disk.
        self._settled = asyncio.Event()
        self._settled.set()

    async def do(self, operation: Operation, settle: Settle) -> Any:
        """Commits one operation and returns its result.

        Args:
            operation: See the store's contract.
            settle: Called once with the result, when it is on disk, or with the error.

        Raises:
            InferryError: The operation was refused.
            UnavailableError: The store could not commit, or too many operations wait.
        """
        (result,) = await self.do_all([(operation, settle)])
        if isinstance(result, InferryError):
            raise result
        return result

    async def do_all(self, orders: Sequence[Order]) -> list[Any]:
        """Does the same with many operations at once, in their order.

        Returns:
            For each its result, or the error that refused it; the others go on.
        """
        if not orders:
            return []
        group = self._give(orders)
        if isinstance(group, UnavailableError):
            return [group] * len(orders)
        return await group.future

    def order(self, operation: Operation, settle: Settle) -> None:
        """Has one operation committed for whose result nobody waits."""
        self._give([(operation, settle)])

    @property
    def idle(self) -> bool:
        """Whether nothing waits for its commit."""
        return self._runner is None

    async def settled(self) -> None:
        """Waits until all that a read may have shown has been settled, too."""
        await self._settled.wait()

    async def catch_up(self, within_s: float) -> None:
        """Waits until nothing waits for its commit, or so long."""
        if self._runner is not None:
            await asyncio.wait({self._runner}, timeout=within_s)

    async def drain(self) -> None:
        """Waits until everything that waits is committed."""
        if self._runner is not None:
            await self._runner

    def _give(self, orders: Sequence[Order]) -> _Group | UnavailableError:
        """Takes orders; gives the group whose results are to come, or why none is taken."""
        if len(self._waiting) + len(orders) > WAITING_LIMIT:
            refusal = UnavailableError("the store is behind; try again", retry_after_s=RETRY_S)
            for _, settle in orders:
                settle(refusal)
            return refusal
        group = _Group(len(orders))
        self._waiting.extend((operation, settle, group) for operation, settle in orders)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="committer")
        return group

    async def _run(self) -> None:
        try:
            while self._waiting:
                # Those whose commit is done go on first, and what else the loop has ready joins.
                await asyncio.sleep(0)
                size = min(len(self._waiting), BATCH_LIMIT)
                batch = [self._waiting.popleft() for _ in range(size)]
                self._settled.clear()
                await self._commit(batch)
                self._settled.set()
        finally:
            self._settled.set()
            self._runner = None

    async def _commit(self, batch: list[_Waiting]) -> None:
        results: Sequence[Result]
        began_s = perf_counter()
        try:
            results = await self._store.commit([operation for operation, _, _ in batch])
        except StoreError as error:
            _log.error("commit failed", operations=len(batch), error=str(error))
            results = [_cannot_write() for _ in batch]
        except Exception:  # noqa: BLE001  # see below
            # Whatever broke: none of the batch is on disk, and nobody may wait for ever.
            _log.exception("commit broke", operations=len(batch))
            results = [InferryError("internal error") for _ in batch]
        if self._note is not None:
            self._note(len(batch), perf_counter() - began_s)
        for (operation, settle, group), result in zip(batch, results, strict=True):
            try:
                settle(result)
            except Exception:  # noqa: BLE001  # the next in the batch are not to wait for ever
                _log.exception("what follows a commit broke", operation=type(operation).__name__)
            group.take(result)


def _cannot_write() -> UnavailableError:
    return UnavailableError("the store cannot write now; try again", retry_after_s=RETRY_S)
