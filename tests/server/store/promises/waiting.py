"""What a store promises of the tasks that wait: counts, room, pauses, and their lines in order."""

from typing import Any

from inferry.server.errors import InferryError, QueueFullError
from inferry.server.queue.fair_queue import Waiting
from inferry.server.store import Store
from inferry.server.store.operations import (
    Change,
    Insert,
    Operation,
    PauseType,
    Postpone,
    Purge,
    ResumeType,
)
from inferry.server.task.inputs import Accept, Cancel, Expire, Hold, Release, Retry, Succeed
from inferry.server.task.lifecycle import apply
from inferry.server.task.pause import PausedType
from inferry.server.task.record import AttemptOutcome, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import RULES
from tests.server.store.samples import (
    NOW,
    change,
    claim,
    claimed_ids,
    dispatched,
    do,
    record_of,
    refuse,
    waiting,
)

REFUSED = Release("busy", AttemptOutcome.REFUSED, 0, counts=False)
LATER = Release("broken", AttemptOutcome.AMBIGUOUS, NOW + 1_000)
PAUSED = PausedType("echo", "", NOW)


class Limit:
    """Room for so many tasks in all and of a tenant, which takes down what it was asked."""

    def __init__(self, in_all: int = 100, of_tenant: int = 100) -> None:
        self.limits = in_all, of_tenant
        self.asked: list[tuple[str, int, int]] = []

    def __call__(self, tenant: str, waiting: int, of_tenant: int) -> InferryError | None:
        self.asked.append((tenant, waiting, of_tenant))
        full = waiting >= self.limits[0] or of_tenant >= self.limits[1]
        return QueueFullError("full") if full else None


def within(room: Limit, task_id: str, **spec: Any) -> Insert:
    return waiting(task_id, **spec)._replace(room=room)


async def counts(store: Store) -> dict[tuple[str, str], int]:
    return await store.waiting_counts()


