"""Simulated backends: they take tasks, work, call back, and are as bad at it as the weather is."""

import asyncio
from random import Random
from typing import Any

import orjson

from inferry.server.outbound.client import Answer
from tests.simulation.history import Run
from tests.simulation.reporting import Job, Reporter
from tests.simulation.site import Site
from tests.simulation.world import World

_GARBAGE = (b"", b"<html>502</html>", b'{"status":"splendid"}', b"[1,2]", b"null", b'{"error":[]}')


class Backend:
    """One server; it may die and come back, and then knows nothing of what it did.

    Args:
        world: Where it lives.
        site: Where it calls back.
        name: Of the server, and of its host in URLs.
        capabilities: Types it takes.
        slots: How many tasks it takes at once.
    """

    def __init__(
        self, world: World, site: Site, name: str, capabilities: tuple[str, ...], slots: int
    ) -> None:
        self.world = world
        self.site = site
        self.name = name
        self.url = f"http://{name}"
        self.capabilities = capabilities
        self.slots = slots
        self.up = True
        #: When it died; None while it lives.
        self.died_s: float | None = None
        #: When it last refused a task.
        self.refused_s = 0.0
        #: When the call began that last registered or resumed it.
        self.welcomed_s = 0.0
        self._random: Random = world.random(f"backend/{name}")
        #: What this process works on: dies with it.
        self._work: dict[asyncio.Task[Any], None] = {}
        #: Tasks that it was told to stop.
        self._stopped: set[tuple[str, int]] = set()
        self._knows_cancel = self._random.random() < 0.7
        self._reporter = Reporter(world, site, name, self._start, self._stopped)

    def die(self) -> None:
        """Ends it and all its work."""
        self.up = False
        self.died_s = self.world.loop.time()
        for task in list(self._work):
            task.cancel()
        self._stopped.clear()

    def revive(self) -> None:
        """Starts it again; it has to register."""
        self.up, self.died_s = True, None

    def _start(self, coro: Any) -> asyncio.Task[Any]:
        task = self.world.spawn(coro)
        self._work[task] = None
        task.add_done_callback(lambda done: self._work.pop(done, None))
        return task

    async def take(self, path: str, body: bytes) -> Answer | None:
        """Answers a request; None when it dies or hangs up instead, or died meanwhile."""
        if not self.up:
            return None
        ways = {"/process": self._process, "/health": self._health, "/cancel": self._cancel}
        answering = self._start(ways[path](body))
        await asyncio.wait({answering})
        return None if answering.cancelled() else answering.result()

    async def _health(self, _body: bytes) -> Answer:
        if self.world.happens(self.world.weather.sick_p):
            if self._random.random() < 0.5:
                await asyncio.sleep(60)
            return Answer(500, b"", None)
        load = {"cpu": 10, "memory": 10, "active_tasks": 0, "queue_length": 0}
        return _say({"status": "healthy", "load": load})

    async def _cancel(self, body: bytes) -> Answer:
        said = orjson.loads(body)
        self.world.trace(self.name, "told to stop", said["id"], said.get("attempt"))
        if not self._knows_cancel:
            return Answer(404, b"", None)
        self.world.history.told_to_stop.add((said["id"], said["attempt"]))
        if not self.world.happens(self.world.weather.lie_p):
            self._stopped.add((said["id"], said.get("attempt", 0)))
        return _say({"status": "cancelled"})

    async def _process(self, body: bytes) -> Answer:
        said = orjson.loads(body)
        job = Job(said["id"], said["attempt"], said["callback_url"])
        world, weather, random = self.world, self.world.weather, self._random
        world.trace(self.name, "asked", job.id, job.attempt)
        if world.happens(weather.busy_p):
            wait = random.choice((None, 0.0, 1.0, 3.0, 3_600.0))
            self.refused_s = world.loop.time()
            world.trace(self.name, "refuses", job.id, job.attempt)
            return Answer(random.choice((429, 503)), b'{"error":"busy"}', wait)
        run = Run(job.id, job.attempt, self.name)
        world.history.started(run)
        if world.happens(weather.reject_p):
            run.retryable = random.random() < 0.5
            said = {"status": "error", "error": "cannot", "retryable": run.retryable}
            return _say(said, random.choice((200, 400, 500)))
        if world.happens(weather.nonsense_p):
            return Answer(random.choice((200, 204, 404)), random.choice(_GARBAGE), None)
        if job.callback_url is None:
            await self._toil(job)
            return _say({"status": "success", "result": _result(job, 1)})
        if random.random() < 0.1:  # an asynchronous task that is done at once
            return _say({"status": "success", "result": _result(job, 1)})
        work = self._start(self._work_on(job, run))
        if random.random() < 0.1:  # its callbacks may come before its answer
            await asyncio.wait({work}, timeout=random.uniform(0, 3))
        return _say({"status": "accepted", "message": "queued"})

    async def _toil(self, job: Job) -> None:
        if self.world.happens(self.world.weather.hang_p):
            self.world.trace(self.name, "hangs", job.id, job.attempt)
            await asyncio.sleep(10_000)
        await asyncio.sleep(self._random.choice((0.0, 0.05, 0.5, 2.0)) * self._random.random())

    async def _work_on(self, job: Job, run: Run) -> None:
        random, reporter = self._random, self._reporter
        stream = reporter.stream(job) if self.world.happens(self.world.weather.stream_p) else None
        for step in range(random.randint(0, 2)):
            await asyncio.sleep(random.uniform(0, 0.5))
            if self._stops(job):
                return
            said = {"status": "PROCESSING", "progress": 30 * step, "message": f"step {step}"}
            if random.random() < 0.3:
                said["extend_ms"] = 2_000
            if stream is not None:
                stream.say(said)
            else:
                self._start(reporter.tell(job, said))
        await self._toil(job)
        end = self._ending(job, run)
        if self._stops(job):
            end = {"status": "CANCELLED", "error": "as you wished"}
        told = stream is not None and await stream.end(end)
        told = told or await reporter.tell(job, end)
        if told and self.world.happens(self.world.weather.lie_p):
            await asyncio.sleep(random.uniform(0, 3))
            lie = random.choice(
                (
                    {"status": "COMPLETED", "result": _result(job, 2)},
                    {"status": "FAILED", "error": "after all"},
                    {"status": "PROCESSING", "progress": 5},
                    end,
                )
            )
            await reporter.tell(job, lie)

    def _ending(self, job: Job, run: Run) -> dict[str, Any]:
        luck = self._random.random() if self.world.happens(0.5) else 1.0
        if luck < 0.2:
            run.retryable = self._random.random() < 0.5
            return {"status": "FAILED", "error": "it went wrong", "retryable": run.retryable}
        if luck < 0.25:
            return {"status": "TIMEOUT", "error": "too slow"}
        if luck < 0.3:
            return {"status": "CANCELLED", "error": "by its operator"}
        return {"status": "COMPLETED", "result": _result(job, 1)}

    def _stops(self, job: Job) -> bool:
        return (job.id, job.attempt) in self._stopped


def _say(said: object, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(said), None)


def _result(job: Job, number: int) -> dict[str, Any]:
    return {"attempt": job.attempt, "number": number}
