"""What lists show."""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

from inferry.server.store import Store, TaskFilter
from inferry.server.task.inputs import Fail, Succeed
from inferry.server.task.record import Status, TaskRecord
from tests.server.store.samples import (
    change,
    dispatched,
    do,
    waiting,
)


class ListConformance:
    async def test_lists_go_back_in_time_page_by_page(self, store: Store) -> None:
        await do(store, *(waiting(f"task_{n}") for n in range(7)))
        pages: list[list[str]] = []
        before = None
        while page := await store.tasks(TaskFilter(tenant="acme"), before, 3):
            pages.append([record.spec.id for _, record in page])
            before = page[-1][0]
        assert pages == [["task_6", "task_5", "task_4"], ["task_3", "task_2", "task_1"], ["task_0"]]

    async def test_every_combination_of_filters_gives_the_tasks_it_says(self, store: Store) -> None:
        number = 0
        for tenant, task_type, server in product(("acme", "globex"), ("echo", "video"), "12"):
            spec: dict[str, Any] = {"tenant": tenant, "type": task_type}
            ids = [f"task_{number + more}" for more in range(4)]
            await do(
                store,
                waiting(ids[0], **spec),
                dispatched(ids[1], server, **spec),
                dispatched(ids[2], server, **spec),
                change(ids[2], Succeed(b"1")),
                dispatched(ids[3], server, **spec),
                change(ids[3], Fail("no", "BROKEN" if server == "1" else "FULL")),
            )
            number += 4
        everything = await store.tasks(TaskFilter(), None, 100)
        assert len(everything) == number
        assert all(newer[0] > older[0] for newer, older in pairwise(everything))
        for wanted in _filters():
            expected = [row for row in everything if _fits(row[1], wanted)]
            assert await store.tasks(wanted, None, 100) == expected
            assert await store.tasks(wanted, None, 2) == expected[:2]
            assert await store.count(wanted, 100) == len(expected)
            assert await store.count(wanted, 3) == min(3, len(expected))
            assert await store.tasks(wanted, everything[4][0], 100) == [
                row for row in expected if row[0] < everything[4][0]
            ]


def _filters() -> Iterator[TaskFilter]:
    for given in product(
        (None, "acme", "nobody"),
        (None, Status.PENDING, Status.COMPLETED, Status.FAILED),
        (None, "video"),
        (None, "2"),
        (None, "BROKEN"),
    ):
        yield TaskFilter(*given)


def _fits(record: TaskRecord, wanted: TaskFilter) -> bool:
    return (
        wanted.tenant in (None, record.spec.tenant)
        and wanted.status in (None, record.status)
        and wanted.type in (None, record.spec.type)
        and wanted.server_id in (None, record.server_id)
        and wanted.code in (None, record.code)
    )
