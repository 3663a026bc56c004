"""The store that the settings name."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from inferry.server.config import Config
from inferry.server.config.paths import absolute
from inferry.server.config.store import SQLITE
from inferry.server.store import Store, StoreError
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.sqlite.end import SqliteEnd
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.store.transfer.end import End

#: In the data directory, unless the settings name another store.
DATABASE = "inferry.db"


def new_store(config: Config) -> Store:
    """Makes the store; it is yet to be opened.

    Raises:
        StoreError: What it needs is not installed.
    """
    found = _find(config)
    if isinstance(found, Path):
        return SqliteStore(found)
    store: Store = _postgres("store").PostgresStore(found)
    return store


def new_end(config: Config) -> End:
    """Makes the store an end of a move; it is yet to be opened.

    Raises:
        StoreError: What it needs is not installed.
    """
    found = _find(config)
    if isinstance(found, Path):
        return SqliteEnd(found)
    end: End = _postgres("end").PostgresEnd(found)
    return end


def _find(config: Config) -> Path | PostgresOptions:
    said = f"{SQLITE}{config.data_dir / DATABASE}"
    if config.store is not None:
        said = config.store.get_secret_value()
    if said.startswith(SQLITE):
        return absolute(Path(said.removeprefix(SQLITE)))
    return PostgresOptions(
        said,
        connections=config.store_connections,
        connect_timeout_ms=config.store_connect_timeout_ms,
        statement_timeout_ms=config.store_statement_timeout_ms,
        lock_timeout_ms=config.store_lock_timeout_ms,
        lease_ms=config.replica_lease_ms,
        notify=config.store_notify,
        pgbouncer=config.store_pgbouncer,
        folder=config.data_dir,
    )


def _postgres(module: str) -> Any:
    if find_spec("asyncpg") is None:
        raise StoreError("a store in PostgreSQL needs asyncpg: pip install 'inferry[postgres]'")
    # Only now: whoever keeps tasks in a file needs no driver.
    return import_module(f"inferry.server.store.postgres.{module}")
