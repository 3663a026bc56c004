"""Random lives of a queue, against what must hold of every order."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)

from inferry.server.queue.fair_queue import FairQueue, Waiting
from tests.server.queues import MINUTE, NOW

TENANTS = ["amber", "blue", "coral"]
PRIORITIES = [0, 1, 8, 9]
ROUTES = ["echo", "ocr", "ocr\ngpu"]


class QueueMachine(RuleBasedStateMachine):
    """A queue, and a plain dict of what has to be in it."""

    waiting = Bundle("waiting")
    taken = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue({"amber": 3})
        self.model: dict[str, Waiting] = {}
        self.now = NOW
        self.made = 0

    @rule(
        target=waiting,
        route=st.sampled_from(ROUTES),
        tenant=st.sampled_from(TENANTS),
        priority=st.sampled_from(PRIORITIES),
        ago_ms=st.sampled_from([0, 0, 1, MINUTE, 20 * MINUTE]),
        delay_ms=st.sampled_from([0, 0, 0, 1, MINUTE]),
    )
    def add(self, route: str, tenant: str, priority: int, ago_ms: int, delay_ms: int) -> Waiting:
        due = self.now + delay_ms
        made = Waiting(
            f"task_{self.made:04d}",
            route,
            tenant,
            priority,
            due if delay_ms else self.now - ago_ms,
            due if delay_ms else 0,
        )
        self.made += 1
        self.put(made)
        return made

    @rule(target=waiting, back=consumes(taken))
    def give_back(self, back: Waiting) -> Waiting:
        self.put(back)
        return back

    @rule(gone=consumes(waiting))
    def remove(self, gone: Waiting) -> None:
        assert self.queue.remove(gone.id) == self.model.pop(gone.id, None)

    @rule(ms=st.sampled_from([1, 1_000, MINUTE, 10 * MINUTE, -5_000]))
    def pass_time(self, ms: int) -> None:
        self.now += ms
        self.queue.wake(self.now)

    @rule(
        target=taken,
        routes=st.lists(st.sampled_from([*ROUTES, "unknown"]), unique=True),
    )
    def take(self, routes: list[str]) -> Waiting:
        for given, _ in self.queue.allocate(routes, lambda _: "slot", self.now, 1):
            self.check(given, routes)
            del self.model[given.id]
            return given
        assert not self.able(routes)
        # Nothing was taken: what is given back instead is new.
        self.made += 1
        return Waiting(f"task_{self.made - 1:04d}", "echo", "amber", 0, self.now)

    @rule()
    def start_anew(self) -> None:
        """Fills another queue, as a gateway does that starts again."""
        self.queue = FairQueue({"amber": 3})
        for one in sorted(self.model.values(), key=lambda one: one.id[::-1]):
            self.queue.add(one)
        self.queue.wake(self.now)

    def put(self, made: Waiting) -> None:
        self.queue.add(made)
        self.model[made.id] = made

    def due(self) -> list[Waiting]:
        delayed = set(self.queue._delayed)
        assert all(self.model[one].not_before_ms for one in delayed)
        return [one for one in self.model.values() if one.id not in delayed]

    def able(self, routes: list[str]) -> list[Waiting]:
        return [one for one in self.due() if one.route in routes]

    def check(self, given: Waiting, routes: list[str]) -> None:
        """Whatever the turns were: none of these may be passed over."""
        assert self.model[given.id] == given
        assert given.route in routes
        highest = min(9, given.priority + max(0, self.now - given.queued_ms) // MINUTE)
        for other in self.able(routes):
            assert other.priority <= highest
            alike = (other.route, other.tenant, other.priority)
            if alike == (given.route, given.tenant, given.priority):
                assert given.key <= other.key

    @invariant()
    def it_counts_what_is_in_it(self) -> None:
        assert len(self.queue) == len(self.model)
        assert self.queue.lines == Counter(one.line for one in self.model.values())
        counts = self.queue.due_by_route()
        for route in ROUTES:
            assert counts.get(route, 0) == len(self.able([route]))

    @invariant()
    def positions_lie_within_the_route(self) -> None:
        counts = self.queue.due_by_route()
        for one in self.due():
            position = self.queue.positions([one.id], self.now)[one.id]
            assert 1 <= position <= counts[one.route]
        told = self.queue.positions(self.model, self.now)
        assert told.keys() == {one.id for one in self.due()}

    @invariant()
    def it_keeps_nothing_of_who_is_gone(self) -> None:
        assert set(self.queue.routes) == {one.route for one in self.due()}
        for route, queue in self.queue._routes.items():
            assert set(queue._flows) == {one.tenant for one in self.able([route])}
            lines = {(one.tenant, one.priority) for one in self.able([route])}
            assert len(queue._levels) == len(lines)
            for stage in queue._levels._stages:
                assert len(stage._ages) <= 2 * len(TENANTS) * len(PRIORITIES) + 70
                assert len(stage._heads) <= 2 * len(TENANTS) * len(PRIORITIES) + 70


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40)
