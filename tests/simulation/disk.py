"""The real SQLite store on a disk that can be slow, full or broken, and that outlives a gateway."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar

import apsw

from inferry.server.store.hook_rows import hook_row
from inferry.server.store.operations import Result
from inferry.server.store.sqlite.queries import HOOK_QUERIES
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.hook import Hook
from tests.simulation.graves import graves
from tests.simulation.ground import Row, note
from tests.simulation.world import World

T = TypeVar("T")


class Disk:
    """The file of one world and what is wrong with it.

    Args:
        world: Whose it is.
        folder: Where the file is; on a file system in memory a world takes half the time.
        template: A database with the schema and nothing else.
    """

    lease_s = 0.0

    def __init__(self, world: World, folder: Path, template: Path) -> None:
        self.world = world
        self.path = folder / "inferry.db"
        shutil.copyfile(template, self.path)
        #: It is full: no commit succeeds.
        self.out_of_order = False
        #: It is out of order until then, by the loop's time.
        self._broken_until_s = 0.0
        self._db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)

    @property
    def usable(self) -> bool:
        """See ``Ground.usable``."""
        return not self.out_of_order and self.world.loop.time() >= self._broken_until_s

    def put_hook(self, hook: Hook) -> None:
        """See ``Ground.put_hook``."""
        db = apsw.Connection(str(self.path))
        try:
            db.execute(HOOK_QUERIES["put_webhook"], hook_row(hook))
        finally:
            db.close()

    def new_store(self) -> "SimulatedStore":
        """See ``Ground.new_store``."""
        return SimulatedStore(self)

    def written(self, epoch: int) -> asyncio.Event:
        """Has nobody who waits for it: see ``Ground.written``."""
        raise LookupError(f"a file is one gateway's alone: nobody waits for {epoch}")

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """See ``Ground.rows``."""
        return self._db.execute(query, values).fetchall()

    def remove(self) -> None:
        """Leaves nothing of it."""
        self._db.close()
        for suffix in ("", "-wal", "-shm", ".lock"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def write(self) -> None:
        """Lets a write fail, perhaps.

        Raises:
            apsw.FullError: There is no space.
            apsw.IOError: The disk failed.
        """
        if self.out_of_order:
            self.world.trace("disk", "full")
            raise apsw.FullError("database or disk is full")
        now_s = self.world.loop.time()
        if now_s >= self._broken_until_s and self.world.happens(self.world.weather.io_p):
            broken_s = self.world.between(0, 1)
            self._broken_until_s = now_s + broken_s
            # A gateway tries again each 2 s.
            self.world.excused_s += broken_s + 2
        if now_s < self._broken_until_s:
            self.world.trace("disk", "failed")
            raise apsw.IOError("disk I/O error")


class _Writer(Executor):
    """The writer's thread: takes virtual time, and dies with its gateway."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.dead = False

    def submit(self, work: Callable[..., T], /, *_args: Any, **_named: Any) -> Future[T]:
        future: Future[T] = Future()
        world = self._world
        longest = 0.0 if world.calm else world.weather.disk_s
        # A gateway that dies before the first has not written, one that dies before the second
        # has, and told nobody.
        written, told = world.between(0, longest), world.between(0, longest)

        def run() -> None:
            if self.dead:
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001  # it is the caller's
                world.loop.call_later(told, self._tell, future.set_exception, error)
            else:
                world.loop.call_later(told, self._tell, future.set_result, result)

        world.loop.call_later(written, run)
        return future

    def _tell(self, settle: Callable[[Any], None], what: Any) -> None:
        if not self.dead:
            settle(what)


class SimulatedStore(SqliteStore):
    """A gateway's store on a simulated disk."""

    def __init__(self, disk: Disk) -> None:
        self._writer = _Writer(disk.world)
        super().__init__(disk.path, self._writer)
        self._disk = disk

    def _commit_now(self, results: list[Result]) -> list[Result]:
        self._disk.write()
        super()._commit_now(results)
        self._disk.world.trace("disk", "committed", len(results))
        note(self._disk.world, results, graves(self._db))
        # What a real clock would measure, and with it who commits, differs from run to run.
        self._took_s = self._disk.world.weather.disk_s
        return results

    def _replace_writer(self) -> None:
        self._disk.write()
        super()._replace_writer()

    def kill(self) -> None:
        """Ends it as the death of its process does: what is not committed is gone."""
        self._writer.dead = True
        self._failure = "its process is dead"
        self._disconnect()
