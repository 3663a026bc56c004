"""What servers said of a stop at one replica, the others know."""

from inferry.server.engine.stops import Stops
from tests.server.fleets import HandClock

HERE, THERE = 1, 2


def test_what_was_said_here_is_told_for_a_while_and_once() -> None:
    clock = HandClock()
    stops = Stops(clock)
    stops.note("task_1", 1)
    clock.ms += 6_000
    stops.note("task_1", 1)
    stops.note("task_2", 3)
    assert stops.tell() == [("task_1", 1), ("task_2", 3)]
    clock.ms += 6_000
    assert stops.tell() == [("task_2", 3)]


def test_of_very_many_the_latest_are_told() -> None:
    stops = Stops(HandClock())
    for number in range(2_000):
        stops.note(f"task_{number}", 1)
    told = stops.tell()
    assert len(told) == 1_000
    assert told[-1] == ("task_1999", 1)


def test_what_others_tell_counts_for_as_long_as_they_do_and_live() -> None:
    stops = Stops(HandClock())
    stops.hear(THERE, [("task_1", 1)])
    stops.hear(3, [("task_2", 1)])
    # An attempt may be stopped here a moment later.
    for _ in range(2):
        assert stops.heard({HERE, THERE, 3}) == [("task_1", 1), ("task_2", 1)]
    stops.hear(3, [])
    assert stops.heard({HERE, THERE, 3}) == [("task_1", 1)]
    assert stops.heard({HERE, 3}) == []
    assert stops.heard({HERE, THERE, 3}) == []
