"""The page of endpoints, in a real browser: what there is, and a way to try it."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from shutil import which

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.backends import running_backend
from tests.bridge.upstream import Client
from tests.gateways import Running, running_gateway, token

CHROMIUM = which("chromium")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        # On a laptop it may be missing; where changes are judged it may not.
        assert os.environ.get("CI") != "true", "there is no chromium"
        pytest.skip("there is no chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        await running.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_backend() as backend, running_gateway(tmp_path) as running:
        await running.register(backend)
        yield running


@pytest.fixture
async def page(browser: Browser, served: Running) -> AsyncIterator[Page]:
    """The page of a gateway; nothing that it does may be against its own policy."""
    context = await browser.new_context()
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await page.add_init_script(
        "globalThis.violations = []; addEventListener('securitypolicyviolation',"
        " (one) => globalThis.violations.push(one.violatedDirective))"
    )
    await page.goto(f"{served.url}/docs")
    yield page
    assert wrong == []
    assert await page.evaluate("globalThis.violations") == []
    await context.close()


async def send(page: Page, endpoint: str, **fields: str) -> None:
    """Opens an endpoint, fills its fields in and sends the request."""
    verb, path = endpoint.split(" ")
    place = page.locator(f'details[data-verb="{verb}"][data-path="{path}"]')
    if await place.get_attribute("open") is None:
        await place.locator("summary").click()
    for name, text in fields.items():
        # The words below a field are part of its label.
        await place.get_by_label(name, exact=False).first.fill(text)
    await place.get_by_role("button", name="Send").click()


async def test_a_call_can_be_tried_with_a_token(page: Page) -> None:
    await page.get_by_label("Token").fill(token())
    await send(
        page, "POST /api/tasks", Body='{"type": "echo", "payload": {"n": 12345678901234567890}}'
    )
    answer = page.locator('details[data-verb="POST"][data-path="/api/tasks"] pre')
    await expect(answer).to_contain_text("202 Accepted")
    location = (await answer.inner_text()).partition("location: /api/tasks/")[2].split()[0]
    await send(page, "GET /api/tasks/{id}", id=location, wait="10")
    task = page.locator('details[data-verb="GET"][data-path="/api/tasks/{id}"] pre')
    await expect(task).to_contain_text('"status":"COMPLETED"')
    # As it was sent: JavaScript has no such number.
    await expect(task).to_contain_text('{"n": 12345678901234567890}')
    await send(page, "GET /api/tasks/{id}/events", id=location)
    events = page.locator('details[data-path="/api/tasks/{id}/events"] pre')
    await expect(events).to_contain_text("event: finished")


async def test_fields_of_a_query_are_said_as_the_document_has_them(
    page: Page, served: Running
) -> None:
    wanted = await served.create(labels={"team": "vision", "stage": "test"})
    other = await served.create(labels={"team": "speech"})
    await page.get_by_label("Token").fill(token())
    await send(page, "GET /api/tasks", labels="team=vision stage=test", pageSize="10")
    tasks = page.locator('details[data-verb="GET"][data-path="/api/tasks"] pre')
    await expect(tasks).to_contain_text(str(wanted["id"]))
    await expect(tasks).not_to_contain_text(str(other["id"]))


async def test_a_stream_is_shown_as_it_comes_and_can_be_stopped(page: Page) -> None:
    await page.get_by_label("Token").fill(token())
    await send(page, "GET /api/watch")
    place = page.locator('details[data-path="/api/watch"]')
    await expect(place.locator("pre")).to_contain_text('"snapshotComplete":true')
    await place.get_by_role("button", name="Stop").click()
    await expect(place.get_by_role("button", name="Stop")).to_be_hidden()


async def test_a_token_stays_in_its_tab_alone(page: Page, served: Running) -> None:
    await page.get_by_label("Token").fill("secret")
    await send(page, "GET /api/queue")
    answer = page.locator('details[data-path="/api/queue"] pre')
    await expect(answer).to_contain_text("401 Unauthorized")
    await page.reload()
    await expect(page.get_by_label("Token")).to_have_value("secret")
    assert await page.evaluate("[localStorage.length, document.cookie, location.href]") == [
        0,
        "",
        f"{served.url}/docs",
    ]
    another = await page.context.new_page()
    await another.goto(f"{served.url}/docs")
    await expect(another.get_by_label("Token")).to_have_value("")
    await another.close()


async def test_the_page_may_run_its_own_script_and_call_its_own_gateway(client: Client) -> None:
    async with client.http.get("/docs") as response:
        text, policy = await response.text(), response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
    for kind in ("script", "style"):
        own = text.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        digest = b64encode(sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy
    assert text.count("<script") == 1
