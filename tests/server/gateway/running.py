"""What runs in a gateway's process, and what is left of it when callers have gone."""

import asyncio
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from tests.gateways import Running, token


def running_now() -> Counter[str]:
    """Counts what runs in this process, by what it is."""
    return Counter(getattr(one.get_coro(), "__qualname__", "") for one in asyncio.all_tasks())


async def until_left(gateway: Running, before: Counter[str]) -> None:
    """Waits until nothing more runs than before, and no stream is open."""
    async with asyncio.timeout(20):
        while True:
            if not running_now() - before and not any(await open_streams(gateway)):
                return
            await asyncio.sleep(0.02)


async def open_streams(gateway: Running) -> list[float]:
    """Tells how many streams of each kind are open."""
    auth = {"Authorization": f"Bearer {token()}"}
    async with gateway.http.get(f"{gateway.url}/metrics", headers=auth) as answer:
        families = text_string_to_metric_families(await answer.text())
        told = {one.name: one.samples for one in families}
    # None before the first one.
    return [sample.value for sample in told.get("inferry_streams", ())]


async def ended_task(gateway: Running) -> str:
    """A task whose events come to an end."""
    task = await gateway.create(type="held")
    assert (await gateway.call("DELETE", f"/api/tasks/{task['id']}"))[0] == 200
    return str(task["id"])
