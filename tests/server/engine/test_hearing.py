"""What another replica committed has its consequences here, whatever was heard before."""

from dataclasses import replace

import pytest

from inferry.server.engine.hearing import Ended, Hearing
from inferry.server.errors import NotOwnerError
from inferry.server.store import POSITION_BITS
from inferry.server.store.operations import Claimed, Logged
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Expire,
    Input,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.record import AttemptOutcome, Status, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.books import Books
from tests.server.engine.test_ledger import REFUSED, Porter, fresh, step, wait
from tests.server.fleets import START_MS, HandClock, server

HERE, THERE = 1, 2


@pytest.fixture
def porter() -> Porter:
    return Porter()


@pytest.fixture
def books(porter: Porter) -> Books:
    books = Books(HandClock())
    books.fleet.epoch = HERE
    books.fleet.put(replace(server("a", slots=2), owner=HERE))
    books.fleet.put(replace(server("b", slots=2), owner=THERE))
    books.ledger.open(porter)
    return books


@pytest.fixture
def hearing(books: Books) -> Hearing:
    return Hearing(
        ledger=books.ledger,
        fleet=books.fleet,
        signals=books.signals,
        alarm=books.alarm,
        clock=HandClock(),
    )


def logged(*steps: Transition, now: TaskRecord | None = None) -> list[Logged]:
    """Makes what is read of another replica's commits: each with the task as it is now."""
    record = now or steps[-1].record
    begin = THERE << POSITION_BITS
    return [Logged(begin + n, one.event, record) for n, one in enumerate(steps, start=1)]


def hear(books: Books, hearing: Hearing, page: list[Logged]) -> list[Ended]:
    with books.ledger.reads.begin() as since:
        return hearing.heard(page, since)


def started(books: Books, record: TaskRecord, server_id: str = "srv_a") -> TaskRecord:
    claimed = step(record, Claim(server_id))
    books.fleet.reserve(server_id, 1)
    books.ledger.claimed([Claimed(claimed, b"{}")], server_id, [record.spec.id])
    return claimed.record


def retried(record: TaskRecord) -> Transition:
    return step(step(record, Cancel()).record, Retry())


def test_a_task_that_waits_by_another_replicas_word_waits_here(
    books: Books, hearing: Hearing
) -> None:
    books.fleet.claimable.clear()
    for _ in range(2):
        hear(books, hearing, logged(retried(fresh())))
        assert len(books.backlog) == 1
    assert books.looking


@pytest.mark.parametrize("given", [Claim("srv_b"), Cancel()])
def test_a_task_that_waits_no_more_leaves(books: Books, hearing: Hearing, given: Input) -> None:
    record = wait(books, fresh())
    hear(books, hearing, logged(step(record, given)))
    assert len(books.backlog) == 0


def test_what_own_commits_did_meanwhile_is_newer_than_what_was_read_before(
    books: Books, hearing: Hearing
) -> None:
    record = wait(books, fresh())
    claimed = step(record, Claim("srv_b"))
    with books.ledger.reads.begin() as since:
        page = logged(claimed)
        # A report that came here has the task wait again, while the answer is on its way.
        released = step(claimed.record, REFUSED)
        books.ledger.changed(released)
        hearing.heard(page, since)
    assert len(books.backlog) == 1


def test_what_ended_here_while_it_waited_by_all_that_was_heard_leaves(
    books: Books, hearing: Hearing
) -> None:
    record = wait(books, fresh())
    claimed = step(record, Claim("srv_b"))
    with books.ledger.reads.begin() as since:
        page = logged(claimed)
        # A report that came here ends it: what was read of it is older, and is passed over.
        books.ledger.changed(step(claimed.record, Cancel()))
        hearing.heard(page, since)
    assert len(books.backlog) == 0


def test_a_read_tells_apart_what_own_commits_changed_since_it_began(books: Books) -> None:
    record = wait(books, fresh())
    later = step(record, Cancel()).record
    with books.ledger.reads.begin() as first:
        books.ledger.changed(step(record, Cancel()))
        with books.ledger.reads.begin() as second:
            assert [first.fresh(record), second.fresh(record)] == [False, True]
            assert [first.fresh(later), second.fresh(later)] == [True, True]
    assert not books.ledger.reads


def test_who_waits_here_for_the_end_of_a_task_hears_it(books: Books, hearing: Hearing) -> None:
    record = step(fresh(), Claim("srv_b")).record
    with books.signals.listen(record.spec.id) as signal:
        hear(books, hearing, logged(step(record, Succeed(b"1"))))
        assert signal.event.is_set()
        assert signal.record is not None
        assert signal.record.status is Status.COMPLETED


def test_a_cancel_at_another_replica_stops_the_attempt_here(
    books: Books, hearing: Hearing, porter: Porter
) -> None:
    record = started(books, wait(books, fresh()))
    cancelled = step(record, Cancel())
    (ended,) = hear(books, hearing, logged(cancelled))
    assert cancelled.closed is not None
    hearing.ended(ended, cancelled.closed)
    assert porter.told == ["carry task_1.1", "drop task_1.1", "stop task_1.1"]
    assert books.active == 1
    porter.stopping[0]()
    assert books.active == 0


