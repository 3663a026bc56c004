"""Looks at workers and at what gateways take them to have: it differs for as long as it may."""

from collections.abc import Sequence

from inferry.server.config import Config
from tests.simulation.crew.books import Books, Key
from tests.simulation.crew.process import Process
from tests.simulation.crew.worker import Worker
from tests.simulation.ground import Ground
from tests.simulation.life import Life
from tests.simulation.world import World

#: Intervals between heartbeats without a word after which a stream is given up.
_SILENT = 3
#: Between a worker's heartbeats at most, in intervals.
_LONGEST_BEAT = 1.2
#: A look may come so much later, and what was seen be so much older.
_LATE_S = 2.0
#: How long after all is well a gateway may take to give work to whoever can take it.
_SETTLED_S = 4.0
_OPEN = (
    "SELECT tasks.id, attempt, started_ms FROM tasks JOIN servers ON servers.id = server_id "
    "WHERE status < 3 AND servers.url = '' AND servers.name = ?"
)
_MESSAGES = 6


class Overseer:
    """Looks.

    Args:
        world: The world.
        workers: All of them.
        books: What left for them.
        config: The gateway's settings.
    """

    def __init__(
        self, world: World, workers: Sequence[Worker], books: Books, config: Config
    ) -> None:
        self.world = world
        self._books = books
        self._acknowledge_ms = config.worker_acknowledge_ms
        self.workers = workers
        self._beat_s = config.worker_heartbeat_ms / 1_000
        weather = world.weather
        held_up_s = min(2.0, weather.straggle_s) if weather.straggle_p else 0.0
        self._way_s = _MESSAGES * (weather.latency_s + held_up_s + weather.slow_s)
        #: How long what a worker has may differ from what the gateway takes it to have.
        self._differs_s = _LONGEST_BEAT * self._beat_s + self._way_s + _LATE_S
        self._lost_s = (
            (_SILENT * self._beat_s) + config.lease_ms / 1_000 + weather.latency_s + _LATE_S
        )
        #: Since when a worker works on an attempt that is not open.
        self._in_vain_s: dict[Key, float] = {}
        #: For how long each worker was idle though work waited, at the last look.
        self._idle: tuple[Life | None, dict[str, int]] = (None, {})

    def look(self, ground: Ground, life: Life, able_s: float) -> None:
        """Looks once.

        Args:
            ground: What is stored.
            life: The gateway.
            able_s: Since when it can do its work.
        """
        now_s, now_ms = self.world.loop.time(), life.clock.now_ms()
        for worker in self.workers:
            worker.look()
            open_ = _open(ground, worker)
            self._look_at_the_unacknowledged(open_, now_ms, now_s, able_s)
            if worker.dead_s is not None:
                self._look_at_the_dead(worker, open_, now_ms, able_s)
                continue
            process = worker.process
            if process is not None and self._steady(process, able_s):
                self._compare(process, open_, now_s, now_ms)
        self._look_at_the_idle(life, now_s - able_s)

    def _look_at_the_dead(
        self, worker: Worker, open_: Sequence[tuple[str, int, int]], now_ms: int, able_s: float
    ) -> None:
        """Who is dead has nothing when its lease is over; who said goodbye, once it has gone."""
        gone_s, lost_s = worker.dead_s or 0.0, self._lost_s
        if worker.last is not None and worker.last.parted_s is not None:
            gone_s, lost_s = worker.last.parted_s, _LATE_S
        for task_id, _, started_ms in open_:
            late = self.world.loop.time() - max(gone_s, able_s) > lost_s
            if late and now_ms - started_ms > lost_s * 1_000:
                self.world.violate(f"{task_id} is held by {worker.name}, which is gone")

    def _look_at_the_unacknowledged(
        self, open_: Sequence[tuple[str, int, int]], now_ms: int, now_s: float, able_s: float
    ) -> None:
        """What nobody acknowledged is taken back in time from a stream that goes on."""
        for task_id, attempt, _ in open_:
            given = self._books.given.get((task_id, attempt))
            if given is None or given.taken_ms is not None or given.ended_s is not None:
                continue
            patient = now_ms - given.left_ms > self._acknowledge_ms + _LATE_S * 1_000
            able = now_s - able_s > self._acknowledge_ms / 1_000 + _LATE_S
            if patient and able and self.world.history.starts_s[-1] < given.left_s:
                self.world.violate(f"attempt {attempt} of {task_id} is waited for in vain")

    def _steady(self, process: Process, able_s: float) -> bool:
        """Whether nothing went wrong for long enough that both must be of one mind."""
        wire = process.wire
        if wire is None or not process.welcome_s or wire.dead or not process.awake.is_set():
            return False
        since_s = max(process.welcome_s, process.wronged_s, able_s)
        return self.world.loop.time() - since_s > self._differs_s

    def _compare(
        self, process: Process, open_: Sequence[tuple[str, int, int]], now_s: float, now_ms: int
    ) -> None:
        held = process.holds()
        for task_id, attempt, started_ms in open_:
            if (task_id, attempt) not in held and now_ms - started_ms > self._differs_s * 1_000:
                self.world.violate(
                    f"attempt {attempt} of {task_id} is not at {process.name}, and nobody knows"
                )
        known = {(task_id, attempt) for task_id, attempt, _ in open_}
        for key, work in process.works.items():
            if key in known or work.cancelled:
                self._in_vain_s.pop(key, None)
            elif now_s - self._in_vain_s.setdefault(key, now_s) > self._differs_s:
                self.world.violate(
                    f"{process.name} works on attempt {key[1]} of {key[0]} for nobody"
                )

    def _look_at_the_idle(self, life: Life, able_s: float) -> None:
        fleet = life.gateway._memory.fleet
        idle = {one.record.id: one.line.idle_ms for one in fleet if one.line is not None}
        before_life, before = self._idle
        self._idle = life, idle
        if before_life is not life or able_s < _SETTLED_S:
            return
        for server_id, idle_ms in idle.items():
            if idle_ms > before.get(server_id, 0):
                self.world.violate(f"{server_id} idled while work waited that it could have done")


def _open(ground: Ground, worker: Worker) -> list[tuple[str, int, int]]:
    """Lists the attempts that a worker has by what is on disk, and when each began."""
    rows = ground.rows(_OPEN, worker.name)
    return [(task_id, attempt, started_ms) for task_id, attempt, started_ms in rows]
