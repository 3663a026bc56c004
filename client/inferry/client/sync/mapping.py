# Made of client/inferry/client/aio/mapping.py by tools/unasync.py.
"""One task for each of many payloads, a number of them at a time."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from inferry.client.errors import InferryError
from inferry.client.failures import end_error
from inferry.client.following import Told
from inferry.client.payloads import value_of
from inferry.client.requests import Creation
from inferry.client.sync.calls import Calls
from inferry.client.sync.creation import create_many, undo
from inferry.client.sync.machinery import Mailbox, see_through
from inferry.client.sync.task import Task
from inferry.v1 import task_pb2

#: Is told how many have ended, and of how many; None while nobody knows.
OnProgress = Callable[[int, int | None], None]


class MappedRun:
    """Runs tasks, and keeps no more of them open than it may.

    Args:
        calls: The way to the gateway.
        requests: What to create, in the order of the results.
        total: How many they are; None if nobody knows.
        concurrency: How many may be open at once.
        on_progress: Is told when one has ended.
    """

    def __init__(
        self,
        calls: Calls,
        requests: Iterable[Creation],
        total: int | None,
        concurrency: int,
        on_progress: OnProgress | None,
    ) -> None:
        self._calls = calls
        self._requests: Iterator[Creation] = iter(requests)
        self._total = total
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._mailbox: Mailbox[tuple[int, Told]] = Mailbox()
        self._begun = 0
        #: Those whose creation has not been answered.
        self._creating: list[Creation] = []
        #: Those that are open, and how to be told no longer, by number.
        self._open: dict[int, tuple[Task, Callable[[Told], None]]] = {}
        self._ended: dict[int, Any] = {}
        #: The first error, if one ends it all.
        self._failed: InferryError | None = None

    def run(self, *, return_exceptions: bool) -> list[Any]:
        """Runs them all.

        Args:
            return_exceptions: Whether an error takes the place of a result. Else the first one ends
                it all, and what is open is cancelled.
        """
        try:
            while True:
                if self._failed is None or return_exceptions:
                    self._fill()
                if self._failed is not None and not return_exceptions:
                    raise self._failed  # noqa: TRY301 - it ends as any other interruption does
                if not self._open:
                    return [self._ended[number] for number in range(self._begun)]
                first = self._mailbox.get()
                for number, told in (first, *self._mailbox.get_more()):
                    self._take(number, told)
        except BaseException:
            see_through(self._abandon)
            raise

    def _fill(self) -> None:
        """Creates as many as there is room for, in as few calls as possible."""
        self._creating = list(islice(self._requests, self._concurrency - len(self._open)))
        for answer in create_many(self._calls, self._creating, None):
            number, self._begun = self._begun, self._begun + 1
            if isinstance(answer, InferryError):
                self._end(number, answer)
                continue
            tell = partial(self._tell, number)
            self._open[number] = Task(self._calls, answer.id), tell
            self._calls.here().follower.add(answer.id, tell)
        self._creating = []

    def _tell(self, number: int, told: Told) -> None:
        self._mailbox.put((number, told))

    def _take(self, number: int, told: Told) -> None:
        task, _ = self._open.pop(number)
        try:
            if told is None:
                # The stream cannot show it.
                told = task.ended()
            outcome = _outcome(told)
        except InferryError as error:
            outcome = error
        self._end(number, outcome)

    def _end(self, number: int, outcome: Any) -> None:
        self._ended[number] = outcome
        if isinstance(outcome, InferryError):
            self._failed = self._failed or outcome
        if self._on_progress is not None:
            self._on_progress(len(self._ended), self._total)

    def _abandon(self) -> None:
        """Cancels what is open: nobody waits for it any more."""
        for task, tell in self._open.values():
            self._calls.here().follower.drop(task.id, tell)
        undo(self._calls, [task.id for task, _ in self._open.values()], self._creating)


def _outcome(told: task_pb2.Task | InferryError) -> Any:
    if isinstance(told, InferryError):
        return told
    return end_error(told) or value_of(told.result_json)
