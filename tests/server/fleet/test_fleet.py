"""Slots, rests, trials and choices of the servers in memory."""

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inferry.server.fleet.breaker import BreakerState, CallEnd
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Load, ServerStatus
from inferry.server.fleet.roster import ROUTES_KEPT
from inferry.server.fleet.routing import Rule, hindrance
from inferry.server.task.route import route_of
from tests.server.fleets import REST_LONGEST_MS, START_MS, fleet_of, new_fleet, server
from tests.server.rules import FLEET_RULES

ECHO = route_of("echo", ())
NOW = START_MS


def call(
    fleet: Fleet, member: Member, end: CallEnd, task_id: str = "task_1", asked_ms: int | None = None
) -> None:
    """Ends a call of a task's first attempt now."""
    fleet.note_call(member.record.id, task_id, 1, NOW, end, asked_ms)


def offered(fleet: Fleet, now_ms: int = NOW) -> int:
    """Counts the slots that all servers offer."""
    return sum(
        one.record.max_concurrent - one.withheld - one.active for one in fleet.candidates(now_ms)
    )


def opened(slots: int = 10) -> tuple[Fleet, Member]:
    """Makes a fleet whose only server has an open breaker."""
    fleet, (member,) = fleet_of(server(slots=slots))
    for _ in range(3):
        call(fleet, member, CallEnd.UNREACHABLE)
    assert member.breaker.state is BreakerState.OPEN
    return fleet, member


def half_open(slots: int = 10) -> tuple[Fleet, Member]:
    """Makes a fleet whose only server waits for its trial."""
    fleet, member = opened(slots)
    fleet.tick(member.breaker.until_ms)
    assert member.breaker.state is BreakerState.HALF_OPEN
    return fleet, member


def test_a_slot_belongs_to_an_attempt_and_is_given_back_once() -> None:
    fleet, (member,) = fleet_of(server(slots=2))
    fleet.take_slot("srv_a", "task_1", 1)
    fleet.take_slot("srv_a", "task_1", 2)
    assert (member.active, fleet.choose(ECHO, NOW)) == (2, None)
    for _ in range(2):
        fleet.free_slot("srv_a", "task_1", 1)
    assert member.holding == {("task_1", 2)}
    assert fleet.choose(ECHO, NOW) == "srv_a"


def test_slots_are_reserved_for_a_claim_under_way() -> None:
    fleet, _ = fleet_of(server(slots=2))
    fleet.reserve("srv_a", 2)
    assert fleet.choose(ECHO, NOW) is None
    fleet.reserve("srv_a", -2)
    assert fleet.choose(ECHO, NOW) == "srv_a"


def test_a_server_that_is_not_there_is_no_error() -> None:
    fleet = new_fleet()
    fleet.take_slot("srv_x", "task_1", 1)
    fleet.free_slot("srv_x", "task_1", 1)
    fleet.reserve("srv_x", 1)
    fleet.seen("srv_x", NOW)
    fleet.observe("srv_x", None, "")
    fleet.note_attempt("srv_x", succeeded=True)
    fleet.note_call("srv_x", "task_1", 1, NOW, CallEnd.BROKEN)
    fleet.drop("srv_x")
    assert fleet.choose(ECHO, NOW) is None
    assert fleet.next_rested_ms(NOW) is None


def test_a_registration_that_changes_changes_who_is_chosen() -> None:
    fleet, (first, _) = fleet_of(server("a", "ocr"), server("b", "echo"))
    assert fleet.choose(ECHO, NOW) == "srv_b"
    fleet.put(server("a"))
    assert fleet.choose(ECHO, NOW) == "srv_a"
    fleet.drop("srv_a")
    assert fleet.choose(ECHO, NOW) == "srv_b"
    fleet.put(server("b", "ocr"))
    assert fleet.choose(ECHO, NOW) is None
    assert fleet.find(first.record.identity) is None


