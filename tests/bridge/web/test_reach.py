"""The page is for everybody: with a keyboard, with a screen reader, in light and in dark."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.backends import running_backend, say
from tests.bridge.web.browser import Tab, findings, profile
from tests.bridge.web.conftest import OpenTab
from tests.gateways import Running, running_gateway, token
from tests.receivers import NETWORKS

FAILURE = say({"status": "error", "error": "shape mismatch", "code": "MODEL_ERROR"})


async def a_little_of_everything(gateway: Running, url: str) -> dict[str, str]:
    """Makes what the pages can show; gives the places of it, and a word that each of them has."""
    said = {"url": url, "name": "backend", "capabilities": ["echo"]}
    _, server = await gateway.call("POST", "/api/servers/register", said)
    # Where nobody is: what is to be told waits.
    hook = {"url": "http://127.0.0.1:9/told"}
    failed = await gateway.create(
        payload={"a": [1, {"b": None}]}, labels={"team": "vision"}, webhook=hook
    )
    await gateway.task(failed["id"], wait_s=10)
    waiting = await gateway.create(type="lonely")
    await gateway.call("POST", "/api/queue/pause", {"type": "held", "reason": "new model"})
    return {
        "now": "held: paused",
        "tasks": failed["id"],
        "failures": "shape mismatch",
        "servers": "backend",
        "types": "new model",
        "new": "A JSON object",
        f"servers/{server['id']}": failed["id"],
        f"task/{failed['id']}": "Told to webhooks",
        f"task/{waiting['id']}": "register a server",
    }


async def show(tab: Tab, place: str, word: str) -> None:
    """Goes to a place, and waits until what it has is there."""
    await tab.open(f"#/{place}")
    await expect(tab.page.get_by_text(word).first).to_be_attached()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page(
    browser: Browser, open_tab: OpenTab, tmp_path: Path, theme: Any
) -> None:
    found: list[str] = []
    async with (
        running_gateway(tmp_path, webhook_networks=NETWORKS) as gateway,
        running_backend(FAILURE) as backend,
        profile(browser, color_scheme=theme, reduced_motion="reduce") as context,
    ):
        places = await a_little_of_everything(gateway, backend.url)
        async with open_tab(gateway.url, "", context) as tab:
            await tab.open()
            await expect(tab.page.get_by_label("Token")).to_be_visible()
            found += await findings(tab.page)
        async with open_tab(gateway.url, token(), context) as tab:
            for place, word in places.items():
                await show(tab, place, word)
                found += await findings(tab.page)
            await tab.page.keyboard.press("?")
            await expect(tab.page.get_by_role("dialog")).to_be_visible()
            found += await findings(tab.page)
    assert found == []


async def test_everything_is_reached_by_keys(open_tab: OpenTab, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url, token()) as tab:
        ids = [(await gateway.create())["id"] for _ in range(3)]
        page, press = tab.page, tab.page.keyboard.press
        await tab.open("#/now")
        await expect(page.get_by_text("Needs attention")).to_be_visible()
        await press("2")
        await expect(page.locator("a.row")).to_have_count(3)
        await press("j")
        await press("j")
        await press("k")
        await press("j")
        await expect(page.locator("a.row").nth(1)).to_be_focused()
        await press("Enter")
        await expect(page.get_by_role("heading", name=ids[1])).to_be_visible()
        await press("2")
        await press("/")
        await expect(page.get_by_label("Filter of tasks")).to_be_focused()
        await page.keyboard.type("type:j")
        await press("Enter")
        await expect(page.get_by_text("No task is like that")).to_be_visible()
        await press("Escape")
        await page.locator(".who").click()
        await press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_theme_is_the_system_s_until_somebody_chooses(
    browser: Browser, open_tab: OpenTab, tmp_path: Path
) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    async with (
        running_gateway(tmp_path) as gateway,
        profile(browser, color_scheme="dark") as context,
        open_tab(gateway.url, token(), context) as tab,
    ):
        await tab.open("#/servers")
        dark = await tab.page.evaluate(paper)
        await tab.page.get_by_role("button", name="Theme: auto").click()
        light = await tab.page.evaluate(paper)
        assert dark != light
        await tab.page.reload()
        await expect(tab.page.get_by_role("button", name="Theme: light")).to_be_visible()
        assert await tab.page.evaluate(paper) == light


@pytest.mark.parametrize("width", [360, 800])
async def test_a_narrow_window_needs_no_scrolling_sideways(
    browser: Browser, open_tab: OpenTab, tmp_path: Path, width: int
) -> None:
    async with (
        running_gateway(tmp_path, webhook_networks=NETWORKS) as gateway,
        running_backend(FAILURE) as backend,
        profile(browser, viewport={"width": width, "height": 700}) as context,
    ):
        places = await a_little_of_everything(gateway, backend.url)
        async with open_tab(gateway.url, token(), context) as tab:
            for place, word in places.items():
                await show(tab, place, word)
                assert await tab.page.evaluate("document.body.scrollWidth") <= width, place
