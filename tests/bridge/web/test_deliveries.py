"""What webhooks were told of a task is seen with the task, and told again from there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from inferry.server.access.tokens import Role
from tests.backends import running_backend
from tests.bridge.web.browser import findings, profile
from tests.bridge.web.conftest import OpenTab
from tests.gateways import Running, running_gateway, token
from tests.receivers import NETWORKS, Receiver, answer, running_receiver


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with (
        running_gateway(tmp_path, webhook_networks=NETWORKS) as running,
        running_backend() as backend,
    ):
        await running.register(backend)
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


def panel(page: Page) -> Locator:
    return page.locator("section", has=page.get_by_role("heading", name="Told to webhooks"))


async def test_what_was_told_is_seen_as_it_happens_and_told_again(
    open_tab: OpenTab, gateway: Running, receiver: Receiver
) -> None:
    await gateway.call("POST", "/api/webhooks", {"url": receiver.url})
    task = await gateway.create(webhook={"url": receiver.url})
    async with open_tab(gateway.url, token()) as tab:
        await tab.open(f"#/task/{task['id']}")
        rows = panel(tab.page).get_by_role("listitem")
        await expect(rows).to_have_count(2)
        for row in (0, 1):
            await expect(rows.nth(row)).to_contain_text("Completed")
            await expect(rows.nth(row)).to_contain_text("Delivered")
            await expect(rows.nth(row)).to_contain_text("204")
        await expect(rows.filter(has_text=receiver.url)).to_have_count(1)
        first = [await receiver.next() for _ in range(2)]

        own = rows.filter(has_text="its own webhook")
        await own.get_by_role("button", name="Redeliver").click()
        again = await receiver.next()
        assert again.id == first[0].id
        await expect(tab.page.get_by_role("status")).to_contain_text("sent again")
        # To the one that was meant, and to no other.
        await expect(own.locator("summary")).to_have_text("204 (1 before)")
        await expect(own).to_contain_text("Delivered")
        assert receiver.messages.empty()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_where_something_was_told_twice(
    browser: Browser, open_tab: OpenTab, gateway: Running, receiver: Receiver, theme: Any
) -> None:
    task = await gateway.create(webhook={"url": receiver.url})
    async with (
        profile(browser, color_scheme=theme, reduced_motion="reduce") as context,
        open_tab(gateway.url, token(), context) as tab,
    ):
        await tab.open(f"#/task/{task['id']}")
        row = panel(tab.page).get_by_role("listitem")
        await row.get_by_role("button", name="Redeliver").click()
        await row.locator("summary").click()
        await expect(row.locator("details div")).to_be_visible()
        assert await findings(tab.page) == []


async def test_one_that_was_given_up_says_why_and_can_be_told_again(
    open_tab: OpenTab, gateway: Running, receiver: Receiver
) -> None:
    receiver.answer = answer(410, "moved away")
    _, hook = await gateway.call("POST", "/api/webhooks", {"url": receiver.url})
    task = await gateway.create()
    async with open_tab(gateway.url, token(Role.CLIENT)) as tab:
        await tab.open(f"#/task/{task['id']}")
        row = panel(tab.page).get_by_role("listitem")
        await expect(row).to_contain_text("Given up")
        await expect(row).to_contain_text("410: moved away")
        redeliver = row.get_by_role("button", name="Redeliver")
        await redeliver.click()
        # A receiver that is gone hears of nothing until somebody says so.
        await expect(tab.page.get_by_role("status")).to_contain_text("still hears")
        assert ["404" in error for error in tab.errors] == [True]
        tab.errors.clear()
        receiver.answer = answer(204)
        await gateway.call("PUT", f"/api/webhooks/{hook['id']}", {"url": receiver.url})
        await redeliver.click()
        await expect(row).to_contain_text("Delivered")
        await row.locator("summary").click()
        await expect(row.locator("details div")).to_contain_text("410: moved away")


async def test_one_that_waits_says_when_it_is_tried_next(
    open_tab: OpenTab, gateway: Running, receiver: Receiver
) -> None:
    receiver.answer = answer(503)
    task = await gateway.create(webhook={"url": receiver.url})
    async with open_tab(gateway.url, token()) as tab:
        await tab.open(f"#/task/{task['id']}")
        row = panel(tab.page).get_by_role("listitem")
        await expect(row).to_contain_text("Waiting")
        await expect(row).to_contain_text("503")
        await expect(row).to_contain_text("next")
        await expect(row.get_by_role("button")).to_have_count(0)


async def test_a_task_of_which_nobody_is_told_has_no_such_panel(
    open_tab: OpenTab, gateway: Running
) -> None:
    task = await gateway.create()
    async with open_tab(gateway.url, token()) as tab:
        await tab.open(f"#/task/{task['id']}")
        await expect(tab.page.locator(".standing")).to_contain_text("Completed")
        async with tab.page.expect_response(lambda one: one.url.endswith("/deliveries")):
            await tab.page.reload()
        await expect(tab.page.get_by_role("heading", name="Events")).to_be_visible()
        await expect(panel(tab.page)).to_have_count(0)