def test_of_many_routes_only_so_many_are_remembered() -> None:
    fleet, _ = fleet_of(server())
    for number in range(ROUTES_KEPT + 2):
        assert fleet.choose(route_of(f"type-{number}", ()), NOW) == "srv_a"
    assert len(fleet._capable) <= ROUTES_KEPT


def test_a_server_that_refuses_rests_as_long_as_it_asked() -> None:
    fleet, (member,) = fleet_of(server())
    call(fleet, member, CallEnd.REFUSED, asked_ms=7_000)
    assert fleet.choose(ECHO, NOW + 6_999) is None
    assert fleet.next_rested_ms(NOW) == member.retry_ms == NOW + 7_000
    assert fleet.choose(ECHO, NOW + 7_000) == "srv_a"
    assert fleet.next_rested_ms(NOW + 7_000) is None
    assert member.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(("asked_ms", "rest_ms"), [(0, 100), (3_600_000, REST_LONGEST_MS)])
def test_a_server_rests_neither_for_ever_nor_not_at_all(asked_ms: int, rest_ms: int) -> None:
    fleet, (member,) = fleet_of(server())
    call(fleet, member, CallEnd.REFUSED, asked_ms=asked_ms)
    assert member.rest.until_ms == NOW + rest_ms


def test_a_server_that_does_not_say_how_long_rests_ever_longer_until_it_answers() -> None:
    fleet, (member,) = fleet_of(server())
    rests = []
    for end in (*[CallEnd.REFUSED] * 7, CallEnd.ANSWERED, CallEnd.REFUSED):
        call(fleet, member, end)
        if end is CallEnd.REFUSED:
            rests.append(member.rest.until_ms - NOW)
        fleet.tick(NOW + 60_000)
    assert rests == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 1_000]


def test_refusals_of_calls_that_went_out_together_are_one() -> None:
    fleet, (member,) = fleet_of(server())
    for _ in range(5):
        call(fleet, member, CallEnd.REFUSED)
    assert member.rest.until_ms == NOW + 1_000


def test_no_rest_is_longer_than_it_may_be() -> None:
    fleet = new_fleet(replace(FLEET_RULES, rest=replace(FLEET_RULES.rest, longest_ms=1_500)))
    member = fleet.put(server())
    for asked_ms, rest_ms in ((None, 1_000), (None, 1_500), (2_000, 1_500), (1_400, 1_400)):
        call(fleet, member, CallEnd.REFUSED, asked_ms=asked_ms)
        assert member.rest.until_ms == NOW + rest_ms
        fleet.tick(NOW + 1_500)


def test_a_server_says_that_it_rests_unless_more_is_wrong_with_it() -> None:
    fleet, (member,) = fleet_of(server())
    call(fleet, member, CallEnd.REFUSED)
    said = [member.status.name]
    for error in ("no connection", "no connection", "no connection", ""):
        fleet.observe("srv_a", None, error)
        said.append(member.status.name)
    assert said == ["RESTING", "RESTING", "RESTING", "OFFLINE", "RESTING"]
    fleet.put(server(draining=True))
    assert member.status is ServerStatus.DRAINING


def test_a_server_that_has_rested_is_as_healthy_as_before() -> None:
    fleet, (member,) = fleet_of(server())
    fleet.observe("srv_a", None, "no connection")
    call(fleet, member, CallEnd.REFUSED)
    fleet.tick(NOW + 1_000)
    assert (member.status, member.doubts) == (ServerStatus.DEGRADED, 1)


def test_neither_a_good_probe_nor_a_drain_ends_a_rest() -> None:
    fleet, (member,) = fleet_of(server())
    call(fleet, member, CallEnd.REFUSED)
    fleet.observe("srv_a", None, "")
    assert fleet.choose(ECHO, NOW) is None
    fleet.put(server(draining=True))
    assert member.rest.until_ms == NOW + 1_000


