"""Follows many tasks to their ends, through the one stream that a client has for that."""

import threading
from collections.abc import Callable, Iterable
from functools import partial

from inferry.cli.session import Session, say_away
from inferry.client.errors import Gone, InferryError, NotFound
from inferry.client.following import Told
from inferry.client.sync.follower import Follower as Stream
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import FollowTasksResponse, GetTaskRequest

#: Tasks that are followed at once; who adds more waits until some have ended.
OPEN_LIMIT = 10_000

#: Statuses that a task leaves by itself.
_OPEN = frozenset({Task.PENDING, Task.PROCESSING})


class Follower:
    """Follows tasks, while their creation goes on, until all have ended.

    What it tells, it tells in the thread of the stream.

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
        here = session.calls.here()
        address = session.calls.settings.address
        self._stream = Stream(here.stubs, here.metadata, address, self._heard, say_away)
        self._changed = threading.Condition()
        #: Progress of those that have not ended, 0 to 100.
        self._open: dict[str, float] = {}
        self._failure: BaseException | None = None

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
            new = dict.fromkeys(one for one in task_ids if one not in self._open)
            self._open |= dict.fromkeys(new, 0.0)
        if new:
            self._follow(new)

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
        self._stream.close()

    def _follow(self, task_ids: Iterable[str]) -> None:
        self._stream.add_all({task_id: partial(self._told, task_id) for task_id in task_ids})

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _told(self, task_id: str, told: Told) -> None:
        """Takes the end of a task, or that its end cannot be followed."""
        try:
            task = self._looked_up(task_id) if told is None else told
            if isinstance(task, InferryError):
                self._fail(task)
            elif task is None:
                self._gone(task_id)
            elif task.status in _OPEN:
                self._follow([task_id])
                return
            else:
                self._ended(task)
        except BaseException as failure:  # noqa: BLE001 - raised again where it is waited for
            self._fail(failure)
        with self._changed:
            del self._open[task_id]

    def _looked_up(self, task_id: str) -> Task | None:
        """Asks for a task that the stream cannot show; None if it is gone."""
        request = GetTaskRequest(id=task_id, value_format=JSON_TEXT, without_payload=True)
        try:
            return self._session.call(self._session.tasks.GetTask, request).task
        except (NotFound, Gone):
            return None

    def _heard(self, response: FollowTasksResponse) -> None:
        """Takes how far the tasks are that go on."""
        with self._changed:
            for task in response.tasks:
                self._note(task.id, task.progress)
            for event in response.events:
                self._note(event.task_id, event.progress)
        try:
            self._moved()
        except BaseException as failure:  # noqa: BLE001 - raised again where it is waited for
            self._fail(failure)
        with self._changed:
            self._changed.notify_all()

    def _note(self, task_id: str, progress: float) -> None:
        if task_id in self._open:
            self._open[task_id] = progress

    def _fail(self, failure: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()
