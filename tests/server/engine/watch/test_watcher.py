"""Watchers read each event that they want once and in order, however far they are behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.many import ManyTasks
from inferry.server.engine.watch.news import News
from inferry.server.engine.watch.watcher import NOTED_LIMIT, STEP, Watcher
from inferry.server.errors import UnavailableError
from inferry.server.store.operations import Logged, Purge
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Cancel, Progress, Succeed
from tests.server.situations import LOST
from tests.server.store.opening import opened
from tests.server.store.samples import NOW, change, claim, dispatched, do, record_of, waiting

MINE = Interest("acme")


@dataclass
class Scene:
    """A store and its feed."""

    store: SqliteStore
    feed: Feed

    def watcher(self, interest: Interest = MINE, *, by_id: bool = False) -> Watcher:
        return Watcher(self.feed, self.store, interest, by_id=by_id)


@asynccontextmanager
async def scene_in(path: Path | str, size: int = 10_000) -> AsyncIterator[Scene]:
    async with opened(path) as store:
        feed = Feed(size)
        store.listener = feed.take
        await feed.load(store)
        yield Scene(store, feed)


async def all_new(watcher: Watcher) -> list[Logged]:
    """Reads to where the feed is."""
    found: list[Logged] = []
    while True:
        page = await watcher.read()
        assert page is not None
        found += page
        if not watcher._behind and not watcher._noted:
            return found


def names(found: list[Logged]) -> list[tuple[str, int]]:
    return [(one.event.task_id, one.event.seq) for one in found]


@pytest.mark.parametrize("size", [8, 64, 10_000])
@pytest.mark.parametrize("by_id", [False, True])
async def test_a_watcher_that_looks_now_and_then_misses_nothing_and_sees_nothing_twice(
    tmp_path: Path, size: int, by_id: bool
) -> None:
    """Also when the ring has gone on without it: then it reads what is stored."""
    random = Random(size)
    async with scene_in(tmp_path / "a.db", size) as scene:
        ids = [f"task_{number}" for number in range(40)]
        with scene.watcher(by_id=by_id).listening() as watcher:
            wanted = set(ids[::2])
            if by_id:
                watcher.add(wanted)
            await do(scene.store, *(dispatched(task_id) for task_id in ids))
            seen: list[tuple[str, int]] = []
            for _ in range(60):
                told = random.sample(ids, random.randrange(1, 12))
                await do(scene.store, *(change(one, Progress(1.0)) for one in told))
                if random.random() < 0.2:
                    page = await watcher.read()
                    assert page is not None
                    seen += names(page)
            seen += names(await all_new(watcher))
        stored = names(await scene.store.logged({}, 10_000) or [])
        assert seen == [one for one in stored if not by_id or one[0] in wanted]


async def test_who_notes_too_much_looks_through_all_events(tmp_path: Path) -> None:
    async with scene_in(":memory:") as scene:
        with scene.watcher().listening() as watcher:
            number = NOTED_LIMIT + 2 * STEP
            await do(scene.store, *(waiting(f"task_{one}") for one in range(number)))
            assert not watcher._noted
            assert len(await all_new(watcher)) == number


async def test_an_event_touches_those_alone_that_may_want_it() -> None:
    async with scene_in(":memory:") as scene:
        interests = {
            "tenant": Interest("acme"),
            "all": Interest(),
            "other tenant": Interest("other"),
            "type": Interest("acme", "echo"),
            "other type": Interest("acme", "ocr"),
            "label": Interest("acme", labels=(("job", "7"),)),
            "other label": Interest("acme", labels=(("job", "8"),)),
        }
        with ExitStack() as stack:
            watchers = {
                name: stack.enter_context(scene.watcher(interest).listening())
                for name, interest in interests.items()
            }
            one = stack.enter_context(scene.watcher(by_id=True).listening())
            one.add(["task_1"])
            await do(scene.store, waiting("task_1", labels=b'{"job":"7","x":"y"}'))
            touched = {name for name, watcher in watchers.items() if watcher._noted}
            assert touched == {"tenant", "all", "type", "label"}
            assert len(one._noted) == 1
            await do(scene.store, waiting("task_2"))
            assert len(one._noted) == 1
        assert not any(vars(scene.feed.index).values())


async def test_who_listens_no_more_leaves_nothing_behind() -> None:
    async with scene_in(":memory:") as scene:
        with scene.watcher(by_id=True).listening() as watcher:
            watcher.add(["task_1", "task_2"])
            watcher.drop(["task_1"])
            assert any(vars(scene.feed.index).values())
        assert not any(vars(scene.feed.index).values())
        assert not scene.feed._watchers


async def test_a_watcher_is_told_when_what_it_has_not_read_is_gone(tmp_path: Path) -> None:
    async with scene_in(tmp_path / "a.db", 4) as scene:
        with scene.watcher().listening() as watcher:
            await do(scene.store, waiting("task_1"), change("task_1", Cancel()))
            await do(scene.store, *(waiting(f"task_{one}") for one in range(2, 9)))
            await do(scene.store, Purge(10 * NOW, 10, 1))
            assert await watcher.read() is None


async def test_small_outcomes_stay_in_the_ring_and_large_ones_in_the_store() -> None:
    async with scene_in(":memory:") as scene:
        with scene.watcher().listening() as watcher:
            for number, result in enumerate((b"1", b'"%b"' % (b"x" * 2_000))):
                await do(scene.store, dispatched(f"task_{number}"))
                await do(scene.store, change(f"task_{number}", Succeed(result)))
            small, large = (one for one in await all_new(watcher) if one.event.status.final)
            assert small.outcome is not None
            assert (small.outcome.result, large.outcome) == (b"1", None)


async def test_events_of_many_words_are_read_from_the_store_in_their_place() -> None:
    async with scene_in(":memory:") as scene:
        with scene.watcher().listening() as watcher:
            for number in range(10):
                labels = b'{"a":"%b"}' % (b"x" * (5_000 if number % 3 == 1 else 5))
                await do(scene.store, waiting(f"task_{number}", labels=labels))
            found = await all_new(watcher)
            assert names(found) == [(f"task_{number}", 1) for number in range(10)]
            watcher.go_on({scene.store.epoch.number: 1})
            assert names(await all_new(watcher)) == names(found)[1:]


async def test_a_token_of_before_a_restart_goes_on_in_the_ring_and_stays_short(
    tmp_path: Path,
) -> None:
    async with scene_in(tmp_path / "a.db") as scene:
        await do(scene.store, waiting("task_1"), waiting("task_2"))
        token = scene.feed.cursors.write(scene.feed.vector)
        first = scene.store.epoch.number
    for number in range(2):
        async with scene_in(tmp_path / "a.db") as scene:
            feed = scene.feed
            assert feed.vector == {first: 2}
            assert feed.cursors.write(feed.vector) == token
            assert await feed.place_of(token) == {first: 2}
            assert feed.find({first: 2}) == feed.last
            if number:
                before = feed.last
                await do(scene.store, waiting("task_3"))
                assert feed.vector == {scene.store.epoch.number: 1}
                assert feed.find({first: 2}) == before
                assert feed.find({first: 1}) is None
                with scene.watcher().listening() as watcher:
                    watcher.go_on({first: 1})
                    assert names(await all_new(watcher)) == [("task_2", 1), ("task_3", 1)]
                    assert watcher.vector == feed.vector


async def test_a_token_of_what_the_store_has_not_is_none(tmp_path: Path) -> None:
    """As when the store was brought back from a backup."""
    async with scene_in(tmp_path / "a.db") as scene:
        await do(scene.store, waiting("task_1"))
        own, cursors = scene.store.epoch.number, scene.feed.cursors
        assert await scene.feed.place_of(cursors.write({own: 1})) == {own: 1}
        assert await scene.feed.place_of(cursors.write({own: 2})) is None


async def test_a_watch_ends_when_the_gateway_stops() -> None:
    async with scene_in(":memory:") as scene:
        watch = ManyTasks(scene.feed, scene.store, Interest("acme")).watch("")
        assert (await anext(watch)).complete
        waiting_for_news = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        scene.feed.close()
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(waiting_for_news, 10)


async def replay(told: list[News]) -> dict[str, int]:
    """Takes what a watch told as a client would; returns the number of each task's last event."""
    seqs: dict[str, int] = {}
    for news in told:
        for record in news.tasks:
            # One that went from a page to the next one is shown again, as it is by then.
            assert record.seq >= seqs.get(record.spec.id, 0)
            seqs[record.spec.id] = record.seq
        for one in news.events:
            # Each event follows on the last one, or on what was shown.
            assert one.event.seq == seqs.get(one.event.task_id, 0) + 1
            seqs[one.event.task_id] = one.event.seq
    return seqs