@pytest.mark.parametrize("drained", [False, True])
def test_a_registration_and_a_resume_end_a_rest_and_wake_who_waits(*, drained: bool) -> None:
    fleet, (member,) = fleet_of(server())
    call(fleet, member, CallEnd.REFUSED, asked_ms=3_600_000)
    if drained:
        fleet.put(server(draining=True))
    fleet.claimable.clear()
    fleet.put(server())
    assert fleet.claimable.is_set()
    assert (member.status, member.retry_ms) == (ServerStatus.ACTIVE, 0)
    assert (fleet.choose(ECHO, NOW), fleet.next_rested_ms(NOW)) == ("srv_a", None)


def test_a_server_that_registered_rests_briefly_again_when_it_refuses_again() -> None:
    fleet, (member,) = fleet_of(server())
    for _ in range(5):
        call(fleet, member, CallEnd.REFUSED)
        fleet.tick(NOW + 60_000)
    fleet.put(server())
    call(fleet, member, CallEnd.REFUSED)
    assert member.rest.until_ms == NOW + 1_000


def test_a_registration_has_an_open_breaker_try_one_task_and_a_drain_does_not() -> None:
    fleet, member = opened()
    fleet.put(server(draining=True))
    assert member.breaker.state is BreakerState.OPEN
    fleet.claimable.clear()
    fleet.put(server())
    assert (member.breaker.state, member.doubts) == (BreakerState.HALF_OPEN, 0)
    assert fleet.claimable.is_set()
    assert (offered(fleet), fleet.next_rested_ms(NOW)) == (1, None)


def test_a_registration_while_a_trial_runs_lets_no_second_one_try() -> None:
    fleet, member = half_open()
    fleet.take_slot("srv_a", "task_2", 1)
    fleet.put(server())
    assert (member.breaker.state, offered(fleet)) == (BreakerState.HALF_OPEN, 0)


def test_connection_failures_do_not_rest_a_server_but_open_its_breaker() -> None:
    fleet, (member,) = fleet_of(server())
    for _ in range(2):
        call(fleet, member, CallEnd.UNREACHABLE)
        assert fleet.choose(ECHO, NOW) == "srv_a"
    call(fleet, member, CallEnd.UNREACHABLE)
    assert fleet.choose(ECHO, NOW + 4_999) is None
    assert fleet.candidates(NOW) == []
    assert fleet.next_rested_ms(NOW) == member.retry_ms == NOW + 5_000
    assert fleet.choose(ECHO, NOW + 5_000) == "srv_a"


def test_a_server_that_could_not_be_reached_is_the_last_choice_until_it_answers() -> None:
    fleet, (member, _) = fleet_of(server("a"), server("b"))
    chosen = []
    for end in (CallEnd.ANSWERED, CallEnd.UNREACHABLE, CallEnd.ANSWERED, CallEnd.UNREACHABLE):
        call(fleet, member, end)
        chosen.append(fleet.choose(ECHO, NOW))
    assert [one.doubts for one in fleet.candidates(NOW)] == [1, 0]
    fleet.observe("srv_a", None, "")
    chosen.append(fleet.choose(ECHO, NOW))
    assert chosen == ["srv_a", "srv_b", "srv_a", "srv_b", "srv_a"]


def test_a_half_open_server_offers_one_slot_and_none_while_its_trial_runs() -> None:
    fleet, _ = half_open()
    assert offered(fleet) == 1
    fleet.reserve("srv_a", 1)
    assert fleet.choose(ECHO, NOW) is None
    fleet.reserve("srv_a", -1)
    fleet.take_slot("srv_a", "task_2", 1)
    assert fleet.choose(ECHO, NOW) is None


def test_a_trial_that_is_answered_opens_all_slots_while_it_goes_on() -> None:
    fleet, member = half_open(slots=3)
    fleet.take_slot("srv_a", "task_2", 1)
    fleet.claimable.clear()
    call(fleet, member, CallEnd.ANSWERED, "task_2")
    assert fleet.claimable.is_set()
    assert offered(fleet) == 2


