"""Creates tasks in batches, however often it takes."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from inferry.cli.batch.creations import Creation
from inferry.cli.session import Session, wait_for_gateway
from inferry.client.batching import results_of
from inferry.client.errors import InferryError
from inferry.client.patience import Absence
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResponse,
    BatchCreateTasksResult,
)

#: Pauses for a full queue. What the gateway asks for is a guess: a server may come any moment.
_SHORTEST_S, _LONGEST_S = 0.05, 10.0


class Answer(NamedTuple):
    """What became of a creation."""

    line: int
    result: BatchCreateTasksResult


class Creator:
    """Creates batches of tasks, one after the other.

    A call that broke is made again with the same request ids, so that nothing is created twice.
    What the gateway wants to take later, because its queue is full, is sent again then.

    Args:
        session: The way to the gateway.
        full: Told how many tasks wait for room in the queue, and for how many seconds.
        sleep: Waits for room, and for a gateway that is away.
    """

    def __init__(
        self,
        session: Session,
        full: Callable[[int, float], None],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._session = session
        self._absence = Absence()
        self._full = full
        self._sleep = sleep

    def create(self, batch: Sequence[Creation]) -> Iterator[Answer]:
        """Creates the tasks of a batch; gives an answer for each.

        Raises:
            InferryError: The gateway refuses the whole batch, or stays away.
        """
        left = batch
        while left:
            results = results_of(self._call(left), len(left))
            again: list[Creation] = []
            pause_s = 0.0
            for creation, result in zip(left, results, strict=True):
                if result.refusal.HasField("retry_after_ms"):
                    again.append(creation)
                    pause_s = max(pause_s, result.refusal.retry_after_ms / 1_000)
                else:
                    yield Answer(creation.line, result)
            left = again
            if left:
                pause_s = min(max(pause_s, _SHORTEST_S), _LONGEST_S)
                self._full(len(left), pause_s)
                self._sleep(pause_s)

    def _call(self, batch: Sequence[Creation]) -> BatchCreateTasksResponse:
        request = BatchCreateTasksRequest(requests=(creation.request for creation in batch))
        while True:
            try:
                response = self._session.call(self._session.tasks.BatchCreateTasks, request)
            except InferryError as error:
                wait_for_gateway(self._absence, error, self._sleep)
            else:
                self._absence.over()
                return response
