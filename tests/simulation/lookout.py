"""Somebody who watches all tasks, over streams that end, at whichever gateway is there."""

import asyncio

from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.v1.task_pb2 import TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksRequest, WatchTasksResponse
from tests.simulation.clients import Metadata
from tests.simulation.life import Life
from tests.simulation.site import BrokenError, Site
from tests.simulation.world import World

_STEP_S = 1.0
_TASKS = "SELECT id, seq FROM tasks"


class Lookout:
    """Goes on after the last cursor, and is to see each event once and in order.

    Args:
        world: The world.
        site: Where the gateways are.
        metadata: The token of somebody who may see everything.
    """

    def __init__(self, world: World, site: Site, metadata: Metadata) -> None:
        self.world = world
        self.site = site
        self._metadata = metadata
        self._random = world.random("lookout")
        self._cursor = ""
        #: The last event of each task up to the cursor, and up to what came since.
        self._before: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        #: Whether there was no task yet when it began: it has seen each from its first event on.
        self._from_the_first = True

    async def run(self) -> None:
        """Watches."""
        while True:
            patience_s = None if self.world.calm else self._random.choice((0.3, 2.0, 5.0, None))
            self._seen = dict(self._before)
            try:
                await self.site.call(self._watch, patience_s, stream=True)
            except BrokenError:
                pass
            except AioRpcError as error:
                if error.code() is not StatusCode.UNAVAILABLE:
                    self.world.violate(
                        f"a watch of all ended with {error.code()}: {error.details()}"
                    )
            else:
                self.world.violate("a watch of all ended")
            await asyncio.sleep(self._random.uniform(0, 0.3))

    async def until_seen(self) -> None:
        """Waits until it has seen everything."""
        # Nothing announces it.
        while not self._has_seen:  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)

    @property
    def _too_late(self) -> bool:
        return bool(self.world.history.buried_s or self.site.ground.rows(_TASKS))

    @property
    def _has_seen(self) -> bool:
        # One that had ended when a snapshot was shown is in none of it.
        return all(
            self._seen.get(task_id, 0 if self._from_the_first else seq) == seq
            for task_id, seq in self.site.ground.rows(_TASKS)
        )

    async def _watch(self, life: Life) -> None:
        request = WatchTasksRequest(cursor=self._cursor)
        async for response in life.task_stub.WatchTasks(request, metadata=self._metadata):
            self._take(response)
            if self._random.random() < 0.2:  # it reads slowly
                await asyncio.sleep(self._random.random())

    def _take(self, response: WatchTasksResponse) -> None:
        late = response.snapshot_complete and self._too_late
        if response.restarted or response.tasks or late:
            # What had ended by then it never sees.
            self._from_the_first = False
        if response.restarted:
            self._seen.clear()
        for task in response.tasks:
            self._seen.pop(task.id, None)
        for event in response.events:
            if event.kind != TaskEvent.QUEUED:
                self._hear(event)
        if response.cursor:
            self._cursor, self._before = response.cursor, dict(self._seen)

    def _hear(self, event: TaskEvent) -> None:
        last = self._seen.get(event.task_id, 0 if self._from_the_first else event.seq - 1)
        if event.seq != last + 1:
            self.world.violate(
                f"a watch of all saw event {event.seq} of {event.task_id} after event {last}"
            )
        self._seen[event.task_id] = event.seq
        known = self.world.history.shown(event)
        if known:
            self.world.violate(f"event {event.seq} of {event.task_id} was {known}")
