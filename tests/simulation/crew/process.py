"""One process of a worker: opens one stream after the other, works, reports, until it dies."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from grpc import StatusCode

from inferry.v1.worker_pb2 import (
    Assignment,
    AttemptCancel,
    AttemptRef,
    GatewayMessage,
    WorkerGoodbye,
    WorkerHeartbeat,
    WorkerHello,
    WorkerMessage,
    WorkerWelcome,
)
from inferry.wire.held import held_hash
from tests.simulation.crew.books import Key
from tests.simulation.crew.desk import Desk
from tests.simulation.crew.wire import EndError, Wire
from tests.simulation.crew.work import Work
from tests.simulation.history import Run

if TYPE_CHECKING:
    from tests.simulation.crew.worker import Worker

#: Losses of its name in a row after which a process ends.
_TRIES = 5
_SILENT = 3
#: How long a welcome may take.
_WELCOME_S = 3.0
#: How far the loop of a stalled worker's handlers lags.
_LAG_MS = 60_000


class Process:
    """One of them.

    Args:
        worker: Whose it is.
        number: Which of its processes, from 1.
    """

    def __init__(self, worker: "Worker", number: int) -> None:
        self.worker = worker
        self.world = worker.world
        self.name = f"{worker.name}/{number}"
        self.random = Random(f"{self.world.seed}/{self.name}")
        #: Not set while it is stopped by a signal.
        self.awake = asyncio.Event()
        #: Not set while its handlers do not get on.
        self.handling = asyncio.Event()
        self.awake.set()
        self.handling.set()
        self.alive = True
        self.leaving = False
        self.ready = False
        self.works: dict[Key, Work] = {}
        #: The stream that it has, and since when it was welcome on it; 0 before.
        self.wire: Wire | None = None
        self.welcome_s = 0.0
        #: When something last went wrong that it takes a heartbeat to put right.
        self.wronged_s = 0.0
        self.desk = Desk(self)
        self._newest: dict[str, int] = {}
        self._resume_token = self._server_id = ""
        self._received = self._granted = 0
        self._heard_s = 0.0
        self._running: dict[asyncio.Task[Any], None] = {}
        self.start(self._live())
        self.start(self._load())

    def start(self, coro: Any) -> asyncio.Task[Any]:
        """Runs something that dies with it."""
        task = self.world.spawn(coro)
        self._running[task] = None
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    def die(self) -> None:
        """Ends at once; what the network does with its stream is for the network."""
        if not self.alive:
            return
        self.world.trace(self.name, "ends")
        self.alive = False
        for task in list(self._running):
            task.cancel()
        if self.wire is not None:
            self.wire.drop()
        self.works.clear()

    async def leave(self) -> None:
        """Says goodbye, lets what it has end or not, and ends."""
        self.leaving = True
        self.say(goodbye=WorkerGoodbye(reason="it is late"))
        self.beat()
        if self.random.random() < 0.4:
            while self.works or self.desk.unread:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.2)
        if self.wire is not None:
            self.wire.finish()
            await asyncio.sleep(self.random.uniform(0, 1))
        self.die()

    def holds(self) -> list[Key]:
        """Lists what it has: what it works on, and ends that nobody acknowledged."""
        return list(dict.fromkeys([*self.works, *self.desk.ended()]))

    def say(self, **parts: Any) -> None:
        """Says something, with what it may be given."""
        if self.wire is not None and self.welcome_s:
            self.wire.send(WorkerMessage(**parts, granted_total=self._grant()))

    def beat(self, *, listed: bool = False) -> None:
        """Says that it is alive, and what it holds."""
        held = self.holds()
        if self.world.happens(self.world.weather.mislist_p):
            held = self._mislisted(held)
        beat = WorkerHeartbeat(
            held_count=len(held),
            held_hash=held_hash(held),
            received_total=self._received,
            held=map(_ref, held) if listed else (),
            listed=listed,
            ready=self.ready,
            handler_lag_ms=0 if self.handling.is_set() else _LAG_MS,
        )
        self.say(heartbeat=beat)

    def stopped(self, key: Key) -> None:
        """Says that it does no more for an attempt that was cancelled."""
        self.works.pop(key, None)
        self.say(stopped=[_ref(key)])

    def cancel(self, key: Key) -> None:
        """Stops what it does for an attempt."""
        work = self.works.get(key)
        if work is None:
            self.say(stopped=[_ref(key)])
        else:
            work.cancel()

    def impatient(self) -> None:
        """Opens another stream though it has one; what was said on that is still on its way."""
        self.world.trace(self.name, "opens another stream")
        self.start(self._connect())

    async def _load(self) -> None:
        await asyncio.sleep(self.world.weather.load_s * self.random.random())
        await self.awake.wait()
        self.ready = True
        self.beat()

    async def _live(self) -> None:
        lost = 0
        self.start(self._beat())
        while True:
            end = await self._connect()
            if end is not None and end.code is StatusCode.ABORTED:
                lost += 1
                self.world.trace(self.name, "lost its name")
            else:
                lost = 0
            if lost >= _TRIES:
                self.die()
                return
            await asyncio.sleep(self.random.uniform(0, 0.1 if self.world.calm else 1.0))
            await self.awake.wait()

    async def _connect(self) -> EndError | None:
        """Lives as long as a stream does; returns how it ended, None if there was none."""
        worker = self.worker
        await self.world.travel()
        life = worker.site.pick().life
        if life is None or not life.serving:
            return None
        if self.wire is not None:
            older = self.wire
            if self.random.random() < 0.3:
                older.hush()
            older.drop() if self.random.random() < 0.5 else older.abandon()
        wire = worker.wire(life, self.name)
        self.wire, self.welcome_s = wire, 0.0
        self._received = self._granted = 0
        self._heard_s = self.world.loop.time()
        self.desk.rewind()
        wire.send(WorkerMessage(hello=self._hello(), granted_total=self._grant()))
        try:
            while self.wire is wire:
                message = await wire.read()
                if self.world.weather.slow_s and not self.world.calm:
                    await asyncio.sleep(self.world.weather.slow_s * self.random.random())
                await self.awake.wait()
                if self.wire is wire:
                    self._hear(message)
        except EndError as end:
            self.world.trace(self.name, "stream ends:", end)
            return end if self.wire is wire else None
        finally:
            if self.wire is wire:
                self.wire = None
        return None

    def _hello(self) -> WorkerHello:
        worker = self.worker
        return WorkerHello(
            name=worker.name,
            protocol_version=1,
            capabilities=worker.capabilities,
            max_concurrent=worker.slots,
            resume_token=self._resume_token,
            held=map(_ref, self.holds() if self._resume_token else ()),
            ready=self.ready and not self.leaving,
            sdk="simulated",
        )

    async def _beat(self) -> None:
        interval_s = self.worker.beat_s
        while True:
            await asyncio.sleep(interval_s * self.random.uniform(0.9, 1.1))
            await self.awake.wait()
            wire = self.wire
            if wire is None:
                continue
            patience_s = _SILENT * interval_s if self.welcome_s else _WELCOME_S
            if self.world.loop.time() - self._heard_s > patience_s:
                self.world.trace(self.name, "hears nothing")
                wire.drop()
            else:
                self.beat()

    def _hear(self, message: GatewayMessage) -> None:
        self._heard_s = self.world.loop.time()
        if message.HasField("welcome"):
            self._welcomed(message.welcome)
        for assignment in message.assignments:
            self._take(assignment)
        for cancel in message.cancels:
            self._cancelled(cancel)
        for ack in message.report_acks:
            self.desk.acknowledged(ack)
        if message.heartbeat.list:
            self.beat(listed=True)
        if message.HasField("reconnect") and self.wire is not None:
            self.wire.finish()
        self.desk.send()
        if self.world.happens(self.world.weather.impatient_p):
            self.impatient()

    def _welcomed(self, welcome: WorkerWelcome) -> None:
        self.world.trace(self.name, "is welcome, goes on" if welcome.resumed else "is welcome")
        self.welcome_s = self.world.loop.time()
        known = bool(self._resume_token) and welcome.server_id == self._server_id
        if welcome.resumed is not known:
            self.world.violate(f"{self.name} has a token: {known}, goes on: {welcome.resumed}")
        self._server_id = welcome.server_id
        if self._resume_token and not welcome.resumed:
            for work in list(self.works.values()):
                work.cancel()
        self._resume_token = welcome.resume_token
        self.desk.chunk_bytes = welcome.chunk_bytes
        self.desk.limit = welcome.unacknowledged_reports_limit
        if self.leaving:
            self.say(goodbye=WorkerGoodbye(reason="it is late"))

    def _take(self, assignment: Assignment) -> None:
        world, weather = self.world, self.world.weather
        self._received += 1
        key = assignment.task_id, assignment.attempt
        newest = self._newest.get(key[0], 0)
        if key[1] <= newest:
            world.violate(f"{self.name} got attempt {key[1]} of {key[0]} after attempt {newest}")
        if world.happens(weather.mislay_p):
            self._wrong(key, "mislays")
            return
        self._newest[key[0]] = key[1]
        if newest and (key[0], newest) in self.works:
            self.cancel((key[0], newest))
        if world.happens(weather.forget_p):
            self._wrong(key, "does not acknowledge")
        else:
            self.say(acknowledged=[_ref(key)])
        if len(self.works) >= self.worker.room or self.leaving or world.happens(weather.deny_p):
            self.worker.books.excuse(key)
            self.desk.report(key, {"status": "FAILED", "error": "no room", "loss": "NOT_STARTED"})
            return
        run = Run(*key, self.worker.name)
        world.history.started(run)
        world.trace(self.name, "works on", *key)
        self.works[key] = Work(self, key, run)

    def _cancelled(self, cancel: AttemptCancel) -> None:
        key = cancel.attempt.task_id, cancel.attempt.attempt
        self.world.trace(self.name, "is to stop", *key, cancel.reason)
        self.cancel(key)

    def _mislisted(self, held: list[Key]) -> list[Key]:
        wrong = list(held)
        if held and self.random.random() < 0.7:
            left_out = wrong.pop(self.random.randrange(len(wrong)))
            self._wrong(left_out, "leaves out")
        else:
            wrong.append((f"task_{self.random.randrange(100)}", 1))
        self.wronged_s = self.world.loop.time()
        return wrong

    def _wrong(self, key: Key, what: str) -> None:
        self.world.trace(self.name, what, *key)
        self.wronged_s = self.world.loop.time()
        self.worker.books.excuse(key)

    def _grant(self) -> int:
        free = self.worker.room - len(self.works) if self.ready and not self.leaving else 0
        self._granted = max(self._granted, self._received + max(0, free))
        return self._granted


def _ref(key: Key) -> AttemptRef:
    return AttemptRef(task_id=key[0], attempt=key[1])
