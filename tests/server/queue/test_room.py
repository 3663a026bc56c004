"""How much may wait, and when a refused creator may come back."""

import pytest

from inferry.server.errors import QueueFullError
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.room import Room, RoomRules
from inferry.server.task.lifecycle import create
from tests.server.fleets import START_MS, HandClock
from tests.server.situations import SPEC


class Hall:
    """A queue and the room in it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.backlog = Backlog(self.clock, {})
        self.room = Room(self.backlog, RoomRules(limit=100, limit_per_tenant=40), self.clock)

    def fill(self, count: int, tenant: str = "acme", first: int = 0) -> None:
        for number in range(first, first + count):
            spec = SPEC._replace(
                id=f"task_{number:04d}", tenant=tenant, created_ms=START_MS + number
            )
            self.backlog.enter(create(spec, 0)[0])

    def claim(self, limit: int) -> list[str]:
        given = self.backlog.allocate(lambda _: True, lambda _: "srv_a", START_MS + 10_000, limit)
        return given.get("srv_a", [])

    def leave(self, task_id: str) -> None:
        task = self.backlog.leave(task_id, started=True)
        assert task is not None
        self.room.note_left(task.tenant)

    def refused(self, tenant: str = "acme") -> QueueFullError:
        refusal = self.room.refusal(tenant)
        assert refusal is not None
        return refusal


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_it_is_full_for_a_tenant_and_in_all(hall: Hall) -> None:
    hall.fill(40)
    refusal = hall.refused()
    assert refusal.message == "40 tasks of yours wait, the limit is 40; try again later"
    assert refusal.details == {"limit": 40}
    assert hall.room.refusal("globex") is None
    hall.fill(40, "globex", 40)
    hall.fill(20, "initech", 80)
    assert hall.refused("hooli").message.startswith("100 tasks wait, the limit is 100")


def test_tasks_that_are_being_created_or_claimed_count(hall: Hall) -> None:
    hall.fill(30)
    hall.fill(30, "globex", 30)
    for tenant in ("acme", "globex"):
        for _ in range(10):
            hall.room.keep(tenant)
        assert hall.refused(tenant).message.startswith("40 tasks of yours")
    hall.claim(60)
    for _ in range(20):
        hall.room.keep("hooli")
    assert hall.refused("initech").message.startswith("100 tasks wait")
    for _ in range(20):
        hall.room.give_back("hooli")
    assert hall.room.refusal("initech") is None


def test_a_refused_creator_is_told_when_a_tenth_of_the_limit_has_drained(hall: Hall) -> None:
    hall.fill(60)
    assert hall.refused().retry_after_s == 60
    for second in range(20):
        hall.clock.ms = START_MS + second * 1_000
        for task_id in hall.claim(1):
            hall.leave(task_id)
    # One a second: four of a limit of 40 take four seconds.
    hall.clock.ms = START_MS + 20_000
    assert hall.refused().retry_after_s == 4
    assert hall.room.left_last_minute == 20
    hall.clock.ms = START_MS + 110_000
    assert hall.refused().retry_after_s == 60


def test_what_others_drain_makes_no_room_for_a_tenant(hall: Hall) -> None:
    hall.fill(20, "globex", 100)
    for number in range(100, 120):
        hall.leave(f"task_{number:04d}")
    hall.fill(40)
    hall.clock.ms += 1_000
    assert hall.refused().retry_after_s == 60


def test_a_fast_queue_asks_for_a_second_at_least(hall: Hall) -> None:
    hall.fill(60)
    for task_id in hall.claim(20):
        hall.leave(task_id)
    assert hall.refused().retry_after_s == 1
