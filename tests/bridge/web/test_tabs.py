"""One stream a browser, however many tabs look; and none that nobody looks at."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Page, expect

from tests.backends import ACCEPTED, running_backend
from tests.bridge.web.browser import Tab
from tests.bridge.web.conftest import OpenTab
from tests.gateways import Running, running_gateway, token
from tests.processes import start_gateway, start_mock

TABS = 8
#: A tab that is put behind others, and comes back.
SEE = """(hidden) => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def streams_of(page: Page) -> Callable[[], int]:
    """Counts the streams that a tab has opened."""
    opened: list[str] = []
    page.on("request", lambda one: opened.append(one.url))
    return lambda: sum("/api/watch" in url for url in opened)


def open_streams(gateway: Running) -> int:
    """Counts the streams that are open at a gateway."""
    return len(gateway.bridge._streams._tasks)


async def test_eight_tabs_are_live_over_one_stream(open_tab: OpenTab, tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend(ACCEPTED) as backend,
        AsyncExitStack() as stack,
    ):
        await gateway.register(backend)
        task = await gateway.create()
        job = await backend.next_job()
        tabs: list[Tab] = []
        for _ in range(TABS):
            tabs.append(await stack.enter_async_context(open_tab(gateway.url, token())))
            await tabs[-1].open(f"#/task/{task['id']}")
        for tab in tabs:
            await expect(tab.page.locator(".badge")).to_have_text("Live")
        await backend.report(job, status="PROCESSING", progress=10, message="for all to see")
        for tab in tabs:
            await expect(tab.page.locator(".standing")).to_contain_text("for all to see")
        assert open_streams(gateway) == 1

        # Most stand back: whoever is left goes on, and has missed nothing.
        for tab in tabs[:-1]:
            await tab.page.evaluate(SEE, True)
            await expect(tab.page.locator(".badge")).to_have_text("Paused")
        await backend.report(job, status="PROCESSING", progress=60, message="for one to see")
        await expect(tabs[-1].page.locator(".standing")).to_contain_text("for one to see")
        assert open_streams(gateway) == 1
        await tabs[-1].page.evaluate(SEE, True)
        await expect(tabs[-1].page.locator(".badge")).to_have_text("Paused")
        # The gateway ends it as soon as it finds nobody there.
        await gateway.eventually("/health", lambda _: not open_streams(gateway))

        # What happened unseen is there when they come back.
        await backend.report(job, status="COMPLETED", result=1)
        for tab in tabs:
            await tab.page.evaluate(SEE, False)
        for tab in tabs:
            await expect(tab.page.locator(".standing")).to_contain_text("Completed")
        assert open_streams(gateway) == 1


async def test_tabs_of_other_tenants_share_nothing(open_tab: OpenTab, tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        open_tab(gateway.url, token()) as one,
        open_tab(gateway.url, token(tenant="other")) as other,
    ):
        counts = [streams_of(tab.page) for tab in (one, other)]
        for tab in (one, other):
            await tab.open("#/tasks")
            await expect(tab.page.locator(".badge")).to_have_text("Live")
        assert [count() for count in counts] == [1, 1]


async def test_a_stream_that_is_paused_asks_for_nothing_and_catches_up(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url, token()) as tab:
        badge, rows = tab.page.locator(".badge"), tab.page.locator("a.row")
        await tab.open("#/tasks")
        await expect(badge).to_have_text("Live")
        await badge.click()
        await expect(badge).to_have_text("Paused")
        task = await gateway.create()
        await expect(rows).to_have_count(0)
        await badge.click()
        await expect(badge).to_have_text("Live")
        await expect(rows).to_have_text([task["id"]])


async def test_a_page_goes_on_after_a_kill_of_the_gateway_without_a_reload(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    gateway = await start_gateway(tmp_path)
    try:
        mock = await start_mock(gateway, "--capabilities", "echo")
        try:
            async with open_tab(gateway.rest, gateway.token) as tab:
                badge = tab.page.locator(".badge")
                count = streams_of(tab.page)
                await tab.open("#/new")
                await tab.page.get_by_label("Type").fill("echo")
                await tab.page.get_by_label("Payload").fill('{"seconds": 4, "steps": 40}')
                await tab.page.get_by_role("button", name="Create it").click()
                standing = tab.page.locator(".standing")
                await expect(standing).to_contain_text("Running")
                await gateway.kill()
                await expect(badge).to_have_text("Reconnecting")
                await gateway.restart()
                await expect(badge).to_have_text("Live")
                await expect(standing).to_contain_text("Completed")
                assert count() > 1
                # The browser itself notes each call that nobody answered.
                tab.errors[:] = [one for one in tab.errors if "net::ERR_" not in one]
        finally:
            await mock.stop()
    finally:
        await gateway.stop()
