"""Reports on their way, over streams that end at any moment."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferry.backend.attempt import Report
from inferry.backend.grpc.reports import Reports
from inferry.v1.task_pb2 import Task, TaskUpdate

LIMIT = 4
FINAL = TaskUpdate(status=Task.COMPLETED)
PROGRESS = TaskUpdate(status=Task.PROCESSING)


class Streams(RuleBasedStateMachine):
    """Adds, sends, acknowledges and cuts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.reports = Reports([])
        self.number = 0
        self.running = [f"task_{n}" for n in range(6)]
        #: On the stream, in the order that they were sent.
        self.flying: list[Report] = []
        self.ended: set[str] = set()
        self.arrived: list[Report] = []

    def add(self, task: str, update: TaskUpdate) -> None:
        self.number += 1
        self.reports.add(Report((task, 1), update, self.number))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def say_progress(self, data: st.DataObject) -> None:
        self.add(data.draw(st.sampled_from(self.running)), PROGRESS)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.running))
        self.running.remove(task)
        self.ended.add(task)
        self.add(task, FINAL)

    @rule()
    def send(self) -> None:
        self.flying += self.reports.take(LIMIT)

    @precondition(lambda self: self.flying)
    @rule(again=st.booleans())
    def acknowledge(self, *, again: bool) -> None:
        report = self.flying.pop(0)
        assert self.reports.acknowledged(report.number) is report
        assert self.reports.acknowledged(report.number) is None
        if again:
            self.reports.again(report)
        else:
            self.arrived.append(report)

    @rule()
    def cut(self) -> None:
        self.flying.clear()
        self.reports.rewind()

    @invariant()
    def no_more_is_unacknowledged_than_may_be(self) -> None:
        assert len(self.flying) <= LIMIT

    @invariant()
    def what_is_sent_is_in_order(self) -> None:
        numbers = [report.number for report in self.flying]
        assert len(set(numbers)) == len(numbers)

    def teardown(self) -> None:
        self.cut()
        while self.reports.waiting:
            self.send()
            while self.flying:
                self.acknowledge(again=False)
        finals = [report.key[0] for report in self.arrived if report.final]
        assert sorted(finals) == sorted(self.ended)


TestStreams = Streams.TestCase


@given(st.integers(1, 20))
def test_of_progress_that_waits_the_newest_word_is_sent(count: int) -> None:
    reports = Reports([])
    for number in range(1, count + 1):
        reports.add(Report(("a", 1), PROGRESS, number))
    assert [report.number for report in reports.take(10)] == [count]


def test_progress_goes_before_the_end_of_its_attempt() -> None:
    reports = Reports([])
    reports.add(Report(("a", 1), PROGRESS, 1))
    reports.add(Report(("a", 1), FINAL, 2))
    assert [report.number for report in reports.take(10)] == [1, 2]


def test_old_progress_is_not_sent_again_where_there_is_newer() -> None:
    reports = Reports([])
    reports.add(Report(("a", 1), PROGRESS, 1))
    reports.take(10)
    reports.add(Report(("a", 1), PROGRESS, 2))
    reports.rewind()
    assert [report.number for report in reports.take(10)] == [2]
