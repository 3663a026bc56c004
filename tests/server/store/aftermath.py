"""What is found in a store after a restart or a power cut."""

from contextlib import suppress
from pathlib import Path

import apsw

from inferry.server.store import TaskFilter
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.record import TaskRecord
from tests.server.store.faulty_disk import FaultyDisk, healthy
from tests.server.store.opening import opened

Tasks = dict[str, TaskRecord]


async def tasks_of(store: SqliteStore) -> Tasks:
    return {record.spec.id: record for _, record in await store.tasks(TaskFilter(), None, 10_000)}


async def restart(store: SqliteStore) -> None:
    """Ends as if killed, which leaves the log, and starts again."""
    for connection in store._connections:
        with suppress(apsw.ConnectionClosedError):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    await store.close()
    await store.open()


async def left_by_a_power_cut(disk: FaultyDisk, path: Path) -> Tasks:
    """Opens what would be left, as a gateway would after the next start."""
    left = disk.cut_power(path)
    fault, disk.fault = disk.fault, healthy
    async with opened(left) as store:
        assert store._db.execute("PRAGMA integrity_check").get == "ok"
        found = await tasks_of(store)
    disk.fault = fault
    return found
