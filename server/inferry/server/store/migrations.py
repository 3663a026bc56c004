"""The numbered ``.sql`` files that bring a schema up to this code.

Files are never changed once released; a new one is added.
"""

from dataclasses import dataclass
from importlib.resources.abc import Traversable

from inferry.server.store import StoreError


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, from ``number - 1`` to ``number``."""

    number: int
    name: str
    sql: str


def load_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """Reads the files ``0001_name.sql``, ``0002_name.sql``, ... of a folder in their order.

    Raises:
        StoreError: The numbers have a hole.
    """
    names = sorted(file.name for file in folder.iterdir() if file.name[:4].isdigit())
    migrations = tuple(
        Migration(int(name[:4]), name.removesuffix(".sql"), (folder / name).read_text("utf-8"))
        for name in names
    )
    if [step.number for step in migrations] != list(range(1, len(migrations) + 1)):
        raise StoreError(f"migrations must be numbered from 1 without holes: {', '.join(names)}")
    return migrations
