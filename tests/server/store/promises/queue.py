"""What a claim gives away, and to whom it leaves the rest."""

from operator import attrgetter

from inferry.server.errors import InferryError
from inferry.server.inputs import Cancel, Release
from inferry.server.lifecycle import apply
from inferry.server.steps import Transition
from inferry.server.store import (
    Backlog,
    Claim,
    Claimed,
    Store,
)
from inferry.server.task import AttemptOutcome, EventKind, TaskRecord
from tests.server.situations import RULES, SITUATIONS
from tests.server.store.samples import (
    NOW,
    PAYLOAD,
    change,
    claim,
    claimed_ids,
    dispatched,
    do,
    refuse,
    waiting,
)

LOST = Release("lost", AttemptOutcome.AMBIGUOUS, NOW + 1_000)


class QueueConformance:
    async def test_a_claim_gives_by_priority_then_age_over_all_its_routes(
        self, store: Store
    ) -> None:
        await do(
            store,
            waiting("task_1", priority=0),
            waiting("task_2", priority=5, type="video"),
            waiting("task_3", priority=9),
            waiting("task_4", priority=5),
            waiting("task_5", priority=9, type="other"),
            waiting("task_6", priority=9, capabilities=("gpu",)),
            dispatched("task_7", priority=9),
        )
        assert await claimed_ids(store, claim("echo", "video", limit=3)) == [
            "task_3",
            "task_2",
            "task_4",
        ]
        assert await claimed_ids(store, claim("echo", "video")) == ["task_1"]
        assert await claimed_ids(store, claim("echo", needs="gpu")) == ["task_6"]
        assert await claimed_ids(store, claim("nothing")) == []

    async def test_a_claim_brings_what_a_dispatch_needs(self, store: Store) -> None:
        given = waiting("task_1")
        (_, result) = await store.commit([given, claim("echo", server_id="srv_9")])
        assert isinstance(result, list)
        (claimed,) = result
        assert isinstance(claimed, Claimed)
        assert claimed.payload == PAYLOAD
        assert claimed.transition.event.kind is EventKind.DISPATCHED
        assert await store.task("task_1") == claimed.transition.record
        assert claimed.transition.record.server_id == "srv_9"

    async def test_delayed_tasks_are_claimed_when_their_time_has_come(self, store: Store) -> None:
        await do(
            store,
            waiting("task_1", not_before_ms=NOW + 10, priority=9),
            waiting("task_2", not_before_ms=NOW + 20, priority=9),
            waiting("task_3"),
        )
        assert await store.next_due_ms(NOW) == NOW + 10
        assert await claimed_ids(store, claim("echo", limit=1)) == ["task_3"]
        assert await claimed_ids(store, claim("echo", now_ms=NOW + 9)) == []
        assert await store.next_due_ms(NOW + 10) == NOW + 20
        assert await claimed_ids(store, claim("echo", now_ms=NOW + 30)) == ["task_1", "task_2"]
        assert await store.next_due_ms(NOW) is None

    async def test_a_task_that_came_due_keeps_its_turn(self, store: Store) -> None:
        await do(store, waiting("task_1", not_before_ms=NOW + 10), waiting("task_2"))
        await do(store, claim("other", now_ms=NOW + 10))
        assert await claimed_ids(store, claim("echo", now_ms=NOW + 10, limit=1)) == ["task_1"]

    async def test_a_released_task_waits_its_delay_out(self, store: Store) -> None:
        await do(store, dispatched("task_1"), change("task_1", LOST))
        assert await claimed_ids(store, claim("echo", now_ms=NOW + 999)) == []
        assert await claimed_ids(store, claim("echo", now_ms=NOW + 1_000)) == ["task_1"]
        (attempt,) = await store.attempts("task_1")
        assert (attempt.number, attempt.outcome) == (1, AttemptOutcome.AMBIGUOUS)

    async def test_a_refused_claim_gives_nothing_away(self, store: Store) -> None:
        first = True

        def second_thoughts(record: TaskRecord) -> Transition:
            nonlocal first
            if first:
                first = False
                return apply(record, SITUATIONS["dispatched"][0][0], NOW, RULES)
            return refuse(record)

        await do(store, waiting("task_1"), waiting("task_2"))
        (result,) = await store.commit([Claim(("echo",), 2, NOW, second_thoughts)])
        assert isinstance(result, InferryError)
        assert await claimed_ids(store, claim("echo")) == ["task_1", "task_2"]

    async def test_the_backlog_counts_all_that_wait(self, store: Store) -> None:
        await do(
            store,
            waiting("task_1"),
            waiting("task_2", not_before_ms=NOW + 10),
            waiting("task_3", tenant="globex"),
            waiting("task_4", capabilities=("gpu",)),
            dispatched("task_5"),
            waiting("task_6"),
            change("task_6", Cancel()),
        )
        assert sorted(await store.backlog(), key=attrgetter("route", "tenant")) == [
            Backlog("echo", "acme", 2),
            Backlog("echo", "globex", 1),
            Backlog("echo\ngpu", "acme", 1),
        ]
