"""No hot statement of PostgreSQL scans a table or sorts what it found: its own plans say so.

They are plans for tables of some size: with few rows a scan would be right.
"""

import re
from collections.abc import AsyncIterator
from itertools import product

import asyncpg
import pytest

from benchmarks.filling import fill_postgres
from inferry.server.store import TaskFilter
from inferry.server.store.postgres.connections import Connection, connect
from inferry.server.store.postgres.lists import list_query
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.queries import HOOK_QUERIES, QUERIES
from inferry.server.store.rows import REPORT
from inferry.server.task.record import Status
from tests.postgres import database
from tests.server.store.opening import opened_postgres
from tests.server.store.samples import do, waiting

#: Of a transaction, and what is filled in when it is asked.
IN_PARTS = {
    *("begin", "begin_in_a_hurry", "finish", "hardly_wait", "lock_starts"),
    *("labelled", "of_all_tenants", "tasks"),
}
#: Asked now and then, or of tables with a row for each replica, server or paused type.
SMALL = {
    *("count_pauses_change", "count_servers_change", "drain_server", "drop_server", "end_replica"),
    *("epochs", "forget_replicas", "heads", "last_epoch", "latest_time", "paused_types"),
    *("pause_type", "put_replica", "put_server", "replica", "resume_type", "servers"),
    *("begin_counted", "forget_counted", "lock_counted", "put_counted", "sum_counts"),
    *("take_counts", "uncounted", "put_code", "take_code", "has_code", "forget_codes"),
}
INDEXES = {
    "task": ["tasks_id_key"],
    "lock_tasks": ["tasks_id_key"],
    "lock_waiting": ["tasks_id_key", "tasks_line", "payloads_pkey"],
    "lock_request_ids": ["request_ids_pkey"],
    "drop_request_ids": ["request_ids_pkey"],
    "update_reports": ["tasks_pkey"],
    "update_tasks": ["tasks_pkey"],
    "clear_outcomes": ["outcomes_pkey"],
    "forget_events": ["events_pkey"],
    "purge": ["tasks_purge", "events_pkey", "labels_pkey", "attempts_pkey", "tasks_pkey"],
    "postpone_running": ["tasks_running", "tasks_pkey"],
    "postpone_waiting": ["tasks_waiting", "tasks_pkey"],
    "postpone_queue": ["tasks_running"],
    "expired": ["tasks_waiting", "tasks_running"],
    "first_deadline": ["tasks_waiting", "tasks_running"],
    "running": ["tasks_running"],
    "running_counts": ["tasks_running"],
    "logged_by": ["events_position", "tasks_pkey"],
    "failures": ["tasks_failed"],
    "figures": ["figures_pkey"],
    "figure_types": ["figures_pkey"],
    "own_figures": ["figures_pkey"],
    "forget_figures": ["figures_at"],
    "delayed_counts": ["tasks_delayed"],
    "waiting_routes": ["tasks_line"],
    "waiting_lines": ["tasks_line"],
    "waiting_tasks": ["tasks_line"],
    "stopped": ["attempts_stopped"],
    "logged": ["events_position"],
    "events": ["events_pkey"],
    "attempts": ["attempts_pkey"],
    "tombstones": ["tombstones_pkey"],
    "forget_tombstones": ["tombstones_until"],
    "forget_request_ids": ["request_ids_until"],
}
HOOK_INDEXES = {
    "lock_lines": ["deliveries_pkey"],
    "lines": ["deliveries_pkey"],
    "change_deliveries": ["deliveries_pkey"],
    "drop_deliveries": ["deliveries_pkey"],
    "claim_deliveries": ["deliveries_host", "deliveries_pkey"],
    "release_claims": ["deliveries_claimed"],
    "left_claims": ["deliveries_claimed"],
    "due_hosts": ["deliveries_host"],
    "waiting_deliveries": ["deliveries_webhook"],
    "replay": ["deliveries_webhook", "deliveries_pkey"],
    "send_again": ["deliveries_pkey"],
    "forget_deliveries": ["deliveries_ended"],
    "deliveries": ["deliveries_pkey"],
    "first_ended": ["deliveries_ended"],
    "webhook": ["webhooks_pkey"],
    "tenants_webhooks": ["webhooks_tenant"],
}
#: Asked when webhooks were changed, of all that belong to no task.
ALL_HOOKS = {"count_webhooks_change", "known_webhooks", "webhooks"}
BIG = (
    "tasks|payloads|outcomes|events|labels|attempts|request_ids|tombstones|figures|webhooks"
    "|deliveries"
)
#: Indexes of what is looked for itself.
WALKED = {"tasks_waiting", "tasks_running"}
#: Finished tasks by far the most, as it is in the end; of those that are open all but a few wait.
FILL = """
INSERT INTO tasks SELECT (jsonb_populate_record(one, jsonb_build_object(
    'task_number', n, 'id', 'task_' || n, 'tenant', 't' || n % 7, 'route', 'echo' || n % 3,
    'priority', n % 10, 'deadline_ms', n, 'not_before_ms', n % 5 * n, 'queued_ms', n))).*
FROM tasks AS one, generate_series(30000, 40000) AS n;
INSERT INTO tasks SELECT (jsonb_populate_record(one, jsonb_build_object(
    'task_number', n, 'id', 'task_' || n, 'server_id', 'srv_' || n % 5, 'attempt', 1,
    'attempt_deadline_ms', n, 'deadline_ms', n))).*
FROM tasks AS one, generate_series(50000, 50200) AS n WHERE one.id = 'task_1';
INSERT INTO tasks SELECT (jsonb_populate_record(one, jsonb_build_object(
    'task_number', n, 'id', 'task_' || n, 'tenant', 't' || n % 7, 'server_id', 'srv_' || n % 5,
    'status', 3, 'attempt', 1, 'finished_ms', n, 'purge_ms', n, 'deadline_ms', 0))).*
FROM tasks AS one, generate_series(1000, 20000) AS n WHERE one.id = 'task_1';
INSERT INTO payloads SELECT n, '{}' FROM generate_series(1000, 20000) AS n;
INSERT INTO outcomes SELECT n, '{}' FROM generate_series(1000, 20000) AS n;
INSERT INTO labels SELECT n, 'job', (n % 100)::text, 't' || n % 7
FROM generate_series(1000, 20000) AS n;
INSERT INTO attempts SELECT n, 1, 'srv', 2, '', 1, 1 FROM generate_series(1000, 20000) AS n;
INSERT INTO events SELECT n, seq, 1, 1, 1, 0, '', 0, NULL, (1::bigint << 40) + 10 * n + seq
FROM generate_series(1000, 20000) AS n, generate_series(1, 5) AS seq;
INSERT INTO request_ids SELECT 't', n::text, '', 'task', n FROM generate_series(1000, 20000) AS n;
INSERT INTO webhooks SELECT 'task_' || n, 't' || n % 7, 'u', 'h', 4, 1, 1, '[]', '{}', '', '[]',
    FALSE, '', n % 100 > 0 FROM generate_series(1000, 20000) AS n;
INSERT INTO deliveries SELECT 'task_' || n, 'whk_' || n % 10, 3, 't', 4, 'host' || n % 100, '{}', n,
    CASE WHEN n % 100 = 0 THEN 1 ELSE 2 END, 1, CASE WHEN n % 100 = 0 THEN n ELSE 0 END, 0,
    CASE WHEN n % 100 = 0 THEN 0 ELSE n END, '[]' FROM generate_series(1000, 20000) AS n;
INSERT INTO tombstones SELECT n::text, 't', n FROM generate_series(1000, 20000) AS n;
INSERT INTO figures SELECT 60, 'type' || n % 30, n / 30 * 60, 1, 1, 0, 0, 0, '{}', '{}', 0, 0, 0
FROM generate_series(0, 30000) AS n;
ANALYZE
"""


