"""Fills the window of waiting tasks in memory from the store: see ``queue.window``.

Whenever a line runs low it is filled anew. Twice a second, as long as tasks are missing, it looks
at all routes and shares the window among them, and the share of a route among its lines. A route of
more lines than that has them take turns: at each look a part of those that were there longest make
place for the next ones, but for the line whose turn it is. So each line is there again and again,
and the one that should go first stays until it went. (Design section 7.)
"""

import asyncio
from collections import defaultdict
from itertools import islice

import structlog

from inferry.server.engine.allocator import Allocator
from inferry.server.engine.committer import Committer
from inferry.server.loop import Loop, wait_for
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.fair_queue import LineId
from inferry.server.queue.shares import Turns, budget_of, quotas_of
from inferry.server.store import LineRead, Store

#: Between two looks at all lines, as long as tasks are missing.
LOOK_S = 0.5
#: Between two looks whether memory counts as the store does.
COUNT_S = 5.0
#: The same where others work on the store: what is off shows after some of them.
SHARED_COUNT_S = 1.0
#: How long the counts of very many tenants and types are left alone, in times of what they took.
COUNT_SPACING = 20
#: Tasks that are read at once.
READ_LIMIT = 256
#: Lines that are read at once.
LINES_LIMIT = 64
#: So much before its time it is time: timers are not exact.
_EARLY_S = 0.001

_log = structlog.get_logger(__name__)


class Refill(Loop):
    """Brings waiting tasks into memory before it is their turn.

    Args:
        store: Has all of them.
        backlog: Has some.
        allocator: Knows which routes servers could take, and is told when tasks came in.
        committer: Tells when memory and store can be compared.
    """

    def __init__(
        self, *, store: Store, backlog: Backlog, allocator: Allocator, committer: Committer
    ) -> None:
        super().__init__()
        self._store = store
        self._backlog = backlog
        self._window = backlog.window
        self._allocator = allocator
        self._committer = committer
        self._turns = Turns()
        #: Set when memory has too little of a line.
        self._short = asyncio.Event()
        backlog.alert = self._short.set
        #: When it is to look, and to count, by the loop's clock.
        self._look_s = 0.0
        self._count_s = 0.0
        self._loaded = False

    async def run_once(self) -> None:
        """Fills what runs low and, when it is time for it, looks at all lines."""
        # Before looking: whatever changes after this makes another round.
        self._short.clear()
        if self._store.shared is None:
            self._backlog.ask()
        low, self._loaded = self._window.take_low(), False
        now_s = asyncio.get_running_loop().time() + _EARLY_S
        if now_s >= self._count_s:
            await self._count(now_s)
        if self._window.missing:
            if now_s >= self._look_s or (low and self._window.room <= 0):
                self._look_s = now_s + LOOK_S
                await self._look()
            else:
                await self._fill({line: self._window.wanted(line) for line in low})
        else:
            self._backlog.exact_until = {}
        self._window.settle()
        if self._loaded:
            self._allocator.wake()

    async def pause(self) -> None:
        """Waits until a line runs low, or until it is to look again."""
        due_s = min(self._look_s, self._count_s) if self._window.missing else self._count_s
        left_s = due_s - asyncio.get_running_loop().time()
        await wait_for(self._short, max(0.0, left_s))

    async def _count(self, now_s: float) -> None:
        """Makes sure that nothing waits of which memory does not know."""
        if self._store.shared is not None:
            # Others let tasks in and out at any moment.
            self._count_s = now_s + SHARED_COUNT_S
            self._backlog.ask(patient=True)
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            self._backlog.recount(await self._store.waiting_counts())
            took_s = loop.time() - began_s
            self._count_s = max(self._count_s, now_s + COUNT_SPACING * took_s)
            return
        if not self._committer.idle:
            self._count_s = now_s + LOOK_S
            return
        self._count_s = now_s + COUNT_S
        counts = await self._store.waiting_counts()
        stored, counted = sum(counts.values()), len(self._backlog)
        if self._committer.idle and (stored != counted or self._window.missed.drifted):
            _log.error("the queue in memory lost count", stored=stored, counted=counted)
            self._backlog.expect(counts)
            self._look_s = 0.0

    async def _look(self) -> None:
        """Shares the window among all lines, and fills them."""
        fits = len(self._backlog) <= self._window.size
        budget = self._window.size if fits else budget_of(self._window.size)
        known: defaultdict[str, list[LineId]] = defaultdict(list)
        for line in self._window.lines():
            known[line[0]].append(line)
        page = self._turns.routes_wanted(len(known), budget)
        found = await self._store.waiting_routes(self._turns.route, page)
        reachable = self._allocator.reachable
        routes = self._turns.routes(list(known), found, page, budget, reachable)
        quotas = quotas_of(routes, reachable, budget, fits=fits)
        out = [line for route, lines in known.items() if not quotas.get(route) for line in lines]
        shares: dict[LineId, int] = {}
        crowded = set[str]()
        for route, quota in quotas.items():
            wanted = self._turns.lines_wanted(len(known[route]), quota)
            after = self._turns.line(route)
            lines = await self._store.waiting_lines(route, after, wanted)
            turn = self._turns.lines(
                route, known[route], lines, wanted, quota, self._backlog.head(route)
            )
            out += turn.out
            share = budget if fits else max(1, quota // max(1, len(turn.there)))
            shares |= dict.fromkeys(turn.there, share)
            if turn.crowded:
                crowded.add(route)
            await asyncio.sleep(0)
        self._window.evict(out)
        wanted_of = {line: self._window.share(line, share) for line, share in shares.items()}
        self._make_room(shares, sum(wanted_of.values()), budget)
        await self._fill(wanted_of)
        self._backlog.exact_until = {
            line[0]: 0 if line[0] in crowded else share // 2
            for line, share in shares.items()
            if line[0] in crowded or self._window.is_cut(line)
        }

    def _make_room(self, shares: dict[LineId, int], wanted: int, budget: int) -> None:
        held = self._backlog.held
        if held.total() + wanted > budget:
            self._window.trim({
                line: share for line, share in shares.items() if held.get(line, 0) > share
            })  # fmt: skip

    async def _fill(self, wanted: dict[LineId, int]) -> None:
        """Reads so many tasks of these lines, some lines at once."""
        left = {line: number for line, number in wanted.items() if number > 0}
        while left and self._window.room > 0:
            room, limits = min(READ_LIMIT, self._window.room), dict[LineId, int]()
            for line in [*islice(left, LINES_LIMIT)]:
                if not self._window.is_cut(line):
                    # Others took the rest of it since the last page.
                    del left[line]
                elif room > 0:
                    limits[line] = min(left[line], room)
                    room -= limits[line]
            for line, more in (await self._read(limits) if limits else {}).items():
                left[line] -= limits[line]
                if not more or left[line] <= 0:
                    del left[line]
            self._loaded = True
            await asyncio.sleep(0)

    async def _read(self, limits: dict[LineId, int]) -> dict[LineId, bool]:
        """Reads from lines; tells which go on."""
        reads = [
            LineRead(line, self._window.begin_read(line), limit + 1)
            for line, limit in limits.items()
        ]
        try:
            tasks = await self._store.waiting_tasks(reads)
            # What was read of tasks that memory is about to hear of would be counted twice.
            await self._committer.settled()
        except BaseException:
            for line in limits:
                self._window.end_read(line)
            raise
        found = dict(zip(limits, tasks, strict=True))
        for line, limit in limits.items():
            self._backlog.load(line, found[line], limit)
        return {line: len(found[line]) > limit for line, limit in limits.items()}
