"""Which of the waiting tasks are in memory, and where the rest of each line begins. Pure.

Memory holds the beginnings of lines. What is not there is *missing*, and counted; what is known of
a line is its *end*: the first task of it that may be missing. So a task that comes to a line enters
if it stands before the end, and else is left to the store: whoever fills the window (``refill``)
finds it there, from the end on. Of a line whose end is not known nothing enters but by that way.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from inferry.server.queue.fair_queue import FairQueue, LineId, Waiting
from inferry.server.queue.flow import Key
from inferry.server.queue.line_reads import END, LineReads
from inferry.server.queue.missing import Missing, Pair, pair_of


class Window:
    """Lets tasks into a queue as far as it may hold them.

    Args:
        queue: What is in memory; tasks come out of it by its user, who tells.
        size: How many it may hold.
    """

    def __init__(self, queue: FairQueue, size: int) -> None:
        self.size = size
        self._queue = queue
        self._missing = Missing()
        #: Whether lines that have no end here are in memory as they are.
        self._complete = True
        #: By line, in the order in which they came.
        self._ends: dict[LineId, Key] = {}
        #: How many tasks of a line there should be.
        self._shares: dict[LineId, int] = {}
        #: When the lines had their last turn that have run out.
        self._turns_ms: dict[LineId, int] = {}
        self._low: dict[LineId, None] = {}
        self._reads = LineReads()

    @property
    def room(self) -> int:
        """How many more tasks it may hold."""
        return self.size - len(self._queue)

    @property
    def missing(self) -> int:
        """How many waiting tasks are not in memory."""
        return self._missing.total

    @property
    def missed(self) -> Missing:
        """Counts them by tenant and type."""
        return self._missing

    @property
    def low(self) -> bool:
        """Whether there is too little of some line."""
        return bool(self._low)

    def expect(self, counts: Mapping[Pair, int]) -> None:
        """Begins anew: so much is missing, and nothing is known of it but that."""
        for task_id in [*self._queue]:
            self._queue.remove(task_id)
        self._miss(counts)

    def correct(self, more: Mapping[Pair, int]) -> bool:
        """Takes over how much more, or less, is missing; tells whether anything is to be read.

        What is missing more may be anywhere: the lines are read again, from their beginnings.
        """
        self._missing.drifted = False
        for pair, count in more.items():
            self._missing.add(pair, max(count, -self._missing.of(pair)))
        found = any(count > 0 for count in more.values())
        if found:
            self._miss(dict(self._missing.pairs))
        return found

    def admits(self, task: Waiting, *, back: bool = False) -> bool:
        """Whether a task that begins to wait enters; one that does not is missing from here on.

        Args:
            task: The task.
            back: Whether it keeps a place that it had: it may be one too many.
        """
        if not self.missing and self._complete and (back or self.room > 0):
            return True
        pair, line = pair_of(task.line), task.line
        whole = not self._missing.of(pair)
        end = END if whole else self._end(line)
        if end is not None and task.key < end and (back or self.room > 0):
            if whole and not self._complete:
                self._ends[line] = END
            return True
        if end is not None:
            self._ends[line] = min(end, task.key)
        self._reads.leave_out(line, task.key)
        self._missing.add(pair, 1)
        self._note_low(line)
        return False

    def left(self, task_id: str, line: LineId, *, here: bool) -> None:
        """A task waits no more; ``here`` says whether it was in memory."""
        self._reads.note_gone(task_id)
        if here:
            if self.missing:
                self._note_low(line)
        else:
            self._missing.add(pair_of(line), -1)

    def taken(self, tasks: Iterable[Waiting], now_ms: int) -> None:
        """Tasks came out of the queue to be given to servers."""
        for line in {task.line for task in tasks} if self.missing else ():
            self._note_low(line)
            if not self._queue.since_ms(line):
                self._note_turn(line, now_ms)

    def lose(self, task: Waiting) -> None:
        """Nobody knows what became of a task that came out: the store is to be asked."""
        line = task.line
        self._missing.add(pair_of(line), 1)
        self._ends[line] = min(self._ends.get(line, END), task.key)
        self._low[line] = None

    def take_low(self) -> list[LineId]:
        """Lists the lines that have too little here, since the last time."""
        low, self._low = self._low, {}
        return [*low]

    def lines(self) -> list[LineId]:
        """Lists the lines that are known, in the order in which they came."""
        return [*self._ends, *(line for line in self._queue.lines if line not in self._ends)]

    def share(self, line: LineId, share: int) -> int:
        """Says how many tasks of a line there should be; tells how many are to be read for that.

        It is none as long as more than half of them are there.
        """
        self._shares[line] = share
        held, end = self._queue.lines.get(line, 0), self._end(line)
        missing = self._missing.of(pair_of(line))
        if end == END or not missing:
            return 0
        if end is None:
            # What is there is read with it.
            return max(1, min(share - held, held + missing))
        return min(share - held, missing) if held <= share // 2 else 0

    def wanted(self, line: LineId) -> int:
        """Tells how many tasks of a line are to be read."""
        return self.share(line, self._shares.get(line, 1))

    def is_cut(self, line: LineId) -> bool:
        """Whether tasks of a line may be missing."""
        return self._end(line) != END and bool(self._missing.of(pair_of(line)))

    def begin_read(self, line: LineId) -> Key | None:
        """Tells from where on a line is to be read; ``load`` or ``end_read`` has to follow."""
        self._reads.begin(line)
        return self._end(line)

    def end_read(self, line: LineId) -> Key:
        """Ends it; returns the first task that was left out meanwhile."""
        return self._reads.end(line)

    def load(
        self, line: LineId, found: Sequence[Waiting], limit: int, claiming: Container[str]
    ) -> None:
        """Takes up what was read of a line.

        Args:
            line: The line.
            found: Its tasks from where it was to be read, in order, with the one after them.
            limit: How many were asked for besides that.
            claiming: Tasks that are neither in the queue nor missing.
        """
        gone, turn_ms = self._reads.gone, self._turns_ms.pop(line, 0)
        left_out = self.end_read(line)
        for task in found[:limit]:
            if task.id not in gone and task.id not in self._queue and task.id not in claiming:
                self._queue.add(task, turn_ms)
                self._missing.add(pair_of(line), -1)
        end = found[limit].key if len(found) > limit else END
        self._ends[line] = min(end, left_out)

    def trim(self, shares: Mapping[LineId, int]) -> None:
        """Leaves no more than so many tasks of these lines in memory: their first ones."""
        for line, tasks in self._queue.tasks_of(shares.keys()).items():
            over = tasks[shares[line] :]
            if not over:
                continue
            if not shares[line] and (since_ms := self._queue.since_ms(line)):
                self._note_turn(line, since_ms)
            for task in over:
                self._queue.remove(task.id)
            self._ends[line] = min(self._ends.get(line, END), over[0].key)
            self._missing.add(pair_of(line), len(over))

    def evict(self, lines: Iterable[LineId]) -> None:
        """Lets lines out of memory, and forgets what is known of them."""
        out = dict.fromkeys(lines, 0)
        if out:
            self.trim(out)
            for line in out:
                self._forget(line)

    def settle(self) -> None:
        """Forgets what nobody needs, as far as that is so."""
        if not self.missing:
            self._ends.clear()
            self._shares.clear()
            self._turns_ms.clear()
            self._low.clear()
            self._complete = True
            return
        for line in [one for one, end in self._ends.items() if end == END]:
            if line not in self._queue.lines and not self._complete:
                self._forget(line)

    def _miss(self, counts: Mapping[Pair, int]) -> None:
        """So much is missing, wherever it is."""
        self._missing, self._complete = Missing(), False
        self._ends.clear()
        for pair, count in counts.items():
            self._missing.add(pair, count)

    def _end(self, line: LineId) -> Key | None:
        return self._ends.get(line, END if self._complete else None)

    def _forget(self, line: LineId) -> None:
        if self._complete:
            self._complete = False
            for one in self._queue.lines:
                self._ends.setdefault(one, END)
        self._ends.pop(line, None)
        self._shares.pop(line, None)

    def _note_low(self, line: LineId) -> None:
        if not self._missing.of(pair_of(line)) or self._end(line) == END:
            return
        low = self._shares.get(line, 0) // 2
        if self._queue.lines.get(line, 0) <= low and len(self._low) < self.size:
            self._low[line] = None

    def _note_turn(self, line: LineId, at_ms: int) -> None:
        self._turns_ms[line] = at_ms
        if len(self._turns_ms) > self.size:
            del self._turns_ms[next(iter(self._turns_ms))]
