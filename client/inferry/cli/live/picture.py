"""The live table of tasks."""

import sys
from collections.abc import Iterable
from threading import Lock

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from inferry.cli.live.board import Board, Row
from inferry.cli.live.screen import counts, table
from inferry.cli.output import NOTHING, percent
from inferry.cli.styles import task_status
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import WatchTasksResponse

_PAINTS_A_SECOND = 2
#: Lines around the rows: what is said of all, a blank one, the head, and the cursor's.
_AROUND = 5
_HEAD = {"ID": 40, "TYPE": 16, "STATUS": 10, "DONE": 5, "SAYS": 0}


def draw(
    told: Iterable[WatchTasksResponse], task_type: str, only: Task.Status.ValueType | None
) -> None:
    """Draws what the gateway tells, for as long as it tells.

    Args:
        told: What it tells.
        task_type: The type of all tasks; empty if there are several.
        only: Only tasks of this status.
    """
    console = Console(highlight=False)
    board, lock = Board(task_type), Lock()

    def paint() -> Group:
        with lock:
            return picture(board, only, console.height - _AROUND)

    with Live(
        console=console,
        get_renderable=paint,
        refresh_per_second=_PAINTS_A_SECOND,
        vertical_overflow="crop",
        # What is said to a file goes there.
        redirect_stderr=sys.stderr.isatty(),
    ):
        for response in told:
            with lock:
                board.take(response)


def picture(board: Board, only: Task.Status.ValueType | None, room: int) -> Group:
    """Makes one picture.

    Args:
        board: The tasks.
        only: Only those of this status.
        room: Rows at most.
    """
    now = counts(_named(board.open)) or "no task waits or runs"
    ended = counts(_named(board.ends)) or "none"
    rows = [_cells(row) for row in board.rows(max(room, 1), only)]
    return Group(Text(now), Text(f"ended meanwhile: {ended}"), Text(), table(_HEAD, rows))


def _named(of: dict[Task.Status.ValueType, int]) -> dict[str, int]:
    return {Task.Status.Name(status): of[status] for status in sorted(of)}


def _cells(row: Row) -> list[str | Text]:
    progress = percent(round(row.progress))
    return [row.id, row.type or NOTHING, task_status(row.status), progress, row.text]
