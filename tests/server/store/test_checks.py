"""The database refuses rows that cannot be, whoever writes them."""

from collections.abc import Iterator

import apsw
import pytest

from inferry.server.store.journal import Journal
from inferry.server.store.migrations import load_migrations
from inferry.server.store.operations import Epoch, PauseType, PutServer
from inferry.server.store.sqlite.batches import SqliteBatches
from inferry.server.store.sqlite.migrate import migrate
from inferry.server.store.sqlite.queries import FOLDER
from inferry.server.store.webhooks import Nobody
from inferry.server.task.inputs import Accept, Fail, Succeed
from inferry.server.task.pause import PausedType
from tests.server.store.samples import NOW, SERVER, change, dispatched, waiting


@pytest.fixture(scope="module")
def db() -> Iterator[apsw.Connection]:
    db = apsw.Connection(":memory:")
    migrate(db, load_migrations(FOLDER))
    results = SqliteBatches(db, Journal(Epoch(1, 1)), Nobody().notices).run(
        [
            waiting("waiting"),
            dispatched("dispatched"),
            dispatched("processing"),
            change("processing", Accept()),
            dispatched("completed"),
            change("completed", Succeed(b"1")),
            dispatched("failed"),
            change("failed", Fail("broken", "INTERNAL_ERROR", b"{}")),
            PutServer(SERVER),
            PauseType(PausedType("echo", "", NOW)),
        ]
    )
    assert not [result for result in results if isinstance(result, Exception)]
    yield db
    db.close()


@pytest.mark.parametrize(
    ("task_id", "impossible"),
    [
        ("waiting", "status = 0"),
        ("waiting", "status = 7"),
        ("waiting", "status = 2"),
        ("waiting", "status = 3"),
        ("waiting", "status = 'PENDING'"),
        ("waiting", "server_id = 'srv_1'"),
        ("waiting", "deadline_ms = 0"),
        ("waiting", "queue_deadline_ms = 0"),
        ("waiting", "purge_ms = 1"),
        ("waiting", "finished_ms = 1"),
        ("waiting", "priority = 10"),
        ("waiting", "priority = -1"),
        ("waiting", "progress = 100.5"),
        ("waiting", "progress = -1"),
        ("waiting", "attempts_counted = 1"),
        ("waiting", "id = ''"),
        ("waiting", "tenant = NULL"),
        ("waiting", "id = 'failed'"),
        ("dispatched", "not_before_ms = 1"),
        ("dispatched", "attempt = 0"),
        ("processing", "server_id = NULL"),
        ("processing", "not_before_ms = 1"),
        ("completed", "status = 2"),
        ("completed", "deadline_ms = 1"),
        ("completed", "finished_ms = 0"),
        ("completed", "purge_ms = 0"),
        ("failed", "not_before_ms = 1"),
    ],
)
def test_an_impossible_task_is_refused(db: apsw.Connection, task_id: str, impossible: str) -> None:
    with pytest.raises(apsw.ConstraintError):
        db.execute(f"UPDATE tasks SET {impossible} WHERE id = '{task_id}'")


@pytest.mark.parametrize(
    ("table", "impossible"),
    [
        ("events", "seq = 0"),
        ("events", "kind = 9"),
        ("events", "status = 0"),
        ("events", "progress = 101"),
        ("attempts", "number = 0"),
        ("attempts", "outcome = 1"),
        ("attempts", "ended_ms = 0"),
        ("outcomes", "result = NULL, details = NULL"),
        ("outcomes", "result = 'text'"),
        ("payloads", "body = NULL"),
        ("servers", "max_concurrent = 0"),
        ("servers", "draining = 2"),
        ("servers", "transport = 3"),
        ("servers", "transport = 2"),
        ("servers", "url = ''"),
        ("servers", "tenant = 'acme'"),
        ("servers", "labels = NULL"),
        ("paused_types", "type = ''"),
        ("paused_types", "since_ms = 0"),
    ],
)
def test_an_impossible_row_beside_a_task_is_refused(
    db: apsw.Connection, table: str, impossible: str
) -> None:
    with pytest.raises(apsw.ConstraintError):
        db.execute(f"UPDATE {table} SET {impossible}")


def test_two_servers_of_one_tenant_url_and_name_are_refused(db: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError, match="url"):
        db.execute(
            "INSERT INTO servers SELECT 'srv_2', url, name, capabilities, max_concurrent, "
            "metadata, draining, private_allowed, created_ms, updated_ms, transport, tenant, "
            "labels FROM servers"
        )
