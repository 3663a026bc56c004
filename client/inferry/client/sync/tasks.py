# Made of client/inferry/client/aio/tasks.py by tools/unasync.py.
"""What a client does with the tasks that are there: finds, watches, cancels and retries them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Unpack

from inferry.client.errors import QueueFull
from inferry.client.paging import Pages
from inferry.client.reading import read
from inferry.client.records import Changes, Count, Status, TaskState
from inferry.client.requests import Filters, moment, narrowing
from inferry.client.sync.calls import Calls
from inferry.client.sync.task import Task
from inferry.client.sync.watching import changes
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_pb2 import JSON_TEXT

#: Tasks a page, and tasks that one call cancels or retries, at most.
_PAGE = 500
_TASKS = 1_000

NO_LABELS: Mapping[str, str] = {}


def status_number(status: str | None) -> task_pb2.Task.Status.ValueType:
    """Gives the number of a status, in whatever case it is written; 0 for None.

    Raises:
        ValueError: There is no such status.
    """
    if status is None:
        return task_pb2.Task.STATUS_UNSPECIFIED
    try:
        return task_pb2.Task.Status.Value(status.upper())
    except ValueError:
        names = ", ".join(one for one in Status if one is not Status.UNKNOWN)
        raise ValueError(f"there is no status {status!r}; right are {names}") from None


class Tasks:
    """The part of ``Client`` about the tasks that are there."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def task(self, task_id: str) -> Task:
        """Gives a task by its id, without a call."""
        return Task(self._calls, task_id)

    def tasks(
        self,
        status: str | None = None,
        type: str = "",  # noqa: A002 - the field's own word
        labels: Mapping[str, str] = NO_LABELS,
        **filters: Unpack[Filters],
    ) -> Iterator[Task]:
        """Lists your tasks, newest first, a page at a time as they are asked for.

        Args:
            status: Only tasks of this status, such as ``FAILED``.
            type: Only tasks of this type.
            labels: Only tasks with all of these labels.
            filters: See ``Filters``.

        Returns:
            Tasks whose ``state`` is set, without payload and result.
        """
        request = pb.ListTasksRequest(
            status=status_number(status),
            type=type,
            labels=labels,
            **narrowing(filters),
            page_size=_PAGE,
        )
        pages, more = Pages(), True
        while more:
            page = self._calls.ask(lambda s: s.tasks.ListTasks, request)
            for task in page.tasks:
                yield self._task_of(task)
            more = pages.turn(request, page.next_page_token)

    def count(
        self,
        status: str | None = None,
        type: str = "",  # noqa: A002 - the field's own word
        labels: Mapping[str, str] = NO_LABELS,
        **filters: Unpack[Filters],
    ) -> Count:
        """Counts your tasks, as ``tasks`` with the same filters lists them: 10,000 at most.

        Args:
            status: Only tasks of this status, such as ``FAILED``.
            type: Only tasks of this type.
            labels: Only tasks with all of these labels.
            filters: See ``Filters``.
        """
        request = pb.CountTasksRequest(
            status=status_number(status),
            type=type,
            labels=labels,
            **narrowing(filters),
        )
        answer = self._calls.ask(lambda s: s.tasks.CountTasks, request)
        return read(Count, answer)

    def watch(
        self,
        ids: Iterable[str] = (),
        *,
        type: str = "",  # noqa: A002 - the field's own word
        labels: Mapping[str, str] = NO_LABELS,
        tenant: str = "",
        after: str = "",
        results: bool = True,
    ) -> Iterator[Changes]:
        """Gives what happens to many tasks over one stream, for ever; all of yours by default.

        It begins with the tasks as they are, and goes on with each change. After a break it goes on
        where it was. Who keeps the ``cursor`` of what it has dealt with and gives it as ``after``
        sees each event once, even if it was killed meanwhile.

        Args:
            ids: Only these tasks, 10,000 at most.
            type: Only tasks of this type.
            labels: Only tasks with all of these labels.
            tenant: Only tasks of this tenant: an admin's are those of all.
            after: The ``cursor`` of what was dealt with last; empty to begin with a snapshot.
            results: Whether results and details come with the events that ended tasks.
        """
        request = pb.WatchTasksRequest(
            ids=ids,
            type=type,
            labels=labels,
            tenant=tenant,
            cursor=after,
            value_format=JSON_TEXT,
            without_results=not results,
        )
        for response in changes(self._calls, request):
            yield read(Changes, response)

    def retry_all(
        self,
        status: str = Status.FAILED,
        *,
        type: str = "",  # noqa: A002 - the field's own word
        labels: Mapping[str, str] = NO_LABELS,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> int:
        """Starts tasks that ended badly again, newest first.

        Args:
            status: ``FAILED``, ``TIMEOUT`` or ``CANCELLED``.
            type: Only tasks of this type.
            labels: Only tasks with all of these labels.
            limit: Tasks at most.
            filters: See ``Filters``.

        Returns:
            How many were started again.

        Raises:
            QueueFull: The queue was full before all were; ``details["retried"]`` says how many.
        """
        request = pb.RetryTasksRequest(
            status=status_number(status),
            type=type,
            labels=labels,
            **narrowing(filters),
        )
        done, pages, more = 0, Pages(), True
        while more and (limit is None or done < limit):
            request.limit = _TASKS if limit is None else min(_TASKS, limit - done)
            answer = self._calls.ask(lambda s: s.tasks.RetryTasks, request, safe=False)
            done += answer.retried
            if answer.queue_full:
                text = f"the queue is full: {done} tasks were started again, the rest was not"
                raise QueueFull(text, details={"retried": done})
            more = pages.turn(request, answer.next_page_token)
        return done

    def cancel_all(
        self,
        status: str | None = None,
        *,
        type: str = "",  # noqa: A002 - the field's own word
        server_id: str = "",
        labels: Mapping[str, str] = NO_LABELS,
        tenant: str = "",
        created_since: datetime | None = None,
        reason: str = "",
    ) -> int:
        """Cancels tasks that have not ended, newest first. At least one filter has to be given.

        Args:
            status: ``PENDING`` or ``PROCESSING``; None for both.
            type: Only tasks of this type.
            server_id: Only tasks whose latest attempt went to this server.
            labels: Only tasks with all of these labels.
            tenant: Only tasks of this tenant: an admin's are those of all.
            created_since: Only tasks that were created at this time or later.
            reason: Why, for a person.

        Returns:
            How many were cancelled.
        """
        request = pb.CancelTasksRequest(
            status=status_number(status),
            type=type,
            server_id=server_id,
            labels=labels,
            tenant=tenant,
            created_since=moment(created_since),
            reason=reason,
            limit=_TASKS,
        )
        done, pages, more = 0, Pages(), True
        while more:
            answer = self._calls.ask(lambda s: s.tasks.CancelTasks, request)
            done += answer.cancelled
            more = pages.turn(request, answer.next_page_token)
        return done

    def _task_of(self, task: task_pb2.Task) -> Task:
        return Task(self._calls, task.id, read(TaskState, task))
