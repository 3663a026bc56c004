"""What a commit promises."""

import asyncio

import pytest

from inferry.server.errors import InferryError, NotFoundError
from inferry.server.store import Store, StoreError
from inferry.server.store.operations import Change, ClaimTasks, Operation, Purge, RequestKey
from inferry.server.task.inputs import Accept, Progress
from inferry.server.task.lifecycle import apply
from inferry.server.task.record import Outcome, Status, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import RULES, SITUATIONS
from tests.server.store.samples import (
    NOW,
    PAYLOAD,
    added,
    change,
    claim,
    dispatched,
    do,
    record_of,
    refuse,
    waiting,
)

KEY = RequestKey("order-1", b"digest", NOW + 1)


def break_down(_: TaskRecord) -> Transition:
    raise ZeroDivisionError


def overdo(record: TaskRecord) -> Transition:
    """Makes an event that no store takes, after a change of the task that any does."""
    step = apply(record, Progress(40.0), NOW, RULES)
    return step._replace(event=step.event._replace(progress=101.0))


def overreach(record: TaskRecord) -> Transition:
    """Makes a task that no store takes, of an event that any does."""
    step = apply(record, Progress(40.0), NOW, RULES)
    return step._replace(record=step.record._replace(progress=101.0))


IMPOSSIBLE: dict[str, Operation] = {
    "an id that is there": dispatched("task_1")._replace(key=KEY),
    "an impossible event": Change("task_1", overdo),
    "an impossible task": Change("task_1", overreach),
    "a decision that breaks": Change("task_1", break_down),
}


class CommitConformance:
    async def test_an_inserted_task_reads_back_as_it_was(self, store: Store) -> None:
        given = waiting(
            "task_1",
            not_before_ms=NOW + 5,
            type="video",
            capabilities=("gpu", "k2"),
            labels='{"où":"là"}'.encode(),
            asynchronous=False,
            priority=9,
            idempotent=True,
            result_ttl_ms=7,
        )
        assert await store.commit([given]) == [given.record]
        assert await store.task("task_1") == given.record
        assert await store.payload("task_1") == PAYLOAD
        assert await store.events("task_1", 0, 10) == list(given.events)

    @pytest.mark.parametrize("situation", SITUATIONS)
    async def test_every_situation_reads_back_as_it_was(self, store: Store, situation: str) -> None:
        await do(store, waiting("task_1"))
        transitions = []
        for step in SITUATIONS[situation][0]:
            (result,) = await store.commit([change("task_1", step)])
            assert isinstance(result, Transition)
            transitions.append(result)
            assert await store.task("task_1") == result.record
        events = await store.events("task_1", 1, 100)
        assert events == [transition.event for transition in transitions]
        closed = [transition.closed for transition in transitions if transition.closed]
        assert await store.attempts("task_1") == closed

    @pytest.mark.parametrize("situation", SITUATIONS)
    async def test_all_that_happens_to_a_task_in_one_batch_reads_back(
        self, store: Store, situation: str
    ) -> None:
        steps = [change("task_1", step) for step in SITUATIONS[situation][0]]
        _, *results = await store.commit([waiting("task_1"), *steps])
        transitions = [one for one in results if isinstance(one, Transition)]
        assert len(transitions) == len(steps)
        last = transitions[-1].record if transitions else waiting("task_1").record
        assert await store.task("task_1") == last
        events = await store.events("task_1", 1, 100)
        assert events == [transition.event for transition in transitions]

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        assert await store.task("task_1") is None
        assert await store.events("task_1", 0, 10) == []
        assert await store.attempts("task_1") == []
        assert await store.outcome("task_1") == Outcome()
        with pytest.raises(NotFoundError):
            await store.payload("task_1")

    async def test_operations_see_those_before_them_in_the_batch(self, store: Store) -> None:
        await do(
            store,
            waiting("task_1"),
            claim("task_1"),
            change("task_1", Accept()),
            change("task_1", Progress(40.0)),
            change("task_1", Progress(30.0, "half")),
        )
        record = await record_of(store, "task_1")
        assert (record.status, record.seq, record.progress) == (Status.PROCESSING, 5, 40.0)
        assert record.message == "half"

    async def test_a_decision_for_nothing_writes_nothing(self, store: Store) -> None:
        given = dispatched("task_1")
        record = added(given)
        assert await store.commit([given, Change("task_1", lambda _: None)]) == [record] * 2
        assert await store.task("task_1") == record

    async def test_a_refusal_is_the_result_of_its_operation_alone(self, store: Store) -> None:
        results = await store.commit(
            [
                waiting("task_1"),
                Change("task_1", refuse),
                change("task_1", Accept()),
                change("task_2", Accept()),
                ClaimTasks(("task_1",), NOW, refuse),
                waiting("task_3"),
            ]
        )
        names = [type(result).__name__ for result in results]
        assert names == [
            "TaskRecord",
            "InferryError",
            "IllegalTransitionError",
            "TaskNotFoundError",
            "InferryError",
            "TaskRecord",
        ]
        assert await record_of(store, "task_1") == waiting("task_1").record

    @pytest.mark.parametrize("name", IMPOSSIBLE)
    async def test_an_operation_that_cannot_be_done_is_refused_alone_and_leaves_nothing(
        self, store: Store, name: str
    ) -> None:
        await do(store, dispatched("task_1"))
        results = await store.commit(
            [
                change("task_1", Accept()),
                IMPOSSIBLE[name],
                dispatched("task_2"),
                Purge(NOW, 10, 0),
                change("task_1", Progress(50.0)),
            ]
        )
        first, refused, second, purged, third = results
        assert isinstance(first, Transition)
        assert type(refused) is InferryError
        assert isinstance(second, TaskRecord)
        assert purged == 0
        assert isinstance(third, Transition)
        assert await store.task("task_1") == third.record
        assert await store.events("task_1", 2, 10) == [first.event, third.event]
        assert await store.task("task_2") == second
        # Nor is its key kept.
        (added,) = await store.commit([dispatched("task_3")._replace(key=KEY)])
        assert isinstance(added, TaskRecord)

    async def test_an_empty_batch_is_no_error(self, store: Store) -> None:
        assert await store.commit([]) == []

    async def test_batches_of_many_callers_take_turns(self, store: Store) -> None:
        await do(store, dispatched("task_1"))
        await asyncio.gather(*(do(store, change("task_1", Progress(float(n)))) for n in range(50)))
        record = await record_of(store, "task_1")
        assert (record.seq, record.progress) == (52, 49.0)

    async def test_a_caller_that_gives_up_takes_nothing_back(self, store: Store) -> None:
        given_up = asyncio.ensure_future(do(store, dispatched("task_1")))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await do(store, change("task_1", Accept()))

    async def test_a_closed_store_takes_and_gives_nothing(self, store: Store) -> None:
        await store.close()
        with pytest.raises(StoreError):
            await store.commit([waiting("task_1")])
        with pytest.raises(StoreError):
            await store.task("task_1")
