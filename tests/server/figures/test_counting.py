"""What is counted of events."""

from inferry.server.figures.buckets import bucket_of
from inferry.server.figures.cell import ALL, TYPES_LIMIT, Cell, Key, cell_of, cell_row
from inferry.server.figures.counting import Counts, Names, cells_of
from inferry.server.task.inputs import Cancel, Claim, Expire, Fail, Input, Release, Succeed
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome
from inferry.wire.figures import OTHER
from tests.server.situations import RULES, SPEC

SECOND = SPEC.created_ms // 1_000


def counted(*steps: tuple[int, Input], task_type: str = "echo") -> Counts:
    """Counts a task's way: each step after so many milliseconds."""
    counts = Counts(Names())
    record, event = create(SPEC._replace(type=task_type), 0)
    counts.add(event, record)
    for after_ms, step in steps:
        transition = apply(record, step, SPEC.created_ms + after_ms, RULES)
        record = transition.record
        counts.add(transition.event, record)
    return counts


def whole(counts: Counts) -> Cell:
    """Adds all of it up."""
    sum_ = Cell()
    for by_type in counts.seconds.values():
        for cell in by_type.values():
            sum_.add(cell)
    return sum_


def test_a_task_that_completes_is_counted_with_its_wait_and_its_run() -> None:
    cell = whole(counted((200, Claim("srv_1")), (1_700, Succeed(b"1"))))
    assert (cell.created, cell.completed, cell.failed, cell.cancelled) == (1, 1, 0, 0)
    assert cell.waits == {bucket_of(200): 1}
    assert cell.runs == {bucket_of(1_500): 1}


def test_each_step_counts_in_its_own_second() -> None:
    seconds = counted((0, Claim("srv_1")), (3_000, Succeed(b"1"))).seconds
    assert {second - SECOND: cells["echo"].completed for second, cells in seconds.items()} == {
        0: 0,
        3: 1,
    }


def test_a_task_that_fails_or_times_out_has_failed() -> None:
    failed = whole(counted((0, Claim("srv_1")), (9, Fail("broken", "X"))))
    late = whole(counted((SPEC.queue_timeout_ms, Expire("too late"))))
    assert (failed.failed, late.failed) == (1, 1)
    assert late.runs == {}


def test_a_task_that_is_cancelled_tells_nothing_of_how_long_tasks_run() -> None:
    cell = whole(counted((0, Claim("srv_1")), (9, Cancel())))
    assert (cell.cancelled, cell.failed, cell.runs) == (1, 0, {})


def test_each_wait_for_a_server_counts() -> None:
    back = Release("gone", AttemptOutcome.REFUSED, 0)
    cell = whole(counted((8, Claim("srv_1")), (16, back), (32, Claim("srv_2"))))
    assert cell.waits == {bucket_of(8): 1, bucket_of(32): 1}


def test_how_long_it_took_is_left_out_where_the_task_went_on_meanwhile() -> None:
    record, created = create(SPEC, 0)
    claimed = apply(record, Claim("srv_1"), SPEC.created_ms + 5, RULES)
    released = apply(
        claimed.record, Release("x", AttemptOutcome.AMBIGUOUS, 0), SPEC.created_ms + 9, RULES
    )
    again = apply(released.record, Claim("srv_1"), SPEC.created_ms + 20, RULES)
    counts = Counts(Names())
    for event in (created, claimed.event, released.event, again.event):
        counts.add(event, again.record)
    cell = whole(counts)
    assert cell.created == 1
    assert sum(cell.waits.values()) == 1


def test_seconds_add_up_to_minutes_and_hours_of_each_type_and_of_all() -> None:
    seconds = counted((0, Claim("srv_1")), (70_000, Succeed(b"1"))).seconds
    cells = cells_of(seconds)
    minute, hour = SECOND // 60 * 60, SECOND // 3_600 * 3_600
    for name in ("echo", ALL):
        assert cells[Key(60, name, minute)].created == 1
        assert cells[Key(3_600, name, hour)].created == 1
    assert sum(cell.completed for key, cell in cells.items() if key.step_s == 60) == 2


def test_the_types_that_come_after_the_first_ones_are_counted_together() -> None:
    names = Names()
    mine = [names.of(f"type-{number}") for number in range(TYPES_LIMIT + 5)]
    assert mine == [f"type-{number}" for number in range(TYPES_LIMIT)] + [OTHER] * 5
    names.use(["type-1"])
    assert names.of("type-40") == "type-40"


def test_a_cell_is_read_as_it_was_written() -> None:
    cell = whole(counted((200, Claim("srv_1")), (1_700, Succeed(b"1"))))
    cell.look(5, 6, 7)
    again = cell_of(cell_row(cell))
    assert cell_row(again) == cell_row(cell)
    assert (again.waits, again.running) == (cell.waits, 7)
