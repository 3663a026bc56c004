"""A page of another origin watches a task by a stream URL, with the browser's own EventSource."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import BrowserContext, Page, Request

from tests.backends import ACCEPTED, running_backend
from tests.gateways import Running, running_gateway

DOCS = (Path(__file__).parents[3] / "docs" / "rest.md").read_text()
(WATCH,) = re.findall(r"```js\n(async function watch.*?)```", DOCS, re.DOTALL)

#: Has what was shown at hand, and waits for what is to be shown.
_SHOWN = """
globalThis.shown = [];
globalThis.until = (wanted) => new Promise((done) => {
  const look = () => (shown.some(wanted) ? done(shown) : setTimeout(look, 20));
  look();
});
"""


@asynccontextmanager
async def another_site(user: BrowserContext) -> AsyncIterator[Page]:
    """Opens a page of somebody else, whose origin no setting of the gateway names."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>A shop</title>", content_type="text/html")

    site = web.Application()
    site.router.add_get("/", page)
    runner = web.AppRunner(site)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    try:
        port = listening._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        tab = await user.new_page()
        await tab.goto(f"http://127.0.0.1:{port}/")
        await tab.add_script_tag(content=_SHOWN + WATCH)
        yield tab
    finally:
        await runner.cleanup()


async def made(gateway: Running, task_id: str, **body: object) -> str:
    status, answer = await gateway.call("POST", f"/api/tasks/{task_id}/stream-url", body)
    assert status == 200, answer
    return str(answer["url"])


async def seen(page: Page, wanted: str) -> list[dict[str, Any]]:
    """Waits until something like this was shown; gives all that was, but for places in line."""
    shown: list[dict[str, Any]] = await page.evaluate(f"until({wanted})")
    return [one for one in shown if one["kind"] != "QUEUED"]


async def test_the_documented_page_sees_a_task_to_its_end_through_breaks_and_an_expired_url(
    user: BrowserContext, tmp_path: Path
) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend(ACCEPTED) as backend,
        another_site(user) as page,
    ):
        await gateway.register(backend)
        task = await gateway.create()
        job = await backend.next_job()
        urls: list[str] = []

        async def stream_url(task_id: str) -> str:
            # The first is over soon, the second is not.
            urls.append(await made(gateway, task_id, ttl=60_000 if urls else 1_000))
            return urls[-1]

        asked: list[Request] = []
        page.on("request", lambda one: asked.append(one) if "/events" in one.url else None)
        await page.expose_function("streamUrl", stream_url)
        async with page.expect_request(lambda one: bool(urls[1:]) and urls[-1] in one.url):
            await page.evaluate("(task) => watch(task, (one) => shown.push(one))", task["id"])
        await backend.report(job, status="PROCESSING", progress=45)
        await seen(page, "(one) => one.progress === 45")

        # A replica that stops ends its streams; the browser comes back by itself.
        async with page.expect_request(lambda one: urls[-1] in one.url, timeout=20_000):
            gateway.bridge._streams.end()
        await backend.report(job, status="COMPLETED", result={"answer": 42})
        shown = await seen(page, "(one) => one.kind === 'FINISHED'")
        assert [one["kind"] for one in shown] == [
            *("CREATED", "DISPATCHED", "PROGRESSED", "FINISHED"),
        ]
        assert shown[-1]["task"]["result"] == {"answer": 42}
        assert len(urls) == 2
        headers = [await one.all_headers() for one in asked]
        assert headers[-1]["last-event-id"] == str(shown[-2]["seq"])
        assert not [one for one in headers if "authorization" in one]


async def test_a_page_can_do_nothing_else_with_the_ticket(
    user: BrowserContext, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, another_site(user) as page:
        task = await gateway.create()
        url = await made(gateway, task["id"])
        read = "(url) => fetch(url).then((answer) => answer.status, () => 'blocked')"
        assert await page.evaluate(read, f"{url}&withoutWaiting=true") == 200
        # Why not, it may read, too.
        assert await page.evaluate(read, f"{url}A") == 401
        for other in (url.replace("/events", ""), url.replace("/events", "/attempts")):
            assert await page.evaluate(read, other) == "blocked"
