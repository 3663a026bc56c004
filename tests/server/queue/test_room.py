"""How much may wait, and when a refused creator may come back."""

import pytest

from inferry.server.errors import QueueFullError
from inferry.server.queue.room import Room, RoomRules
from tests.server.fleets import START_MS, HandClock


class Hall:
    """The room in a queue in which the tenant that asks has as many tasks as it may."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.room = Room(RoomRules(limit=100, limit_per_tenant=40), self.clock)

    def drain(self, count: int, tenant: str = "acme") -> None:
        for _ in range(count):
            self.room.note_left(tenant)

    def refused(self, waiting: int = 60, of_tenant: int = 40) -> QueueFullError:
        refusal = self.room.refusal("acme", waiting, of_tenant)
        assert refusal is not None
        return refusal


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_it_is_full_for_a_tenant_and_in_all(hall: Hall) -> None:
    refusal = hall.refused()
    assert refusal.message == "40 tasks of yours wait, the limit is 40; try again later"
    assert refusal.details == {"limit": 40}
    assert hall.room.refusal("acme", 99, 39) is None
    assert hall.refused(100, 0).message.startswith("100 tasks wait, the limit is 100")


def test_a_refused_creator_is_told_when_a_tenth_of_the_limit_has_drained(hall: Hall) -> None:
    assert hall.refused().retry_after_s == 60
    for second in range(20):
        hall.clock.ms = START_MS + second * 1_000
        hall.drain(1)
    # One a second: four of a limit of 40 take four seconds.
    hall.clock.ms = START_MS + 20_000
    assert hall.refused().retry_after_s == 4
    assert hall.room.left_last_minute == 20
    hall.clock.ms = START_MS + 110_000
    assert hall.refused().retry_after_s == 60


def test_what_others_drain_makes_no_room_for_a_tenant(hall: Hall) -> None:
    hall.drain(20, "globex")
    hall.clock.ms += 1_000
    assert hall.refused().retry_after_s == 60
    assert hall.refused(100).retry_after_s == 1


def test_a_fast_queue_asks_for_a_second_at_least(hall: Hall) -> None:
    hall.drain(20)
    assert hall.refused().retry_after_s == 1
