"""What a claim gives away, what it leaves, and what is read of the queue at a start."""

from inferry.server.errors import InferryError
from inferry.server.store import Store
from inferry.server.store.operations import Claimed, ClaimTasks, PauseType, ResumeType
from inferry.server.task.inputs import Cancel, Release
from inferry.server.task.lifecycle import apply
from inferry.server.task.pause import PausedType
from inferry.server.task.record import AttemptOutcome, EventKind, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import RULES, SITUATIONS
from tests.server.store.samples import (
    NOW,
    PAYLOAD,
    change,
    claim,
    claimed_ids,
    dispatched,
    do,
    record_of,
    refuse,
    waiting,
)

LOST = Release("lost", AttemptOutcome.AMBIGUOUS, NOW + 1_000)


class QueueConformance:
    async def test_a_claim_gives_the_named_tasks_in_its_order(self, store: Store) -> None:
        await do(store, *(waiting(f"task_{n}", priority=n) for n in range(4)))
        given = claim("task_2", "task_0", "task_3")
        assert await claimed_ids(store, given) == ["task_2", "task_0", "task_3"]
        assert (await record_of(store, "task_1")).waiting

    async def test_a_claim_leaves_out_what_waits_no_more(self, store: Store) -> None:
        await do(
            store,
            waiting("task_cancelled"),
            change("task_cancelled", Cancel()),
            dispatched("task_dispatched", server_id="srv_9"),
            waiting("task_waiting"),
        )
        given = claim("task_cancelled", "task_dispatched", "task_nowhere", "task_waiting")
        assert await claimed_ids(store, given) == ["task_waiting"]
        assert await claimed_ids(store, given) == []
        assert (await record_of(store, "task_dispatched")).server_id == "srv_9"

    async def test_two_claims_of_one_batch_give_a_task_once(self, store: Store) -> None:
        results = await store.commit(
            [waiting("task_1"), claim("task_1", server_id="srv_1"), claim("task_1")]
        )
        assert [len(one) for one in results if isinstance(one, list)] == [1, 0]
        assert (await record_of(store, "task_1")).attempt == 1

    async def test_a_claim_brings_what_a_dispatch_needs(self, store: Store) -> None:
        given = waiting("task_1")
        (_, result) = await store.commit([given, claim("task_1", server_id="srv_9")])
        assert isinstance(result, list)
        (claimed,) = result
        assert isinstance(claimed, Claimed)
        assert claimed.payload == PAYLOAD
        assert claimed.transition.event.kind is EventKind.DISPATCHED
        assert await store.task("task_1") == claimed.transition.record
        assert claimed.transition.record.server_id == "srv_9"

    async def test_delayed_tasks_are_claimed_when_their_time_has_come(self, store: Store) -> None:
        await do(store, waiting("task_1", not_before_ms=NOW + 10), waiting("task_2"))
        given = ("task_1", "task_2")
        assert await claimed_ids(store, claim(*given, now_ms=NOW + 9)) == ["task_2"]
        assert await claimed_ids(store, claim(*given, now_ms=NOW + 10)) == ["task_1"]

    async def test_a_released_task_waits_its_delay_out(self, store: Store) -> None:
        await do(store, dispatched("task_1"), change("task_1", LOST))
        assert await claimed_ids(store, claim("task_1", now_ms=NOW + 999)) == []
        assert await claimed_ids(store, claim("task_1", now_ms=NOW + 1_000)) == ["task_1"]
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
        (result,) = await store.commit([ClaimTasks(("task_1", "task_2"), NOW, second_thoughts)])
        assert isinstance(result, InferryError)
        given = claim("task_1", "task_2")
        assert await claimed_ids(store, given) == ["task_1", "task_2"]

    async def test_pauses_are_kept_renewed_and_ended(self, store: Store) -> None:
        paused = PausedType("echo", "a bad model", NOW)
        assert await store.commit([PauseType(paused), ResumeType("ocr")]) == [None, None]
        assert await store.paused_types() == [paused]
        renewed = PausedType("echo", "", NOW + 1)
        await do(store, PauseType(renewed), PauseType(PausedType("ocr", "later", NOW)))
        assert renewed in await store.paused_types()
        await do(store, ResumeType("echo"), ResumeType("ocr"))
        assert await store.paused_types() == []
