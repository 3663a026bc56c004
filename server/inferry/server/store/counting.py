"""What is added to the figures; ``figures`` says what a store keeps of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from inferry.server.figures.cell import Cell, Key


@dataclass(frozen=True, slots=True)
class AddFigures:
    """Adds to the figures. Result: how many events of a start are in them by now.

    Nothing is added unless ``after`` of its events were in them: so whoever does not know what
    became of a commit does the same once more.
    """

    cells: Mapping[Key, Cell]
    #: The start whose events they count.
    number: int
    #: So many of its events were counted before, and so many are by these.
    after: int
    upto: int