def test_a_trial_that_fails_opens_the_breaker_again_for_longer() -> None:
    fleet, member = half_open()
    fleet.take_slot("srv_a", "task_2", 1)
    call(fleet, member, CallEnd.BROKEN, "task_2")
    fleet.free_slot("srv_a", "task_2", 1)
    assert fleet.choose(ECHO, NOW + 9_999) is None
    assert fleet.choose(ECHO, NOW + 10_000) == "srv_a"


def test_when_a_trial_ends_without_a_word_the_next_task_is_the_trial() -> None:
    fleet, member = half_open()
    fleet.take_slot("srv_a", "task_2", 1)
    fleet.free_slot("srv_a", "task_2", 1)
    assert fleet.choose(ECHO, NOW) == "srv_a"
    states = []
    for task_id, held in (("task_2", False), ("task_3", True)):
        if held:
            fleet.take_slot("srv_a", task_id, 1)
        call(fleet, member, CallEnd.ANSWERED, task_id)
        states.append(member.breaker.state)
    assert states == [BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_refused_trial_rests_the_server_and_the_next_task_is_the_trial() -> None:
    fleet, member = half_open()
    fleet.take_slot("srv_a", "task_2", 1)
    call(fleet, member, CallEnd.REFUSED, "task_2", asked_ms=3_000)
    fleet.free_slot("srv_a", "task_2", 1)
    assert member.breaker.state is BreakerState.HALF_OPEN
    assert fleet.choose(ECHO, NOW) is None
    assert fleet.choose(ECHO, NOW + 3_000) == "srv_a"


def test_attempts_from_before_are_no_trials_and_keep_their_slots() -> None:
    fleet, (member,) = fleet_of(server(slots=3))
    fleet.take_slot("srv_a", "task_0", 1)
    for _ in range(3):
        call(fleet, member, CallEnd.UNREACHABLE)
    fleet.observe("srv_a", None, "")
    call(fleet, member, CallEnd.BROKEN, "task_0")
    assert member.breaker.state is BreakerState.HALF_OPEN
    assert offered(fleet) == 1
    fleet.take_slot("srv_a", "task_2", 1)
    fleet.free_slot("srv_a", "task_0", 1)
    assert hindrance(member) is Rule.BREAKER_OPEN


def test_a_good_probe_ends_the_open_time_early_and_wakes_who_waits() -> None:
    fleet, _ = opened()
    fleet.claimable.clear()
    fleet.observe("srv_a", None, "no connection")
    assert fleet.choose(ECHO, NOW) is None
    fleet.observe("srv_a", None, "")
    assert fleet.claimable.is_set()
    assert fleet.choose(ECHO, NOW) == "srv_a"
    assert fleet.next_rested_ms(NOW) is None


def test_the_end_of_a_rest_and_of_an_open_breaker_wakes_who_waits() -> None:
    fleet, _ = opened()
    fleet.claimable.clear()
    assert fleet.next_rested_ms(NOW + 5_000) is None
    assert fleet.claimable.is_set()
    resting, (member,) = fleet_of(server())
    call(resting, member, CallEnd.REFUSED)
    resting.claimable.clear()
    assert resting.next_rested_ms(NOW + 1_000) is None
    assert resting.claimable.is_set()


def test_only_answers_are_signs_of_life() -> None:
    fleet, (member,) = fleet_of(server())
    for end in (CallEnd.UNREACHABLE, CallEnd.BROKEN):
        call(fleet, member, end)
        assert member.lease.seen_ms == 0
    for end in (CallEnd.ANSWERED, CallEnd.REFUSED):
        member.lease.seen_ms = 0
        call(fleet, member, end)
        assert member.lease.seen_ms == NOW
    fleet.seen("srv_a", NOW - 1)
    assert member.lease.seen_ms == NOW


def test_the_success_rate_looks_back_on_the_last_attempts() -> None:
    fleet, (member,) = fleet_of(server())
    assert member.success_rate is None
    for succeeded in (False, True, True, True):
        fleet.note_attempt("srv_a", succeeded=succeeded)
    assert member.success_rate == 0.75


class Fleets(RuleBasedStateMachine):
    """One server, anything that happens to it, and what must always hold."""

    SLOTS = 3

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW
        breaker = replace(FLEET_RULES.breaker, failures=2, calls=3)
        self.fleet = new_fleet(replace(FLEET_RULES, breaker=breaker))
        self.member = self.fleet.put(server(slots=self.SLOTS))
        self.tasks = 0

    @rule()
    def a_task_comes(self) -> None:
        self.fleet.tick(self.now_ms)
        found = self.fleet.choose(ECHO, self.now_ms)
        assert (found is not None) == (offered(self.fleet, self.now_ms) > 0)
        if found is not None:
            self.tasks += 1
            self.fleet.take_slot(found, f"task_{self.tasks}", 1)

    @rule(
        end=st.sampled_from(CallEnd),
        which=st.integers(0, 9),
        asked_ms=st.sampled_from([None, 500, 10**9]),
    )
    def a_call_ends(self, end: CallEnd, which: int, asked_ms: int | None) -> None:
        if self.member.holding:
            task_id, number = self._pick(which)
            self.fleet.note_call("srv_a", task_id, number, self.now_ms, end, asked_ms)

    @rule(which=st.integers(0, 9))
    def an_attempt_ends(self, which: int) -> None:
        if self.member.holding:
            self.fleet.free_slot("srv_a", *self._pick(which))

    @rule(good=st.booleans(), waiting=st.integers(0, 3))
    def a_probe_ends(self, good: bool, waiting: int) -> None:
        load = Load(queue_length=waiting) if good else None
        self.fleet.observe("srv_a", load, "" if good else "no connection")

    @rule(draining=st.booleans())
    def it_registers(self, draining: bool) -> None:
        self.fleet.put(server(slots=self.SLOTS, draining=draining))

    @rule(wait_ms=st.integers(0, 10_000))
    def time_passes(self, wait_ms: int) -> None:
        self.now_ms += wait_ms

    @invariant()
    def what_routing_looks_at_is_up_to_date(self) -> None:
        def looks() -> tuple[object, ...]:
            one = self.member
            return one.status, one.active, one.queued, one.withheld, one.doubts

        kept = looks()
        self.member.renew()
        assert looks() == kept

    @invariant()
    def it_never_has_more_than_its_slots_nor_two_trials(self) -> None:
        assert len(self.member.holding) <= self.SLOTS
        if self.member.breaker.state is BreakerState.HALF_OPEN:
            assert len(self.member.holding - self.member.before_trial) <= 1

    @invariant()
    def whatever_holds_it_back_ends_and_is_known_to_end(self) -> None:
        soonest = self.fleet.next_rested_ms(self.now_ms)
        held_back = [at for at in (self.member.rest.until_ms, self.member.breaker.until_ms) if at]
        assert soonest == min(held_back, default=None)
        assert soonest is None or self.now_ms < soonest <= self.now_ms + REST_LONGEST_MS
        if hindrance(self.member) in (Rule.RESTING, Rule.BREAKER_OPEN):
            trial = self.member.holding - self.member.before_trial
            assert soonest is not None or trial

    @invariant()
    def it_is_chosen_exactly_when_nothing_hinders_it(self) -> None:
        found = self.fleet.choose(ECHO, self.now_ms)
        assert (found == "srv_a") == (hindrance(self.member) is Rule.ELIGIBLE)
        gets_some = self.member.status in (ServerStatus.ACTIVE, ServerStatus.DEGRADED)
        assert gets_some or found is None

    def _pick(self, which: int) -> tuple[str, int]:
        held = sorted(self.member.holding)
        return held[which % len(held)]


TestFleets = Fleets.TestCase
