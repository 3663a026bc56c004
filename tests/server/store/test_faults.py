"""Disks that are full, fail, lie, hang, or that somebody else holds on to.

Tests with a power cut open what it leaves: all that was acknowledged has to be there.
"""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from inferry.server.store import POSITION_BITS, StoreError
from inferry.server.store.operations import Logged
from inferry.server.store.sqlite import connections
from inferry.server.store.sqlite import store as sqlite
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Progress
from tests.server.store.aftermath import left_by_a_power_cut, restart, tasks_of
from tests.server.store.faulty_disk import (
    Action,
    Fault,
    FaultyDisk,
    failing,
    faulty_disk,
    full,
    healthy,
)
from tests.server.store.opening import opened
from tests.server.store.samples import change, dispatched, do, record_of, waiting


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as disk:
        yield disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inferry.db"


@pytest.fixture
async def store(disk: FaultyDisk, path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(path) as store:
        await do(store, dispatched("task_1"))
        yield store
        disk.fault = healthy


@contextmanager
def shell_on(path: Path) -> Iterator[apsw.Connection]:
    """What an operator does with the file."""
    shell = apsw.Connection(str(path), vfs="unix")
    try:
        yield shell
    finally:
        shell.close()


async def test_a_full_disk_refuses_a_batch_and_the_next_one_passes_when_there_is_room(
    store: SqliteStore, disk: FaultyDisk, path: Path
) -> None:
    before = await tasks_of(store)
    disk.fault = full
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            await store.commit([waiting("task_2"), change("task_1", Progress(50.0, None))])
        assert await tasks_of(store) == before
    assert not store.failed.is_set()
    disk.fault = healthy
    await do(store, waiting("task_3"), change("task_1", Progress(70.0, None)))
    assert set(await tasks_of(store)) == {"task_1", "task_3"}
    assert (await record_of(store, "task_1")).progress == 70.0
    assert await left_by_a_power_cut(disk, path) == await tasks_of(store)


@pytest.mark.parametrize(
    "fault", [full, failing("sync", "-wal", apsw.SQLITE_IOERR_FSYNC)], ids=["full", "failing"]
)
async def test_positions_of_a_commit_that_failed_are_given_to_the_next_one(
    store: SqliteStore, disk: FaultyDisk, fault: Fault
) -> None:
    told: list[Logged] = []
    store.listener = told.extend
    heads = await store.heads()
    ((epoch, count),) = heads.items()
    before = epoch << POSITION_BITS | count
    disk.fault = fault
    with pytest.raises(StoreError):
        await store.commit([waiting("task_2"), change("task_1", Progress(50.0, None))])
    disk.fault = healthy
    if store.failed.is_set():
        await store.recover()
    await do(store, waiting("task_3"), waiting("task_4"))
    assert [(one.position, one.event.task_id) for one in told] == [
        (before + 1, "task_3"),
        (before + 2, "task_4"),
    ]
    assert [one.position for one in await store.logged(heads, 10) or []] == [
        one.position for one in told
    ]


async def test_a_full_log_goes_on_in_its_place_once_nobody_reads_its_beginning(
    store: SqliteStore, disk: FaultyDisk, path: Path
) -> None:
    with shell_on(path) as shell:
        shell.execute("BEGIN")
        assert shell.execute("SELECT count(*) FROM tasks").get == 1
        await do(store, waiting("task_2"))
        disk.fault = failing("grow", "-wal", apsw.SQLITE_FULL)
        for _ in range(2):
            with pytest.raises(StoreError, match="full"):
                await store.commit([waiting("task_3")])
    with pytest.raises(StoreError, match="full"):
        await store.commit([waiting("task_3")])
    await do(store, waiting("task_3"))


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("sync", apsw.SQLITE_IOERR_FSYNC),
        ("write", apsw.SQLITE_IOERR_WRITE),
    ],
)
async def test_after_the_disk_failed_nothing_is_written_until_it_is_proved_good(
    store: SqliteStore, disk: FaultyDisk, path: Path, action: Action, code: int
) -> None:
    before = await tasks_of(store)
    disk.fault = failing(action, "-wal", code)
    with pytest.raises(StoreError, match="cannot write"):
        await store.commit([waiting("task_2"), change("task_1", Progress(50.0, None))])
    assert store.failed.is_set()
    with pytest.raises(StoreError, match="cannot use"):
        await store.recover()
    disk.fault = healthy
    with pytest.raises(StoreError, match="the disk failed"):
        await store.commit([waiting("task_3")])
    assert await tasks_of(store) == before

    await store.recover()
    assert not store.failed.is_set()
    assert await tasks_of(store) == before
    assert await left_by_a_power_cut(disk, path) == before
    await do(store, waiting("task_4"), change("task_1", Progress(70.0, None)))
    assert (await record_of(store, "task_1")).progress == 70.0
    assert await left_by_a_power_cut(disk, path) == await tasks_of(store)


