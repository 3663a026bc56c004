from rich.console import Console

from inferry.cli.live.board import Board
from inferry.cli.live.picture import picture
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksResponse
from tests.cli.scripted import finished


def shown(*tasks: Task) -> WatchTasksResponse:
    return WatchTasksResponse(tasks=tasks)


def happened(*events: TaskEvent) -> WatchTasksResponse:
    return WatchTasksResponse(events=events)


def created(task_id: str) -> TaskEvent:
    return TaskEvent(task_id=task_id, kind=TaskEvent.CREATED, status=Task.PENDING)


def ids(board: Board, limit: int = 100, only: Task.Status.ValueType | None = None) -> list[str]:
    return [row.id for row in board.rows(limit, only)]


def test_what_runs_stands_before_what_waits_and_that_before_what_ended_last() -> None:
    board = Board()
    board.take(shown(*(Task(id=f"w{n}", type="t", status=Task.PENDING) for n in range(3))))
    board.take(
        happened(
            created("new"),
            TaskEvent(task_id="w1", kind=TaskEvent.ACCEPTED, status=Task.PROCESSING, progress=7),
            finished("w0"),
            finished("new", Task.FAILED, error="why"),
        )
    )
    assert ids(board) == ["w1", "w2", "new", "w0"]
    assert ids(board, 2) == ["w1", "w2"]
    assert ids(board, only=Task.FAILED) == ["new"]
    running, _, failed, _ = board.rows(4)
    assert (running.type, running.progress, failed.text) == ("t", 7, "why")
    assert board.open == {Task.PROCESSING: 1, Task.PENDING: 1}
    assert board.ends == {Task.COMPLETED: 1, Task.FAILED: 1}


def test_a_task_that_is_created_while_one_looks_has_its_type_from_the_first_event_on() -> None:
    board = Board()
    event = created("new")
    event.type = "resize"
    board.take(happened(event))
    # Of a gateway that does not tell it in events.
    board.take(happened(TaskEvent(task_id="new", kind=TaskEvent.ACCEPTED, status=Task.PROCESSING)))
    assert [(row.id, row.type) for row in board.rows(1)] == [("new", "resize")]


def test_only_the_newest_that_ended_are_kept() -> None:
    board = Board(ended_kept=3)
    for number in range(1_000):
        board.take(happened(created(f"t{number}"), finished(f"t{number}")))
    assert ids(board) == ["t999", "t998", "t997"]
    assert len(board._ended) == 3
    assert not board._open
    assert board.ends == {Task.COMPLETED: 1_000}


def test_a_task_that_is_started_again_is_open_again() -> None:
    board = Board()
    board.take(happened(created("a"), finished("a", Task.FAILED)))
    again = TaskEvent(task_id="a", kind=TaskEvent.RETRIED, status=Task.PENDING)
    board.take(happened(again))
    assert (ids(board), board.open) == (["a"], {Task.PENDING: 1})


def test_a_snapshot_after_a_restart_takes_the_place_of_what_was_open() -> None:
    board = Board()
    board.take(happened(created("lost"), created("kept"), created("done"), finished("done")))
    board.take(WatchTasksResponse(restarted=True, tasks=[Task(id="kept", status=Task.PROCESSING)]))
    assert ids(board) == ["kept", "done"]


def test_the_table_fits_80_columns_and_cuts_no_id() -> None:
    board = Board()
    task_id = f"task_{'0' * 26}"
    long = "a very long progress message " * 20
    board.take(
        shown(Task(id=task_id, type="x" * 128, status=Task.PROCESSING, progress=99.4, message=long))
    )
    console = Console(width=80, height=24, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(picture(board, None, 10))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = (line for line in lines if line.startswith("task_"))
    assert row.split()[0] == task_id
    assert row.split()[2:4] == ["PROCESSING", "99%"]
    assert "a very" in row


def test_no_more_rows_are_drawn_than_there_is_room_for() -> None:
    board = Board()
    board.take(happened(*(created(f"task_{number}") for number in range(100))))
    console = Console(width=80, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(picture(board, None, 10))
    assert capture.get().count("task_") == 10
    assert "100 PENDING" in capture.get()
