"""What follows from commits for the figures."""

from collections.abc import Sequence

import pytest

from inferry.server.engine.tally import MeterTally
from inferry.server.errors import StaleAttemptError
from inferry.server.fleet.fleet import Fleet
from inferry.server.store.operations import Claimed
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Expire,
    Fail,
    Input,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, TaskRecord
from inferry.server.telemetry.counts import Cells
from inferry.server.telemetry.meters import Meters
from inferry.wire.figures import OTHER
from tests.server.books import Books
from tests.server.fleets import START_MS, HandClock, server
from tests.server.rules import FLEET_RULES
from tests.server.situations import RULES, SPEC

LOST = Release("gone", AttemptOutcome.LOST, 0)
REFUSED = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)


class Counted:
    """A tally of a gateway whose only server is capable of ``echo``."""

    def __init__(self, tenants: Sequence[str] = ()) -> None:
        self.meters = Meters(tenants=tenants)
        self.fleet = Fleet(FLEET_RULES, self.meters.types)
        self.fleet.put(server("a", "echo"))
        self.tally = MeterTally(self.meters, self.fleet)

    def values(self) -> dict[str, dict[tuple[str, ...], float]]:
        """What is counted and not 0, by figure and labels; of a histogram how many and the sum."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for figure, labels, value in self.meters.read():
            if isinstance(value, Cells):
                found.setdefault(f"{figure.name}_count", {})[labels] = sum(value.counts)
                found.setdefault(f"{figure.name}_sum", {})[labels] = value.total
            elif value:
                found.setdefault(figure.name, {})[labels] = value
        return found

    def live(self, *inputs: tuple[Input, int], type_: str = "echo") -> TaskRecord:
        """Has a task live through inputs, each so many ms after the one before."""
        now = START_MS
        record = create(SPEC._replace(type=type_, created_ms=now), 0)[0]
        self.tally.created(record)
        for given, after_ms in inputs:
            now += after_ms
            transition = apply(record, given, now, RULES)
            record = transition.record
            if isinstance(given, Claim):
                self.tally.started(record)
            else:
                self.tally.changed(transition)
        return record


def test_a_life_is_counted_once_with_its_times_in_seconds() -> None:
    counted = Counted()
    counted.live((Claim("srv_a"), 250), (Accept(), 20), (Progress(5), 10), (Succeed(b"1"), 1_970))
    assert counted.values() == {
        "inferry_tasks_created": {("echo",): 1},
        "inferry_task_wait_seconds_count": {("echo",): 1},
        "inferry_task_wait_seconds_sum": {("echo",): 0.25},
        "inferry_dispatch_seconds_count": {("http",): 1},
        "inferry_dispatch_seconds_sum": {("http",): 0.02},
        "inferry_attempts": {("http", "succeeded"): 1},
        "inferry_task_run_seconds_count": {("echo",): 1},
        "inferry_task_run_seconds_sum": {("echo",): 2.0},
        "inferry_tasks_finished": {("echo", "completed"): 1},
    }


def test_an_attempt_that_is_lost_or_refused_ends_no_task_and_only_what_ran_is_a_run() -> None:
    counted = Counted()
    counted.live((Claim("srv_a"), 0), (REFUSED, 5), (Claim("srv_a"), 0), (LOST, 3_000))
    found = counted.values()
    assert found["inferry_attempts"] == {("http", "refused"): 1, ("http", "lost"): 1}
    assert found["inferry_leases_lost"] == {("http",): 1}
    assert found["inferry_task_run_seconds_sum"] == {("echo",): 3.0}
    assert "inferry_tasks_finished" not in found


@pytest.mark.parametrize(
    ("given", "status"),
    [(Cancel("no"), "cancelled"), (Expire("late", "TIMEOUT", b"{}"), "timeout")],
)
def test_a_task_that_ends_in_the_queue_had_no_attempt(given: Input, status: str) -> None:
    counted = Counted()
    record = counted.live((given, 10))
    found = counted.values()
    assert found["inferry_tasks_finished"] == {("echo", status): 1}
    assert "inferry_attempts" not in found
    counted.tally.changed(apply(record, Retry(), START_MS, RULES))
    assert counted.values()["inferry_tasks_retried"] == {("echo",): 1}


def test_a_type_that_no_server_names_and_a_server_that_is_gone_are_other() -> None:
    counted = Counted()
    rejected = Fail("bad", "BAD")
    counted.live((Claim("srv_gone"), 0), (rejected, 5), type_="made-up")
    found = counted.values()
    assert found["inferry_tasks_created"] == {(OTHER,): 1}
    assert found["inferry_attempts"] == {(OTHER, "rejected"): 1}
    assert found["inferry_tasks_finished"] == {(OTHER, "failed"): 1}


def test_only_a_report_that_comes_too_late_is_stale() -> None:
    counted = Counted()
    counted.tally.refused(StaleAttemptError("too late"))
    assert counted.values() == {"inferry_stale_reports": {(): 1}}


def test_the_ledger_tells_of_what_it_commits_and_of_nothing_twice() -> None:
    clock = HandClock()
    books = Books(clock)
    counted = Counted()
    books.ledger._tally = counted.tally
    books.fleet.put(server("a"))
    record = create(SPEC._replace(id="task_1", type="echo", created_ms=START_MS), 0)[0]
    books.ledger.created_waiting(record)
    claimed = apply(record, Claim("srv_a"), START_MS, RULES)
    books.fleet.reserve("srv_a", 1)
    books.ledger.claimed([Claimed(claimed, b"{}")], "srv_a", ["task_1"])
    done = apply(claimed.record, Succeed(b"1"), START_MS, RULES)
    books.ledger.reported(done)
    books.ledger.reported(done.record)
    books.ledger.reported(StaleAttemptError("too late"))
    found = counted.values()
    assert found["inferry_tasks_created"] == {("echo",): 1}
    assert found["inferry_task_wait_seconds_count"] == {("echo",): 1}
    assert found["inferry_tasks_finished"] == {("echo", "completed"): 1}
    assert found["inferry_stale_reports"] == {(): 1}