@pytest.fixture(scope="module")
async def db(postgres: str) -> AsyncIterator[Connection]:
    async with database(postgres) as url:
        async with opened_postgres(url) as store:
            await do(store, waiting("task_1"))
        db = await asyncpg.connect(url)
        await db.execute(FILL)
        # As a statement is planned that comes again and again.
        await db.execute("SET plan_cache_mode = force_generic_plan")
        yield db
        await db.close()


async def plan(db: Connection, query: str) -> str:
    await db.execute(f"PREPARE asked AS {query}")
    count = max((int(number) for number in re.findall(r"\$(\d+)", query)), default=0)
    given = f"({', '.join(['NULL'] * count)})" if count else ""
    rows = await db.fetch(f"EXPLAIN EXECUTE asked{given}")
    await db.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("name", sorted(set(QUERIES) - IN_PARTS - SMALL))
async def test_a_hot_statement_scans_no_table(db: Connection, name: str) -> None:
    steps = await plan(db, QUERIES[name])
    assert not re.search(rf"Seq Scan on ({BIG})\b", steps), steps
    for index in INDEXES.get(name, []):
        assert index in steps, steps


@pytest.fixture(scope="module")
async def new_db(postgres: str) -> AsyncIterator[Connection]:
    """A connection of a store to a database that has yet to see its first task."""
    async with database(postgres) as url:
        async with opened_postgres(url):
            pass
        db = await connect(PostgresOptions(url), "plans")
        await db.execute("SET plan_cache_mode = force_generic_plan")
        yield db
        await db.close()


