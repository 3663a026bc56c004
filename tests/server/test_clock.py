"""The gateway's time against a wall clock that is set, and a monotonic clock that is not."""

from hypothesis import given
from hypothesis import strategies as st

from inferry.server.clock import SLEW, SteadyClock, SystemClock, nap_s
from tests.server.fleets import START_MS, HandClock

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Machine:
    """A machine's two clocks, in the test's hands, and the time that is kept by them."""

    def __init__(self) -> None:
        self.wall = HandClock()
        self.passed_ms = 0
        self.steps: list[tuple[int, int]] = []
        self.clock = SteadyClock(
            lambda by_ms, ahead_ms: self.steps.append((by_ms, ahead_ms)),
            self.wall,
            lambda: (77 + self.passed_ms) * 1_000_000,
        )

    @property
    def shown_ms(self) -> int:
        """The time, counted from the start."""
        return self.clock.now_ms() - START_MS

    def wait(self, ms: int) -> None:
        self.passed_ms += ms
        self.wall.ms += ms

    def set(self, by_ms: int) -> None:
        """Sets the wall clock."""
        self.wall.ms += by_ms


def test_it_begins_with_the_wall_and_passes_with_it() -> None:
    machine = Machine()
    for _ in range(100):
        machine.wait(777)
    assert machine.clock.now_ms() == machine.wall.ms
    assert machine.steps == []


def test_an_hour_forward_or_back_is_no_more_than_half_a_percent() -> None:
    for by_ms, gained_ms in ((HOUR_MS, 150), (-HOUR_MS, -150)):
        machine = Machine()
        machine.set(by_ms)
        machine.wait(1_000)
        assert machine.shown_ms == 1_000
        machine.wait(150 * SLEW)
        assert machine.shown_ms == 1_000 + 150 * SLEW + gained_ms


def test_a_step_is_told_once_and_not_at_each_look() -> None:
    machine = Machine()
    for _ in range(20):
        machine.wait(500)
        machine.clock.now_ms()
    machine.set(HOUR_MS)
    for _ in range(20):
        machine.wait(500)
        machine.clock.now_ms()
    machine.set(-2 * HOUR_MS)
    for _ in range(20):
        machine.wait(500)
        machine.clock.now_ms()
    assert [by_ms for by_ms, _ in machine.steps] == [HOUR_MS, -2 * HOUR_MS]
    assert [ahead_ms > 0 for _, ahead_ms in machine.steps] == [True, False]


def test_what_ntp_corrects_in_passing_is_no_step() -> None:
    machine = Machine()
    for _ in range(600):
        machine.wait(1_000)
        machine.set(90)
        machine.clock.now_ms()
    assert machine.steps == []


def test_it_arrives_at_the_wall_and_stays_there() -> None:
    for by_ms in (5_000, -5_000):
        machine = Machine()
        machine.set(by_ms)
        for _ in range(5 * SLEW + 10):
            machine.wait(1_000)
            machine.clock.now_ms()
        assert abs(machine.clock.now_ms() - machine.wall.ms) <= 1
        machine.wait(DAY_MS)
        assert abs(machine.clock.now_ms() - machine.wall.ms) <= 1


def test_nobody_needs_to_look_for_it_to_be_right() -> None:
    machine = Machine()
    machine.set(1_000)
    machine.wait(DAY_MS)
    # Not more than was known to be lacking at the last look.
    assert machine.shown_ms == DAY_MS
    machine.wait(DAY_MS)
    assert machine.clock.now_ms() == machine.wall.ms


def test_what_was_written_lies_in_the_past_even_if_the_wall_says_otherwise() -> None:
    machine = Machine()
    machine.clock.reach(START_MS + HOUR_MS)
    assert machine.shown_ms == HOUR_MS
    machine.wait(200_000)
    assert machine.shown_ms == HOUR_MS + 199_000
    machine.clock.reach(START_MS)
    assert machine.shown_ms == HOUR_MS + 199_000


def test_it_catches_up_at_once_when_nothing_depends_on_it_and_never_goes_back() -> None:
    machine = Machine()
    machine.set(HOUR_MS)
    machine.clock.catch_up()
    assert machine.clock.now_ms() == machine.wall.ms
    machine.set(-HOUR_MS)
    machine.clock.catch_up()
    assert machine.shown_ms == HOUR_MS
    assert [by_ms for by_ms, _ in machine.steps] == [HOUR_MS, -HOUR_MS]


happenings = st.lists(
    st.tuples(st.sampled_from(["wait", "set"]), st.integers(-2 * DAY_MS, 2 * DAY_MS)), max_size=60
)


@given(happenings)
def test_it_never_goes_back_and_passes_as_time_does(happened: list[tuple[str, int]]) -> None:
    machine, shown_ms = Machine(), 0
    for what, ms in happened:
        if what == "set":
            machine.set(ms)
        before_ms = shown_ms
        passed_ms = abs(ms) if what == "wait" else 0
        machine.wait(passed_ms)
        shown_ms = machine.shown_ms
        most_ms = passed_ms // SLEW + 2
        assert abs(shown_ms - before_ms - passed_ms) <= most_ms
        assert shown_ms >= before_ms


@given(st.integers(1, DAY_MS), st.integers(-DAY_MS, DAY_MS))
def test_who_sleeps_until_a_time_never_oversleeps(left_ms: int, by_ms: int) -> None:
    machine = Machine()
    machine.set(by_ms)
    machine.wait(1_000)
    until_ms = machine.clock.now_ms() + left_ms
    naps = 0
    while nap := nap_s(machine.clock.now_ms(), until_ms):
        # A timer that fires a little late.
        machine.wait(int(nap * 1_000) + 1)
        naps += 1
    assert until_ms <= machine.clock.now_ms() <= until_ms + 2
    assert naps <= 10


def test_the_machine_itself_has_such_clocks() -> None:
    clock = SteadyClock(lambda _by_ms, _ahead_ms: None)
    assert abs(clock.now_ms() - SystemClock().now_ms()) < HOUR_MS
