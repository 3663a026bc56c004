"""What live views share: they fit the terminal that they are drawn on."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from inferry.cli.output import plain


def table(head: Mapping[str, int], rows: Sequence[Sequence[str | Text]]) -> Table:
    """Makes a table as wide as the terminal: the last column has what the others leave.

    Args:
        head: Names of the columns, and the widest that they may become in cells. What has no room
            is cut. The width of the last one says nothing.
        rows: The rows; they may hold anything that a backend says.
    """
    made = Table(box=None, pad_edge=False, expand=True, header_style="bold")
    *firsts, last = head
    for name in firsts:
        made.add_column(name, no_wrap=True, overflow="ellipsis", max_width=head[name])
    made.add_column(last, no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        made.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    return made


def counts(of: Mapping[str, int]) -> str:
    """Says how many there are of each kind: ``3 PENDING, 1 FAILED``."""
    return ", ".join(f"{number:,} {word}" for word, number in of.items() if number)
