"""What worlds are made of: which store, and how many gateways on it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inferry.server.store.sqlite.store import SqliteStore
from tests.simulation import graves
from tests.simulation.disk import Disk
from tests.simulation.ground import Ground
from tests.simulation.postgres.database import database_kit
from tests.simulation.postgres.side_loop import SideLoop
from tests.simulation.world import World

SQLITE, POSTGRES = "sqlite", "postgres"
#: How long a replica may be silent before others take over from it.
LEASE_MS = 3_000

#: Lays what gateways of a world stand on, as the first start finds it.
Lay = Callable[[World], Ground]


@dataclass(frozen=True, slots=True)
class Setup:
    """Which store, and how many gateways on it."""

    store: str = SQLITE
    replicas: int = 1
    #: A PostgreSQL where databases may be made, if one is needed.
    server_url: str = ""

    def grounds(self, folder: Path) -> AbstractContextManager[Lay]:
        """Makes ready to lay grounds, one after the other.

        Args:
            folder: For files.
        """
        if self.store == POSTGRES:
            return _databases(self.server_url)
        return _files(folder)


@contextmanager
def _files(folder: Path) -> Iterator[Lay]:
    template, side = folder / "template.db", SideLoop()
    side.do(_make(template))
    side.close()
    yield lambda world: Disk(world, folder, template)


@contextmanager
def _databases(server_url: str) -> Iterator[Lay]:
    with database_kit(server_url, LEASE_MS) as kit:
        yield kit.database


async def _make(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()
    graves.dig(path)
