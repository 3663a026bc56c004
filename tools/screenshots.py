"""Takes the pictures of the web page: every page, light and dark, of a gateway under load.

`python -m tools.screenshots FOLDER` writes them all there; with `--docs`, the README's two into
docs/.
"""

import argparse
import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page

from tests.bridge.web.browser import chromium, new_tab, profile
from tests.processes import GatewayProcess, start_gateway, start_mock

ROOT = Path(__file__).parents[1]
SIZE = {"width": 1280, "height": 800}
NARROW = {"width": 420, "height": 800}
#: Name at the gateway, types, slots.
SERVERS = (
    ("gpu-a100-1", "video-processing,transcription", "6"),
    ("gpu-a100-2", "video-processing", "4"),
    ("cpu-pool", "transcription,embedding,thumbnail", "8"),
)
#: Type, seconds of its tasks, and how they end.
WORK = (
    ("video-processing", 9.0, "complete"),
    ("transcription", 4.0, "complete"),
    ("embedding", 1.2, "complete"),
    ("thumbnail", 0.8, "complete"),
    ("embedding", 0.5, "fail"),
    ("transcription", 1.0, "timeout"),
)
FAILURES = (
    ("MODEL_ERROR", "shape mismatch: expected 768 values, got 512"),
    ("INVALID_FORMAT", "cannot read '/media/clip-{n}.mov': no video stream"),
    ("RATE_LIMITED", "upstream answered 429 after {n} calls"),
)
LOAD_S = 60
PAGES = ("now", "tasks", "failures", "servers", "types", "new")


class Load:
    """Creates tasks as many clients would."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._url = gateway.rest
        self._headers = {"Authorization": f"Bearer {gateway.token}"}
        self._random = random.Random(7)  # noqa: S311  # pictures are no secret

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Calls REST as an admin."""
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.request(method, f"{self._url}{path}", json=body) as response,
        ):
            return await response.json()

    async def create(self, rounds: int) -> None:
        """Creates a handful of tasks four times a second."""
        for number in range(rounds):
            requests = [self._request(number) for _ in range(self._random.randint(1, 4))]
            await self.call("POST", "/api/tasks:batchCreate", {"requests": requests})
            await asyncio.sleep(0.25)

    def _request(self, number: int) -> dict[str, Any]:
        task_type, seconds, end = self._random.choice(WORK)
        code, error = self._random.choice(FAILURES)
        script = {"seconds": seconds * self._random.uniform(0.5, 1.5), "steps": 12, "end": end}
        if end != "complete":
            script |= {"code": code, "error": error.format(n=number)}
        else:
            script["result"] = {"frames": 1_800 + number, "id": 9_007_199_254_740_993}
        labels = {"team": self._random.choice(("vision", "search")), "job": str(number % 9)}
        priority = self._random.choice((0, 0, 0, 5))
        return {"type": task_type, "payload": script, "labels": labels, "priority": priority}


@asynccontextmanager
async def loaded_gateway() -> AsyncIterator[tuple[GatewayProcess, str]]:
    """Runs a gateway with servers and work; gives it, and the id of a task that runs."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        gateway = await start_gateway(Path(folder), settings={"INFERRY_WEB": "true"})
        stack.push_async_callback(gateway.stop)
        for name, types, slots in SERVERS:
            flags = ("--name", name, "--capabilities", types, "--max-concurrent", slots)
            mock = await start_mock(gateway, *flags)
            stack.push_async_callback(mock.stop)
        load = Load(gateway)
        # What needs somebody: a type that no server takes, and one that is held back.
        for number in range(3):
            await load.call("POST", "/api/tasks", {"type": "ocr", "payload": {"page": number}})
        paused = {"type": "thumbnail", "reason": "new model is being rolled out"}
        await load.call("POST", "/api/queue/pause", paused)
        await load.create(LOAD_S * 4)
        shown = {
            "type": "video-processing",
            "payload": {
                "seconds": 280,
                "steps": 140,
                "source": {"url": "s3://media/launch.mp4", "frames": 12_345_678_901_234_567_890},
                "scenes": [{"from": 0, "to": 12.5}, {"from": 12.5, "to": 61.04}],
            },
            "labels": {"team": "vision", "customer": "acme"},
            "priority": 9,
        }
        task = await load.call("POST", "/api/tasks", shown)
        going_on = asyncio.create_task(load.create(10_000))
        stack.callback(going_on.cancel)
        await asyncio.sleep(12)
        yield gateway, task["id"]
        going_on.cancel()
        with suppress(asyncio.CancelledError):
            await going_on


async def take(page: Page, url: str, place: str, path: Path) -> None:
    """Takes one picture, once what is shown has come."""
    await page.goto(f"{url}/ui/#/{place}")
    await page.wait_for_selector("main h1, main h2", state="attached")
    await page.wait_for_timeout(2_500)
    await page.screenshot(path=path)


async def take_all(browser: Browser, gateway: GatewayProcess, task_id: str, folder: Path) -> None:
    """Takes every page in both themes, and in a narrow window."""
    places = {name: name for name in PAGES} | {"task": f"task/{task_id}"}
    for theme, size in (("light", SIZE), ("dark", SIZE), ("light", NARROW)):
        suffix = theme if size is SIZE else "narrow"
        async with profile(browser, viewport=size, color_scheme=theme) as context:
            tab = await new_tab(context, gateway.rest, gateway.token)
            for name, place in places.items():
                await take(tab.page, gateway.rest, place, folder / f"{name}-{suffix}.png")
            for flaw in await tab.flaws():
                print(f"{suffix}: {flaw}")  # noqa: T201  # that is what it says


async def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", action="store_true", help="puts the README's two into docs/")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    async with loaded_gateway() as (gateway, task_id), chromium() as browser:
        await take_all(browser, gateway, task_id, given.folder)
    if given.docs:
        for name, theme in (("now", "light"), ("task", "dark")):
            picture = (given.folder / f"{name}-{theme}.png").read_bytes()
            (ROOT / "docs" / f"page-{name}.png").write_bytes(picture)


if __name__ == "__main__":
    asyncio.run(main())
