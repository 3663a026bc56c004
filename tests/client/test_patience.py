import pytest

from inferry.client import InferryError, InvalidRequest, QueueFull, Unavailable
from inferry.client.patience import AWAY_S, Absence, Patience, jitter_s


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def full(after_s: float) -> QueueFull:
    error = QueueFull("full")
    error.retry_after = after_s
    return error


def refused() -> Unavailable:
    error = Unavailable("stopping")
    error.refused = True
    return error


def whole() -> float:
    return 1.0


def test_pauses_grow_to_a_limit_and_are_shared_out() -> None:
    assert [jitter_s(number, whole) for number in range(6)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]
    assert jitter_s(1_000, whole) == 4.0
    assert jitter_s(3, lambda: 0.5) == 1.0


def test_one_time_bounds_all_tries() -> None:
    clock = Clock()
    patience = Patience(1.0, 10, clock, whole)
    assert patience.left_s() == 1.0
    assert patience.pause_s(Unavailable("gone"), safe=True) == 0.25
    clock.now_s = 0.5
    # The next pause would take all that is left.
    assert patience.pause_s(Unavailable("gone"), safe=True) is None
    clock.now_s = 5.0
    assert patience.left_s() == 0.0


def test_repetitions_are_counted() -> None:
    patience = Patience(None, 2, Clock(), whole)
    pauses = [patience.pause_s(Unavailable("gone"), safe=True) for _ in range(3)]
    assert pauses == [0.25, 0.5, None]
    assert patience.left_s() is None


def test_who_was_told_when_to_come_back_comes_later_than_that() -> None:
    assert Patience(None, 1, Clock(), whole).pause_s(full(7), safe=False) == 7.25


@pytest.mark.parametrize(
    ("error", "safe", "again"),
    [
        (Unavailable("gone"), True, True),
        (Unavailable("gone"), False, False),
        (refused(), False, True),
        (full(0), False, True),
        (InvalidRequest("wrong"), True, False),
        (InferryError("odd"), True, False),
    ],
)
def test_only_what_may_help_and_does_no_harm_is_repeated(
    error: InferryError, safe: bool, again: bool
) -> None:
    assert (Patience(None, 1, Clock()).pause_s(error, safe=safe) is not None) == again


def test_a_gateway_that_was_there_is_given_a_minute() -> None:
    clock = Clock()
    absence = Absence(None, clock)
    absence.tried()
    assert absence.pause_s(Unavailable("gone")) is not None
    clock.now_s = AWAY_S
    absence.tried()
    assert absence.pause_s(Unavailable("gone")) is not None
    clock.now_s += 1
    assert absence.pause_s(Unavailable("gone")) is None


def test_each_absence_is_one_by_itself() -> None:
    clock = Clock()
    absence = Absence(None, clock)
    for _ in range(5):
        absence.tried()
        assert absence.pause_s(Unavailable("gone")) is not None
        absence.over()
        clock.now_s += 50


def test_a_stream_on_which_nothing_was_to_be_heard_stood_if_it_lasted() -> None:
    clock = Clock()
    absence = Absence(None, clock)
    for _ in range(5):
        absence.tried()
        clock.now_s += 3_600
        assert absence.pause_s(Unavailable("cut by a proxy")) is not None


def test_who_makes_calls_and_not_streams_gives_up_a_gateway_that_never_answers_in_time() -> None:
    clock = Clock()
    absence = Absence(None, clock)
    for _ in range(2):
        clock.now_s += 31
        assert absence.pause_s(Unavailable("timed out")) is not None
    clock.now_s += 31
    assert absence.pause_s(Unavailable("timed out")) is None


def test_a_stream_that_stood_in_silence_had_a_gateway() -> None:
    clock = Clock()
    absence = Absence(Patience(30, 0, clock), clock)
    absence.tried()
    clock.now_s = 3_600
    assert absence.pause_s(Unavailable("cut by a proxy")) is not None


def test_what_a_gateway_refuses_ends_a_stream_at_once() -> None:
    assert Absence(None, Clock()).pause_s(InvalidRequest("wrong")) is None


def test_a_gateway_that_was_never_there_is_given_what_a_call_is_given() -> None:
    absence = Absence(Patience(None, 1, Clock()))
    assert absence.pause_s(Unavailable("gone")) is not None
    assert absence.pause_s(Unavailable("gone")) is None
    absence = Absence(Patience(None, 0, Clock()))
    absence.over()
    assert absence.pause_s(Unavailable("gone")) is not None
