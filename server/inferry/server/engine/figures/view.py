"""Reads figures as columns: from memory by the second, else from the store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from inferry.server.clock import Clock
from inferry.server.engine.figures.tally import SECONDS_KEPT, Tally
from inferry.server.errors import InvalidPayloadError
from inferry.server.figures.cell import ALL, KEPT_S, Cell
from inferry.server.figures.counting import cells_of
from inferry.server.store import Store
from inferry.wire.figures import OTHER

#: Columns that can be asked for: the minutes of a day, and some.
COLUMNS_LIMIT = 1_500
#: Columns that there are at most when nobody says how long they are.
_USUAL_COLUMNS = 240
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800)
_HOURS = (3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_MINUTE_S, _HOUR_S = KEPT_S


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns of equal length, one after the other."""

    #: Where the first begins, in seconds since 1970-01-01 UTC.
    from_s: int
    step_s: int
    #: The types that are known in that time, by name.
    types: Sequence[str]
    #: None where nothing is known.
    columns: Sequence[Cell | None]


class FiguresView:
    """Looks at figures and changes nothing.

    Args:
        tally: What was counted here.
        store: What all counted.
        turn: Is held while figures are on their way from here to there.
        clock: The time.
    """

    def __init__(self, tally: Tally, store: Store, turn: asyncio.Lock, clock: Clock) -> None:
        self._tally = tally
        self._store = store
        self._turn = turn
        self._clock = clock

    async def chart(self, task_type: str, from_s: int, to_s: int, step_s: int) -> Chart:
        """Reads columns.

        Args:
            task_type: A type, ``OTHER`` or ``ALL``.
            from_s: Begins with the column that this second is in.
            to_s: Ends before this second, or with the column that it is in.
            step_s: How long a column is; 0 for as long as is right.

        Raises:
            InvalidPayloadError: There would be too many.
        """
        step_s = step_s or self._usual_step_s(from_s, to_s)
        from_s -= from_s % step_s
        count = -(-(to_s - from_s) // step_s)
        if count > COLUMNS_LIMIT:
            raise InvalidPayloadError(
                f"step: {count} columns of {step_s} s; the limit is {COLUMNS_LIMIT}"
            )
        drawn = _Drawing(from_s, step_s, count)
        if step_s % _MINUTE_S:
            types = self._draw_seconds(drawn, task_type)
        else:
            types = await self._draw_kept(drawn, task_type)
        columns = drawn.columns
        if task_type not in (ALL, *types) and OTHER in types:
            # It has no place of its own: what is known of it is among the others'.
            columns = [None] * count
        return Chart(from_s, step_s, types, columns)

    def _usual_step_s(self, from_s: int, to_s: int) -> int:
        now_s = self._clock.now_ms() // 1_000
        if from_s >= max(now_s - SECONDS_KEPT, self._tally.since_s):
            least_s = 1
        else:
            least_s = _MINUTE_S if from_s >= now_s - KEPT_S[_MINUTE_S] else _HOUR_S
        enough = (to_s - from_s) / _USUAL_COLUMNS
        steps = (*_STEPS, *_HOURS)
        return next((step for step in steps if step >= max(least_s, enough)), steps[-1])

    def _draw_seconds(self, drawn: "_Drawing", task_type: str) -> Sequence[str]:
        now_s, tally = self._clock.now_ms() // 1_000, self._tally
        names: set[str] = set()
        looked: Cell | None = None
        for second in range(max(tally.since_s, now_s - SECONDS_KEPT), now_s + 1):
            looked = _look_at(tally, second, task_type) or looked
            if not drawn.has(second):
                continue
            drawn.know(second)
            for seconds in (tally.seconds, tally.unwritten):
                for name, cell in seconds.get(second, {}).items():
                    names.add(name)
                    if task_type in (ALL, name):
                        drawn.add(second, cell)
            if looked is not None:
                # As it is until it is looked at again.
                drawn.add(second, looked)
        return sorted(names)

    async def _draw_kept(self, drawn: "_Drawing", task_type: str) -> Sequence[str]:
        level_s = _MINUTE_S if drawn.step_s % _HOUR_S else _HOUR_S
        span = drawn.from_s, drawn.to_s
        tally = self._tally
        async with self._turn:
            of_all = await self._store.figures(level_s, ALL, *span)
            kept = await self._store.figures(level_s, task_type, *span) if task_type else of_all
            names = {*await self._store.figure_types(level_s, *span)}
            own = cells_of(tally.unwritten)
        for at_s, _ in of_all:
            drawn.know(at_s)
        for at_s, cell in kept:
            drawn.add(at_s, cell)
        for key, cell in own.items():
            if key.step_s == level_s and drawn.has(key.at_s):
                names.add(key.type)
                if key.type == task_type:
                    drawn.add(key.at_s, cell)
        looked = _look_at(tally, tally.looked_s, task_type)
        if looked is not None and drawn.has(tally.looked_s):
            drawn.add(tally.looked_s, looked)
        return sorted(names - {ALL})


class _Drawing:
    """Columns while they are being filled."""

    def __init__(self, from_s: int, step_s: int, count: int) -> None:
        self.from_s, self.step_s = from_s, step_s
        self.columns: list[Cell | None] = [None] * count

    @property
    def to_s(self) -> int:
        """Where the last one ends."""
        return self.from_s + self.step_s * len(self.columns)

    def has(self, at_s: int) -> bool:
        """Whether a time is in one of them."""
        return self.from_s <= at_s < self.to_s

    def know(self, at_s: int) -> None:
        """Says that what happened at a time is known, even if that was nothing."""
        self.add(at_s, Cell())

    def add(self, at_s: int, cell: Cell) -> None:
        """Adds what happened at a time."""
        place = (at_s - self.from_s) // self.step_s
        column = self.columns[place]
        if column is None:
            column = self.columns[place] = Cell()
        column.add(cell)


def _look_at(tally: Tally, second: int, task_type: str) -> Cell | None:
    """Gives what waited and ran by a look; None if there was none in that second."""
    looked = tally.looks.get(second)
    if looked is None:
        return None
    cell = Cell()
    cell.look(second, *looked.get(task_type, (0, 0)))
    return cell