@pytest.mark.parametrize("ids", [False, True])
async def test_a_snapshot_amid_commits_and_the_events_after_it_fit_without_gap_or_overlap(
    tmp_path: Path, ids: bool
) -> None:
    async with scene_in(tmp_path / "a.db") as scene:
        names_ = [f"task_{number}" for number in range(300)]
        await do(scene.store, *(dispatched(one) for one in names_))
        told: list[News] = []

        async def work() -> None:
            """Moves tasks to and fro between the lists that a snapshot is read from."""
            random = Random(3)
            for step in range(200):
                for one in random.sample(names_, 5):
                    record = await record_of(scene.store, one)
                    if record.waiting:
                        await do(scene.store, claim(one))
                    elif random.random() < 0.5:
                        await do(scene.store, change(one, Progress(1.0)))
                    else:
                        await do(scene.store, change(one, LOST))
                await do(scene.store, dispatched(f"task_new_{step}"))
            await do(scene.store, waiting("task_last"))

        async def look() -> None:
            interest = Interest("acme")
            wanted = [*names_, *(f"task_new_{step}" for step in range(200)), "task_last"]
            watch = ManyTasks(scene.feed, scene.store, interest, wanted if ids else ())
            async for news in watch.watch(""):
                told.append(news)
                if any(one.event.task_id == "task_last" for one in news.events):
                    return

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(work())
            group.create_task(look())
        seqs = await replay(told)
        assert sum(news.complete for news in told) == 1
        all_names = [*names_, *(f"task_new_{step}" for step in range(200)), "task_last"]
        for name in all_names:
            assert seqs[name] == (await record_of(scene.store, name)).seq


async def test_a_task_that_goes_from_one_list_to_another_while_they_are_shown_is_shown() -> None:
    async with scene_in(":memory:") as scene:
        await do(scene.store, waiting("task_1"), dispatched("task_2"))
        await do(scene.store, change("task_2", Progress(1.0)), waiting("task_3"))
        watch = ManyTasks(scene.feed, scene.store, MINE).watch("")
        told = [await anext(watch)]
        assert [record.spec.id for record in told[0].tasks] == ["task_3", "task_1"]
        await do(scene.store, change("task_2", LOST), claim("task_1"), waiting("task_4"))
        while not told[-1].complete:
            told.append(await anext(watch))
        assert await replay(told) == {"task_1": 2, "task_2": 4, "task_3": 1, "task_4": 1}
        await do(scene.store, change("task_2", Cancel()))
        told.append(await anext(watch))
        assert await replay(told) == {"task_1": 2, "task_2": 5, "task_3": 1, "task_4": 1}
