"""Payloads and results, looked into as the texts that they are."""

import json
from pathlib import Path

from playwright.async_api import expect

from tests.backends import running_backend, say
from tests.bridge.web.conftest import OpenTab
from tests.gateways import running_gateway, token

BIG = 123456789012345678901234567890


async def test_large_numbers_keep_their_digits_wherever_they_go(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    answer = say(b'{"status": "success", "result": {"sum": %d}}' % BIG)
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend(answer) as backend,
        open_tab(gateway.url, token()) as tab,
    ):
        await gateway.register(backend)
        task = await gateway.create(payload={"n": BIG, "deep": {"er": [1.10, {"x": "ü\n"}]}})
        page = tab.page
        await tab.open(f"#/task/{task['id']}")
        await expect(page.get_by_role("figure", name="Result")).to_contain_text(str(BIG))
        payload = page.get_by_role("figure", name="Payload")
        await expect(payload).to_contain_text(f"n: {BIG}")
        await expect(payload).to_contain_text('x: "ü\\n"')
        await page.get_by_role("button", name="Run again…").click()
        typed = page.get_by_label("Payload")
        text = await typed.input_value()
        assert json.loads(text) == {"n": BIG, "deep": {"er": [1.10, {"x": "ü\n"}]}}
        await typed.fill(text.replace(str(BIG), str(BIG + 1)))
        await page.get_by_role("button", name="Create it").click()
        await expect(page.locator(".standing")).to_contain_text("Completed")
        await expect(page.get_by_role("figure", name="Payload")).to_contain_text(str(BIG + 1))
        assert json.loads(backend.bodies[-1])["payload"]["n"] == BIG + 1


async def test_what_is_no_json_object_is_not_sent(open_tab: OpenTab, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url, token()) as tab:
        await tab.open("#/new")
        await tab.page.get_by_label("Type").fill("echo")
        create = tab.page.get_by_role("button", name="Create it")
        for wrong in ("[1]", '{"a": }', ""):
            await tab.page.get_by_label("Payload").fill(wrong)
            await expect(create).to_be_disabled()
        await tab.page.get_by_label("Payload").fill('{"a": 1}')
        await expect(create).to_be_enabled()


async def test_a_large_value_is_read_when_somebody_asks_for_it(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    items = [f"item number {number}" for number in range(10_000)]
    answer = say({"status": "success", "result": items})
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend(answer) as backend,
        open_tab(gateway.url, token()) as tab,
    ):
        await gateway.register(backend)
        task = await gateway.create(payload={"text": "x" * 100_000})
        await gateway.task(task["id"], wait_s=10)
        sizes: dict[str, int] = {}
        tab.page.on(
            "response",
            lambda one: sizes.update({one.url: int(one.headers.get("content-length", 0))}),
        )
        await tab.open(f"#/task/{task['id']}")
        result = tab.page.locator("section", has=tab.page.get_by_role("heading", name="Result"))
        show = result.get_by_role("button", name="Show")
        await expect(show).to_be_visible()
        assert sum(size for url, size in sizes.items() if "/api/" in url) < 50_000
        await show.click()
        figure = tab.page.get_by_role("figure", name="Result")
        await expect(figure).to_contain_text("item number 99")
        await expect(figure).not_to_contain_text("item number 100")
        await figure.get_by_role("button", name="more").click()
        await expect(figure).to_contain_text("item number 999")
