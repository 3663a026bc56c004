"""Who may take a task, who should and why another may not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.fleet.breaker import (
    Breaker,
    BreakerState,
    CallEnd,
    encourage,
    note,
)
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Health, Load, ServerStatus
from inferry.server.fleet.rest import Rest
from inferry.server.fleet.routing import (
    Candidate,
    Rule,
    choose,
    hindrance,
    rule_of,
    serves,
)
from inferry.server.fleet.verdict import Verdict, verdict
from inferry.server.task.route import route_of
from tests.server.fleets import START_MS
from tests.server.fleets import server as registration
from tests.server.rules import FLEET_RULES

ECHO = route_of("echo", ())


def server(
    name: str = "a",
    capabilities: tuple[str, ...] = ("echo",),
    *,
    slots: int = 10,
    active: int = 0,
    queued: int = 0,
    status: ServerStatus = ServerStatus.ACTIVE,
) -> Candidate:
    record = registration(name, *capabilities, slots=slots)
    return Candidate(record, status, active, queued, doubts=status is ServerStatus.DEGRADED)


def chosen(*candidates: Candidate) -> str | None:
    best = choose(candidates)
    return best.record.name if best else None


ROUTES = st.sampled_from([ECHO, route_of("ocr", ()), route_of("echo", ("gpu",))])


def test_a_route_tells_a_type_from_a_capability() -> None:
    assert route_of("echo", ["gpu"]) != route_of("gpu", ["echo"])


@pytest.mark.parametrize(
    ("capabilities", "route", "able"),
    [
        (("echo",), ECHO, True),
        (("ocr",), ECHO, False),
        ((), ECHO, True),
        ((), route_of("echo", ["gpu"]), False),
        (("echo",), route_of("echo", ["gpu"]), False),
        (("echo", "gpu", "de"), route_of("echo", ["de", "gpu"]), True),
    ],
)
def test_a_server_serves_its_types_if_it_has_all_that_the_task_needs(
    capabilities: tuple[str, ...], route: str, *, able: bool
) -> None:
    assert serves(server(capabilities=capabilities).record, route) is able


@pytest.mark.parametrize("status", [ServerStatus.OFFLINE, ServerStatus.DRAINING])
def test_a_server_that_is_offline_or_draining_gets_nothing(status: ServerStatus) -> None:
    assert chosen(server(status=status)) is None


def test_a_full_server_gets_nothing_even_when_its_limit_was_lowered() -> None:
    assert chosen(server(slots=2, active=2)) is None
    assert chosen(server(slots=2, active=3)) is None


def test_a_server_gets_nothing_while_it_rests_or_its_breaker_holds_its_free_slots_back() -> None:
    assert hindrance(server(status=ServerStatus.RESTING)) is Rule.RESTING
    assert hindrance(server(slots=4, active=1)._replace(withheld=4)) is Rule.BREAKER_OPEN
    on_trial = server(slots=4)._replace(withheld=3)
    assert hindrance(on_trial) is Rule.ELIGIBLE
    assert hindrance(on_trial._replace(active=1)) is Rule.BREAKER_OPEN
    assert hindrance(on_trial._replace(active=1, withheld=2)) is Rule.ELIGIBLE


def test_the_least_loaded_server_is_chosen_counting_what_waits_inside_it() -> None:
    assert chosen(server("a", active=2), server("b", active=1)) == "b"
    assert chosen(server("a", active=1, queued=5), server("b", active=2)) == "b"
    assert chosen(server("a", slots=2, active=1), server("b", slots=100, active=2)) == "b"


def test_a_degraded_server_is_the_last_choice() -> None:
    degraded = server("a", status=ServerStatus.DEGRADED)
    assert chosen(degraded, server("b", active=9)) == "b"
    assert chosen(degraded, server("b", active=10)) == "a"
    assert chosen() is None


def test_equal_servers_are_chosen_in_a_stable_order() -> None:
    assert chosen(server("b"), server("a")) == chosen(server("a"), server("b")) == "a"


def member(
    *capabilities: str,
    slots: int = 4,
    held: int = 0,
    queued: int = 0,
    draining: bool = False,
    health: Health | None = None,
    breaker: Breaker | None = None,
    before_trial: int = 0,
    resting_until_ms: int = 0,
) -> Member:
    attempts = [(f"task_{number}", 1) for number in range(held)]
    return Member(
        registration("a", *capabilities, slots=slots, draining=draining),
        health or Health(),
        breaker or Breaker(),
        Load(queue_length=queued),
        Rest(resting_until_ms),
        holding=set(attempts),
        before_trial=frozenset(attempts[:before_trial]),
        last_error="no connection: Connection refused",
    )


def opened(*, half: bool) -> Breaker:
    breaker, rules = Breaker(), replace(FLEET_RULES.breaker, open_ms=12_000)
    for _ in range(3):
        breaker = note(breaker, CallEnd.UNREACHABLE, START_MS, rules)
    return encourage(breaker) if half else breaker


OPEN, ON_TRIAL = opened(half=False), opened(half=True)
GONE = Health(ServerStatus.OFFLINE, -4)


@pytest.mark.parametrize(
    ("judged", "route", "wanted"),
    [
        (
            member("echo", draining=True),
            route_of("ocr", ["de", "echo"]),
            Verdict(Rule.NOT_CAPABLE, "it does not have: ocr, de", "register it with: ocr, de"),
        ),
        (
            member(draining=True, held=1, health=GONE),
            ECHO,
            Verdict(Rule.DRAINING, "it drains: it has 1 task and gets no more", "resume it"),
        ),
        (
            member(health=GONE, breaker=OPEN),
            ECHO,
            Verdict(
                Rule.OFFLINE,
                "4 probes in a row failed: no connection: Connection refused",
                "make its /health answer; it is probed again and again",
            ),
        ),
        (
            member(breaker=OPEN, held=4, resting_until_ms=START_MS + 1),
            ECHO,
            Verdict(
                Rule.BREAKER_OPEN,
                "3 connections in a row failed; it is tried again in 12 s",
                "a good probe has it tried earlier",
                START_MS + 12_000,
            ),
        ),
        (
            member(breaker=ON_TRIAL, held=2, before_trial=1),
            ECHO,
            Verdict(
                Rule.BREAKER_OPEN,
                "3 connections in a row failed; one task is on trial now",
                "it gets more when the trial succeeds",
            ),
        ),
        (
            member(resting_until_ms=START_MS + 2_001, held=4),
            ECHO,
            Verdict(
                Rule.RESTING,
                "it asked to be left alone; it is tried again in 3 s",
                "more servers; it is tried at once when it registers or is resumed",
                START_MS + 2_001,
            ),
        ),
        (
            member(held=4),
            ECHO,
            Verdict(Rule.FULL, "all 4 slots are taken", "more slots, or more servers"),
        ),
        (
            member(slots=1, held=1, breaker=ON_TRIAL),
            ECHO,
            Verdict(Rule.FULL, "its only slot is taken", "more slots, or more servers"),
        ),
        (member(held=1), ECHO, Verdict(Rule.ELIGIBLE, "3 of its 4 slots free")),
        (
            member(held=3, breaker=ON_TRIAL, before_trial=3),
            ECHO,
            Verdict(Rule.ELIGIBLE, "1 of its 4 slots free"),
        ),
    ],
)
def test_a_verdict_names_the_first_rule_that_holds_with_its_numbers(
    judged: Member, route: str, wanted: Verdict
) -> None:
    assert verdict(judged, route, START_MS) == wanted


@given(
    st.builds(
        lambda capabilities, **more: member(*capabilities, **more),
        st.sampled_from([(), ("echo",), ("echo", "gpu"), ("ocr",)]),
        slots=st.integers(1, 4),
        held=st.integers(0, 5),
        queued=st.integers(0, 3),
        draining=st.booleans(),
        health=st.builds(Health, st.sampled_from(list(ServerStatus)[:3]), st.integers(-4, -3)),
        breaker=st.sampled_from([Breaker(), OPEN, ON_TRIAL]),
        before_trial=st.integers(0, 5),
        resting_until_ms=st.sampled_from([0, START_MS + 1]),
    ),
    ROUTES,
)
def test_a_server_may_take_a_task_exactly_when_its_verdict_says_so(
    judged: Member, route: str
) -> None:
    found = verdict(judged, route, START_MS)
    eligible = found.rule is Rule.ELIGIBLE
    assert (rule_of(judged, route) is Rule.ELIGIBLE) == eligible
    capable = [judged] if serves(judged.record, route) else []
    assert choose(capable) is (judged if eligible else None)
    assert bool(found.remedy) != eligible
    if eligible:
        assert judged.active < judged.record.max_concurrent
        assert judged.breaker.state is not BreakerState.OPEN
        assert judged.status in (ServerStatus.ACTIVE, ServerStatus.DEGRADED)