@pytest.mark.parametrize("given", [Cancel(), Expire("too slow")])
def test_an_attempt_is_stopped_also_when_its_task_was_started_again_since(
    books: Books, hearing: Hearing, porter: Porter, given: Input
) -> None:
    record = started(books, wait(books, fresh()))
    first = step(record, given)
    second = step(first.record, Retry())
    (ended,) = hear(books, hearing, logged(first, second))
    assert first.closed is not None
    hearing.ended(ended, first.closed)
    assert porter.told[-1] == "stop task_1.1"
    assert len(books.backlog) == 1


def test_a_callback_at_another_replica_frees_the_slot_here(
    books: Books, hearing: Hearing, porter: Porter
) -> None:
    record = started(books, wait(books, fresh()))
    accepted = step(record, Accept())
    done = step(accepted.record, Succeed(b"1", digest=b"d"))
    (ended,) = hear(books, hearing, logged(accepted, done))
    assert done.closed is not None
    hearing.ended(ended, done.closed)
    assert (books.active, porter.told[1:]) == (0, ["drop task_1.1"])


def test_an_attempt_that_was_given_back_at_another_replica_frees_the_slot_here(
    books: Books, hearing: Hearing
) -> None:
    record = started(books, wait(books, fresh()))
    released = step(record, Release("broken", AttemptOutcome.AMBIGUOUS, 0))
    (ended,) = hear(books, hearing, logged(released))
    assert released.closed is not None
    hearing.ended(ended, released.closed)
    assert (books.active, len(books.backlog)) == (0, 1)


def test_an_attempt_whose_task_was_dropped_since_frees_its_slot(
    books: Books, hearing: Hearing
) -> None:
    record = started(books, wait(books, fresh()))
    (ended,) = hear(books, hearing, logged(step(record, Succeed(b"1", digest=b"d"))))
    hearing.ended(ended, None)
    assert books.active == 0


def test_the_call_of_an_attempt_ends_whose_server_was_given_away(
    books: Books, hearing: Hearing, porter: Porter
) -> None:
    record = step(fresh(), Claim("srv_b")).record
    cancelled = step(record, Cancel())
    assert hear(books, hearing, logged(cancelled)) == []
    porter.calls.add("task_1.1")
    (ended,) = hear(books, hearing, logged(cancelled))
    assert cancelled.closed is not None
    hearing.ended(ended, cancelled.closed)
    assert porter.told == ["drop task_1.1"]


@pytest.mark.parametrize("given", [Accept(), Progress(50), Succeed(b"1", digest=b"d")])
def test_a_report_at_another_replica_is_a_sign_of_life(
    books: Books, hearing: Hearing, given: Input
) -> None:
    record = started(books, wait(books, fresh()))
    hear(books, hearing, logged(step(record, given)))
    member = books.fleet.get("srv_a")
    assert member is not None
    assert member.lease.seen_ms == START_MS


@pytest.mark.parametrize("server_id", ["srv_a", "srv_b"])
def test_what_a_server_was_given_as_it_came_here_is_taken_up(
    books: Books, hearing: Hearing, porter: Porter, server_id: str
) -> None:
    begun = step(fresh(), Claim(server_id))
    hear(books, hearing, logged(begun))
    own = server_id == "srv_a"
    assert (books.active, porter.told) == (own, ["adopt task_1.1"] * own)
    # What has ended by now is not.
    hear(books, hearing, logged(begun, step(begun.record, Cancel())))
    assert porter.told == ["adopt task_1.1"] * own


def test_the_end_that_the_gateway_made_is_no_sign_of_life(books: Books, hearing: Hearing) -> None:
    record = started(books, wait(books, fresh()))
    hear(books, hearing, logged(step(record, Expire("too slow"))))
    member = books.fleet.get("srv_a")
    assert member is not None
    assert member.lease.seen_ms == 0


def test_what_is_missing_here_is_counted_anew_and_read(books: Books) -> None:
    wait(books, fresh())
    alerts: list[str] = []
    books.backlog.alert = lambda: alerts.append("low")

    def recount(waiting: int) -> None:
        for _ in range(5):
            books.backlog.recount({("acme", "echo"): waiting})

    recount(1)
    assert not alerts
    recount(3)
    assert (alerts, len(books.backlog), books.backlog.window.missing) == (["low"], 3, 2)
    recount(0)
    assert books.backlog.window.missing == 0


def test_a_claim_for_a_server_that_was_taken_away_leaves_the_tasks_to_others(
    books: Books,
) -> None:
    wait(books, fresh())
    given = books.allocator.allocate(START_MS, 10)["srv_a"]
    books.ledger.claimed(NotOwnerError("it is another replica's"), "srv_a", given)
    member = books.fleet.get("srv_a")
    assert member is not None
    assert (member.owned, member.active, len(books.backlog)) == (False, 0, 1)
    assert books.allocator.allocate(START_MS, 10) == {}
