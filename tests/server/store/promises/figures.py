"""Figures: what is counted is counted once, and what nobody counted can be."""

from collections.abc import Mapping

from inferry.server.figures.cell import ALL, Cell, Key
from inferry.server.store import POSITION_BITS, Store
from inferry.server.store.counting import AddFigures
from inferry.server.store.figures import Failure, Uncounted
from inferry.server.store.operations import Purge
from inferry.server.task.inputs import Cancel, Expire, Fail, Retry, Succeed
from tests.server.store.promises.epochs import Starts
from tests.server.store.samples import NOW, change, dispatched, do, waiting

MINUTE = NOW // 1_000 // 60 * 60
HOUR = NOW // 1_000 // 3_600 * 3_600


def cell(created: int, *waits: int, sampled_s: int = 0, running: int = 0) -> Cell:
    made = Cell()
    made.created = created
    made.waits = dict.fromkeys(waits, 1)
    made.look(sampled_s, 0, running)
    return made


async def add(store: Store, cells: Mapping[Key, Cell], after: int, upto: int) -> int:
    (counted,) = await store.commit([AddFigures(cells, store.epoch.number, after, upto)])
    assert isinstance(counted, int)
    return counted


async def created(store: Store, key: Key) -> int:
    found = await store.figures(key.step_s, key.type, key.at_s, key.at_s + 1)
    return sum(one.created for _, one in found)


