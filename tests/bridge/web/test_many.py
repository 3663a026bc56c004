"""Ten thousand tasks, and two hundred events a second."""

import asyncio
from pathlib import Path
from typing import Any

from playwright.async_api import expect

from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import UpdateTaskRequest
from tests.backends import ACCEPTED, running_backend
from tests.bridge.web.conftest import OpenTab
from tests.gateways import Running, running_gateway, token

TASKS = 10_000
RUNNING = 20
ROOM: dict[str, Any] = {"queue_limit": 2 * TASKS, "queue_limit_per_tenant": 2 * TASKS}
#: Counts in how many steps the rows change within so many ms.
PAINTS = """(ms) => new Promise((done) => {
  let steps = 0;
  const observer = new MutationObserver(() => steps++);
  observer.observe(document.querySelector(".long tbody"),
    {subtree: true, childList: true, characterData: true, attributes: true});
  setTimeout(() => { observer.disconnect(); done(steps); }, ms);
})"""


async def fill(gateway: Running) -> None:
    request = {"type": "later", "payload": {}}
    for _ in range(TASKS // 1_000):
        status, _ = await gateway.call(
            "POST", "/api/tasks:batchCreate", {"requests": [request] * 1_000}
        )
        assert status == 200


async def report_for_ever(gateway: Running, ids: list[str]) -> None:
    """Reports 200 times a second."""
    metadata = (("authorization", f"Bearer {token()}"),)
    for step in range(1_000_000):
        percent = step % 100
        update = TaskUpdate(status=Task.PROCESSING, progress=percent, message=f"at {step}")
        await asyncio.gather(
            *(
                gateway.tasks.UpdateTask(
                    UpdateTaskRequest(id=one, update=update), metadata=metadata
                )
                for one in ids
            )
        )
        await asyncio.sleep(RUNNING / 200)


async def test_ten_thousand_tasks_are_listed_while_events_come(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with (
        running_gateway(tmp_path, **ROOM) as gateway,
        running_backend(ACCEPTED) as backend,
        open_tab(gateway.url, token()) as tab,
    ):
        page = tab.page
        await fill(gateway)
        await gateway.register(backend, max_concurrent=RUNNING)
        created: list[dict[str, Any]] = [await gateway.create() for _ in range(RUNNING)]
        for _ in created:
            await backend.next_job()
        reports = asyncio.create_task(report_for_ever(gateway, [one["id"] for one in created]))
        try:
            await tab.open("#/tasks")
            await expect(page.locator("a.row").first).to_be_visible()
            await expect(page.locator(".badge")).to_have_text("Live")
            running = page.get_by_role("row").filter(has_text="Running")
            await expect(running).to_have_count(RUNNING)
            await expect(running.first).to_contain_text("at ")
            assert 0 < await page.evaluate(PAINTS, 3_000) <= 4 * 3 + 1

            table = page.get_by_role("region", name="Tasks")
            for _ in range(100):
                if f"{TASKS + RUNNING:,}".replace(",", "\u202f") in await page.inner_text(
                    ".filter"
                ):
                    break
                await table.evaluate("(one) => one.scrollTo(0, one.scrollHeight)")
                await page.wait_for_timeout(50)
            await expect(page.locator("#filter-says")).to_have_text(
                f"{TASKS + RUNNING:,} tasks".replace(",", "\u202f")
            )
            assert await page.locator(".long tr").count() < 100
            await table.evaluate("(one) => one.scrollTo(0, 0)")
            await expect(running).to_have_count(RUNNING)
        finally:
            reports.cancel()
