"""Looks at the gateway while it runs, for what no client could see."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import apsw
import orjson

from inferry.server.config import Config
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.record import ServerStatus
from inferry.server.queue.fair_queue import LineId
from inferry.server.queue.flow import Key
from tests.simulation.crew.overseer import Overseer
from tests.simulation.host import Host
from tests.simulation.life import Life
from tests.simulation.world import World

_STEP_S = 1.0
#: What a dead server may keep its tasks for beyond its lease.
_LEASE_LATE_S = 2.0 + _STEP_S
#: How long after the time of forgetting a dead server may be there: three probes have to fail.
_FORGET_LATE_S = 11.0 + _STEP_S
#: How long a refusal is on its way, at most.
_ARRIVED_S = 1.0
#: How long a task may wait while a server is free for it: two looks of ours.
_WAIT_LOOKS = 3
_ROUTES = 6
#: So much longer if memory has no room for a task of each of six routes, which then take turns.
_TURNS_LOOKS = 3
_WAITING = (
    "SELECT id, route FROM tasks WHERE status = 1 AND server_id IS NULL AND not_before_ms <= ?"
)
_QUEUED = (
    "SELECT id, tenant, type, route, priority, queued_ms FROM tasks "
    "WHERE status = 1 AND server_id IS NULL"
)
_COUNTED = "SELECT tenant, type, tasks FROM waiting"
_OPEN = "SELECT id, status, server_id, deadline_ms FROM tasks WHERE status < 3"
_OVERDUE = "SELECT 1 FROM tasks WHERE purge_ms > 0 AND purge_ms <= ? LIMIT 1"
_CLAIMED = (
    "SELECT 1 FROM events JOIN tasks USING (task_number) "
    "WHERE id = ? AND kind = 2 AND events.attempt = ?"
)
_HELD = (
    "SELECT tasks.id FROM tasks JOIN servers ON servers.id = server_id WHERE status < 3 "
    "AND servers.url = ? AND started_ms < ?"
)
_SERVERS = "SELECT id, url, name, max_concurrent, draining FROM servers"
_ORPHANED = (
    "SELECT id, attempt FROM tasks WHERE status < 3 AND server_id IS NOT NULL "
    "AND server_id NOT IN (SELECT id FROM servers)"
)
_SLOTS = "SELECT id, max_concurrent FROM servers"
_RUNNING = "SELECT server_id FROM tasks WHERE status < 3 AND server_id IS NOT NULL"
#: Attempts that timed out or were aborted, other than by their server's own word.
_STOPPED = (
    "SELECT id, number, attempts.server_id, ended_ms FROM attempts JOIN tasks USING (task_number) "
    "WHERE outcome IN (6, 7) AND ended_ms > ? AND (digest = x'' OR attempt > number)"
)
#: A report may come to a gateway so long before it is looked at.
_HEARD_MS = 1_000
#: How exactly a grace is kept.
_EXACT_MS = 100


class Observer:
    """Reads the file beside the gateway, and the gateway's books."""

    def __init__(self, world: World, host: Host, config: Config, overseer: Overseer) -> None:
        self._overseer = overseer
        self.world = world
        self.host = host
        self._noticed_s = config.lease_ms / 1_000 + _LEASE_LATE_S
        self._forgotten_s = config.forget_after_ms / 1_000 + _FORGET_LATE_S
        self._rest_longest_ms = config.rest_longest_ms
        self._cancel_grace_ms = config.cancel_grace_ms
        self._wait_looks = _WAIT_LOOKS + (_TURNS_LOOKS if config.queue_window < _ROUTES else 0)
        #: Since when the gateway can do its work.
        self._able_s = 0.0
        self._excused_s = 0.0
        self._db = apsw.Connection(str(host.disk.path), flags=apsw.SQLITE_OPEN_READONLY)
        #: Looks in a row that found a task waiting although a server was free.
        self._idle: dict[str, int] = {}
        #: Attempts of servers that are no more, at the last look.
        self._orphaned: set[tuple[str, object]] = set()

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def dispatched(self, url: str, body: bytes) -> None:
        """A request leaves the gateway: what it tells a backend must be on disk."""
        if urlsplit(url).path != "/process":
            return
        said = orjson.loads(body)
        self.left(said["id"], said["attempt"])

    def left(self, task_id: str, attempt: int) -> None:
        """An attempt leaves the gateway for its server."""
        if not self._db.execute(_CLAIMED, (task_id, attempt)).fetchall():
            self.world.violate(f"{task_id} was dispatched before its claim was on disk")
        self._look_at_slots()

    def _look_at_slots(self) -> None:
        """No server has more attempts than slots; those count that it may not know are over."""
        life = self.host.life
        assert life is not None
        history = self.world.history
        held = Counter(server_id for (server_id,) in self._rows(_RUNNING))
        since_ms = life.clock.now_ms() - self._cancel_grace_ms + _EXACT_MS
        for task_id, number, server_id, ended_ms in self._rows(_STOPPED, since_ms):
            attempt = task_id, number
            heard = history.heard_ms.get(attempt, 0) > ended_ms - _HEARD_MS
            left = server_id not in history.workers or attempt in history.streamed
            if left and not heard and attempt not in history.told_to_stop:
                held[server_id] += 1
        for server_id, slots in self._rows(_SLOTS):
            if held[server_id] > slots:
                self.world.violate(f"{server_id} has {held[server_id]} tasks and {slots} slots")

    def _rows(self, query: str, *values: int) -> list[Any]:
        return self._db.execute(query, values).fetchall()

    async def run(self) -> None:
        """Looks every second whether a task waits for nothing."""
        while True:
            await asyncio.sleep(_STEP_S)
            self._look()

    def _look(self) -> None:
        life = self.host.life
        able = life is not None and life.serving and not life.store.failed.is_set()
        if not able or not self.host.disk.usable or self._excused_s != self.world.excused_s:
            self._excused_s, self._able_s = self.world.excused_s, self.world.loop.time()
        if life is None or self._able_s == self.world.loop.time():
            self._idle.clear()
            self._orphaned.clear()
            return
        now = life.clock.now_ms()
        self._look_at_the_servers(life)
        self._look_at_the_queue(life)
        fleet = life.gateway._memory.fleet
        self._look_at_the_dead(fleet, now)
        self._look_at_rests(fleet, now)
        self._overseer.look(self._db, life, self._able_s)
        before, self._idle = self._idle, {}
        queue = life.gateway._memory.queue
        for row in self._db.execute(_WAITING, (now,)).fetchall():
            task_id, route = str(row[0]), str(row[1])
            if (
                queue.pause_of(route.split("\n", maxsplit=1)[0]) is None
                and fleet.choose(route, now) is not None
            ):
                looks = self._idle[task_id] = before.get(task_id, 0) + 1
                if looks > self._wait_looks:
                    self.world.violate(f"{task_id} waits although a server is free for it")

    def _look_at_the_queue(self, life: Life) -> None:
        """What waits is counted, and is in memory or known to be looked for."""
        if life.gateway._committer._runner is not None:
            return
        rows = self._rows(_QUEUED)
        counts = Counter((str(row[1]), str(row[2])) for row in rows)
        counted = {(tenant, name): tasks for tenant, name, tasks in self._rows(_COUNTED)}
        if counted != counts:
            self.world.violate(f"{dict(counts)} wait, and {counted} are counted")
        backlog = life.gateway._memory.refill._backlog
        window, here = backlog.window, {*backlog._queue, *backlog._claims._claiming}
        missing = Counter((str(row[1]), str(row[2])) for row in rows if str(row[0]) not in here)
        if missing != window.missed.pairs or len(here) + missing.total() != len(rows):
            self.world.violate(
                f"memory misses {dict(window.missed.pairs)}, the queue {dict(missing)}"
            )
        outside: dict[LineId, Key] = {}
        for task_id, tenant, _, route, priority, queued_ms in rows:
            line, key = (route, tenant, priority), (queued_ms, task_id)
            end = window._end(line)
            if task_id not in here:
                outside[line] = min(key, outside.get(line, key))
                if end is not None and key < end:
                    self.world.violate(f"{task_id} waits, and memory takes it for being there")
        for one in backlog._queue._tasks.values():
            # One that was delayed may have come before its line was full.
            if not one.not_before_ms and one.key > outside.get(one.line, one.key):
                self.world.violate(f"{one.id} is in memory before others of its line")

    def _look_at_rests(self, fleet: Fleet, now: int) -> None:
        """A server that registered or was resumed rests no more, and none rests for long."""
        for backend in self.host.network.backends.values():
            member = fleet.find(("", backend.url, backend.name))
            if member is None or member.status is not ServerStatus.RESTING:
                continue
            if backend.refused_s + _ARRIVED_S < backend.welcomed_s:
                self.world.violate(f"{backend.name} rests, though it was welcomed since it refused")
            if member.rest.until_ms - now > self._rest_longest_ms:
                self.world.violate(f"{backend.name} rests for {member.rest.until_ms - now} ms")

    def _look_at_the_dead(self, fleet: Fleet, now_ms: int) -> None:
        """A server that died frees its tasks by the rules within its lease, and is forgotten."""
        long_ago = now_ms - int(self._noticed_s * 1_000)
        for backend in self.host.network.backends.values():
            if backend.died_s is None:
                continue
            since_s = max(backend.died_s, self._able_s)
            if self.world.loop.time() - since_s > self._noticed_s:
                for (task_id,) in self._db.execute(_HELD, (backend.url, long_ago)).fetchall():
                    self.world.violate(f"{task_id} is still held by {backend.name}, which is dead")
            since_s = max(since_s, backend.welcomed_s)
            member = fleet.find(("", backend.url, backend.name))
            if self.world.loop.time() - since_s > self._forgotten_s and member is not None:
                drains = member.status is ServerStatus.DRAINING
                if not drains and not member.active:
                    self.world.violate(f"{backend.name} is dead and not forgotten")

    def _look_at_the_servers(self, life: Life) -> None:
        """The servers that the gateway knows are those on its disk."""
        if life.gateway._committer._runner is not None:
            return
        stored = {tuple(row) for row in self._db.execute(_SERVERS).fetchall()}
        records = [member.record for member in life.gateway._memory.fleet]
        known = {
            (one.id, one.url, one.name, one.max_concurrent, int(one.draining)) for one in records
        }
        if stored != known:
            self.world.violate(f"servers on disk are {stored}, in memory {known}")

        found = self._db.execute(_ORPHANED).fetchall()
        before, self._orphaned = self._orphaned, {(str(row[0]), row[1]) for row in found}
        for task_id, attempt in before & self._orphaned:
            self.world.violate(f"attempt {attempt} of {task_id} is held by a server that is gone")

    async def until_final(self) -> None:
        """Waits until no task is open."""
        await self._until(lambda: not self._db.execute(_OPEN).fetchall())

    async def until_free(self) -> None:
        """Waits until no server holds a slot and nobody is counted as waiting."""
        await self._until(self._free)

    async def until_purged(self) -> None:
        """Waits until nothing is kept whose time of retention is over."""
        await self._until(self._purged)

    def _purged(self) -> bool:
        life = self.host.life
        if life is None or not life.serving:
            return False
        return not self._db.execute(_OVERDUE, (life.clock.now_ms(),)).fetchall()

    async def _until(self, true: Callable[[], bool]) -> None:
        # Nothing announces it: that is for the gateway, whose word is not taken here.
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)

    def _free(self) -> bool:
        life = self.host.life
        if life is None or not life.serving:
            return False
        waiting = life.gateway._memory.queue.waiting
        return not waiting and not any(member.active for member in life.gateway._memory.fleet)

    def situation(self) -> str:
        """Tells what is still open."""
        life = self.host.life
        members = [] if life is None else list(life.gateway._memory.fleet)
        held = {member.record.name: member.active for member in members if member.active}
        waiting = 0 if life is None else life.gateway._memory.queue.waiting
        open_ = self._db.execute(_OPEN).fetchall()
        return f"tasks {open_}, slots {held}, {waiting} counted as waiting"
