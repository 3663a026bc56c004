"""No hot statement scans a table or sorts what it found: SQLite's own plans say so."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import apsw
import pytest

from inferry.server.store import TaskFilter
from inferry.server.store.migrations import load_migrations
from inferry.server.store.sqlite.migrate import migrate
from inferry.server.store.sqlite.queries import FOLDER, HOOK_QUERIES, QUERIES
from inferry.server.store.sqlite.reads import list_query
from inferry.server.task.record import Status

#: Asked now and then, of all there is: of an index, but all of it.
READS_ALL = {
    "delayed_counts",
    "counted",
    "epochs",
    "forget_counted",
    "paused_types",
    "running_counts",
    "servers",
    "size_bytes",
    "tenants",
    "uncounted",
    "waiting_counts",
}
#: Built in parts, or looked at by themselves.
APART = {"labelled", "tasks", "running_counts"}
#: The row that a recursion has got to, and the one that it begins with.
NO_TABLE = {"SCAN leap", "SCAN waiting", "SCAN CONSTANT ROW"}
INDEXES = {
    "task": "sqlite_autoindex_tasks_1 (id=?)",
    "task_and_payload": "sqlite_autoindex_tasks_1 (id=?)",
    "first_deadline": "INDEX tasks_waiting (deadline_ms>?)",
    "postpone_waiting": "tasks_waiting (deadline_ms>? AND deadline_ms<?)",
    "postpone_running": "tasks_running (deadline_ms>? AND deadline_ms<?)",
    "postpone_queue": "tasks_running (deadline_ms>?)",
    "expired_waiting": "tasks_waiting (deadline_ms>? AND deadline_ms<?)",
    "expired_running": "tasks_running (deadline_ms>? AND deadline_ms<?)",
    "running": "tasks_running (deadline_ms>?)",
    "failures": "tasks_failed (finished_ms>? AND finished_ms<?)",
    "figures": "PRIMARY KEY (step_s=? AND type=? AND at_s>? AND at_s<?)",
    "figure_types": "PRIMARY KEY (step_s=? AND type=? AND at_s>? AND at_s<?)",
    "take_code": "PRIMARY KEY (hash=?)",
    "has_code": "PRIMARY KEY (hash=?)",
    "forget_codes": "codes_until (until_ms<?)",
    "forget_figures": "figures_at (step_s=? AND at_s<?)",
    "waiting_routes": "INDEX tasks_line (route>?)",
    "waiting_tasks": "tasks_line (route=? AND tenant=? AND priority=? AND (queued_ms,id)>(?,?))",
    "stopped": "attempts_stopped (ended_ms>?)",
    "purge_tasks": "tasks_purge (purge_ms>? AND purge_ms<?)",
    "forget_tombstones": "tombstones_until (until_ms<?)",
    "events": "PRIMARY KEY (task_number=? AND seq>?)",
    "attempts": "PRIMARY KEY (task_number=?)",
    "logged": "events_position (position>? AND position<?)",
    "last_position": "events_position",
    "purge_labels": "PRIMARY KEY (task_number=?)",
    "note_purged": "PRIMARY KEY (task_number=?)",
    "note_forgotten": "PRIMARY KEY (task_number=? AND seq<?)",
    "merge_outcome": "",
    "update_report": "INTEGER PRIMARY KEY (rowid=?)",
}
HOOK_INDEXES = {
    "claim_deliveries": "deliveries_host (host=? AND next_ms>? AND next_ms<?)",
    "release_claims": "deliveries_claimed (claimed>?)",
    "left_claims": "deliveries_claimed (claimed>?)",
    "due_hosts": "deliveries_host (host>?)",
    "waiting_deliveries": "deliveries_webhook (webhook_id=? AND state=?)",
    "replay": "deliveries_webhook (webhook_id=? AND state=? AND created_ms>?)",
    "forget_deliveries": "deliveries_ended (ended_ms>? AND ended_ms<?)",
    "first_ended": "INDEX deliveries_ended (ended_ms>?)",
    "deliveries": "sqlite_autoindex_deliveries_1 (task_id=?)",
    "tenants_webhooks": "webhooks_tenant (tenant=?)",
}


@pytest.fixture(scope="module")
def db() -> Iterator[apsw.Connection]:
    db = apsw.Connection(":memory:")
    migrate(db, load_migrations(FOLDER))
    yield db
    db.close()


def explain(db: apsw.Connection, how: str, query: str) -> list[tuple[Any, ...]]:
    named = dict.fromkeys(re.findall(r":(\w+)", query), 1)
    values = named or (1,) * query.count("?")
    return db.execute(f"{how} {query}", values).fetchall()


def plan(db: apsw.Connection, query: str) -> list[str]:
    return [detail for *_, detail in explain(db, "EXPLAIN QUERY PLAN", query)]


@pytest.mark.parametrize("name", sorted(set(QUERIES) - READS_ALL - APART))
def test_a_hot_statement_neither_scans_nor_sorts(db: apsw.Connection, name: str) -> None:
    steps = plan(db, QUERIES[name])
    scans = [step for step in steps if step.startswith("SCAN") and step not in NO_TABLE]
    assert not scans + [step for step in steps if "TEMP B-TREE" in step]
    assert INDEXES.get(name, "") in "\n".join(steps)


def test_what_runs_is_counted_over_the_index_of_what_runs(db: apsw.Connection) -> None:
    first, *_ = plan(db, QUERIES["running_counts"])
    assert first == "SEARCH tasks USING INDEX tasks_running (deadline_ms>?)"


@pytest.mark.parametrize("name", sorted(set(HOOK_QUERIES) - {"webhooks"}))
def test_a_statement_about_webhooks_neither_scans_nor_sorts(db: apsw.Connection, name: str) -> None:
    steps = plan(db, HOOK_QUERIES[name])
    scans = [step for step in steps if step.startswith("SCAN") and step not in NO_TABLE]
    assert not scans + [step for step in steps if "TEMP B-TREE" in step]
    assert HOOK_INDEXES.get(name, "") in "\n".join(steps)


def test_a_leap_over_lines_is_a_search_a_line(db: apsw.Connection) -> None:
    searched = [step for step in plan(db, QUERIES["waiting_lines"]) if "tasks_line" in step]
    assert [step.partition("tasks_line ")[2] for step in searched] == [
        "(route=? AND (tenant,priority)>(?,?))",
        "(route=? AND tenant=? AND priority>?)",
        "(route=? AND tenant>?)",
    ]


def test_the_list_of_tenants_reads_an_index(db: apsw.Connection) -> None:
    tables = [step for step in plan(db, QUERIES["tenants"]) if "tasks" in step]
    assert tables
    assert all("INDEX tasks_" in step for step in tables)


@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter("acme", *given)
        for given in product((None, Status.FAILED), (None, "echo"), (None, "srv_1"), (None, "X"))
    ],
    ids=str,
)
def test_a_list_reads_one_index_in_its_order(db: apsw.Connection, wanted: TaskFilter) -> None:
    (step,) = plan(db, list_query(wanted))[-1:]
    assert step.startswith("SEARCH tasks USING INDEX tasks_")
    assert step.endswith("task_number<?)")
    assert ("tasks_code" in step) == (wanted.code is not None)


@pytest.mark.parametrize("wanted", [TaskFilter(), TaskFilter("acme", Status.FAILED)], ids=str)
def test_tasks_are_counted_over_one_index(db: apsw.Connection, wanted: TaskFilter) -> None:
    steps = plan(db, f"SELECT count(*) FROM ({list_query(wanted)})")
    assert not [step for step in steps if "TEMP B-TREE" in step]
    assert any(step.startswith("SEARCH tasks USING") for step in steps), steps


@pytest.mark.parametrize("labels", [1, 2, 8])
@pytest.mark.parametrize("status", [None, Status.FAILED])
def test_a_list_by_label_reads_the_index_of_labels_in_its_order(
    db: apsw.Connection, status: Status | None, labels: int
) -> None:
    pairs = tuple((f"key-{number}", "value") for number in range(labels))
    first, *others = plan(db, list_query(TaskFilter("acme", status, labels=pairs)))
    searched = "COVERING INDEX labels_tasks (tenant=? AND key=? AND value=? AND task_number<?)"
    assert first == f"SEARCH labels USING {searched}"
    looked_up = [step.replace(" EXISTS", "") for step in others if step[:4] in {"SEAR", "SCAN"}]
    one = "SEARCH more USING PRIMARY KEY (task_number=? AND key=?)"
    task = "SEARCH tasks USING INTEGER PRIMARY KEY (rowid=?)"
    assert sorted(looked_up) == [*[one] * (labels - 1), task]


def test_a_list_of_everything_reads_backwards(db: apsw.Connection) -> None:
    steps = plan(db, list_query(TaskFilter()))
    assert steps[-1] == "SEARCH tasks USING INTEGER PRIMARY KEY (rowid<?)"


def test_a_progress_report_touches_no_index(db: apsw.Connection) -> None:
    program = explain(db, "EXPLAIN", QUERIES["update_report"])
    assert [step[1] for step in program].count("OpenWrite") == 1
