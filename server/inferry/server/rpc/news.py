"""What a watch of many tasks tells, as messages of bounded size."""

from collections.abc import AsyncIterator
from typing import TypeVar

from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.reader import Reader
from inferry.server.engine.signals import Place
from inferry.server.engine.watch.cursors import Cursors
from inferry.server.engine.watch.news import News
from inferry.server.engine.watch.vectors import before
from inferry.server.errors import GoneError, UnfitValueError
from inferry.server.rpc.convert import ValueFormat, add_values, event_fields, task_to_proto
from inferry.server.task.record import Outcome, TaskRecord
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb

#: Bytes of a message, unless one task alone has more.
MESSAGE_BYTES = 1024 * 1024
#: Bytes of an event at most, besides its message, its type and its task.
_EVENT_BYTES = 256
#: Events of a message.
EVENTS_LIMIT = 256

Told = TypeVar("Told", pb.WatchTasksResponse, pb.FollowTasksResponse)


class NewsWriter:
    """Writes the messages of one stream.

    Args:
        reader: Reads what tasks ended with.
        queue: Tells where they stand.
        cursors: Writes the tokens to go on after.
        largest: Bytes that a task may have as a message.
    """

    def __init__(self, reader: Reader, queue: QueueView, cursors: Cursors, largest: int) -> None:
        self._reader = reader
        self._queue = queue
        self._cursors = cursors
        self._largest = largest
        #: How results and details come; None leaves them out.
        self.values: ValueFormat | None = task_pb2.STRUCT

    async def write(self, news: News, kind: type[Told]) -> AsyncIterator[Told]:
        """Yields the messages of one word: each with a cursor, as far as one can be told."""
        response, size = kind(restarted=news.restarted), 0
        if isinstance(response, pb.FollowTasksResponse):
            response.missing_ids.extend(news.missing)
        places = self._queue.places_of(news.tasks)
        for record in news.tasks:
            task = await self._task(record, None, places.get(record.spec.id))
            size += task.ByteSize()
            if size > MESSAGE_BYTES and response.tasks:
                yield response
                response, size = kind(), task.ByteSize()
            response.tasks.append(task)
        for number, one in enumerate(news.events):
            final = one.event.status.final
            ended = await self._task(one.record, one.outcome) if final else None
            words = one.event.message + one.record.spec.type
            added = _EVENT_BYTES + len(words.encode())
            if ended is not None:
                added += ended.ByteSize()
            size += added
            full = size > MESSAGE_BYTES or len(response.events) == EVENTS_LIMIT
            if full and (response.events or response.tasks):
                # Before all that was shown with it has been told there is no place to go on from.
                if news.vector is not None and not news.tasks:
                    left = before(news.vector, news.events[number:])
                    response.cursor = self._cursors.write(left)
                yield response
                response, size = kind(), added
            response.events.add(type=one.record.spec.type, **event_fields(one.event, ended))
        if isinstance(response, pb.WatchTasksResponse):
            response.snapshot_complete = news.complete
        if news.vector is not None:
            response.cursor = self._cursors.write(news.vector)
        yield response

    async def _task(
        self, record: TaskRecord, outcome: Outcome | None, place: Place | None = None
    ) -> task_pb2.Task:
        """Makes a task with what it ended with."""
        task = task_to_proto(record, place)
        if self.values is None or not record.status.final:
            return task
        if outcome is None:
            try:
                record, outcome = await self._reader.ended(record)
            except GoneError:
                # Who watches many tasks is not to be stopped by one.
                return task
            task = task_to_proto(record, place)
        try:
            return add_values(task, self.values, None, outcome, self._largest)
        except UnfitValueError:
            # Likewise: it comes as its text.
            task = task_to_proto(record)
            return add_values(task, task_pb2.JSON_TEXT, None, outcome, self._largest)
