"""Group commit: many operations, one transaction, one fsync.

While one batch is being committed the next one gathers. An operation's ``settle`` runs as soon as
its fate is known, in order, whether or not its caller still waits: what follows from a durable
change must not depend on a client's patience. It is always a method of the ledger.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
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
_Waiting = tuple[Operation, Settle, asyncio.Future[Any]]


class Committer:
    """Turns single operations into batches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def do(self, operation: Operation, settle: Settle) -> Any:
        """Commits one operation and returns its result.

        Args:
            operation: See the store's contract.
            settle: Called once with the result, when it is on disk, or with the error.

        Raises:
            InferryError: The operation was refused.
            UnavailableError: The store could not commit, or too many operations wait.
        """
        future = self.put(operation, settle)
        return await future

    def put(self, operation: Operation, settle: Settle) -> asyncio.Future[Any]:
        """Does the same for who puts many in at once: gives what has the result in the end.

        Raises:
            UnavailableError: Too many operations wait.
        """
        if len(self._waiting) >= WAITING_LIMIT:
            refusal = UnavailableError("the store is behind; try again", retry_after_s=RETRY_S)
            settle(refusal)
            raise refusal
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, settle, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="committer")
        return future

    @property
    def idle(self) -> bool:
        """Whether nothing waits for its commit."""
        return self._runner is None

    async def drain(self) -> None:
        """Waits until everything that waits is committed."""
        if self._runner is not None:
            await self._runner

    async def _run(self) -> None:
        try:
            while self._waiting:
                # Those whose commit is done go on first, and what else the loop has ready joins.
                await asyncio.sleep(0)
                size = min(len(self._waiting), BATCH_LIMIT)
                batch = [self._waiting.popleft() for _ in range(size)]
                await self._commit(batch)
        finally:
            self._runner = None

    async def _commit(self, batch: list[_Waiting]) -> None:
        results: Sequence[Result]
        try:
            results = await self._store.commit([operation for operation, _, _ in batch])
        except StoreError as error:
            _log.error("commit failed", operations=len(batch), error=str(error))
            results = [_cannot_write() for _ in batch]
        except Exception:  # noqa: BLE001  # see below
            # Whatever broke: none of the batch is on disk, and nobody may wait for ever.
            _log.exception("commit broke", operations=len(batch))
            results = [InferryError("internal error") for _ in batch]
        for (operation, settle, future), result in zip(batch, results, strict=True):
            try:
                settle(result)
            except Exception:  # noqa: BLE001  # the next in the batch are not to wait for ever
                _log.exception("what follows a commit broke", operation=type(operation).__name__)
            if future.done():
                continue
            if isinstance(result, InferryError):
                future.set_exception(result)
            else:
                future.set_result(result)


def _cannot_write() -> UnavailableError:
    return UnavailableError("the store cannot write now; try again", retry_after_s=RETRY_S)
