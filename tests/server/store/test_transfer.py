"""A move brings all that a store keeps into another one, or says that it did not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from inferry.server.errors import PurgedError
from inferry.server.figures.cell import Key, cell_of, cell_row
from inferry.server.store import Store, StoreError, TaskFilter, Vector
from inferry.server.store.counting import AddFigures
from inferry.server.store.operations import (
    DrainServer,
    PauseType,
    Purge,
    PutServer,
    Replayed,
    RequestKey,
)
from inferry.server.store.postgres.end import PostgresEnd
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.store.sqlite.end import SqliteEnd
from inferry.server.store.transfer.end import End, InUseError
from inferry.server.store.transfer.layout import TABLES
from inferry.server.store.transfer.move import Compared, Step, Tell, move, open_ends
from inferry.server.store.webhooks import PutHook
from inferry.server.task.inputs import Accept, Cancel, Fail, Progress, Release, Succeed
from inferry.server.task.pause import PausedType
from inferry.server.task.record import AttemptOutcome, Status
from tests.postgres import database, on
from tests.server.store.opening import opened, opened_postgres
from tests.server.store.promises.webhooks import HOOK, claimed, everybody, settle
from tests.server.store.samples import (
    NOW,
    SERVER,
    change,
    dispatched,
    do,
    record_of,
    waiting,
)

#: Texts that one of the stores cannot keep as they are, and texts that look as if they were such.
ODD = "a\x00b\x01c\x01\x01d\x01\x02 ü 🚢 '"
LATER = NOW + 60_000
KEY = RequestKey("order-1", b"digest", 100 * NOW)
MINUTE = NOW // 60_000 * 60
FIGURES = {Key(60, "echo", MINUTE): cell_of((3, 2, 1, 0, b'{"4":2}', b"{}", MINUTE + 5, 7, 8))}
LOST = Release("lost", AttemptOutcome.AMBIGUOUS, LATER)

Opens = Callable[[], AbstractAsyncContextManager[Store]]


class Place:
    """A store that is opened now by a gateway, now by a move."""

    def __init__(self, opens: Opens, end: Callable[[], End]) -> None:
        self.opens, self.end = opens, end


def file_at(path: Path) -> Place:
    return Place(lambda: opened(path), lambda: SqliteEnd(path))


def database_at(url: str) -> Place:
    return Place(lambda: opened_postgres(url), lambda: PostgresEnd(PostgresOptions(url)))


@pytest.fixture
def file(tmp_path: Path) -> Place:
    return file_at(tmp_path / "from.db")


@pytest.fixture
def base(postgres_url: str) -> Place:
    return database_at(postgres_url)


@pytest.fixture(params=["sqlite to sqlite", "sqlite to postgres", "postgres to sqlite", "postgres"])
async def places(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: str, base: Place
) -> AsyncIterator[tuple[Place, Place]]:
    """A source and a target."""
    one, other = file_at(tmp_path / "one.db"), file_at(tmp_path / "other.db")
    match request.param:
        case "sqlite to sqlite":
            yield one, other
        case "sqlite to postgres":
            yield one, base
        case "postgres to sqlite":
            yield base, other
        case _:
            async with database(postgres) as url:
                yield base, database_at(url)


def silent(_: Step) -> None:
    """Hears of every step and does nothing."""


async def moved(source: Place, target: Place, tell: Tell = silent) -> list[Compared]:
    """Moves as the command does."""
    ends = source.end(), target.end()
    try:
        await open_ends(*ends, wait=False)
        return await move(*ends, tell)
    finally:
        for end in ends:
            await end.close()


async def fill(store: Store) -> None:
    """Puts something of each kind into a store."""
    labels = orjson.dumps({"team": "vision", "odd": ODD})
    await do(
        store,
        PutServer(SERVER),
        PutServer(replace(SERVER, id="srv_2", name=ODD)),
        DrainServer("srv_2", draining=True),
        PauseType(PausedType("paused", ODD, NOW)),
    )
    first = waiting("task_waiting", labels=labels)._replace(key=KEY)
    await do(store, first, waiting("task_delayed", LATER), waiting("task_gone"))
    await do(store, change("task_gone", Cancel()), Purge(10 * NOW, 10, 10 * NOW))
    await do(
        store,
        *(dispatched(f"task_{name}") for name in ("runs", "done", "failed", "again", "late")),
        waiting("task_other", tenant=ODD, type="ocr", capabilities=("gpu",), idempotent=True),
    )
    await do(
        store,
        change("task_runs", Accept()),
        change("task_runs", Progress(0.1 + 0.2, ODD)),
        change("task_done", Succeed(b'{"n":1.0}', b"report")),
        change("task_failed", Fail(ODD, "INTERNAL_ERROR")),
        change("task_again", LOST),
        change("task_late", Cancel()),
        waiting("task_large")._replace(payload=b'{"x":"' + b"y" * (5 << 20) + b'"}'),
        AddFigures(FIGURES, store.epoch.number, 0, 3),
    )
    everybody(store, "whk_1", "task_told")
    own = HOOK._replace(id="task_told", own=True, description=ODD)
    told = dispatched("task_told", webhook_events=4)._replace(hook=own)
    await do(store, PutHook(HOOK, 10), told, change("task_told", Succeed(b"1")))
    (claim,) = await claimed(store, **{"example.com": 1})
    await do(store, settle(claim))


async def told(store: Store) -> list[object]:
    """Reads all that a store tells of what was put into it."""
    said: list[object] = []
    listed = await store.tasks(TaskFilter(), None, 100)
    for number, record in listed:
        task_id = record.spec.id
        said += [number, record, await store.payload(task_id), await store.outcome(task_id)]
        said += [await store.events(task_id, 0, 100), await store.attempts(task_id)]
    said.append(sorted(await store.servers(), key=lambda server: server.id))
    said += [await store.paused_types(), await store.waiting_counts()]
    said += [await store.hooks(None), await store.deliveries("task_told", None, 10)]
    said += [await store.delayed_counts(NOW), await store.waiting_routes("", 10)]
    said += [await store.first_deadline_ms(), sorted(await store.expired(10 * NOW, 100))]
    said += [await store.stopped(0), await store.latest_ms()]
    figures = await store.figures(60, "echo", 0, NOW)
    said += [[(at_s, cell_row(cell)) for at_s, cell in figures]]
    said.append([number for number, _ in await store.tasks(_LABELLED, None, 10)])
    said.append(await store.tasks(TaskFilter("acme", Status.PENDING), listed[2][0], 2))
    return said


_LABELLED = TaskFilter("acme", labels=(("odd", ODD),))


async def test_another_store_tells_the_same_after_a_move(places: tuple[Place, Place]) -> None:
    source, target = places
    async with source.opens() as store:
        await fill(store)
        before, log = await told(store), await store.logged({}, 1_000)
        seen = await store.heads()
        numbers = [epoch[:2] for epoch in await store.epochs()]
    compared = await moved(source, target)
    assert [one.table for one in compared if not one.same] == []
    assert [one.table for one in compared if not one.source.rows and one.table != "horizon"] == []
    assert {one.table for one in compared} == {one.name for one in TABLES if one.compared}
    async with target.opens() as store:
        assert await told(store) == before
        kept = [epoch[:2] for epoch in await store.epochs()]
        assert kept[: len(numbers)] == numbers
        # Who had seen all goes on; who has to see what was purged is told so, as before.
        assert await store.logged(seen, 1_000) == []
        assert log is None
        assert await store.logged({}, 1_000) is None


async def test_a_store_goes_on_after_a_move(places: tuple[Place, Place]) -> None:
    source, target = places
    async with source.opens() as store:
        await fill(store)
        ((newest, _),) = await store.tasks(TaskFilter(), None, 1)
        seen, latest_ms = await store.heads(), await store.latest_ms()
    await moved(source, target)
    async with target.opens() as store:
        # The name of a request stands for the same task, and a purged one is gone.
        (again,) = await store.commit([waiting("task_second")._replace(key=KEY)])
        assert isinstance(again, Replayed)
        assert again.record.spec.id == "task_waiting"
        with pytest.raises(PurgedError):
            await store.task("task_gone")
        # What comes gets the next number, the next place in the log and a later time.
        await do(store, waiting("task_new"), change("task_again", Cancel()))
        ((number, record),) = await store.tasks(TaskFilter(), None, 1)
        assert (number, record.spec.id) == (newest + 1, "task_new")
        log = await store.logged(seen, 10)
        assert log is not None
        assert [one.event.task_id for one in log] == ["task_new", "task_again"]
        assert await store.latest_ms() >= latest_ms
        counts = await store.waiting_counts()
        assert counts == {("acme", "echo"): 4, (ODD, "ocr"): 1}


async def test_a_cursor_in_the_middle_goes_on_where_it_was(file: Place, base: Place) -> None:
    async with file.opens() as store:
        await do(store, waiting("task_1"), waiting("task_2"))
    async with file.opens() as store:
        await do(store, waiting("task_3"), change("task_1", Cancel()))
        numbers = [epoch.number for epoch in await store.epochs()]
        expected = await store.logged({}, 10)
    assert expected is not None
    await moved(file, base)
    vectors: list[Vector] = [{}, {numbers[0]: 1}, {numbers[0]: 2}, {numbers[1]: 1}]
    async with base.opens() as store:
        for seen, vector in enumerate(vectors):
            assert await store.logged(vector, 10) == expected[seen:]


async def test_a_log_that_one_place_cannot_tell_begins_anew_in_a_file(
    base: Place, file: Place
) -> None:
    async with base.opens() as one, base.opens() as other:
        await do(one, waiting("task_1"))
        await do(other, change("task_1", Cancel()), waiting("task_2"))
        await do(one, change("task_2", Cancel()))
        seen = await one.heads()
        assert len(await one.logged({}, 10) or ()) == 4
    compared = await moved(base, file)
    assert all(one.same for one in compared)
    async with file.opens() as store:
        assert await store.logged(seen, 10) is None
        assert [event.seq for event in await store.events("task_1", 0, 10)] == [1, 2]
        start = await store.heads()
        await do(store, waiting("task_3"))
        log = await store.logged(start, 10)
        assert log is not None
        assert [one.event.task_id for one in log] == ["task_3"]


async def test_a_log_of_replicas_keeps_its_order_in_another_database(
    base: Place, postgres: str
) -> None:
    async with base.opens() as one, base.opens() as other:
        await do(one, waiting("task_1"))
        await do(other, change("task_1", Cancel()), waiting("task_2"))
        await do(one, change("task_2", Cancel()))
        expected = await one.logged({}, 10)
    async with database(postgres) as url:
        await moved(base, database_at(url))
        async with opened_postgres(url) as store:
            assert await store.logged({}, 10) == expected


@pytest.mark.parametrize("used", ["source", "target"])
async def test_a_store_that_a_gateway_has_is_not_moved(
    places: tuple[Place, Place], used: str
) -> None:
    source, target = places
    async with source.opens() as store:
        await fill(store)
    held = source if used == "source" else target
    async with held.opens():
        with pytest.raises(InUseError):
            await moved(source, target)
    await moved(source, target)


async def test_a_move_may_wait_for_the_gateway(places: tuple[Place, Place]) -> None:
    source, target = places[0].end(), places[1].end()
    async with places[0].opens() as store:
        opening = asyncio.create_task(open_ends(source, target, wait=True))
        await do(store, waiting("task_1"))
        assert not opening.done()
    try:
        assert await opening is False
        assert all(one.same for one in await move(source, target, silent))
    finally:
        await source.close()
        await target.close()
    async with places[1].opens() as store:
        assert await record_of(store, "task_1")


async def test_a_gateway_does_not_begin_on_a_source_that_is_moved(
    base: Place, file: Place, postgres_url: str
) -> None:
    async with base.opens() as store:
        await fill(store)
    source, target = base.end(), file.end()
    try:
        await open_ends(source, target, wait=False)
        hasty = PostgresStore(PostgresOptions(postgres_url, lock_timeout_ms=100))
        with pytest.raises(StoreError, match="lock timeout"):
            await hasty.open()
    finally:
        await source.close()
        await target.close()


async def test_a_store_with_something_in_it_is_no_target(places: tuple[Place, Place]) -> None:
    source, target = places
    async with source.opens() as store:
        await fill(store)
    async with target.opens() as store:
        await do(store, PauseType(PausedType("echo", "", NOW)))
    with pytest.raises(StoreError, match="it is not empty"):
        await moved(source, target)
    async with target.opens() as store:
        assert [one.type for one in await store.paused_types()] == ["echo"]


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


class BrokenOffError(Exception):
    """Somebody ended the move."""


def break_off(step: Step) -> None:
    if step.table == "events":
        raise BrokenOffError


async def test_a_half_moved_store_is_opened_by_nobody_until_it_is_moved_anew(
    places: tuple[Place, Place], tmp_path: Path
) -> None:
    source, target = places
    async with source.opens() as store:
        await fill(store)
        before = await told(store)
    with pytest.raises(BrokenOffError):
        await moved(source, target, break_off)
    with pytest.raises(StoreError, match="it is half moved: a move from "):
        async with target.opens():
            pass
    # Neither is it a source, nor a target of another store.
    with pytest.raises(StoreError, match="it is half moved"):
        await moved(target, file_at(tmp_path / "third.db"))
    fourth = file_at(tmp_path / "fourth.db")
    async with fourth.opens():
        pass
    with pytest.raises(StoreError, match=r"it is half moved from .*: move that one"):
        await moved(fourth, target)
    async with source.opens() as store:
        assert await told(store) == before
    ends = source.end(), target.end()
    assert await open_ends(*ends, wait=False) is True
    assert all(one.same for one in await move(*ends, silent))
    for end in ends:
        await end.close()
    async with target.opens() as store:
        assert await told(store) == before


async def test_a_move_that_changed_a_byte_is_found_out(
    file: Place, base: Place, postgres_url: str
) -> None:
    async with file.opens() as store:
        await fill(store)
    source, target = file.end(), base.end()
    try:
        await open_ends(source, target, wait=False)
        # As a disk or somebody else might.
        changed = "UPDATE outcomes SET result = '{\"n\":1.1}' WHERE result IS NOT NULL"

        async def change_when_copied() -> None:
            await original()
            await on(postgres_url, changed)

        original = target.complete
        target.complete = change_when_copied  # type: ignore[method-assign]
        compared = await move(source, target, silent)
    finally:
        await source.close()
        await target.close()
    assert [one.table for one in compared if not one.same] == ["outcomes"]
    with pytest.raises(StoreError, match="it is half moved"):
        async with base.opens():
            pass


async def test_a_later_move_into_the_same_database_ends_the_one_before(
    file: Place, base: Place
) -> None:
    async with file.opens() as store:
        await fill(store)
    first, target, later = file.end(), base.end(), base.end()
    try:
        await open_ends(first, target, wait=False)
        assert await later.open_target(first.place) is True
        with pytest.raises(StoreError, match="another move has begun"):
            await move(first, target, silent)
    finally:
        for end in (first, target, later):
            await end.close()


async def test_what_is_not_there_is_no_source(tmp_path: Path, postgres: str) -> None:
    target = file_at(tmp_path / "to.db")
    with pytest.raises(StoreError, match=r"gone\.db: there is no such file"):
        await moved(file_at(tmp_path / "gone.db"), target)
    assert not names(tmp_path)
    async with database(postgres) as url:
        with pytest.raises(StoreError, match="there is no store in it"):
            await moved(database_at(url), target)


async def test_a_store_is_not_moved_into_itself(file: Place, tmp_path: Path) -> None:
    async with file.opens() as store:
        await fill(store)
    with pytest.raises(StoreError, match="source and target at once"):
        await moved(file, file_at(tmp_path / "from.db"))


async def test_rows_come_a_bounded_page_at_a_time(file: Place) -> None:
    async with file.opens() as store:
        for number in range(0, 3_000, 500):
            await do(store, *(waiting(f"task_{n}") for n in range(number, number + 500)))
    end = file.end()
    await end.open_source()
    try:
        for table in TABLES:
            async with aclosing(end.rows(table)) as pages:
                sizes = [len(page) async for page in pages]
            assert max(sizes, default=0) <= table.page
    finally:
        await end.close()
