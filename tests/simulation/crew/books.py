"""What passes on the streams of workers, as the gateway's end sees it, with the rules of that.

A rule that only the end of a world can judge is judged by ``afterwards``.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferry.server.carriers.worker.session import Session
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import GatewayMessage, WorkerMessage
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.crew.wire import Wire
    from tests.simulation.life import Life

Key = tuple[str, int]

FINAL = frozenset({Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED})
#: How long after it heard that a worker takes no work a gateway may still give it some: a claim was
#: under way.
_UNDER_WAY_S = 1.0


@dataclass(slots=True)
class Given:
    """An assignment that left a gateway."""

    #: When it left, by the world's time and by the gateway's clock.
    left_s: float
    left_ms: int
    #: The worker that it left for.
    server_id: str
    #: When a gateway first heard that the worker has it, by its clock; None if it never did.
    taken_ms: int | None = None
    #: When a gateway that had not heard so heard that the worker does not have it, by its clock.
    missed_ms: int | None = None
    #: When the stream ended that it left on; None if it never did.
    ended_s: float | None = None
    #: The worker did with it what it must not, or gave it back.
    excused: bool = False


class Books:
    """Keeps them.

    Args:
        world: The world.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        #: Looks at what is on disk of an attempt that leaves a gateway.
        self.look: Callable[[str, int, Life], None] = lambda _task_id, _attempt, _life: None
        #: All that left for workers.
        self.given: dict[Key, Given] = {}
        #: The newest stream of each worker, by its id.
        self.streams: dict[str, Wire] = {}

    def sent(self, wire: "Wire", message: GatewayMessage) -> None:
        """A message leaves a gateway."""
        if message.HasField("welcome"):
            wire.server_id = message.welcome.server_id
            self.world.history.workers.add(wire.server_id)
            older = self.streams.get(wire.server_id)
            if older is not None:
                self.ended(older)
            self.streams[wire.server_id] = wire
            for key in wire.claimed:
                self._taken(wire, key)
        now_s = self.world.loop.time()
        for assignment in message.assignments:
            key = assignment.task_id, assignment.attempt
            self.world.trace(wire.name, "is given", *key)
            self.look(*key, wire.life)
            if key in self.given:
                self.world.violate(f"attempt {key[1]} of {key[0]} was given away twice")
            self.given[key] = Given(now_s, wire.life.clock.now_ms(), wire.server_id)
            self.world.history.streamed.add(key)
            wire.given.append(key)
        wire.unwanted = wire.unwanted or message.HasField("reconnect")
        wire.assigned += len(message.assignments)
        if wire.assigned > wire.granted:
            self.world.violate(f"{wire.name} granted {wire.granted} and got {wire.assigned}")
        since_s = wire.closed_since_s
        if message.assignments and since_s is not None and now_s - since_s > _UNDER_WAY_S:
            self.world.violate(
                f"{wire.name} got work {now_s - since_s:.1f} s after it took no more"
            )

    def heard(self, wire: "Wire", message: WorkerMessage) -> None:
        """A message comes to a gateway."""
        if not wire.current:
            return
        if message.HasField("granted_total"):
            wire.granted = max(wire.granted, message.granted_total)
        for report in message.reports:
            key = report.attempt.task_id, report.attempt.attempt
            self._taken(wire, key)
            if report.update.status in FINAL:
                self._over(wire, key)
        wire.heard_s = self.world.loop.time()
        wire.claimed += [(named.task_id, named.attempt) for named in message.hello.held]
        for named in message.acknowledged:
            self._taken(wire, (named.task_id, named.attempt))
        for named in message.stopped:
            self._over(wire, (named.task_id, named.attempt))
        if message.HasField("heartbeat"):
            self._listed(wire, message)
        if message.HasField("goodbye"):
            wire.goodbye = True
            self._close(wire, closed=True)

    def ended(self, wire: "Wire") -> None:
        """A stream has ended at the gateway."""
        now_s = self.world.loop.time()
        for key in wire.given:
            given = self.given[key]
            given.ended_s = given.ended_s or now_s
            # From here on it may be given up at any time.
            self.world.history.told_to_stop.add(key)

    def excuse(self, key: Key) -> None:
        """A worker did with an attempt what it must not."""
        if key in self.given:
            self.given[key].excused = True

    def _listed(self, wire: "Wire", message: WorkerMessage) -> None:
        beat = message.heartbeat
        stalled = beat.handler_lag_ms > wire.stalled_ms
        if not wire.goodbye:
            self._close(wire, closed=stalled or not beat.ready)
        if beat.listed:
            held = {(named.task_id, named.attempt) for named in beat.held}
            for key in wire.given[: beat.received_total]:
                if key not in held:
                    self._over(wire, key)
            self._missed(wire, held.union(wire.given[beat.received_total :]))

    def _close(self, wire: "Wire", *, closed: bool) -> None:
        if not closed:
            wire.closed_since_s = None
        elif wire.closed_since_s is None:
            wire.closed_since_s = self.world.loop.time()

    def _taken(self, wire: "Wire", key: Key) -> None:
        given = self.given.get(key)
        if given is not None and given.taken_ms is None:
            given.taken_ms = wire.life.clock.now_ms()

    def _missed(self, wire: "Wire", others: Collection[Key]) -> None:
        """The gateway hears that the worker does not have what left for it before."""
        for key, given in self.given.items():
            unheard = given.taken_ms is None and given.missed_ms is None
            if unheard and given.server_id == wire.server_id and key not in others:
                given.missed_ms = wire.life.clock.now_ms()

    def _over(self, wire: "Wire", key: Key) -> None:
        """The gateway knows from the worker that it does no more for an attempt."""
        self.world.history.heard_ms[key] = wire.life.clock.now_ms()


def session_of(wire: "Wire") -> Session | None:
    """Finds what a gateway knows of the stream that the worker has."""
    worker = wire.life.gateway._workers.crew.find(wire.server_id)
    return None if worker is None else worker.session
