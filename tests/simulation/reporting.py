"""How simulated backends bring their reports to the gateway: each by itself, or in a stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf.json_format import ParseDict
from grpc import StatusCode
from grpc.aio import AioRpcError

from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import ReportTaskRequest, UpdateTaskRequest
from tests.simulation.history import Report, Streamed
from tests.simulation.life import Life
from tests.simulation.site import BrokenError, Site
from tests.simulation.world import World

#: How often a careful backend repeats a callback that did not arrive.
_REPEATS = 7

Said = dict[str, Any]
#: Runs something for as long as the backend lives.
Start = Callable[[Any], asyncio.Task[Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """One dispatch, as it came."""

    id: str
    attempt: int
    callback_url: str | None

    @property
    def token(self) -> str:
        """The right to report."""
        return parse_qs(urlsplit(self.callback_url or "").query)["token"][0]


class Reporter:
    """Reports for one backend.

    Args:
        world: Where it lives.
        site: What it calls.
        name: Of the backend.
        start: Runs something that dies with the backend.
        stopped: Takes the attempts that the gateway wants stopped.
    """

    def __init__(
        self, world: World, site: Site, name: str, start: Start, stopped: set[tuple[str, int]]
    ) -> None:
        self.world = world
        self.site = site
        self.name = name
        self.start = start
        self._stopped = stopped

    def stream(self, job: Job) -> "Stream":
        """Opens a stream of reports."""
        return Stream(self, job)

    async def tell(self, job: Job, said: Said) -> bool:
        """Calls back until an answer is there, or the backend has had enough."""
        world, weather = self.world, self.world.weather
        request = UpdateTaskRequest(id=job.id, token=job.token, update=_update(said))
        careless = world.happens(weather.careless_p)
        for repeat in range(_REPEATS):
            if world.happens(weather.straggle_p):
                await asyncio.sleep(world.between(0, weather.straggle_s))
            if world.happens(weather.double_p):
                self.start(self._send(job, said, request))
            if await self._send(job, said, request):
                return True
            if careless:
                break
            await asyncio.sleep(0.3 * 2**repeat)
        return False

    async def _send(self, job: Job, said: Said, request: UpdateTaskRequest) -> bool:
        def arrive(life: Life) -> Any:
            self.heard(job, life)
            return life.task_stub.UpdateTask(request)

        try:
            reply = await self.site.call(arrive)
        except BrokenError:
            return False
        except AioRpcError as error:
            return self.refused(job, said["status"], error)
        self.taken(job, said, reply)
        return True

    def heard(self, job: Job, life: Life) -> None:
        """Notes that a report has come to a gateway."""
        self.world.history.heard_ms[job.id, job.attempt] = life.clock.now_ms()

    def refused(self, job: Job, what: str, error: AioRpcError) -> bool:
        """Notes a refusal; tells whether that is an answer."""
        self._trace(job, what, error.code().name)
        return error.code() is not StatusCode.UNAVAILABLE

    def taken(self, job: Job, said: Said, reply: Any) -> None:
        """Notes that a report was acknowledged."""
        status = Task.Status.Name(reply.status)
        self._trace(job, said["status"], status)
        if reply.cancelled and not self.world.happens(self.world.weather.lie_p):
            self._stopped.add((job.id, job.attempt))
        self.world.history.reported(Report(job.id, job.attempt, said, status))

    def _trace(self, job: Job, what: str, answer: str) -> None:
        self.world.trace(self.name, "reported", job.id, job.attempt, what, "->", answer)


class Stream:
    """Reports on one attempt in one call. It breaks with its backend, gateway or connection."""

    def __init__(self, reporter: Reporter, job: Job) -> None:
        self._reporter = reporter
        self._world = reporter.world
        self._job = job
        self._said: list[Said] = []
        self._coming: asyncio.Queue[Said | None] = asyncio.Queue()
        self._call = reporter.start(self._bring())

    def say(self, said: Said) -> None:
        """Sends a report on; whether it arrives, nobody knows before the end."""
        if self._world.happens(self._world.weather.cut_before_p):
            self._world.trace(self._reporter.name, "loses its stream", self._job.id)
            self._call.cancel()
        self._said.append(said)
        self._coming.put_nowait(said)

    async def end(self, said: Said) -> bool:
        """Sends the last report; tells whether there was an answer to the stream."""
        self.say(said)
        self._coming.put_nowait(None)
        await asyncio.wait({self._call})
        return not self._call.cancelled() and bool(self._call.result())

    async def _bring(self) -> bool:
        job, reporter = self._job, self._reporter
        try:
            reply = await reporter.site.call(
                lambda life: life.task_stub.ReportTask(self._requests(life)), stream=True
            )
        except BrokenError:
            return False
        except AioRpcError as error:
            return reporter.refused(job, "a stream", error)
        taken = self._said[: reply.reports]
        # The last is an end, or it learns that the task has been stopped.
        messages = tuple(said["message"] for said in taken[:-1])
        self._world.history.streams.append(Streamed(job.id, job.attempt, messages))
        reporter.taken(job, taken[-1], reply)
        return True

    async def _requests(self, life: Life) -> AsyncIterator[ReportTaskRequest]:
        job = self._job
        while (said := await self._coming.get()) is not None:
            await self._world.travel()
            self._reporter.heard(job, life)
            yield ReportTaskRequest(id=job.id, token=job.token, update=_update(said))


def _update(said: Said) -> TaskUpdate:
    return ParseDict(said, TaskUpdate())
