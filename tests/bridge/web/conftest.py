"""One browser for all tests of the page, and tabs that must not do anything wrong."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.bridge.web.browser import CHROMIUM, Tab, chromium, new_tab, profile

#: Opens a tab: URL of the gateway, token, and whose tab it is; none for somebody else's.
OpenTab = Callable[..., AbstractAsyncContextManager[Tab]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM:
        # On a laptop it may be missing; where changes are judged it may not.
        assert os.environ.get("CI") != "true", "there is no chromium"
        pytest.skip("there is no chromium")
    async with chromium() as running:
        yield running


@pytest.fixture
async def user(browser: Browser) -> AsyncIterator[BrowserContext]:
    """What the tabs of one user share."""
    async with profile(browser, viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(20_000)
        yield context


@pytest.fixture
def open_tab(user: BrowserContext) -> OpenTab:
    """Opens tabs; none of them may have errors in its console, or be kept from anything."""

    @asynccontextmanager
    async def opened(
        url: str, token: str = "", context: BrowserContext | None = None
    ) -> AsyncIterator[Tab]:
        tab = await new_tab(context or user, url, token)
        yield tab
        assert await tab.flaws() == []
        await tab.page.close()

    return opened
