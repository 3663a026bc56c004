"""What a store keeps of figures: counts of what happened, by minute and by hour.

Each start of a gateway counts its own events, and the store knows how many of them are in its
figures: what a start left uncounted is counted from the log by another. So nothing is counted
twice or not at all, as long as the log has it. Each start writes rows of its own, which are summed
when they are read.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from inferry.server.figures.cell import Cell
from inferry.server.store.operations import Logged


class Uncounted(NamedTuple):
    """A start of which not all events are in the figures."""

    number: int
    #: So many of its events are.
    counted: int
    #: So many it logged.
    logged: int


class Failure(NamedTuple):
    """A task that ended FAILED or TIMEOUT, as far as failures are told by it."""

    task_id: str
    type: str
    code: str
    error: str
    finished_ms: int
    #: The task's number.
    number: int


class Figures(Protocol):
    """The half of ``Store`` that reads them."""

    async def figures(
        self, step_s: int, task_type: str, from_s: int, to_s: int
    ) -> Sequence[tuple[int, Cell]]:
        """Reads the cells of a type that begin in a span of time, each with where it begins.

        They come in the order of time; several may begin together.
        """
        ...

    async def figure_types(self, step_s: int, from_s: int, to_s: int) -> Sequence[str]:
        """Lists the types of which a cell begins in a span of time, by name."""
        ...

    async def uncounted(self) -> Sequence[Uncounted]:
        """Lists the starts that have ended and left events that nobody counted, oldest first."""
        ...

    async def logged_by(self, number: int, after: int, limit: int) -> Sequence[Logged]:
        """Reads events of one start after so many of it, in order; dropped ones are left out."""
        ...

    async def failures(
        self, since_ms: int, before: tuple[int, int], limit: int
    ) -> Sequence[Failure]:
        """Lists tasks that ended badly since a time, latest first, whoever's they are.

        Args:
            since_ms: They ended then or later.
            before: A time and a number: those are left out that ended later or, at that time, have
                this number or a higher one.
            limit: Tasks at most.
        """
        ...

    async def running_counts(self) -> Mapping[str, int]:
        """Counts the tasks with an open attempt, by type: it takes a step for each."""
        ...
