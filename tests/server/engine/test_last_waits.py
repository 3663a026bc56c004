"""Whether an end that somebody waits for may still come while the gateway stops."""

from typing import NamedTuple

import pytest

from inferry.server.engine.last_waits import LastWaits
from inferry.server.engine.reader import Reader
from inferry.server.engine.signals import Signal
from inferry.server.fleet.breaker import CallEnd
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.server.fleet.lines import Lines
from inferry.server.task.inputs import Claim
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from tests.server.books import Books
from tests.server.carriers.worker.docks import SERVER, worker_record
from tests.server.fleets import START_MS, HandClock, server
from tests.server.porters import IdlePorter
from tests.server.rules import TASK_RULES
from tests.server.situations import SPEC, lead_to

GRACE_MS = 20_000
UNTIL_MS = START_MS + GRACE_MS
HELD = ("task_0", 1)
WAITS = create(SPEC._replace(created_ms=START_MS), 0)[0]
RUNS = apply(WAITS, Claim("srv_a"), START_MS, TASK_RULES).record


class Ear(IdlePorter):
    """Stands where the carriers are, and hears of some attempts."""

    def __init__(self) -> None:
        self.heard: set[tuple[str, AttemptKey]] = set()

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:
        return (server_id, attempt) in self.heard


class Stop(NamedTuple):
    """A gateway that stops."""

    books: Books
    ear: Ear
    reader: Reader
    waits: LastWaits


@pytest.fixture
def stop() -> Stop:
    clock, ear = HandClock(), Ear()
    books = Books(clock)
    books.ledger.open(ear)
    reader = Reader(None, books.signals, None)  # type: ignore[arg-type]  # nothing is read
    waits = LastWaits(reader, books.ledger, books.fleet, clock)
    waits._until_ms = UNTIL_MS
    return Stop(books, ear, reader, waits)


def test_an_end_that_has_come_is_on_its_way_to_who_waits(stop: Stop) -> None:
    assert stop.waits.can_end(lead_to("completed"))


def test_an_attempt_ends_only_by_a_word_that_can_be_heard(stop: Stop) -> None:
    assert not stop.waits.can_end(RUNS)
    stop.ear.heard.add(("srv_a", (RUNS.spec.id, RUNS.attempt)))
    assert stop.waits.can_end(RUNS)


@pytest.mark.parametrize("record", [WAITS, RUNS])
def test_a_timeout_ends_a_task_if_it_runs_out_in_time(stop: Stop, record: TaskRecord) -> None:
    assert stop.waits.can_end(record._replace(deadline_ms=UNTIL_MS))
    assert not stop.waits.can_end(record._replace(deadline_ms=UNTIL_MS + 1))


def test_a_task_that_waits_needs_a_server_that_is_capable_of_it(stop: Stop) -> None:
    stop.books.fleet.put(server("b", "other"))
    assert not stop.waits.can_end(WAITS)
    stop.books.fleet.put(server("a", "echo"))
    assert stop.waits.can_end(WAITS)


def test_a_task_that_is_delayed_or_held_back_for_longer_does_not_start(stop: Stop) -> None:
    stop.books.fleet.put(server("a"))
    assert stop.waits.can_end(WAITS._replace(not_before_ms=UNTIL_MS))
    assert not stop.waits.can_end(WAITS._replace(not_before_ms=UNTIL_MS + 1))
    stop.books.pause_ledger.pause(PausedType("echo", "", START_MS))
    assert not stop.waits.can_end(WAITS)


def test_a_full_server_has_room_again_if_an_attempt_of_its_may_end(stop: Stop) -> None:
    stop.books.fleet.put(server("a", slots=1))
    stop.books.fleet.take_slot("srv_a", *HELD)
    assert not stop.waits.can_end(WAITS)
    stop.ear.heard.add(("srv_a", HELD))
    assert stop.waits.can_end(WAITS)


def test_a_claim_under_way_may_be_that_of_the_task(stop: Stop) -> None:
    stop.books.fleet.put(server("a", slots=1))
    stop.books.fleet.reserve("srv_a", 1)
    assert stop.waits.can_end(WAITS)


def test_a_server_that_gets_no_more_takes_nothing(stop: Stop) -> None:
    stop.books.fleet.put(server("a", draining=True))
    assert not stop.waits.can_end(WAITS)


@pytest.mark.parametrize(("rest_ms", "ends"), [(GRACE_MS, True), (GRACE_MS + 1, False)])
def test_a_server_that_rests_takes_a_task_if_its_rest_ends_in_time(
    stop: Stop, rest_ms: int, ends: bool
) -> None:
    stop.books.fleet.put(server("a"))
    stop.books.fleet.note_call("srv_a", *HELD, START_MS, CallEnd.REFUSED, rest_ms)
    assert stop.waits.can_end(WAITS) is ends


@pytest.mark.parametrize(
    ("connection", "ends"),
    [
        (Connection.CONNECTED, True),
        (Connection.LOADING, True),
        (Connection.STALLED, True),
        (Connection.RECONNECTING, False),
        (Connection.GONE, False),
    ],
)
def test_a_worker_takes_a_task_on_its_stream_alone(
    stop: Stop, connection: Connection, ends: bool
) -> None:
    stop.books.fleet.put(worker_record())
    lines = Lines(stop.books.fleet)
    lines.begin(SERVER, Connection.CONNECTED, START_MS)
    lines.turn(SERVER, connection)
    # It has asked for nothing yet, and may.
    assert stop.waits.can_end(WAITS) is ends


async def test_who_waits_in_vain_is_refused_at_the_second_look_and_nobody_else(
    stop: Stop,
) -> None:
    stop.ear.heard.add(("srv_a", (RUNS.spec.id, RUNS.attempt)))
    with (
        stop.reader.listen("task_1") as hopeful,
        stop.reader.listen("task_2") as vain,
        stop.reader.listen("task_3") as unborn,
    ):
        hopeful.record, vain.record = RUNS, WAITS
        for _ in range(2):
            assert [one.dismissed for one in (hopeful, vain, unborn)] == [False] * 3
            await stop.waits.run_once()
        assert [one.dismissed for one in (hopeful, vain, unborn)] == [False, True, False]


async def test_what_is_between_two_hands_at_one_look_is_not_refused(stop: Stop) -> None:
    with stop.reader.listen("task_1") as signal:
        signal.record = WAITS
        await stop.waits.run_once()
        stop.books.fleet.put(server("a"))
        await stop.waits.run_once()
        stop.books.fleet.drop("srv_a")
        await stop.waits.run_once()
        assert not signal.dismissed


def test_a_signal_knows_the_task_whose_end_is_waited_for() -> None:
    signal = Signal()
    signal.event.set()
    waiting = signal.final(WAITS)
    signal.dismissed = True
    with pytest.raises(Exception, match="task_1 goes on"):
        waiting.send(None)
    assert signal.record is WAITS
