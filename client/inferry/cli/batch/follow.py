"""Follows many tasks to their ends through one stream."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import cast

import grpc

from inferry.cli.session import Session, wait_for_gateway
from inferry.client.errors import InferryError
from inferry.client.failures import call_error, cut_error
from inferry.client.patience import Absence
from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import FollowTasksRequest, FollowTasksResponse

#: Tasks that are followed at once; who adds more waits until some have ended.
OPEN_LIMIT = 10_000

#: For how long the thread may still print what it has heard.
_LEAVE_S = 2.0
#: Statuses that a task leaves by itself.
_OPEN = frozenset({Task.PENDING, Task.PROCESSING})


class Follower:
    """Follows tasks, in a thread of its own, until all have ended.

    A stream that breaks is opened anew: it shows the tasks that are still open as they are then.

    Args:
        session: The way to the gateway.
        ended: Told of each task that ended, as it is then.
        gone: Told of each task that is not there any longer.
        moved: Told that some tasks went on.
    """

    def __init__(
        self,
        session: Session,
        *,
        ended: Callable[[Task], None],
        gone: Callable[[str], None],
        moved: Callable[[], None],
    ) -> None:
        self._session = session
        self._ended = ended
        self._gone = gone
        self._moved = moved
        self._changed = threading.Condition()
        #: Progress of those that have not ended, 0 to 100.
        self._open: dict[str, float] = {}
        #: What the stream is told next: ids to follow; None is the last word.
        self._said: SimpleQueue[list[str] | None] | None = None
        self._call: grpc.Call | None = None
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def done(self) -> float:
        """How much of the open tasks is done: 1 for each whole one."""
        with self._changed:
            return sum(self._open.values()) / 100

    def add(self, task_ids: list[str]) -> None:
        """Follows more tasks; waits while too many are open.

        Raises:
            Exception: What ended the stream for good.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or len(self._open) < OPEN_LIMIT)
            self._check()
            new = dict.fromkeys(task_id for task_id in task_ids if task_id not in self._open)
            self._open |= dict.fromkeys(new, 0.0)
            if new and self._said is not None:
                self._said.put(list(new))
            if new and self._thread.ident is None:
                self._thread.start()

    def wait(self) -> None:
        """Waits until all tasks have ended.

        Raises:
            Exception: What ended the stream for good.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._open)
            self._check()

    def stop(self) -> None:
        """Follows no longer; the tasks go on."""
        self._stopped.set()
        with self._changed:
            if self._call is not None:
                self._call.cancel()
        if self._thread.is_alive():
            self._thread.join(_LEAVE_S)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        absence = Absence()
        try:
            while not self._stopped.is_set():
                error = self._stream(absence)
                if not self._stopped.is_set():
                    wait_for_gateway(absence, error, self._stopped.wait)
        except BaseException as failure:  # noqa: BLE001 - raised again where it is waited for
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _stream(self, absence: Absence) -> InferryError:
        """Follows through one stream; gives what ended it."""
        calls = self._session.calls
        absence.tried()
        with self._asking() as asks:
            here = calls.here()
            call = here.stubs.tasks.FollowTasks(asks, metadata=here.metadata())
            with self._changed:
                self._call = call
            if self._stopped.is_set():
                call.cancel()
            try:
                for response in call:
                    absence.over()
                    self._take(response)
            except grpc.RpcError as broken:
                return call_error(cast("grpc.Call", broken), calls.settings.address)
            finally:
                call.cancel()
            return cut_error(calls.settings.address)

    @contextmanager
    def _asking(self) -> Iterator[Iterator[FollowTasksRequest]]:
        """Gives what one stream asks for: all that is open, and then what is added."""
        said: SimpleQueue[list[str] | None] = SimpleQueue()
        with self._changed:
            if self._open:
                said.put(list(self._open))
            self._said = said
        try:
            yield map(_ask, iter(said.get, None))
        finally:
            # Ends gRPC's own thread that reads it.
            said.put(None)

    def _take(self, response: FollowTasksResponse) -> None:
        for task in response.tasks:
            self._see(task)
        for task_id in response.missing_ids:
            if self._let_go(task_id):
                self._gone(task_id)
        for event in response.events:
            self._hear(event)
        self._moved()
        with self._changed:
            self._changed.notify_all()

    def _see(self, task: Task) -> None:
        if task.status in _OPEN:
            self._note(task.id, task.progress)
        elif self._let_go(task.id):
            self._ended(task)

    def _hear(self, event: TaskEvent) -> None:
        if event.HasField("task"):
            self._see(event.task)
        else:
            self._note(event.task_id, event.progress)

    def _note(self, task_id: str, progress: float) -> None:
        with self._changed:
            if task_id in self._open:
                self._open[task_id] = progress

    def _let_go(self, task_id: str) -> bool:
        """Whether it was followed until now."""
        with self._changed:
            return self._open.pop(task_id, None) is not None


def _ask(task_ids: list[str]) -> FollowTasksRequest:
    return FollowTasksRequest(add_ids=task_ids, value_format=JSON_TEXT)
