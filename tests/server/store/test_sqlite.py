"""The SQLite store: what only a file can get wrong."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from inferry.server.store import EPOCHS_KEPT, StoreError, TaskFilter
from inferry.server.store.operations import Change, Epoch, Insert, Purge
from inferry.server.store.sqlite.connections import begin
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Accept, Cancel, Progress
from inferry.server.task.record import Status
from tests.server.store.opening import opened
from tests.server.store.samples import NOW, change, dispatched, do, record_of, waiting

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inferry.db"


async def test_what_was_committed_is_there_after_reopening(path: Path) -> None:
    async with opened(path) as store:
        await do(store, dispatched("task_1"), change("task_1", Progress(30.0, "a third")))
        before = await record_of(store, "task_1")
    async with opened(path) as store:
        assert await record_of(store, "task_1") == before
        await do(store, change("task_1", Accept()))
        assert [event.seq for event in await store.events("task_1", 0, 10)] == [1, 2, 3, 4]


async def test_each_start_has_an_epoch_of_its_own_that_goes_on_after_the_last(path: Path) -> None:
    epochs, last = list[Epoch](), 0
    for number in range(3):
        async with opened(path) as store:
            await do(store, waiting(f"task_{number}"))
            assert await store.heads() == {store.epoch.number: 1}
            assert store.epoch.number > last
            last = store.epoch.number
            assert await store.epochs() == [*epochs, store.epoch]
            epochs.append(store.epoch._replace(ended=True))
    async with opened(path) as store:
        assert await store.epochs() == epochs
        found = await store.logged({}, 10)
        assert [one.event.task_id for one in found or []] == ["task_0", "task_1", "task_2"]


async def test_so_many_starts_are_kept_and_no_more(path: Path) -> None:
    async with opened(path) as store:
        await do(store, waiting("task_1"))
        first = store.epoch
        store._db.execute("UPDATE epochs SET number = number + ?", (EPOCHS_KEPT,))
    async with opened(path) as store:
        assert store.epoch.number == first.number + EPOCHS_KEPT + 1
        store._db.execute("INSERT INTO epochs (number, tag) VALUES (2, 2), (3, 3)")
        await do(store, waiting("task_2"))
        assert [epoch.number for epoch in await store.epochs()] == [3, 1_001, 1_002]


@pytest.mark.parametrize("task", [dispatched, waiting])
async def test_another_tenants_task_takes_the_same_look_ups_as_none(
    path: Path, task: Callable[[str], Insert]
) -> None:
    def asked() -> list[str]:
        seen, run[:] = list(run), []
        return seen

    def note(event: Any) -> None:
        run.append(event["sql"])

    run: list[str] = []
    async with opened(path) as store:
        await do(store, task("task_1"))
        for connection in store._connections:
            connection.trace_v2(apsw.SQLITE_TRACE_STMT, note)
        uses: list[Callable[[str], Awaitable[object]]] = [
            lambda task_id: store.task(task_id, "other"),
            lambda task_id: store.commit([change(task_id, Cancel(), tenant="other")]),
        ]
        for use in uses:
            await use("task_1")
            of_another = asked()
            await use("task_2")
            assert of_another == asked() != []


async def test_a_second_store_on_the_file_is_refused(path: Path) -> None:
    async with opened(path) as store:
        with pytest.raises(StoreError, match=rf"inferry\.db.*process {os.getpid()} has"):
            await SqliteStore(path).open()
        await do(store, waiting("task_1"))
    async with opened(path):
        pass


async def test_the_files_are_private(path: Path) -> None:
    async with opened(path) as store:
        await do(store, waiting("task_1"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("inferry.db", "inferry.db-wal", "inferry.db-shm", "inferry.db.lock"), 0o600
    )


async def test_a_commit_is_synced_to_a_write_ahead_log(path: Path) -> None:
    async with opened(path) as store:
        assert store._db.pragma("journal_mode") == "wal"
        assert store._db.pragma("synchronous") == 2


async def test_the_readers_connection_cannot_write(path: Path) -> None:
    async with opened(path) as store:
        with pytest.raises(StoreError, match="readonly"):
            store._rows("DELETE FROM tasks")


async def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE customers (name)")
    with pytest.raises(StoreError, match="something else"):
        await SqliteStore(path).open()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("customers",)]


def diary(path: Path) -> None:
    path.write_text("dear diary, " * 1_000)


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    diary(path)
    with pytest.raises(StoreError, match=r"cannot open the store .*not a database"):
        await SqliteStore(path).open()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        await SqliteStore(tmp_path / "nowhere" / "inferry.db").open()


async def test_a_write_by_somebody_else_is_seen(path: Path) -> None:
    async with opened(path) as store:
        await do(store, dispatched("task_1"))
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("UPDATE tasks SET message = 'by hand'")
            shell.commit()
        (record,) = await store.commit([Change("task_1", lambda _: None)])
        assert record == await record_of(store, "task_1")
        assert (await record_of(store, "task_1")).message == "by hand"


async def test_reads_go_on_while_a_batch_is_open(path: Path) -> None:
    async with opened(path) as store:
        await do(store, waiting("task_1"))
        await begin(store._db)
        store._batches.run([waiting("task_2"), change("task_1", Cancel())])
        listed = await store.tasks(TaskFilter(tenant="acme"), None, 10)
        assert [record.status for _, record in listed] == [Status.PENDING]
        store._commit_now([])
        assert len(await store.tasks(TaskFilter(tenant="acme"), None, 10)) == 2


async def test_reads_do_not_keep_the_log_from_being_written_back(path: Path) -> None:
    async with opened(path) as store:
        await do(store, waiting("task_1"), waiting("task_2"))
        await store.task("task_1")
        await store.events("task_1", 0, 1)
        await store.tasks(TaskFilter(), None, 1)
        await store.commit([Change("task_1", lambda _: None)])
        busy, _, _ = next(store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        assert busy == 0


async def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.server.store.endless_writer", str(path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdout is not None
    async with asyncio.timeout(30):
        for _ in range(30):
            assert await writer.stdout.readline()
        writer.kill()
        rest = (await writer.stdout.read()).split(b"\n")
        await writer.wait()
    acknowledged = 30 + len(rest[:-1])
    async with opened(path) as store:
        for number in range(acknowledged):
            for part in range(20):
                record = await record_of(store, f"task_{number}_{part}")
                assert record.status is Status.COMPLETED
        counted = len(await store.tasks(TaskFilter(), None, 1_000_000))
        assert counted % 20 == 0
        assert await store.commit([Purge(NOW, 10, 1_000)]) == [0]
