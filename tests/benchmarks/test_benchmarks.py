"""That the benchmarks run and count right; never how fast anything is."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from benchmarks.driver import LOADS, Gateway, Round, listening
from benchmarks.filling import TENANTS, WAITING_TYPE, fill, fill_postgres
from benchmarks.footprint import footprint_of
from benchmarks.processes import running
from benchmarks.summary import as_json
from benchmarks.watched import ARMS, measure, ratio
from inferry.server.store import LineRead, Store, TaskFilter
from inferry.server.task.inputs import Cancel
from inferry.server.task.record import Status, TaskRecord
from inferry.server.task.steps import Transition
from tests.postgres import database
from tests.server.store.opening import opened, opened_postgres
from tests.server.store.samples import change, waiting

ROUND_S = 0.1


async def test_every_load_runs_on_the_floor(tmp_path: Path) -> None:
    async with (
        running([sys.executable, "-m", "benchmarks.backend"], tmp_path / "backend") as (
            backend,
            backend_url,
        ),
        listening(backend) as ends,
        running([sys.executable, "-m", "benchmarks.floor"], tmp_path / "floor") as (floor, url),
        aiohttp.ClientSession() as session,
    ):
        gateway = Gateway("floor", url, floor.pid, session)
        await gateway.register(backend_url)
        for load in LOADS:
            measured = await gateway.press(load, ROUND_S, ends)
            # How many is the machine's affair.
            assert measured.tasks > 0
            assert measured.seconds >= ROUND_S
            assert len(measured.latencies_ms) == measured.tasks


async def test_gateways_that_count_and_that_do_not_have_the_same_load(tmp_path: Path) -> None:
    results = await measure(ARMS, LOADS[1:2], 2, ROUND_S, tmp_path)
    (taken,) = results.values()
    assert list(taken) == [arm.name for arm in ARMS]
    assert all(one.tasks > 0 for rounds in taken.values() for one in rounds)
    assert ratio(taken["off"], taken["off"]) == 1


def test_figures_are_medians_and_ratios_those_of_neighbouring_rounds() -> None:
    floor = [Round(100, 1.0, 0.1, [1.0] * 100), Round(400, 1.0, 0.4, [1.0] * 400)]
    inferry = [Round(50, 1.0, 0.1, [2.0] * 50), Round(100, 1.0, 0.2, [2.0] * 98 + [9.0] * 2)]
    figures = as_json({}, {"sync": {"floor": floor, "inferry": inferry}})["loads"]["sync"]
    assert figures["floor"]["tasks_per_s"] == 250
    assert figures["floor"]["processor_us"] == pytest.approx(1_000)
    assert figures["inferry"]["p50_ms"] == 2
    assert figures["inferry"]["p99_ms"] == 5.5
    assert figures["ratio"]["tasks_per_s"] == pytest.approx((0.5 + 0.25) / 2)
    assert figures["ratio"]["processor_us"] == pytest.approx(2)


async def test_what_tasks_leave_is_counted_in_rows_and_bytes(tmp_path: Path) -> None:
    left = await footprint_of(tmp_path, 20, 1_000)
    tasks = left.rows["tasks"]
    assert tasks >= 20
    # Created, accepted, half way, ended: as docs/scaling.md counts them.
    per_task = {"payloads": 1, "outcomes": 1, "attempts": 1, "events": 4}
    assert {name: left.rows[name] / tasks for name in per_task} == per_task
    assert left.kept_bytes > tasks * 1_000
    # On a file system in memory nothing is sent to a disk.
    assert left.written_bytes >= 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_store_that_is_filled_is_one_that_a_gateway_works_with(
    tmp_path: Path, kind: str, postgres: str
) -> None:
    async with AsyncExitStack() as stack:
        store: Store
        if kind == "sqlite":
            await fill(tmp_path / "inferry.db", finished=30, waiting=2_000)
            store = await stack.enter_async_context(opened(tmp_path / "inferry.db"))
        else:
            url = await stack.enter_async_context(database(postgres))
            await fill_postgres(url, finished=30, waiting=2_000)
            store = await stack.enter_async_context(opened_postgres(url))
        await _work_with(store)


async def _work_with(store: Store) -> None:
    counts = await store.waiting_counts()
    assert (sum(counts.values()), len({tenant for tenant, _ in counts})) == (2_000, TENANTS)
    assert await store.running() == []
    assert len(await store.tasks(TaskFilter(status=Status.COMPLETED), None, 100)) == 30
    (line, *others) = await store.waiting_lines(WAITING_TYPE, None, 2_000)
    assert len(others) == TENANTS - 1
    ((task, _),) = await store.waiting_tasks([LineRead((WAITING_TYPE, *line), None, 10)])
    record = await store.task(task.id)
    assert record is not None
    assert record.waiting
    cancelled = change(task.id, Cancel(), now_ms=record.updated_ms)
    assert isinstance((await store.commit([cancelled]))[0], Transition)
    (new,) = await store.commit([waiting("task_new")])
    assert isinstance(new, TaskRecord)
