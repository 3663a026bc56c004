from inferry.cli.live.rates import WINDOW_S, Flow, Rates
from inferry.v1.task_pb2 import Task, TaskEvent

CREATED = TaskEvent(kind=TaskEvent.CREATED)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.5

    def __call__(self) -> float:
        return self.now_s


def ended(status: Task.Status.ValueType) -> TaskEvent:
    return TaskEvent(kind=TaskEvent.FINISHED, status=status)


def test_before_any_time_has_passed_there_are_no_rates() -> None:
    rates = Rates(Clock())
    rates.count(CREATED)
    assert rates.flow() == Flow(0.0, 0.0, None)


def test_what_came_and_went_is_told_by_the_second() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(6):
        rates.count(CREATED)
    for status in (Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED):
        rates.count(ended(status))
    rates.count(TaskEvent(kind=TaskEvent.PROGRESSED))
    clock.now_s += 2
    assert rates.flow() == Flow(3.0, 2.0, 0.5)


def test_what_is_longer_ago_than_the_window_is_forgotten() -> None:
    clock = Clock()
    rates = Rates(clock)
    for second in range(1_000):
        clock.now_s = 100.5 + second
        rates.count(CREATED)
    assert len(rates._seconds) <= WINDOW_S + 1
    assert abs(rates.flow().created_s - 1) < 0.1
    clock.now_s += WINDOW_S
    assert rates.flow() == Flow(0.0, 0.0, None)
