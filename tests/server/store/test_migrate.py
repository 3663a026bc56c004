"""The schema is what the migrations say, however a database came by them."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from inferry.server.store import StoreError
from inferry.server.store.migrations import Migration, load_migrations
from inferry.server.store.sqlite.migrate import migrate
from inferry.server.store.sqlite.queries import FOLDER

RELEASED = load_migrations(FOLDER)
LATER = (
    *RELEASED,
    Migration(len(RELEASED) + 1, "notes", "CREATE TABLE notes (a); CREATE INDEX by_a ON notes (a)"),
    Migration(len(RELEASED) + 2, "more", "ALTER TABLE notes ADD COLUMN b TEXT"),
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(tmp_path / "inferry.db"))
    yield db
    db.close()


def schema(db: apsw.Connection) -> list[object]:
    return [*db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")]


def test_a_migrated_database_equals_a_fresh_one(db: apsw.Connection) -> None:
    for reached in range(1, len(LATER) + 1):
        migrate(db, LATER[:reached])
    fresh = apsw.Connection(":memory:")
    migrate(fresh, LATER)
    assert schema(db) == schema(fresh)
    assert db.pragma("user_version") == fresh.pragma("user_version") == len(LATER)
    fresh.close()


def test_migrating_again_changes_nothing(db: apsw.Connection) -> None:
    migrate(db, RELEASED)
    before = schema(db)
    migrate(db, RELEASED)
    assert schema(db) == before


def test_a_newer_database_is_refused(db: apsw.Connection) -> None:
    migrate(db, LATER)
    with pytest.raises(StoreError, match=f"has schema {len(LATER)}.*up to {len(RELEASED)}"):
        migrate(db, RELEASED)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE tasks DROP COLUMN labels",
        "ALTER TABLE tasks ADD COLUMN mood TEXT",
        "DROP TABLE events",
        "DROP INDEX by_a",
    ],
)
def test_a_database_of_an_unreleased_version_is_refused(db: apsw.Connection, change: str) -> None:
    migrate(db, LATER)
    db.execute(change)
    with pytest.raises(StoreError, match="never released: move it away, or run the version that"):
        migrate(db, LATER)


def test_what_others_add_to_a_database_does_not_keep_it_shut(db: apsw.Connection) -> None:
    migrate(db, LATER)
    db.execute(
        "CREATE TABLE theirs (a); CREATE TRIGGER told AFTER INSERT ON tasks BEGIN SELECT 1; END"
    )
    migrate(db, LATER)


def test_a_failed_migration_leaves_the_last_good_schema(db: apsw.Connection) -> None:
    broken = Migration(len(RELEASED) + 1, "broken", "CREATE TABLE notes (a); SELECT nonsense")
    with pytest.raises(apsw.SQLError):
        migrate(db, (*RELEASED, broken))
    fresh = apsw.Connection(":memory:")
    migrate(fresh, RELEASED)
    assert schema(db) == schema(fresh)
    assert db.pragma("user_version") == len(RELEASED)
    fresh.close()


def test_a_hole_in_the_numbers_is_refused(tmp_path: Path) -> None:
    for name in ("0001_initial.sql", "0003_more.sql", "queries.sql"):
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StoreError, match=r"0001_initial\.sql, 0003_more\.sql"):
        load_migrations(tmp_path)
