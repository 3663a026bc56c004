"""Looks at the gateway while it runs, for what no client could see."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from inferry.server.config import Config
from inferry.server.fleet.record import ServerStatus
from inferry.server.queue.fair_queue import LineId
from inferry.server.queue.flow import Key
from inferry.server.store import POSITION_BITS
from tests.simulation.crew.overseer import Overseer
from tests.simulation.ground import Row
from tests.simulation.life import Life
from tests.simulation.network import Process
from tests.simulation.site import Site
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
#: Until each gateway has looked at what others stored, and again at what changed meanwhile.
_FOLLOW_LOOKS = 3
#: How late others may take over from a gateway that is gone, and follow up all that it left.
_TAKE_LATE_S = 4.0
#: Until a gateway among others is sure of what it miscounted: they look each second, five times,
#: and as often again for what came to it meanwhile.
_RECOUNT_LOOKS = 20
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
_COUNTED = (
    "SELECT tenant, type, CAST(sum(tasks) AS bigint) FROM waiting "
    "GROUP BY tenant, type HAVING sum(tasks) <> 0"
)
_OPEN = "SELECT id, status, server_id, deadline_ms FROM tasks WHERE status < 3"
_UNTOLD = "SELECT 1 FROM deliveries WHERE state = 1"
_OVERDUE = "SELECT 1 FROM tasks WHERE purge_ms > 0 AND purge_ms <= ? LIMIT 1"
_CLAIMED = (
    f"SELECT events.position >> {POSITION_BITS} FROM events JOIN tasks USING (task_number) "
    "WHERE id = ? AND kind = 2 AND events.attempt = ?"
)
_BURIED = "SELECT 1 FROM replicas WHERE number = ? AND dead"
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
    "WHERE outcome IN (6, 7) AND ended_ms > ? AND (length(digest) = 0 OR attempt > number)"
)
#: A report may come to a gateway so long before it is looked at.
_HEARD_MS = 1_000
#: How exactly a grace is kept.
_EXACT_MS = 100


class Observer:
    """Reads the store beside the gateways, and their books.

    Args:
        world: The world.
        site: Where the gateways are.
        config: Their settings.
        overseer: Looks at workers.
    """

    def __init__(self, world: World, site: Site, config: Config, overseer: Overseer) -> None:
        self._overseer = overseer
        self.world = world
        self.site = site
        self._noticed_s = config.lease_ms / 1_000 + _LEASE_LATE_S
        self._forgotten_s = config.forget_after_ms / 1_000 + _FORGET_LATE_S
        self._rest_longest_ms = config.rest_longest_ms
        self._cancel_grace_ms = config.cancel_grace_ms
        self._wait_looks = _WAIT_LOOKS + (_TURNS_LOOKS if config.queue_window < _ROUTES else 0)
        #: How long gateways may take until they follow what is stored; looks.
        self._patience = _FOLLOW_LOOKS if site.ground.lease_s else 0
        #: How long what happened to one of them may concern the others.
        self._settle_s = site.ground.lease_s + _TAKE_LATE_S if site.several else 0.0
        #: Since when the gateways can do their work.
        self._able_s = 0.0
        self._disturbed_s = 0.0
        self._excused_s = 0.0
        #: What was wrong at the last look, and at how many in a row.
        self._wrong: dict[object, int] = {}
        self._before: dict[object, int] = {}

    def dispatched(self, url: str, body: bytes, process: Process) -> None:
        """A request leaves a gateway: what it tells a backend must be stored."""
        if urlsplit(url).path != "/process":
            return
        said = orjson.loads(body)
        self.left(said["id"], said["attempt"], process)

    def left(self, task_id: str, attempt: int, process: Process) -> None:
        """An attempt leaves a gateway for its server."""
        claims = self._rows(_CLAIMED, task_id, attempt)
        if not claims:
            self.world.violate(f"{task_id} was dispatched before its claim was on disk")
        elif claims != [(process.epoch,)]:
            self.world.violate(
                f"replica {process.epoch} calls for attempt {attempt} of {task_id}, which replica "
                f"{claims[0][0]} began"
            )
        if self.site.several and self._rows(_BURIED, process.epoch):
            self.world.violate(f"replica {process.epoch} is dead, and calls for {task_id}")
        self._look_at_slots(process)

    def _look_at_slots(self, process: Process) -> None:
        """No server has more attempts than slots; those count that it may not know are over."""
        history = self.world.history
        held = Counter(server_id for (server_id,) in self._rows(_RUNNING))
        since_ms = process.clock.now_ms() - self._cancel_grace_ms + _EXACT_MS
        for task_id, number, server_id, ended_ms in self._rows(_STOPPED, since_ms):
            attempt = task_id, number
            heard = history.heard_ms.get(attempt, 0) > ended_ms - _HEARD_MS
            left = server_id not in history.workers or attempt in history.streamed
            if left and not heard and attempt not in history.told_to_stop:
                held[server_id] += 1
        for server_id, slots in self._rows(_SLOTS):
            if held[server_id] > slots:
                self.world.violate(f"{server_id} has {held[server_id]} tasks and {slots} slots")

    def _rows(self, query: str, *values: Any) -> Sequence[Row]:
        return self.site.ground.rows(query, *values)

    async def run(self) -> None:
        """Looks every second whether a task waits for nothing."""
        while True:
            await asyncio.sleep(_STEP_S)
            self._look()

    def _look(self) -> None:
        now_s, lives = self.world.loop.time(), self.site.lives
        able = bool(lives) and all(
            life.working and not life.store.failed.is_set() for life in lives
        )
        if not able or not self.site.ground.usable or self._excused_s != self.world.excused_s:
            self._excused_s, self._disturbed_s = self.world.excused_s, now_s
        self._able_s = self._disturbed_s + self._settle_s
        if self._able_s >= now_s:
            self._wrong.clear()
            return
        self._before, self._wrong = self._wrong, {}
        for life in lives:
            self._look_at_the_servers(life)
            self._look_at_the_queue(life)
            self._look_at_the_dead(life)
            self._look_at_rests(life)
        self._look_at_orphans()
        self._overseer.look(self.site.ground, lives[0], self._able_s)
        now = lives[0].clock.now_ms()
        for row in self._rows(_WAITING, now):
            task_id, route = str(row[0]), str(row[1])
            if any(_could_take(life, route, now) for life in lives):
                free = f"{task_id} waits although a server is free for it"
                self._note(task_id, free, self._wait_looks + self._patience)

    def _note(self, key: object, wrong: str, looks: int) -> None:
        """Notes that something is wrong; it may be so for so many looks in a row."""
        self._wrong[key] = self._before.get(key, 0) + 1
        if self._wrong[key] > looks:
            self.world.violate(wrong)

    def _look_at_the_queue(self, life: Life) -> None:
        """What waits is counted, and is in memory or known to be looked for."""
        if life.gateway._committer._runner is not None:
            return
        rows = self._rows(_QUEUED)
        counts = Counter((str(row[1]), str(row[2])) for row in rows)
        counted = {(tenant, name): tasks for tenant, name, tasks in self._rows(_COUNTED)}
        if counted != counts:
            self.world.violate(f"{dict(counts)} wait, and {counted} are counted")
        self._look_at_memory(life, rows)

    def _look_at_memory(self, life: Life, rows: Sequence[Row]) -> None:
        """What waits is in memory, or known to be missing there."""
        backlog = life.gateway._memory.refill._backlog
        window, here = backlog.window, {*backlog._queue, *backlog._claims._claiming}
        missing = Counter((str(row[1]), str(row[2])) for row in rows if str(row[0]) not in here)
        looks = _RECOUNT_LOOKS if self.site.ground.lease_s else 0
        for pair in missing.keys() | window.missed.pairs.keys():
            if missing[pair] != window.missed.of(pair):
                missed = f"memory misses {window.missed.of(pair)} of {pair}, not {missing[pair]}"
                self._note((life.number, "missing", pair), missed, looks)
        for task_id in here - {str(row[0]) for row in rows}:
            waits = f"{task_id} is in memory, and does not wait"
            self._note((life.number, "waits", task_id), waits, looks)
        outside: dict[LineId, Key] = {}
        for task_id, tenant, _, route, priority, queued_ms in rows:
            line, key = (route, tenant, priority), (queued_ms, task_id)
            end = window._end(line)
            if task_id not in here:
                outside[line] = min(key, outside.get(line, key))
                if end is not None and key < end:
                    there = f"{task_id} waits, and memory takes it for being there"
                    self._note((life.number, task_id), there, self._patience)
        for one in backlog._queue._tasks.values():
            # One that was delayed may have come before its line was full.
            if not one.not_before_ms and one.key > outside.get(one.line, one.key):
                early = f"{one.id} is in memory before others of its line"
                self._note((life.number, "early", one.id), early, self._patience)

    def _look_at_rests(self, life: Life) -> None:
        """A server that registered or was resumed rests no more, and none rests for long."""
        fleet, now = life.gateway._memory.fleet, life.clock.now_ms()
        for backend in self.site.network.backends.values():
            member = fleet.find(("", backend.url, backend.name))
            if member is None or not member.owned or member.status is not ServerStatus.RESTING:
                continue
            if backend.refused_s + _ARRIVED_S < backend.welcomed_s:
                rests = f"{backend.name} rests, though it was welcomed since it refused"
                self._note((backend.name, "rests"), rests, self._patience)
            if member.rest.until_ms - now > self._rest_longest_ms:
                self.world.violate(f"{backend.name} rests for {member.rest.until_ms - now} ms")

    def _look_at_the_dead(self, life: Life) -> None:
        """A server that died frees its tasks by the rules within its lease, and is forgotten."""
        fleet, now_s = life.gateway._memory.fleet, self.world.loop.time()
        long_ago = life.clock.now_ms() - int(self._noticed_s * 1_000)
        for backend in self.site.network.backends.values():
            member = fleet.find(("", backend.url, backend.name))
            if backend.died_s is None or member is None or not member.owned:
                continue
            since_s = max(backend.died_s, self._able_s)
            if now_s - since_s > self._noticed_s:
                for (task_id,) in self._rows(_HELD, backend.url, long_ago):
                    self.world.violate(f"{task_id} is still held by {backend.name}, which is dead")
            since_s = max(since_s, backend.welcomed_s)
            if now_s - since_s > self._forgotten_s:
                drains = member.status is ServerStatus.DRAINING
                if not drains and not member.active:
                    self.world.violate(f"{backend.name} is dead and not forgotten")

    def _look_at_the_servers(self, life: Life) -> None:
        """The servers that a gateway knows are those that are stored."""
        if life.gateway._committer._runner is not None:
            return
        stored = {tuple(row) for row in self._rows(_SERVERS)}
        records = [member.record for member in life.gateway._memory.fleet]
        known = {(one.id, one.url, one.name, one.max_concurrent, one.draining) for one in records}
        if stored != known:
            differ = f"servers on disk are {stored}, in memory {known}"
            self._note((life.number, "servers"), differ, self._patience)

    def _look_at_orphans(self) -> None:
        for task_id, attempt in self._rows(_ORPHANED):
            held = f"attempt {attempt} of {task_id} is held by a server that is gone"
            self._note((task_id, attempt), held, 1 + self._patience)

    async def until_final(self) -> None:
        """Waits until no task is open."""
        await self._until(lambda: not self._rows(_OPEN))

    async def until_free(self) -> None:
        """Waits until no server holds a slot and nobody is counted as waiting."""
        await self._until(self._free)

    async def until_purged(self) -> None:
        """Waits until nothing is kept whose time of retention is over."""
        await self._until(self._purged)

    def _purged(self) -> bool:
        life = self.site.life
        return life is not None and not self._rows(_OVERDUE, life.clock.now_ms())

    async def until_told(self) -> None:
        """Waits until nothing is left to be told to webhooks."""
        await self._until(lambda: not self._rows(_UNTOLD))

    async def _until(self, true: Callable[[], bool]) -> None:
        # Nothing announces it: that is for the gateway, whose word is not taken here.
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(_STEP_S)

    def _free(self) -> bool:
        lives = self.site.lives
        return bool(lives) and not any(
            life.gateway._memory.queue.waiting
            or any(member.active for member in life.gateway._memory.fleet)
            for life in lives
        )

    def situation(self) -> str:
        """Tells what is still open."""
        members = [one for life in self.site.lives for one in life.gateway._memory.fleet]
        held = {member.record.name: member.active for member in members if member.active}
        waiting = [life.gateway._memory.queue.waiting for life in self.site.lives]
        open_ = self._rows(_OPEN)
        return f"tasks {open_}, slots {held}, {waiting} counted as waiting"


def _could_take(life: Life, route: str, now_ms: int) -> bool:
    """Whether a gateway has a server that is free for a task of a route."""
    memory = life.gateway._memory
    paused = memory.queue.pause_of(route.split("\n", maxsplit=1)[0]) is not None
    return not paused and memory.fleet.choose(route, now_ms) is not None