class FigureConformance:
    async def test_figures_add_up(self, store: Store) -> None:
        minute, hour = Key(60, "echo", MINUTE), Key(3_600, "echo", HOUR)
        await add(store, {minute: cell(2, 4), hour: cell(2, 4)}, 0, 2)
        later = cell(3, 4, 9, sampled_s=MINUTE + 5, running=7)
        assert await add(store, {minute: later, hour: cell(3)}, 2, 5) == 5
        ((at_s, found),) = await store.figures(60, "echo", MINUTE, MINUTE + 60)
        assert (at_s, found.created, found.waits) == (MINUTE, 5, {4: 2, 9: 1})
        assert (found.sampled_s, found.running) == (MINUTE + 5, 7)
        assert await created(store, hour) == 5

    async def test_the_same_figures_are_added_once(self, store: Store) -> None:
        key = Key(60, "echo", MINUTE)
        assert await add(store, {key: cell(2)}, 0, 2) == 2
        assert await add(store, {key: cell(2)}, 0, 2) == 2
        assert await created(store, key) == 2

    async def test_who_counts_on_from_elsewhere_adds_nothing(self, store: Store) -> None:
        key = Key(60, "echo", MINUTE)
        await add(store, {key: cell(2)}, 0, 2)
        assert await add(store, {key: cell(2)}, 5, 9) == 2
        assert await created(store, key) == 2

    async def test_an_earlier_look_does_not_replace_a_later_one(self, store: Store) -> None:
        key = Key(60, "echo", MINUTE)
        await add(store, {key: cell(0, sampled_s=MINUTE + 9, running=9)}, 0, 0)
        await add(store, {key: cell(0, sampled_s=MINUTE + 3, running=3)}, 0, 0)
        await add(store, {key: cell(1)}, 0, 1)
        ((_, found),) = await store.figures(60, "echo", MINUTE, MINUTE + 60)
        assert (found.sampled_s, found.running) == (MINUTE + 9, 9)

    async def test_figures_are_read_by_type_and_span_in_the_order_of_time(
        self, store: Store
    ) -> None:
        minutes = [MINUTE + 60 * n for n in (2, 0, 1)]
        cells = {Key(60, name, at_s): cell(1) for at_s in minutes for name in ("a", "b", ALL)}
        await add(store, cells, 0, 3)
        found = await store.figures(60, "a", MINUTE, MINUTE + 120)
        assert [at_s for at_s, _ in found] == [MINUTE, MINUTE + 60]
        assert await store.figures(3_600, "a", 0, MINUTE + 3_600) == []

    async def test_the_types_of_a_span_are_those_with_a_cell_in_it(self, store: Store) -> None:
        cells = {
            Key(60, "late", MINUTE + 60): cell(1),
            Key(60, "echo", MINUTE): cell(1),
            Key(60, "draw", MINUTE): cell(1),
            Key(60, ALL, MINUTE): cell(2),
        }
        await add(store, cells, 0, 3)
        assert await store.figure_types(60, MINUTE, MINUTE + 60) == ["draw", "echo"]
        assert await store.figure_types(60, MINUTE + 60, MINUTE + 120) == ["late"]
        assert await store.figure_types(3_600, 0, MINUTE + 120) == []

    async def test_a_purge_keeps_minutes_for_a_day_and_hours_for_a_month(
        self, store: Store
    ) -> None:
        day_s = 86_400
        minutes = [Key(60, "echo", MINUTE + 60 * n) for n in range(3)]
        hours = [Key(3_600, "echo", HOUR), Key(3_600, "echo", HOUR + 3_600)]
        await add(store, {key: cell(1) for key in (*minutes, *hours)}, 0, 3)

        async def kept_at(at_s: int, limit: int = 100) -> int:
            await store.commit([Purge(at_s * 1_000, limit, 1_000)])
            found = [await created(store, key) for key in (*minutes, *hours)]
            return sum(found)

        assert await kept_at(MINUTE + day_s) == 5
        assert await kept_at(MINUTE + day_s + 120, limit=1) == 4
        assert await kept_at(MINUTE + day_s + 120) == 3
        assert await kept_at(HOUR + 30 * day_s + 1) == 1
        assert await created(store, hours[1]) == 1

    async def test_what_runs_is_counted_by_type(self, store: Store) -> None:
        await do(
            store,
            *(dispatched(f"task_{n}", type="echo") for n in range(3)),
            dispatched("task_draw", type="draw"),
            dispatched("task_done", type="draw"),
            change("task_done", Cancel()),
            waiting("task_waits", type="echo"),
        )
        assert await store.running_counts() == {"echo": 3, "draw": 1}

    async def test_failures_of_all_tenants_are_read_latest_first(self, store: Store) -> None:
        ends = {"task_a": NOW + 5, "task_b": NOW + 9, "task_c": NOW + 5, "task_old": NOW}
        for task_id, at_ms in ends.items():
            tenant = "globex" if task_id == "task_c" else "acme"
            failing = change(task_id, Fail(f"no {task_id}", "BROKEN"), at_ms)
            await do(store, dispatched(task_id, tenant=tenant), failing)
        late = Expire("too late")
        await do(store, dispatched("task_late"), change("task_late", late, NOW + 7))
        await do(store, dispatched("task_done"), change("task_done", Succeed(b"1"), NOW + 8))
        await do(store, dispatched("task_again"), change("task_again", Fail("x", "Y"), NOW + 8))
        await do(store, change("task_again", Retry(), NOW + 9))

        async def page(since_ms: int, before: tuple[int, int], limit: int) -> list[Failure]:
            return [*await store.failures(since_ms, before, limit)]

        found = await page(NOW + 1, (NOW + 10, 0), 10)
        assert [one.task_id for one in found] == ["task_b", "task_late", "task_c", "task_a"]
        first = found[0]
        assert first[1:5] == ("echo", "BROKEN", "no task_b", NOW + 9)
        # A page goes on amid those that ended at once.
        assert await page(NOW + 1, (found[2].finished_ms, found[2].number), 10) == found[3:]
        assert await page(NOW + 1, (NOW + 9, 0), 2) == found[1:3]


class UncountedConformance:
    async def test_of_a_start_that_ended_the_rest_can_be_counted(self, starts: Starts) -> None:
        async with starts() as store:
            first = store.epoch.number
            await do(store, *(waiting(f"task_{n}") for n in range(5)))
            await add(store, {}, 0, 2)
            assert await store.uncounted() == []
        async with starts() as store:
            assert await store.uncounted() == [Uncounted(first, 2, 5)]
            rest = await store.logged_by(first, 2, 100)
            assert [one.position % (1 << POSITION_BITS) for one in rest] == [3, 4, 5]
            assert [one.event.task_id for one in rest] == ["task_2", "task_3", "task_4"]
            assert len(await store.logged_by(first, 2, 2)) == 2
            await do(store, AddFigures({Key(60, "echo", MINUTE): cell(3)}, first, 2, 5))
            assert await store.uncounted() == []

    async def test_figures_of_all_starts_are_there(self, starts: Starts) -> None:
        key = Key(60, "echo", MINUTE)
        for _ in range(2):
            async with starts() as store:
                await do(store, waiting(f"task_{store.epoch.number}"))
                await add(store, {key: cell(1)}, 0, 1)
        async with starts() as store:
            assert await created(store, key) == 2
            assert await store.uncounted() == []