@pytest.mark.parametrize("name", sorted(set(QUERIES) - IN_PARTS - SMALL))
async def test_a_hot_statement_goes_by_keys_before_anybody_knows_how_much_there_is(
    new_db: Connection, name: str
) -> None:
    steps = await plan(new_db, QUERIES[name])
    assert not re.search(rf"Seq Scan on ({BIG})\b", steps), steps
    whole = re.findall(r"Index.* Scan (?:using|on) (\w+).*\n(?! +Index Cond)", steps)
    assert {one for one in whole if re.match(BIG, one)} <= WALKED, steps


@pytest.mark.parametrize("name", sorted(set(HOOK_QUERIES) - ALL_HOOKS))
async def test_a_statement_about_webhooks_scans_no_table(db: Connection, name: str) -> None:
    steps = await plan(db, HOOK_QUERIES[name])
    assert not re.search(rf"Seq Scan on ({BIG})\b", steps), steps
    for index in HOOK_INDEXES.get(name, []):
        assert index in steps, steps


@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter(*given, code=code)
        for code in (None, "BROKEN")
        for given in product((None, "acme"), (None, Status.FAILED), (None, "echo"), (None, "srv_1"))
    ],
    ids=str,
)
async def test_a_list_reads_an_index_in_its_order(db: Connection, wanted: TaskFilter) -> None:
    query, _ = list_query(wanted, None, 10)
    steps = await plan(db, query)
    assert not re.search(rf"Seq Scan on ({BIG})\b", steps), steps
    page = steps.partition("CTE Scan on leap")[2] if "leap" in steps else steps
    assert re.search(r"Index Scan( Backward)? using tasks_", page), steps
    assert "Sort" not in page, steps


@pytest.mark.parametrize("labels", [1, 2, 8])
async def test_a_list_by_label_reads_the_index_of_labels(db: Connection, labels: int) -> None:
    pairs = tuple((f"key-{number}", "value") for number in range(labels))
    query, _ = list_query(TaskFilter("acme", labels=pairs), None, 10)
    steps = await plan(db, query)
    # In its order, or all that it has for a label that few tasks have: as many as it guesses.
    assert "labels_tasks" in steps, steps
    assert steps.count("labels_pkey") == labels - 1, steps
    assert "Seq Scan" not in steps, steps


async def test_a_progress_report_touches_no_index(db: Connection) -> None:
    indexed = await db.fetch(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND ("
        "attnum = ANY(indkey) OR pg_get_expr(indpred, indrelid) ~ ('\\m' || attname || '\\M')) "
        "WHERE indrelid = 'tasks'::regclass"
    )
    assert not {name for (name,) in indexed} & {*REPORT, "position"}


@pytest.mark.parametrize("name", ["lock_waiting", "waiting_tasks", "waiting_lines"])
async def test_a_line_is_found_by_its_key_where_nobody_waited_when_it_was_last_looked(
    postgres: str, name: str
) -> None:
    async with database(postgres) as url:
        await fill_postgres(url, finished=3_000, waiting=0)
        db = await connect(PostgresOptions(url), "plans")
        await db.execute("SET plan_cache_mode = force_generic_plan")
        steps = await plan(db, QUERIES[name])
        await db.close()
    assert re.search(r"Index (Only )?Scan using tasks_line .*\n +Index Cond: \(+route = ", steps), (
        steps
    )
    assert "tasks_waiting" not in steps, steps
