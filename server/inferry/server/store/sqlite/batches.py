"""Batches of operations, inside a transaction that somebody else begins and ends."""

from collections.abc import Sequence

import apsw
import structlog

from inferry.server.errors import InferryError
from inferry.server.store.journal import Journal
from inferry.server.store.operations import Operation, Result
from inferry.server.store.sqlite.writes import SqliteWrites
from inferry.server.store.webhooks import Notify

_log = structlog.get_logger(__name__)


class BrokenOperationError(Exception):
    """One operation cannot be done; its cause says why."""


class SqliteBatches:
    """Runs one batch after the other on a connection."""

    def __init__(self, db: apsw.Connection, journal: Journal, notices: Notify) -> None:
        self._db = db
        self._journal = journal
        self._writes = SqliteWrites(db, journal, notices)
        #: What the transaction did to webhooks.
        self.hooks = self._writes.hooks
        self._data_version: object = None

    def run(self, operations: Sequence[Operation]) -> list[Result]:
        """Runs operations in order, each upon the ones before it.

        Raises:
            apsw.Error: A statement failed; the transaction must be rolled back.
            BrokenOperationError: So it must; ``run_apart`` does the others.
        """
        # It differs when another connection wrote: an operator's shell, perhaps.
        data_version = self._db.pragma("data_version")
        if data_version != self._data_version:
            self._writes.forget()
            self._data_version = data_version
        results = [self._do(operation) for operation in operations]
        self._finish()
        return results

    def run_apart(self, operations: Sequence[Operation]) -> list[Result]:
        """Does so and refuses each operation that cannot be done; what it wrote is taken back.

        Raises:
            apsw.Error: A statement failed; the transaction must be rolled back.
        """
        results: list[Result] = []
        for operation in operations:
            self._db.execute("SAVEPOINT apart")
            before = len(self._journal)
            try:
                result = self._do(operation)
                self._finish()
                results.append(result)
            except BrokenOperationError:
                _log.exception("an operation broke", operation=type(operation).__name__)
                self._db.execute("ROLLBACK TO apart")
                self._writes.forget()
                self._journal.cut(before)
                results.append(InferryError("internal error"))
            self._db.execute("RELEASE apart")
        return results

    def forget(self) -> None:
        """Has to be called when a transaction was rolled back."""
        self._writes.forget()
        self._journal.cut(0)

    def _do(self, operation: Operation) -> Result:
        try:
            return self._writes.do(operation)
        except InferryError as refusal:
            return refusal
        except apsw.ConstraintError as error:
            raise BrokenOperationError from error
        except apsw.Error:
            # All others are the disk's, and the whole batch's.
            raise
        except Exception as error:
            raise BrokenOperationError from error

    def _finish(self) -> None:
        try:
            self._writes.finish()
        except apsw.ConstraintError as error:
            raise BrokenOperationError from error