async def test_recovery_of_a_store_that_has_not_failed_changes_nothing(store: SqliteStore) -> None:
    writer = store._db
    await store.recover()
    assert store._db is writer


async def test_a_restart_builds_nothing_on_a_log_that_did_not_get_to_the_disk(
    store: SqliteStore, disk: FaultyDisk, path: Path
) -> None:
    disk.fault = failing("sync", "-wal", apsw.SQLITE_IOERR_FSYNC)
    with pytest.raises(StoreError):
        await store.commit([waiting(f"task_{number}") for number in range(2, 20)])
    disk.fault = healthy
    await restart(store)
    await do(store, waiting("task_20"))
    found = await tasks_of(store)
    assert {"task_1", "task_20"} <= set(found)
    assert await left_by_a_power_cut(disk, path) == found


async def test_a_log_that_cannot_be_written_back_is_kept_and_the_disk_has_failed(
    store: SqliteStore, disk: FaultyDisk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_LOG_PAGES", 1)
    disk.fault = failing("sync", ".db", apsw.SQLITE_IOERR_FSYNC)
    await do(store, waiting("task_2"))
    assert store.failed.is_set()
    assert set(await left_by_a_power_cut(disk, path)) == {"task_1", "task_2"}
    disk.fault = healthy
    await store.recover()
    await do(store, waiting("task_3"))
    assert len(await left_by_a_power_cut(disk, path)) == 3


async def test_a_damaged_database_is_not_written_to_again(
    store: SqliteStore, disk: FaultyDisk, path: Path
) -> None:
    await do(store, *(waiting(f"task_{number}") for number in range(2, 200)))
    disk.fault = failing("sync", "-wal", apsw.SQLITE_IOERR_FSYNC)
    with pytest.raises(StoreError):
        await store.commit([waiting("task_999")])
    disk.fault = healthy
    store._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.seek(file.tell() // 2)
        file.write(b"dear diary, " * 10_000)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        await store.recover()
    assert store.failed.is_set()


async def test_a_store_does_not_go_on_in_another_file(
    store: SqliteStore, disk: FaultyDisk, path: Path
) -> None:
    disk.fault = failing("sync", "-wal", apsw.SQLITE_IOERR_FSYNC)
    with pytest.raises(StoreError):
        await store.commit([waiting("task_2")])
    disk.fault = healthy
    shutil.copy(path, path.with_name("backup"))
    path.with_name("backup").rename(path)
    with pytest.raises(StoreError, match="another file"):
        await store.recover()
    assert store.failed.is_set()


async def test_a_shell_that_holds_the_lock_does_not_hold_the_loop(
    store: SqliteStore, path: Path
) -> None:
    with shell_on(path) as shell:
        shell.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(store.commit([waiting("task_2")]))
        for _ in range(100):
            await asyncio.sleep(0)
            assert await store.task("task_1") is not None
        assert not commit.done()
        shell.execute("ROLLBACK")
        await commit
    assert await store.task("task_2") is not None


async def test_a_shell_that_keeps_the_lock_fails_a_batch_and_no_more(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_MS", 0)
    with shell_on(path) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.commit([waiting("task_2")])
        shell.execute("ROLLBACK")
        await do(store, waiting("task_2"))
    assert not store.failed.is_set()


async def test_a_commit_that_hangs_does_not_hold_the_loop(
    store: SqliteStore, disk: FaultyDisk
) -> None:
    hanging, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        loop.call_soon_threadsafe(hanging.set)
        go_on.wait()

    disk.before_sync = hang
    commit = asyncio.create_task(store.commit([waiting("task_2"), waiting("task_3")]))
    await hanging.wait()
    assert set(await tasks_of(store)) == {"task_1"}
    assert not commit.done()
    go_on.set()
    await commit
    assert set(await tasks_of(store)) == {"task_1", "task_2", "task_3"}
