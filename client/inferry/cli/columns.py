"""Tables on a terminal: which columns there are, and how wide they become."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

#: Between two columns.
_GAP = "  "
_HEAD = "bold"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is given."""

    #: Empty if it has none.
    name: str
    cells: Sequence[Text]
    #: The fewest cells of a terminal that are left of it when there is no room; None if it is
    #: never cut.
    least: int | None

    @property
    def width(self) -> int:
        """How wide it is if it is not cut."""
        return max(cell_len(text) for text in (self.name, *map(str, self.cells)))


def lines(given: Sequence[Column], room: int, nothing: Container[str]) -> Iterator[Text]:
    """Lays a table out, its head first.

    Args:
        given: The columns; all have a cell for each row.
        room: Cells of a line.
        nothing: What says nothing in a cell; a column of such alone is left out.
    """
    columns = [one for one in given if not _is_empty(one, nothing)]
    widths = fitted(columns, room)
    yield _line([Text(column.name, _HEAD) for column in columns], widths)
    for row in zip(*(column.cells for column in columns), strict=True):
        yield _line(row, widths)


def fitted(columns: Sequence[Column], room: int) -> list[int]:
    """Gives the widths with which columns fit: what may be cut is, the widest first."""
    widths = [column.width for column in columns]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        wide = [
            number
            for number, column in enumerate(columns)
            if column.least is not None and widths[number] > column.least
        ]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _is_empty(column: Column, nothing: Container[str]) -> bool:
    return bool(column.cells) and all(str(cell) in nothing for cell in column.cells)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text(_GAP).join(map(_sized, cells, widths))
    line.rstrip()
    return line


def _sized(cell: Text, width: int) -> Text:
    text = str(cell)
    if cell_len(text) > width:
        text = f"{set_cell_size(text, width - 1)}…"
    return Text(set_cell_size(text, width), cell.style)
