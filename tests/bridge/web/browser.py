"""A real browser, and tabs in it that count what a page must not do."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from shutil import which
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from inferry.bridge.web.files import BUNDLE

CHROMIUM = which("chromium")
AXE = BUNDLE.parent / "page/node_modules/axe-core/axe.min.js"

#: Counts what the page's own policy kept it from: the console tells, too, but in words of its own.
_COUNT = """
globalThis.violations = [];
addEventListener("securitypolicyviolation", (e) =>
  globalThis.violations.push(`${e.violatedDirective}: ${e.blockedURI} ${e.sample}`));
"""


@dataclass
class Tab:
    """A tab, and what went wrong in it."""

    page: Page
    url: str
    #: Errors of the console, and exceptions that nobody caught.
    errors: list[str] = field(default_factory=list)

    async def open(self, place: str = "") -> None:
        """Goes to a place of the page, such as ``#/tasks``, and waits until it is shown."""
        await self.page.goto(f"{self.url}/ui/{place}")

    async def flaws(self) -> list[str]:
        """Gives all that went wrong so far."""
        violations: list[str] = await self.page.evaluate("globalThis.violations")
        return violations + self.errors

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Starts Debian's Chromium."""
    assert CHROMIUM
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def profile(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """Gives what one user's tabs share."""
    context = await browser.new_context(**options)
    try:
        yield context
    finally:
        await context.close()


async def new_tab(context: BrowserContext, url: str, token: str = "") -> Tab:
    """Opens a tab for a gateway; with a token, as if it had been typed in."""
    page = await context.new_page()
    tab = Tab(page, url)
    page.on("console", tab._note)  # its own
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    await page.add_init_script(_COUNT)
    if token:
        # Once: a page that signs out is to stay so.
        await page.add_init_script(
            f"if (!sessionStorage.known) sessionStorage.setItem('inferry-token', {token!r});"
            "sessionStorage.known = '1';"
        )
    return tab


async def findings(page: Page) -> list[str]:
    """Gives what axe-core has against a page."""
    await page.evaluate(AXE.read_text())
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{page.url} {one['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
