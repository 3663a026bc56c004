"""What is counted: numbers in dictionaries, for they are touched on the way of each task.

All of it belongs to the loop's thread. The library's own counters take a lock and a look-up for
each step, which is four to ten times as long; it gets these when somebody asks, see ``text``.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from inferry.wire.figures import Figure

#: The values of a figure's labels, in their order.
Labels = tuple[str, ...]


class Cells(NamedTuple):
    """What a histogram has for one set of labels."""

    #: Values by bucket, none of them counted twice; the last one is for what is beyond all bounds.
    counts: tuple[int, ...]
    #: Sum of all values.
    total: float


class Reading(NamedTuple):
    """One series as it is now."""

    figure: Figure
    labels: Labels
    value: float | Cells


class Count:
    """A number for each set of labels.

    Args:
        figure: What it is.
    """

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._values: defaultdict[Labels, float] = defaultdict(float)

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Counts; 0 makes the series known."""
        self._values[labels] += amount

    def read(self) -> Iterator[Reading]:
        """Gives all series."""
        for labels, value in self._values.items():
            yield Reading(self._figure, labels, value)


class Spread:
    """How values are spread over buckets, for each set of labels.

    Args:
        figure: What it is.
    """

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._bounds = figure.bounds
        self._counts: defaultdict[Labels, list[int]] = defaultdict(
            lambda: [0] * (len(figure.bounds) + 1)
        )
        self._totals: defaultdict[Labels, float] = defaultdict(float)

    def know(self, labels: Labels) -> None:
        """Makes a series known that has no value yet."""
        _ = self._counts[labels]

    def note(self, labels: Labels, value: float) -> None:
        """Takes a value; one below 0 counts as 0."""
        value = max(0.0, value)
        self._counts[labels][bisect_left(self._bounds, value)] += 1
        self._totals[labels] += value

    def read(self) -> Iterator[Reading]:
        """Gives all series."""
        for labels, counts in self._counts.items():
            yield Reading(self._figure, labels, Cells(tuple(counts), self._totals[labels]))
