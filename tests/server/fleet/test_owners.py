"""A fleet has servers in it that another replica looks after: seen here, and given nothing."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.fleet.breaker import BreakerState, CallEnd
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.line import Connection
from inferry.server.fleet.lines import Lines
from inferry.server.fleet.owners import Owners
from inferry.server.fleet.record import Load, ServerRecord, ServerStatus, Transport
from inferry.server.fleet.routing import Rule
from inferry.server.fleet.told import Told, read_all, write_all
from inferry.server.task.route import route_of
from tests.server.fleets import START_MS, new_fleet, server
from tests.server.rules import FLEET_RULES

ECHO = route_of("echo", ())
OWN, OTHER = 7, 8


def replica(epoch: int, *servers: ServerRecord) -> Fleet:
    fleet = new_fleet()
    fleet.epoch = epoch
    for each in servers:
        fleet.put(each)
    return fleet


def test_a_server_of_another_replica_gets_nothing_here() -> None:
    fleet = replica(OWN, replace(server("a", "echo"), owner=OTHER))
    assert fleet.choose(ECHO, START_MS) is None
    assert fleet.candidates(START_MS) == []
    ((_, verdict),) = fleet.verdicts(ECHO, START_MS)
    assert verdict.rule is Rule.ELSEWHERE
    assert verdict.text == "10 of its 10 slots free; another replica gives it its tasks"


def test_a_server_of_nobody_gets_nothing_and_says_so() -> None:
    fleet = replica(OWN, server("a", "echo"))
    ((_, verdict),) = fleet.verdicts(ECHO, START_MS)
    assert verdict.rule is Rule.ELSEWHERE
    assert "no replica looks after it now" in verdict.text


def test_all_servers_of_a_gateway_that_is_alone_are_its_own() -> None:
    fleet = new_fleet()
    fleet.put(server("a", "echo"))
    assert [member.record.name for member in fleet.own_ones] == ["a"]
    assert fleet.choose(ECHO, START_MS) == "srv_a"


def test_a_server_that_is_taken_over_begins_as_after_a_start() -> None:
    fleet = replica(OWN, replace(server("a", "echo"), owner=OTHER))
    member = fleet.get("srv_a")
    assert member is not None
    Owners(fleet).hear({"srv_a": told(active=4, health=ServerStatus.OFFLINE)}, OTHER)
    assert (member.status, member.active) == (ServerStatus.OFFLINE, 4)
    fleet.claimable.clear()
    Owners(fleet).turn_over("srv_a", OWN)
    assert (member.status, member.active, member.owned) == (ServerStatus.ACTIVE, 0, True)
    # Until it is known what it has it gets nothing.
    assert fleet.choose(ECHO, START_MS) is None
    ((_, verdict),) = fleet.verdicts(ECHO, START_MS)
    assert "it changes hands" in verdict.text
    fleet.claimable.clear()
    Owners(fleet).admit("srv_a")
    assert fleet.choose(ECHO, START_MS) == "srv_a"
    assert fleet.claimable.is_set()


def test_what_a_server_has_is_looked_up_that_registered_elsewhere_a_moment_ago() -> None:
    known = replace(server("a", "echo"), owner=OWN)
    fleet = replica(OWN, known, replace(server("b"), url="http://b", owner=OWN, updated_ms=2))
    alone = new_fleet()
    alone.put(replace(server("c"), updated_ms=2))
    arriving = [member.arriving for member in (*fleet, *alone)]
    assert arriving == [False, True, False]


def test_a_server_that_is_given_away_leaves_no_slot_no_rest_and_no_breaker_behind() -> None:
    fleet = replica(OWN, replace(server("a", "echo"), owner=OWN))
    member = fleet.get("srv_a")
    assert member is not None
    fleet.take_slot("srv_a", "task_1", 1)
    fleet.note_call("srv_a", "task_1", 1, START_MS, CallEnd.REFUSED, 60_000)
    for _ in range(FLEET_RULES.breaker.failures):
        fleet.note_call("srv_a", "task_1", 1, START_MS, CallEnd.UNREACHABLE)
    assert fleet.next_rested_ms(START_MS) is not None
    Owners(fleet).turn_over("srv_a", OTHER)
    assert fleet.next_rested_ms(START_MS) is None
    assert (member.active, member.status) == (0, ServerStatus.ACTIVE)
    assert member.breaker.state is BreakerState.CLOSED


def test_what_still_comes_of_a_server_that_was_given_away_changes_nothing() -> None:
    fleet = replica(OWN, replace(server("a", "echo"), owner=OTHER))
    member = fleet.get("srv_a")
    assert member is not None
    fleet.take_slot("srv_a", "task_1", 1)
    fleet.observe("srv_a", None, "no answer")
    fleet.note_call("srv_a", "task_1", 1, START_MS, CallEnd.UNREACHABLE)
    fleet.seen("srv_a", START_MS)
    assert (member.active, member.last_error, member.lease.seen_ms) == (0, "", 0)
    assert member.breaker.unreachable == 0


SHOWN = (
    *("status", "active", "load", "success_rate", "last_error", "connection"),
    *("claims", "probed_ms"),
)


def test_every_replica_shows_a_server_as_its_owner_does() -> None:
    record = replace(server("a", "echo", slots=3), owner=OTHER)
    worker = replace(
        server("w", "echo", url=""), owner=OTHER, transport=Transport.GRPC, tenant="acme"
    )
    there, here = replica(OTHER, record, worker), replica(OWN, record, worker)
    there.take_slot("srv_a", "task_1", 1)
    there.observe("srv_a", Load(cpu=12.5, queue_length=2), "no answer")
    there.note_call("srv_a", "task_1", 1, START_MS, CallEnd.REFUSED, 60_000)
    there.note_attempt("srv_a", succeeded=False)
    there.seen("srv_a", START_MS)
    there.note_probe("srv_a", START_MS + 1, frozenset({"b", "c"}))
    lines = Lines(there)
    lines.begin("srv_w", Connection.CONNECTED, START_MS)
    lines.grant("srv_w", 5)
    Owners(here).hear(read_all(write_all(Owners(there).tell()))[0], OTHER)
    for name in ("srv_a", "srv_w"):
        seen, shown = there.get(name), here.get(name)
        assert seen is not None
        assert shown is not None
        for what in (
            "status",
            "active",
            "load",
            "success_rate",
            "last_error",
            "connection",
            "claims",
            "probed_ms",
        ):
            assert getattr(shown, what) == getattr(seen, what), what
        assert shown.credit == seen.credit
        assert shown.lease.seen_ms == seen.lease.seen_ms
        assert shown.retry_ms == seen.retry_ms
        assert shown.breaker.state is seen.breaker.state


def test_only_the_owner_is_heard_of_a_server() -> None:
    fleet = replica(OWN, replace(server("a"), owner=OWN), replace(server("b"), owner=OTHER))
    Owners(fleet).hear({"srv_a": told(active=3), "srv_b": told(active=3)}, OTHER + 1)
    Owners(fleet).hear({"srv_a": told(active=3), "srv_gone": told(active=3)}, OTHER)
    assert [member.active for member in fleet] == [0, 0]


def test_what_another_release_tells_of_a_server_is_left_out() -> None:
    text = write_all({"srv_a": told(), "srv_b": told()}).replace(
        b'"srv_b":{', b'"srv_b":{"mood":"good",'
    )
    assert list(read_all(text)[0]) == ["srv_a"]
    assert read_all(b'{"moods":{"srv_a":"good"}}') == ({}, [])


@given(st.sampled_from(ServerStatus), st.sampled_from(BreakerState), st.integers(0, 10_000))
def test_what_is_told_comes_back_as_it_was(
    health: ServerStatus, breaker: BreakerState, active: int
) -> None:
    said = {"srv_a": told(health=health, breaker=breaker, active=active)}
    stopped = [("task_1", active + 1), ("task_2", 1)]
    assert read_all(write_all(said, stopped)) == (said, stopped)


def told(
    *,
    health: ServerStatus = ServerStatus.ACTIVE,
    breaker: BreakerState = BreakerState.CLOSED,
    active: int = 0,
) -> Told:
    return Told(
        health=health,
        streak=0,
        last_error="",
        breaker=breaker,
        open_until_ms=0,
        breaker_reason="",
        rest_until_ms=0,
        active=active,
        load=None,
        seen_ms=0,
        success_rate=None,
    )


def test_a_server_that_is_read_in_the_list_gets_nothing_before_it_is_known_what_it_has() -> None:
    fleet = replica(OWN)
    # Another replica had it for a moment, and gave it away before it was heard of here.
    fleet.put(replace(server("a", "echo"), owner=OWN), read=True)
    assert fleet.choose(ECHO, START_MS) is None
    Owners(fleet).admit("srv_a")
    assert fleet.choose(ECHO, START_MS) == "srv_a"
