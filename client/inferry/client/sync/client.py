# Made of client/inferry/client/aio/client.py by tools/unasync.py.
"""The client: what a program does with tasks."""

from collections.abc import Iterable, Sized
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from inferry.client.config import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT_S,
    Tls,
    TokenSource,
    read_settings,
)
from inferry.client.errors import InferryError, Unavailable, WaitTimedOut
from inferry.client.payloads import Payload
from inferry.client.requests import Creation, Options, new_request, new_requests
from inferry.client.sync.calls import Calls
from inferry.client.sync.creation import create, create_many, undo
from inferry.client.sync.function import Function
from inferry.client.sync.machinery import see_through
from inferry.client.sync.mapping import MappedRun, OnProgress
from inferry.client.sync.servers import Servers
from inferry.client.sync.task import Task
from inferry.client.sync.tasks import Tasks
from inferry.v1.task_service_pb2 import CreateTaskRequest

Input = TypeVar("Input")
Output = TypeVar("Output")


class Client(Tasks, Servers):
    """A way to a gateway. It opens on first use, and all that run beside each other may share it.

    >>> with Client() as client:
    ...     client.run("double", {"n": 21})
    {'n': 42}

    Args:
        address: ``HOST:PORT`` of the gateway's gRPC. Default: ``INFERRY_ADDRESS``, else ``address``
            in the file that ``INFERRY_CONFIG`` names, else ``127.0.0.1:50051``.
        token: Your token, or what gives one for each call. Default: ``INFERRY_TOKEN``, else
            ``token`` in that file.
        tls: True where a proxy with a certificate stands before the gateway; a PEM file names the
            authorities to trust in place of the machine's.
        timeout: Seconds that an operation may take, its repetitions included. To wait for the
            end of a task takes a time of its own.
        retries: How often a call is repeated at most, where that is safe.

    Raises:
        InvalidRequest: The address is none, or a file cannot be read.
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | TokenSource | None = None,
        *,
        tls: Tls = False,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        super().__init__(Calls(read_settings(address, token, tls, timeout, retries)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all waits and closes the connection. A closed client stays closed."""
        self._calls.close()

    def run(
        self,
        task_type: str,
        payload: Payload = None,
        /,
        *,
        timeout: float | None = None,
        keep: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """Creates a task and waits for its end.

        Args:
            task_type: What kind of work.
            payload: The work: a mapping, a dataclass, a pydantic model, or JSON in bytes.
            timeout: Seconds to wait; None for as long as the task's own clocks allow.
            keep: Whether the task goes on when this wait ends before it does: by the timeout, by
                Ctrl-C, or because the caller is cancelled. By default it is cancelled.
            options: See ``Options``.

        Returns:
            What its backend answered: any JSON value.

        Raises:
            InferryError: As ``submit`` and ``Task.result`` do.
        """
        request = new_request(task_type, payload, options)
        patience = self._calls.patience(timeout)
        task: Task | None = None
        try:
            task = self._created(request, timeout)
            return task.result(None if timeout is None else patience.left_s())
        except BaseException as error:
            over = isinstance(error, WaitTimedOut) or not isinstance(error, InferryError)
            # The answer to the creation did not come in time: the task may be there.
            lost = task is None and isinstance(error, Unavailable) and error.code == "TIMEOUT"
            if (over or lost) and not keep:
                known = [] if task is None else [task.id]
                unanswered = [] if task else [request]
                see_through(partial(undo, self._calls, known, unanswered))
            raise

    def submit(
        self,
        task_type: str,
        payload: Payload = None,
        /,
        *,
        timeout: float | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Creates a task; it is on the gateway's disk when this returns.

        Args:
            task_type: What kind of work.
            payload: The work: a mapping, a dataclass, a pydantic model, or JSON in bytes.
            timeout: Seconds that this may take. Default: the client's.
            options: See ``Options``.

        Raises:
            InvalidRequest: Something in it is wrong.
            QueueFull: Too many tasks wait, even after all repetitions.
            Conflict: The ``request_id`` stands for another creation.
            Unavailable: The gateway cannot be reached. To say it again with the ``request_id`` of
                the error creates no second task.
        """
        return self._created(new_request(task_type, payload, options), timeout)

    def submit_many(
        self,
        task_type: str,
        payloads: Iterable[Payload],
        /,
        *,
        timeout: float | None = None,
        **options: Unpack[Options],
    ) -> list[Task | InferryError]:
        """Creates a task for each payload, in as few calls as possible.

        Args:
            task_type: What kind of work.
            payloads: The work of each.
            timeout: Seconds that each batch of 1,000 tasks or 3 MiB may take. Default: the
                client's.
            options: See ``Options``; of each task.

        Returns:
            For each payload the task, or the error why there is none: one that is refused costs no
            other.
        """
        requests = list(_many(task_type, payloads, options))
        answers = create_many(self._calls, requests, timeout)
        return [
            answer if isinstance(answer, InferryError) else self._task_of(answer)
            for answer in answers
        ]

    def map(
        self,
        task_type: str,
        payloads: Iterable[Payload],
        /,
        *,
        concurrency: int = 100,
        on_progress: OnProgress | None = None,
        return_exceptions: bool = False,
        **options: Unpack[Options],
    ) -> list[Any]:
        """Runs a task for each payload, so many at a time.

        >>> client.map("double", [{"n": 1}, {"n": 2}])
        [{'n': 2}, {'n': 4}]

        Args:
            task_type: What kind of work.
            payloads: The work of each; read as there is room for more.
            concurrency: Tasks that are open at once, at most.
            on_progress: Is told how many have ended, and of how many; None if nobody knows.
            return_exceptions: Whether an error takes the place of its result. By default the first
                one is raised, and the tasks that are open are cancelled, as they are by Ctrl-C.
            options: See ``Options``; of each task.

        Returns:
            The results, in the order of the payloads.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency: {concurrency}; right is 1 at least")
        total = len(payloads) if isinstance(payloads, Sized) else None
        requests = _many(task_type, payloads, options)
        run = MappedRun(self._calls, requests, total, concurrency, on_progress)
        return run.run(return_exceptions=return_exceptions)

    def function(
        self, task_type: str, takes: type[Input], gives: type[Output], /
    ) -> Function[Input, Output]:
        """Makes a typed function of a type of task.

        Args:
            task_type: What kind of work.
            takes: What it takes: a dataclass, a pydantic model or ``dict``.
            gives: What it gives: one of these, or any type of values that JSON has.
        """
        return Function(self, task_type, takes, gives)

    def _created(self, request: CreateTaskRequest, timeout_s: float | None) -> Task:
        patience = self._calls.patience(timeout_s)
        return self._task_of(create(self._calls, request, patience))


def _many(task_type: str, payloads: Iterable[Payload], options: Options) -> Iterable[Creation]:
    if "request_id" in options:
        raise TypeError("request_id is the name of one creation: each of many gets its own")
    return new_requests(task_type, payloads, options)
