"""The rules of one worker's stream, step by step."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from inferry.server.carriers.worker.chunks import Budget, Chunks
from inferry.server.carriers.worker.rules import REFS_LIMIT
from inferry.server.carriers.worker.session import Session
from inferry.server.errors import (
    InvalidPayloadError,
    PayloadTooLargeError,
    ReplacedError,
    UnauthenticatedError,
    UnavailableError,
)
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.v1.task_pb2 import Task
from inferry.v1.worker_pb2 import AttemptCancel, WorkerGoodbye, WorkerHeartbeat, WorkerMessage
from inferry.wire.held import held_hash
from tests.server.carriers.worker.docks import RULES, SERVER, TOKEN_ENDS_MS, Docks

ONE, TWO = ("task_1", 1), ("task_2", 1)


def heartbeat(
    *held: AttemptKey, received: int = 0, listed: bool = False, ready: bool = True, lag_ms: int = 0
) -> WorkerMessage:
    beat = WorkerHeartbeat(
        held_count=len(held),
        held_hash=held_hash(held),
        received_total=received,
        listed=listed,
        ready=ready,
        handler_lag_ms=lag_ms,
    )
    for task_id, number in held if listed else ():
        beat.held.add(task_id=task_id, attempt=number)
    return WorkerMessage(heartbeat=beat)


def named(part: str, attempt: AttemptKey) -> WorkerMessage:
    message = WorkerMessage()
    getattr(message, part).add(task_id=attempt[0], attempt=attempt[1])
    return message


def final(
    attempt: AttemptKey, chunked: int = 0, status: Task.Status.ValueType = Task.COMPLETED
) -> WorkerMessage:
    message = WorkerMessage()
    report = message.reports.add(number=1, chunked_bytes=chunked)
    report.attempt.task_id, report.attempt.attempt = attempt
    report.update.status = status
    return message


def taken(docks: Docks, session: Session, *task_ids: str) -> str:
    """Has tasks given to a worker and taken by it; returns its resume token."""
    for task_id in task_ids:
        docks.give(task_id)
    token = docks.said(session).welcome.resume_token
    for task_id in task_ids:
        docks.hear(session, named("acknowledged", (task_id, 1)))
    return token


def test_no_more_is_given_to_a_stream_than_was_granted_on_it() -> None:
    docks = Docks()
    session = docks.connect(granted=1)
    docks.give("task_1")
    docks.give("task_2")
    assert [one.task_id for one in docks.said(session).assignments] == ["task_1"]
    assert docks.deeds == [("give back", TWO)]
    assert docks.member.credit == 0


async def test_no_work_leaves_while_another_replica_may_have_taken_over() -> None:
    docks = Docks()
    session = docks.connect()
    async with aclosing(docks.crew.messages(session)) as messages:
        assert (await anext(messages)).HasField("welcome")
        docks.give("task_1")
        docks.passed_s += 15
        docks.crew.tick()
        following = asyncio.ensure_future(anext(messages))
        docks.member.record = replace(docks.member.record, draining=True)
        docks.fleet.turned.set()
        docks.crew.tick()
        message = await following
        # All else is said.
        assert (message.draining, len(message.assignments)) == (True, 0)
        following = asyncio.ensure_future(anext(messages))
        docks.tenure.renewed(docks.passed_s)
        docks.crew.tick()
        assert [one.task_id for one in (await following).assignments] == ["task_1"]


def test_on_a_new_stream_nothing_is_granted_before_it_says_so() -> None:
    docks = Docks()
    docks.connect()
    session = docks.connect(granted=0)
    assert docks.member.credit == 0
    docks.give("task_1")
    assert not docks.said(session).assignments
    assert docks.deeds == [("give back", ONE)]


def test_a_claim_under_way_takes_its_credit() -> None:
    docks = Docks()
    docks.connect(granted=2)
    docks.fleet.reserve(SERVER, 1)
    assert docks.member.credit == 1
    docks.fleet.take_slot(SERVER, "task_1", 1)
    assert docks.member.credit == 0
    docks.fleet.reserve(SERVER, -1)
    docks.fleet.free_slot(SERVER, "task_1", 1)
    assert docks.member.credit == 2


def test_what_never_left_a_stream_that_ended_goes_to_another_worker_at_once() -> None:
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    docks.crew.disconnect(session, closed=False)
    assert docks.deeds == [("give back", ONE)]


def test_what_left_a_stream_that_was_cut_may_have_been_taken_and_is_lost_with_its_worker() -> None:
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    docks.said(session)
    docks.crew.disconnect(session, closed=False)
    docks.pass_time(RULES.lease_ms - 1)
    assert docks.deeds == []
    docks.pass_time(1)
    assert docks.deeds == [("lose", ONE)]


def test_what_left_a_stream_that_was_cut_was_not_taken_if_its_worker_does_not_list_it() -> None:
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    token = docks.said(session).welcome.resume_token
    docks.crew.disconnect(session, closed=False)
    session = docks.connect(token=token)
    assert docks.said(session).heartbeat.list
    docks.hear(session, heartbeat(listed=True))
    assert docks.deeds == [("give back", ONE)]


def test_the_time_to_acknowledge_begins_when_an_assignment_leaves() -> None:
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    docks.pass_time(RULES.acknowledge_ms - 1)
    assert docks.said(session).assignments
    docks.pass_time(RULES.acknowledge_ms - 1)
    assert docks.deeds == []
    docks.pass_time(1)
    assert docks.deeds == [("give back", ONE)]


def test_what_is_taken_back_before_it_left_costs_no_credit() -> None:
    docks = Docks()
    session = docks.connect(granted=1)
    docks.give("task_1")
    docks.pass_time(RULES.acknowledge_ms)
    assert docks.member.credit == 1
    assert not docks.said(session).assignments


def test_what_was_taken_is_lost_when_the_lease_of_its_worker_is_over() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    docks.crew.disconnect(session, closed=False)
    assert docks.connection() is Connection.RECONNECTING
    docks.pass_time(RULES.lease_ms - 1)
    assert docks.ended == {}
    docks.pass_time(1)
    assert docks.ended == {"task_1": "LOST"}
    assert docks.connection() is Connection.GONE


def test_a_worker_with_another_token_begins_anew() -> None:
    docks = Docks()
    taken(docks, docks.connect(), "task_1")
    session = docks.connect(token="another", held=(ONE,))
    said = docks.said(session)
    assert docks.ended == {"task_1": "LOST"}
    assert not said.welcome.resumed
    assert said.cancels[0].reason == AttemptCancel.NOT_YOURS


def test_a_worker_with_its_token_goes_on_and_is_asked_what_it_has() -> None:
    docks = Docks()
    token = taken(docks, docks.connect(), "task_1", "task_2")
    session = docks.connect(token=token, held=(ONE,))
    said = docks.said(session)
    assert said.welcome.resumed
    assert said.heartbeat.list
    assert docks.ended == {}
    docks.hear(session, heartbeat(ONE, listed=True))
    assert docks.ended == {"task_2": "LOST"}


def test_an_acknowledgement_that_was_cut_off_is_made_good_by_the_next_hello() -> None:
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    token = docks.said(session).welcome.resume_token
    docks.connect(token=token, held=(ONE,))
    docks.pass_time(RULES.acknowledge_ms)
    assert docks.deeds == [("accept", ONE)]


def test_the_older_stream_ends_as_replaced_unless_it_was_told_to_go() -> None:
    docks = Docks()
    older = docks.connect()
    newer = docks.connect()
    assert isinstance(older.error, ReplacedError)
    newer.reconnect(docks.clock.now_ms(), "go")
    docks.connect()
    assert (newer.over, newer.error) == (True, None)


def test_what_comes_on_a_stream_that_another_one_replaced_is_not_taken() -> None:
    docks = Docks()
    older = docks.connect()
    docks.connect(granted=1)
    docks.hear(older, WorkerMessage(granted_total=100))
    docks.hear(older, WorkerMessage(goodbye=WorkerGoodbye()))
    assert docks.member.credit == 1


def test_what_differs_is_asked_for_and_put_right() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1", "task_2")
    docks.hear(session, heartbeat(ONE, TWO, received=2))
    assert not docks.said(session).heartbeat.list
    strange = "task_9", 1
    docks.hear(session, heartbeat(ONE, strange, received=2))
    assert docks.said(session).heartbeat.list
    docks.hear(session, heartbeat(ONE, strange, received=2, listed=True))
    assert docks.ended == {"task_2": "LOST"}
    assert docks.said(session).cancels[0].attempt.task_id == "task_9"


def test_what_is_on_its_way_is_not_missed() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    docks.give("task_2")
    docks.hear(session, heartbeat(ONE, received=1))
    docks.said(session)
    docks.give("task_3")
    docks.hear(session, heartbeat(ONE, received=1, listed=True))
    assert docks.deeds == [("accept", ONE)]
    docks.hear(session, heartbeat(ONE, received=2, listed=True))
    assert docks.deeds[1:] == [("give back", TWO)]


def test_who_reports_on_an_attempt_has_it_whether_or_not_it_said_so() -> None:
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    docks.said(session)
    docks.hear(session, final(ONE, status=Task.PROCESSING))
    docks.pass_time(RULES.acknowledge_ms)
    assert docks.deeds == []


def test_an_attempt_that_ended_here_is_called_off_unless_its_worker_ended_it() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1", "task_2")
    docks.hear(session, final(ONE))
    docks.lose(TWO, "by others")
    said = docks.said(session)
    assert [one.attempt.task_id for one in said.cancels] == ["task_2"]
    assert [one.number for one in said.report_acks] == [1]


def test_a_cancelled_attempt_keeps_its_slot_until_it_stopped_or_the_grace_is_over() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1", "task_2", "task_3")
    for task_id in ("task_1", "task_2", "task_3"):
        docks.cancel(task_id)
    assert docks.member.active == 3
    docks.hear(session, named("stopped", ONE))
    assert docks.member.active == 2
    docks.hear(session, final(TWO))
    assert docks.member.active == 1
    docks.pass_time(RULES.cancel_grace_ms)
    assert docks.member.active == 0


def test_a_cancel_is_told_again_on_the_next_stream() -> None:
    docks = Docks()
    session = docks.connect()
    token = taken(docks, session, "task_1")
    docks.crew.disconnect(session, closed=False)
    docks.cancel("task_1")
    session = docks.connect(token=token, held=(ONE,))
    assert docks.said(session).cancels[0].reason == AttemptCancel.CANCELLED


def test_a_cancel_of_what_never_left_takes_it_back() -> None:
    docks = Docks()
    session = docks.connect(granted=1)
    docks.give("task_1")
    docks.cancel("task_1")
    said = docks.said(session)
    assert (len(said.assignments), len(said.cancels)) == (0, 0)
    assert (docks.member.active, docks.member.credit) == (0, 1)


def test_after_a_goodbye_a_worker_gets_no_more_and_its_close_loses_what_it_has() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    docks.hear(session, WorkerMessage(goodbye=WorkerGoodbye()))
    docks.waiting.append("task_2")
    docks.schedule()
    assert docks.waiting == ["task_2"]
    docks.crew.disconnect(session, closed=True)
    assert docks.ended == {"task_1": "LOST"}


def test_what_was_never_acknowledged_goes_elsewhere_when_its_worker_closes_after_a_goodbye() -> (
    None
):
    docks = Docks()
    session = docks.connect()
    docks.give("task_1")
    docks.said(session)
    docks.hear(session, WorkerMessage(goodbye=WorkerGoodbye()))
    docks.crew.disconnect(session, closed=True)
    assert docks.deeds == [("give back", ONE)]


def test_after_a_goodbye_a_stream_that_was_cut_loses_nothing_yet() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    docks.hear(session, WorkerMessage(goodbye=WorkerGoodbye()))
    docks.crew.disconnect(session, closed=False)
    assert docks.ended == {}


def test_after_a_goodbye_a_stream_that_the_gateway_ended_loses_nothing_yet() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    docks.hear(session, WorkerMessage(goodbye=WorkerGoodbye()))
    session.reconnect(docks.clock.now_ms(), "the gateway stops")
    docks.crew.disconnect(session, closed=True)
    assert docks.ended == {}


def test_heartbeats_come_about_as_often_as_they_should() -> None:
    docks = Docks()
    session = docks.connect()
    docks.said(session)
    beats = 0
    for _ in range(600):
        docks.hear(session, WorkerMessage())
        docks.pass_time(100)
        beats += docks.said(session).HasField("heartbeat")
    assert 10 <= beats <= 15


def test_a_stream_is_given_up_after_three_silent_intervals() -> None:
    docks = Docks()
    session = docks.connect()
    docks.pass_time(3 * RULES.beat_ms - 1)
    assert not session.over
    docks.pass_time(1)
    assert isinstance(session.error, UnavailableError)


def test_what_a_gateway_did_not_read_for_it_stood_still_is_no_silence_and_not_late() -> None:
    docks = Docks()
    session = docks.connect()
    docks.pass_time(1)
    docks.give("task_1")
    docks.said(session)
    docks.pass_time(60_000)
    assert not session.over
    assert docks.deeds == []
    docks.hear(session, named("acknowledged", ONE))
    assert docks.deeds == [("accept", ONE)]


def test_who_is_slowed_for_its_reports_are_not_written_yet_is_not_silent() -> None:
    docks = Docks(replace(RULES, reports=1))
    session = docks.connect()
    session.begin_report()
    for _ in range(10):
        docks.pass_time(RULES.beat_ms)
    assert not session.over
    session.end_reports(1)
    for _ in range(3):
        docks.pass_time(RULES.beat_ms)
    assert session.over


def test_a_lease_does_not_end_while_the_gateway_stands_still() -> None:
    docks = Docks()
    session = docks.connect()
    token = taken(docks, session, "task_1")
    docks.crew.disconnect(session, closed=False)
    docks.pass_time(1)
    docks.pass_time(60_000)
    docks.connect(token=token, held=(ONE,))
    assert ("lose", ONE) not in docks.deeds


def test_a_stream_that_does_not_end_by_itself_is_given_up() -> None:
    docks = Docks()
    session = docks.connect()
    docks.connect()
    docks.pass_time(1_000)
    assert docks.given_up == []
    docks.pass_time(2_000)
    assert docks.given_up == [session]


def test_a_stream_ends_with_its_token() -> None:
    docks = Docks()
    session = docks.connect()
    session.token_ends_ms = docks.clock.now_ms() + 100
    docks.crew.renew(session, TOKEN_ENDS_MS)
    docks.pass_time(100)
    assert not session.over
    docks.crew.renew(session, docks.clock.now_ms() + 100)
    docks.pass_time(100)
    assert isinstance(session.error, UnauthenticatedError)


def test_it_stands_with_a_stream_as_its_worker_says() -> None:
    docks = Docks()
    session = docks.connect()
    assert docks.connection() is Connection.CONNECTED
    docks.hear(session, heartbeat(lag_ms=RULES.stalled_ms + 1))
    assert docks.connection() is Connection.STALLED
    docks.hear(session, heartbeat(ready=False))
    assert docks.connection() is Connection.LOADING
    docks.hear(session, heartbeat())
    assert docks.connection() is Connection.CONNECTED


def test_a_message_carries_so_many_assignments_and_so_many_bytes() -> None:
    docks = Docks(slots=10)
    session = docks.connect(granted=10)
    for number in range(5):
        docks.give(f"task_{number}")
    first = docks.say(session)
    assert first is not None
    assert len(first.assignments) == RULES.message_items
    docks.give("task_large", b"x" * 5_000)
    docks.give("task_small")
    sizes = []
    while (message := docks.say(session)) is not None:
        sizes.append([one.task_id for one in message.assignments])
    assert sizes == [["task_4"], ["task_large"], ["task_small"]]


def test_a_worker_gets_no_more_while_too_much_waits_to_be_sent() -> None:
    docks = Docks(slots=10)
    session = docks.connect(granted=10)
    docks.give("task_1", b"x" * (RULES.unsent_bytes + 1))
    assert docks.member.credit == 0
    docks.say(session)
    # What is being sent has not left.
    assert docks.member.credit == 0
    docks.say(session)
    assert docks.member.credit == 9


def chunk(attempt: AttemptKey, offset: int, data: bytes) -> WorkerMessage:
    message = WorkerMessage()
    part = message.result_chunks.add(offset=offset, data=data)
    part.attempt.task_id, part.attempt.attempt = attempt
    return message


@pytest.mark.parametrize(
    ("parts", "claimed", "code"),
    [
        ([(0, b"12"), (2, b"34")], 4, ""),
        ([(0, b"9"), (0, b"12"), (2, b"34")], 4, ""),
        ([(0, b"12"), (3, b"4")], 4, InvalidPayloadError.code),
        ([(2, b"34")], 4, InvalidPayloadError.code),
        ([(0, b"12")], 4, InvalidPayloadError.code),
        ([(0, b"x" * 1_001)], 1_001, PayloadTooLargeError.code),
        ([(n * 1_000, b"x" * 1_000) for n in range(11)], 11_000, PayloadTooLargeError.code),
    ],
)
def test_chunks_make_a_result_if_they_follow_each_other_within_its_limit(
    parts: list[tuple[int, bytes]], claimed: int, code: str
) -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    for offset, data in parts:
        docks.hear(session, chunk(ONE, offset, data))
    docks.hear(session, final(ONE, chunked=claimed))
    assert docks.said(session).report_acks[0].code == code
    assert (docks.ended == {"task_1": "SUCCEEDED"}) is not bool(code)


def fill(chunks: Chunks, task_id: str) -> None:
    for number in range(10):
        chunks.add((task_id, 1), number * 1_000, b"x" * 1_000)


def test_chunks_of_all_streams_have_one_bound() -> None:
    budget = Budget(20_000)
    one, two, three = (Chunks(budget, 10_000, 1_000) for _ in range(3))
    fill(one, "task_1")
    fill(two, "task_2")
    fill(three, "task_3")
    with pytest.raises(UnavailableError):
        three.take(("task_3", 1), 10_000)
    one.clear()
    fill(three, "task_3")
    assert three.take(("task_3", 1), 10_000) == b"x" * 10_000
    two.clear()
    assert budget.used == 0


def test_chunks_are_let_go_with_their_stream() -> None:
    docks = Docks(slots=5)
    session = docks.connect(granted=5)
    taken(docks, session, "task_1", "task_2")
    for number in range(10):
        docks.hear(session, chunk(("task_1", 1), number * 1_000, b"x" * 1_000))
    docks.hear(session, chunk(("task_2", 1), 0, b"x"))
    docks.hear(session, final(("task_2", 1), chunked=1))
    assert docks.said(session).report_acks[0].code == UnavailableError.code
    docks.crew.disconnect(session, closed=False)
    session = docks.connect(granted=5)
    taken(docks, session, "task_3")
    docks.hear(session, chunk(("task_3", 1), 0, b"1"))
    docks.hear(session, final(("task_3", 1), chunked=1))
    assert docks.ended["task_3"] == "SUCCEEDED"


def test_a_stream_that_ends_none_of_its_results_leaves_room_for_those_of_others() -> None:
    budget = Budget(80_000)
    one, other = (Chunks(budget, 10_000, 1_000) for _ in range(2))
    for number in range(10):
        fill(one, f"task_{number}")
    fill(other, "task_x")
    assert other.take(("task_x", 1), 10_000) == b"x" * 10_000
    assert budget.used == 20_000
    with pytest.raises(UnavailableError):
        one.take(("task_2", 1), 10_000)
    assert one.take(("task_1", 1), 10_000) == b"x" * 10_000


def test_a_worker_that_does_not_read_is_told_of_no_more_than_a_list_may_name() -> None:
    docks = Docks()
    session = docks.connect()
    for start in range(0, 3 * REFS_LIMIT, REFS_LIMIT):
        message = WorkerMessage()
        for number in range(start, start + REFS_LIMIT):
            message.acknowledged.add(task_id=f"task_{number}", attempt=1)
        docks.hear(session, message)
    assert session.outbox.cancels == REFS_LIMIT


def test_a_result_in_chunks_that_is_sent_once_more_is_judged_by_its_attempt() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    for _ in range(2):
        docks.hear(session, chunk(ONE, 0, b"12"))
        docks.hear(session, chunk(ONE, 2, b"34"))
        docks.hear(session, final(ONE, chunked=4))
    assert [one.code for one in docks.said(session).report_acks] == ["", "STALE_ATTEMPT"]


def test_no_more_results_are_under_way_on_a_stream_than_may() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    for number in range(1_000):
        docks.hear(session, chunk((f"task_{number + 2}", 1), 0, b""))
    docks.hear(session, chunk(ONE, 0, b"1"))
    docks.hear(session, final(ONE, chunked=1))
    assert docks.said(session).report_acks[0].code == InvalidPayloadError.code


def test_what_a_worker_says_twice_is_heard_once() -> None:
    docks = Docks()
    session = docks.connect()
    taken(docks, session, "task_1")
    for _ in range(2):
        docks.hear(session, named("acknowledged", ONE))
        docks.hear(session, final(ONE))
        docks.hear(session, WorkerMessage(granted_total=4))
    assert docks.deeds == [("accept", ONE), ("complete", ONE)]
    assert [one.code for one in docks.said(session).report_acks] == ["", "STALE_ATTEMPT"]
    assert (docks.member.active, docks.member.credit) == (0, 3)


def test_after_a_start_what_a_worker_has_is_kept_for_a_lease() -> None:
    first = Docks()
    session = first.connect()
    taken(first, session, "task_1")
    again = Docks()
    again.open = dict(first.open)
    again.fleet.take_slot(SERVER, "task_1", 1)
    again.crew.adopt(again.open.values())
    again.pass_time(RULES.lease_ms - 1)
    assert again.ended == {}
    again.pass_time(1)
    assert again.ended == {"task_1": "LOST"}
    assert again.member.active == 0


@pytest.mark.parametrize("claimed", [True, False])
def test_what_a_worker_had_before_it_was_known_here_was_taken(claimed: bool) -> None:
    there, here = Docks(), Docks()
    taken(there, there.connect(), "task_1")
    session = here.connect(held=(ONE,) if claimed else ())
    here.said(session)
    # Only now is it heard that another gateway gave it away.
    here.open = dict(there.open)
    here.fleet.take_slot(SERVER, "task_1", 1)
    here.carrier.adopt(here.open["task_1"])
    here.hear(session, heartbeat(listed=True))
    assert here.deeds == ([("accept", ONE), ("lose", ONE)] if claimed else [("give back", ONE)])
