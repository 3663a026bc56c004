# Made of client/inferry/client/aio/task.py by tools/unasync.py.
"""A task, as something to wait for and to steer."""

from collections.abc import Iterator
from copy import copy
from typing import Any

from inferry.client.errors import InferryError, WaitTimedOut
from inferry.client.failures import end_error
from inferry.client.patience import Patience, jitter_s
from inferry.client.payloads import value_of
from inferry.client.reading import read
from inferry.client.records import Attempt, Explanation, StreamUrl, TaskEvent, TaskState
from inferry.client.requests import milliseconds
from inferry.client.sync.calls import Calls
from inferry.client.sync.machinery import sleep
from inferry.client.sync.watching import events_of
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import JSON_TEXT


class Task:
    """A task of a client; ``Client.task`` makes one of any id, without a call.

    >>> task = client.submit("double", {"n": 4})
    >>> task.result(timeout=10)
    {'n': 8}
    """

    __slots__ = ("_calls", "id", "state")

    def __init__(self, calls: Calls, task_id: str, state: TaskState | None = None) -> None:
        self._calls = calls
        #: ``task_`` and a ULID.
        self.id = task_id
        #: As it was when this object was made; None if nobody has asked for it.
        self.state = state

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def result(self, timeout: float | None = None) -> Any:
        """Waits for its end, however many wait with it, over one stream.

        Args:
            timeout: Seconds to wait; None for as long as it takes, which its own clocks bound.

        Returns:
            What its backend answered: any JSON value.

        Raises:
            TaskFailed: It ended as FAILED.
            TaskTimedOut: One of its clocks ran out.
            TaskCancelled: It was cancelled.
            WaitTimedOut: It has not ended in time; it goes on.
            NotFound: There is no such task.
            Gone: It was kept until its time of retention was over.
            Unavailable: The gateway was away for a minute.
        """
        return value_of((self.ended(timeout)).result_json)

    def ended(self, timeout: float | None = None) -> task_pb2.Task:
        """Waits for its end as ``result`` does; gives the message, without payload."""
        task = self._final(Patience(timeout, 0), timeout)
        error = end_error(task)
        if error is not None:
            raise error
        return task

    def get(self) -> TaskState:
        """Reads it as it is now, with its payload.

        Raises:
            NotFound: There is no such task.
            Gone: It was kept until its time of retention was over.
        """
        request = pb.GetTaskRequest(id=self.id, value_format=JSON_TEXT)
        return read(TaskState, (self._calls.ask(lambda s: s.tasks.GetTask, request)).task)

    def cancel(self, reason: str = "") -> TaskState:
        """Ends it unless it has ended. To cancel it again is no error.

        Args:
            reason: Why, for a person.

        Raises:
            Conflict: It ended otherwise.
        """
        request = pb.CancelTaskRequest(id=self.id, reason=reason, value_format=JSON_TEXT)
        answer = self._calls.ask(lambda s: s.tasks.CancelTask, request)
        return read(TaskState, answer.task)

    def retry(self) -> TaskState:
        """Starts it again if it is FAILED, TIMEOUT or CANCELLED; its history is kept.

        Raises:
            Conflict: It is in no such status.
            Unavailable: The answer was lost: it may have been started again.
        """
        request = pb.RetryTaskRequest(id=self.id, value_format=JSON_TEXT)
        answer = self._calls.ask(lambda s: s.tasks.RetryTask, request, safe=False)
        return read(TaskState, answer.task)

    def events(self, after: int = 0) -> Iterator[TaskEvent]:
        """Gives its events in order up to its end, each once, whatever becomes of the connection.

        Between them come ``QUEUED`` events, which have no number of their own: its place in the
        queue changed.

        Args:
            after: Only events after this number.
        """
        for event in events_of(self._calls, self.id, after):
            yield read(TaskEvent, event)

    def attempts(self) -> list[Attempt]:
        """Lists its attempts, oldest first."""
        request = pb.ListAttemptsRequest(id=self.id)
        answer = self._calls.ask(lambda s: s.tasks.ListAttempts, request)
        return [read(Attempt, attempt) for attempt in answer.attempts]

    def explain(self) -> Explanation:
        """Tells why it runs where it runs, or why it does not run and what would change that."""
        request = pb.ExplainTaskRequest(id=self.id)
        answer = self._calls.ask(lambda s: s.tasks.ExplainTask, request)
        return read(Explanation, answer)

    def stream_url(self, ttl: float | None = None) -> StreamUrl:
        """Makes a URL that shows its events for a while to whoever has it: for a browser.

        Args:
            ttl: Seconds for which it holds, 1 to 3,600, but no longer than your token; None for
                a quarter of an hour.

        Raises:
            NotFound: There is no such task.
            Gone: It was kept until its time of retention was over.
        """
        ttl_ms = None if ttl is None else milliseconds(ttl)
        request = pb.CreateStreamUrlRequest(id=self.id, ttl_ms=ttl_ms)
        answer = self._calls.ask(lambda s: s.tasks.CreateStreamUrl, request)
        return read(StreamUrl, answer)

    def _final(self, patience: Patience, timeout_s: float | None) -> task_pb2.Task:
        tries = 0
        while True:
            try:
                told = self._calls.here().follower.end_of(self.id, patience.left_s())
            except TimeoutError:
                state = self.state or TaskState(id=self.id)
                text = f"{self.id} has not ended within {timeout_s:.3g} s"
                raise WaitTimedOut(text, task=state) from None
            if isinstance(told, InferryError):
                # The others who wait raise it, too.
                raise copy(told)
            if told is not None:
                return told
            # The stream cannot show it: its own call says what it is, or why.
            request = pb.GetTaskRequest(id=self.id, value_format=JSON_TEXT, without_payload=True)
            task = (self._calls.ask(lambda s: s.tasks.GetTask, request)).task
            if read(TaskState, task).status.final:
                return task
            sleep(jitter_s(tries))
            tries += 1
