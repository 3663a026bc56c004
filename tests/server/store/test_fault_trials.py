"""Random work on a disk that fails at random. All of a trial follows from its seed."""

from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from inferry.server.store import StoreError
from inferry.server.store.operations import Change, Insert
from inferry.server.store.sqlite import store as sqlite
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Progress
from tests.server.store.aftermath import Tasks, left_by_a_power_cut, restart, tasks_of
from tests.server.store.faulty_disk import Action, FaultyDisk, failing, faulty_disk, healthy
from tests.server.store.samples import added, change, dispatched

SEEDS = 10
STEPS = 60


class Trial:
    """Random batches on a disk that fails at random, and what has to come of them."""

    def __init__(self, path: Path, disk: FaultyDisk, random: Random) -> None:
        self._path = path
        self._disk = disk
        self._random = random
        self._store = SqliteStore(path)
        self._created = 0
        #: All that was acknowledged.
        self._acknowledged: Tasks = {}
        #: What the disk may hold instead, after it failed.
        self._possible: Tasks = {}

    async def run(self) -> None:
        await self._store.open()
        for _ in range(STEPS):
            await self._commit([self._operation() for _ in range(self._random.randint(1, 6))])
            if self._store.failed.is_set() or self._happens(0.1):
                await self._mend()
            assert await tasks_of(self._store) == self._acknowledged
            if self._happens(0.1):
                left = await left_by_a_power_cut(self._disk, self._path)
                assert left in (self._acknowledged, self._possible)
            if self._happens(0.2):
                self._break()
            if self._happens(0.05):
                await self._restart()
        self._disk.fault = healthy
        await self._store.close()

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def _operation(self) -> Insert | Change:
        if self._acknowledged and self._happens(0.6):
            task_id = self._random.choice(list(self._acknowledged))
            return change(task_id, Progress(None, f"{self._random.random()}"))
        self._created += 1
        return dispatched(f"task_{self._created}")

    async def _commit(self, operations: list[Insert | Change]) -> None:
        done = dict(self._acknowledged)
        for operation in operations:
            if isinstance(operation, Insert):
                done[operation.record.spec.id] = added(operation)
            else:
                transition = operation.decide(done[operation.task_id])
                assert transition is not None
                done[operation.task_id] = transition.record
        if self._store.failed.is_set():
            with pytest.raises(StoreError):
                await self._store.commit(operations)
            return
        try:
            await self._store.commit(operations)
        except StoreError:
            self._possible = done if self._store.failed.is_set() else self._acknowledged
        else:
            self._possible = self._acknowledged = done

    async def _mend(self) -> None:
        if self._happens(0.7):
            self._disk.fault = healthy
        with suppress(StoreError):
            await self._store.recover()
            self._possible = self._acknowledged

    async def _restart(self) -> None:
        self._disk.fault = healthy
        await restart(self._store)
        found = await tasks_of(self._store)
        assert found in (self._acknowledged, self._possible)
        self._possible = self._acknowledged = found

    def _break(self) -> None:
        """Lets the disk fail some actions later: once, or until it is healed."""
        actions: tuple[Action, ...] = ("grow", "write", "truncate", "sync")
        action = self._random.choice(actions)
        code = apsw.SQLITE_FULL if action == "grow" else apsw.SQLITE_IOERR
        matching = failing(action, self._random.choice(("", "-wal", ".db")), code)
        once, left = self._happens(0.5), self._random.randint(0, 8)

        def fault(wanted: Action, name: str) -> int:
            nonlocal left
            found = matching(wanted, name)
            left -= bool(found)
            return found if left == -1 or (left < -1 and not once) else 0

        self._disk.fault = fault


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_fails_what_was_acknowledged_is_there_and_what_was_refused_is_not(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_LOG_PAGES", 10)
    with faulty_disk(seed) as disk:
        await Trial(tmp_path / "inferry.db", disk, Random(seed)).run()
