"""The streams of TaskService: what happens to one task, to many, and to those that are named."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.reader import Reader, Step
from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.follow import Ask, Follow
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.many import ManyTasks
from inferry.server.rpc.admission import visible_tenant
from inferry.server.rpc.convert import (
    add_values,
    event_to_proto,
    gap_to_proto,
    place_to_proto,
    task_to_proto,
)
from inferry.server.rpc.news import NewsWriter
from inferry.server.rpc.stream_urls import StreamUrls
from inferry.server.rpc.task_filters import labels_of, tenant_of
from inferry.server.store import Store
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb


class Watches:
    """Everything that can be watched.

    Args:
        reader: Reads tasks.
        queue: Tells where they stand.
        feed: The latest events of all.
        store: All events.
        urls: Who may watch without a token, and for how long.
        largest: Bytes that a task may have as a message.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        queue: QueueView,
        feed: Feed,
        store: Store,
        urls: StreamUrls,
        largest: int,
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._feed = feed
        self._store = store
        #: For who has no token.
        self.urls = urls
        self._largest = largest

    async def one(self, request: pb.WatchTaskRequest) -> AsyncGenerator[pb.WatchTaskResponse, None]:
        """Streams a task's events in order."""
        tenant, last = self.urls.tenant_of(request), None
        if request.without_waiting:
            last = (await self._reader.task(request.id, tenant)).seq
            if request.after_seq >= last:
                return
        watch = self._reader.watch(request.id, tenant, request.after_seq)
        async with aclosing(watch) as steps:
            while (step := await self.urls.step(request, steps)) is not None:
                yield pb.WatchTaskResponse(event=await self._step(request, step))
                if last is not None and step.seq >= last:
                    return

    async def many(
        self, request: pb.WatchTasksRequest
    ) -> AsyncGenerator[pb.WatchTasksResponse, None]:
        """Streams what happens to the tasks that fit."""
        interest = Interest(
            tenant_of(request.tenant, visible_tenant()), request.type, labels_of(request.labels)
        )
        writer = self._writer()
        writer.values = None if request.without_results else request.value_format
        watch = ManyTasks(self._feed, self._store, interest, request.ids)
        async with aclosing(watch.watch(request.cursor)) as told:
            async for news in told:
                async for response in writer.write(news, pb.WatchTasksResponse):
                    yield response

    async def follow(
        self, requests: AsyncIterator[pb.FollowTasksRequest]
    ) -> AsyncGenerator[pb.FollowTasksResponse, None]:
        """Streams what happens to the tasks that are named while it runs."""
        writer = self._writer()

        async def asks() -> AsyncGenerator[Ask, None]:
            first = True
            async for request in requests:
                if first:
                    writer.values, first = request.value_format, False
                yield Ask(request.add_ids, request.remove_ids, request.cursor)

        watch = Follow(self._feed, self._store, visible_tenant())
        async with aclosing(watch.run(asks())) as told:
            async for news in told:
                async for response in writer.write(news, pb.FollowTasksResponse):
                    yield response

    def _writer(self) -> NewsWriter:
        return NewsWriter(self._reader, self._queue, self._feed.cursors, self._largest)

    async def _step(self, request: pb.WatchTaskRequest, step: Step) -> task_pb2.TaskEvent:
        if step.place is not None:
            return place_to_proto(step.seq, request.id, step.place)
        task = None
        if step.record is not None:
            record, outcome = await self._reader.ended(step.record)
            task = task_to_proto(record, self._queue.place_of(record))
            add_values(task, request.value_format, None, outcome, self._largest)
        return (
            gap_to_proto(step.seq, task) if step.event is None else event_to_proto(step.event, task)
        )