class WaitingConformance:
    async def test_what_waits_is_counted_through_all_that_happens_to_it(self, store: Store) -> None:
        one, acme = ("task_1",), ("acme", "echo")
        steps: list[tuple[list[Operation], int]] = [
            ([waiting("task_1")], 1),
            ([claim(*one)], 0),
            ([change("task_1", REFUSED)], 1),
            ([claim(*one), change("task_1", LATER)], 1),
            ([change("task_1", Hold("paused"))], 1),
            ([Postpone(NOW + 10**9, 500)], 1),
            ([change("task_1", Cancel())], 0),
            ([change("task_1", Retry())], 1),
            ([change("task_1", Expire("too slow")), change("task_1", Retry())], 1),
            ([claim(*one), change("task_1", Accept()), change("task_1", Succeed(b"1"))], 0),
            ([dispatched("task_2"), waiting("task_3"), waiting("task_4", type="ocr")], 1),
            ([change("task_2", REFUSED), change("task_3", Cancel())], 1),
            ([Purge(NOW + 10**12, 100, 1)], 1),
        ]
        for operations, count in steps:
            await do(store, *operations)
            assert (await counts(store)).get(acme, 0) == count, operations
        assert await counts(store) == {acme: 1, ("acme", "ocr"): 1}

    async def test_counts_are_of_tenants_and_types_and_nobody_is_counted_as_none(
        self, store: Store
    ) -> None:
        await do(
            store,
            waiting("task_1"),
            waiting("task_2", capabilities=("gpu",), priority=9),
            waiting("task_3", tenant="globex", not_before_ms=NOW + 5),
        )
        assert await counts(store) == {("acme", "echo"): 2, ("globex", "echo"): 1}
        await do(store, *(change(f"task_{n}", Cancel()) for n in (1, 2, 3)))
        assert await counts(store) == {}

    async def test_what_is_refused_or_breaks_is_not_counted(self, store: Store) -> None:
        await do(store, waiting("task_1"))
        results = await store.commit(
            [waiting("task_1"), waiting("task_2"), Change("task_1", refuse), claim("task_1")]
        )
        assert [isinstance(one, InferryError) for one in results] == [True, False, True, False]
        assert await counts(store) == {("acme", "echo"): 1}

    async def test_delayed_tasks_are_counted_by_type_until_they_are_due(self, store: Store) -> None:
        await do(
            store,
            waiting("task_1"),
            waiting("task_2", not_before_ms=NOW + 10),
            waiting("task_3", tenant="globex", not_before_ms=NOW + 20),
            waiting("task_4", type="ocr", not_before_ms=NOW + 20),
            dispatched("task_5"),
            change("task_5", LATER),
        )
        assert await store.delayed_counts(NOW) == {"echo": 3, "ocr": 1}
        assert await store.delayed_counts(NOW + 10) == {"echo": 2, "ocr": 1}
        await do(store, change("task_4", Cancel()))
        assert await store.delayed_counts(NOW + 20) == {"echo": 1}

    # Room.

    async def test_room_is_decided_by_what_waits_at_that_place_of_the_batch(
        self, store: Store
    ) -> None:
        room = Limit(in_all=2)
        results = await store.commit(
            [
                within(room, "task_1"),
                within(room, "task_2", tenant="globex"),
                within(room, "task_3"),
                claim("task_1"),
                within(room, "task_4"),
            ]
        )
        assert [isinstance(one, QueueFullError) for one in results] == [
            False, False, True, False, False,
        ]  # fmt: skip
        assert room.asked == [
            ("acme", 0, 0), ("globex", 1, 0), ("acme", 2, 1), ("acme", 1, 0),
        ]  # fmt: skip
        assert await store.task("task_3") is None

    async def test_a_limit_is_exact_however_many_come_at_once(self, store: Store) -> None:
        room = Limit(of_tenant=7)
        for first in (0, 10):
            await store.commit([within(room, f"task_{first + n}") for n in range(10)])
        assert await counts(store) == {("acme", "echo"): 7}

    async def test_what_gets_its_server_at_once_needs_no_room(self, store: Store) -> None:
        room = Limit(in_all=0)
        (result,) = await store.commit([dispatched("task_1")._replace(room=room)])
        assert isinstance(result, TaskRecord)
        assert (result.server_id, room.asked) == ("srv_1", [])

    async def test_a_retry_needs_room_and_what_a_server_gives_back_does_not(
        self, store: Store
    ) -> None:
        room = Limit(of_tenant=1)
        await do(store, dispatched("task_1"), change("task_1", Cancel()), dispatched("task_2"))
        await do(store, waiting("task_3"), change("task_2", REFUSED))
        again = change("task_1", Retry())._replace(room=room)
        (refused,) = await store.commit([again])
        assert isinstance(refused, QueueFullError)
        assert (await record_of(store, "task_1")).status.final
        await do(store, change("task_2", Cancel()), change("task_3", Cancel()))
        (transition,) = await store.commit([again])
        assert isinstance(transition, Transition)
        assert room.asked == [("acme", 2, 2), ("acme", 0, 0)]

    # Pauses.

    async def test_a_claim_leaves_tasks_of_a_paused_type_out(self, store: Store) -> None:
        await do(store, waiting("task_1"), waiting("task_2", type="ocr"))
        both = claim("task_1", "task_2")
        results = await store.commit([PauseType(PAUSED), both])
        assert isinstance(results[1], list)
        assert [one.transition.record.spec.id for one in results[1]] == ["task_2"]
        assert (await record_of(store, "task_1")).waiting
        await do(store, ResumeType("echo"))
        assert await claimed_ids(store, both) == ["task_1"]

    async def test_a_task_of_a_paused_type_that_comes_with_its_attempt_waits(
        self, store: Store
    ) -> None:
        await do(store, PauseType(PAUSED))
        given = dispatched("task_1")
        assert await store.commit([given]) == [given.record]
        assert await store.task("task_1") == given.record
        assert [event.seq for event in await store.events("task_1", 0, 10)] == [1]
        assert await counts(store) == {("acme", "echo"): 1}
        (refused,) = await store.commit([dispatched("task_2")._replace(room=Limit(in_all=1))])
        assert isinstance(refused, QueueFullError)

    async def test_a_pause_that_was_rolled_back_holds_nothing(self, store: Store) -> None:
        await do(store, waiting("task_1"))
        broken = PauseType(PausedType("echo", "", 0))
        results = await store.commit([broken, claim("task_1")])
        assert isinstance(results[0], InferryError)
        assert isinstance(results[1], list)
        assert len(results[1]) == 1

    # Lines.

    async def test_routes_are_listed_of_which_tasks_wait(self, store: Store) -> None:
        await do(
            store,
            *(waiting(f"task_{n}", type="echo", priority=n % 3) for n in range(5)),
            waiting("task_5", type="echo", capabilities=("gpu",)),
            waiting("task_6", type="ocr", not_before_ms=NOW + 10),
            dispatched("task_7", type="running"),
            waiting("task_8", type="ended"),
            change("task_8", Cancel()),
        )
        assert await store.waiting_routes("", 10) == ["echo", "echo\ngpu", "ocr"]
        assert await store.waiting_routes("", 2) == ["echo", "echo\ngpu"]
        assert await store.waiting_routes("echo\ngpu", 10) == ["ocr"]
        assert await store.waiting_routes("ocr", 10) == []

    async def test_lines_of_a_route_are_listed_in_which_tasks_wait(self, store: Store) -> None:
        lines = [("acme", 0), ("acme", 9), ("globex", 3), ("initech", 0)]
        await do(
            store,
            *(
                waiting(f"task_{tenant}_{priority}_{n}", tenant=tenant, priority=priority)
                for n in range(3)
                for tenant, priority in reversed(lines)
            ),
            dispatched("task_1", tenant="hooli"),
            waiting("task_2", tenant="hooli", type="ocr"),
        )
        assert await store.waiting_lines("echo", None, 10) == lines
        assert await store.waiting_lines("echo", None, 2) == lines[:2]
        assert await store.waiting_lines("echo", ("acme", 5), 10) == lines[1:]
        assert await store.waiting_lines("echo", ("acme", 9), 1) == lines[2:3]
        assert await store.waiting_lines("echo", ("initech", 0), 10) == []
        assert await store.waiting_lines("unknown", None, 10) == []

    async def test_the_tasks_of_a_line_come_in_their_order_from_a_key_on(
        self, store: Store
    ) -> None:
        await do(
            store,
            waiting("task_b", created_ms=NOW + 1),
            waiting("task_a", created_ms=NOW + 1),
            waiting("task_c", not_before_ms=NOW + 5),
            waiting("task_d", created_ms=NOW),
            waiting("task_other", priority=1),
            dispatched("task_e", created_ms=NOW),
        )
        line = ("echo", "acme", 0)
        tasks = await store.waiting_tasks(line, None, 10)
        assert tasks == [
            Waiting("task_d", *line, NOW),
            Waiting("task_a", *line, NOW + 1),
            Waiting("task_b", *line, NOW + 1),
            Waiting("task_c", *line, NOW + 5, NOW + 5),
        ]
        assert await store.waiting_tasks(line, None, 2) == tasks[:2]
        assert await store.waiting_tasks(line, tasks[1].key, 2) == tasks[1:3]
        assert await store.waiting_tasks(line, (NOW + 1, "task_aa"), 1) == tasks[2:3]
        assert await store.waiting_tasks(("echo", "globex", 0), None, 10) == []

    async def test_a_refused_task_is_at_its_old_place_in_the_line(self, store: Store) -> None:
        await do(store, waiting("task_1", created_ms=NOW), waiting("task_2", created_ms=NOW + 1))
        await do(store, claim("task_1", now_ms=NOW + 2), change("task_1", REFUSED, NOW + 3))
        tasks = await store.waiting_tasks(("echo", "acme", 0), None, 10)
        assert [one.id for one in tasks] == ["task_1", "task_2"]

    # Deadlines of many.

    async def test_no_more_than_a_limit_is_put_off_at_once_those_first_that_end_first(
        self, store: Store
    ) -> None:
        await do(
            store,
            *(waiting(f"task_{n}", queue_timeout_ms=10 + n) for n in range(3)),
            dispatched("task_3", timeout_ms=1),
        )
        until_ms = NOW + 10**6
        moved = [(await store.commit([Postpone(until_ms, 2)]))[0] for _ in range(3)]
        assert moved == [2, 2, 0]
        deadlines = {(await record_of(store, f"task_{n}")).deadline_ms for n in range(4)}
        assert deadlines == {until_ms}

    async def test_what_waits_and_what_runs_expire_in_one_order(self, store: Store) -> None:
        await do(
            store,
            waiting("task_1", queue_timeout_ms=10),
            dispatched("task_2", timeout_ms=20, total_timeout_ms=20),
            waiting("task_3", queue_timeout_ms=30),
            waiting("task_4", queue_timeout_ms=10**6),
        )
        assert await store.expired(NOW + 100, 10) == ["task_1", "task_2", "task_3"]
        assert await store.expired(NOW + 100, 2) == ["task_1", "task_2"]
        assert [record.spec.id for record in await store.running()] == ["task_2"]

    async def test_a_decision_is_asked_with_the_record_as_it_is(self, store: Store) -> None:
        room = Limit()
        await do(store, waiting("task_1"))
        held = Change("task_1", lambda one: apply(one, Hold("x"), NOW, RULES), room=room)
        await do(store, held)
        assert room.asked == []
