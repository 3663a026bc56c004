"""The page shows what a token may see, and offers what it may do; the API decides."""

from pathlib import Path

import aiohttp
from aiohttp import web
from playwright.async_api import BrowserContext, Page, expect

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.server.access.tokens import Role
from tests.backends import running_backend
from tests.bridge.web.conftest import OpenTab
from tests.gateways import Running, running_gateway, token

#: Calls as the page would, and gives the status.
CALL = """async ([path, method]) => (await fetch(`../${path}`, {
  method, headers: {Authorization: `Bearer ${sessionStorage.getItem("inferry-token")}`},
})).status"""
OPERATES = ("Drain", "Deregister…", "Pause…", "Resume")


async def buttons_of(page: Page) -> set[str]:
    return {text.strip() for text in await page.locator("button").all_inner_texts()}


async def test_a_client_sees_its_tenant_alone_and_no_button_of_an_admin(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    ours = token(Role.CLIENT, tenant="ours")
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend() as backend,
        open_tab(gateway.url, ours) as tab,
    ):
        page = tab.page
        server = await gateway.register(backend, capabilities=["nothing"])
        await gateway.create()
        status, task = await gateway.call("POST", "/api/tasks", {"type": "echo"}, ours)
        assert status == 202
        await tab.open("#/tasks")
        await expect(page.locator("a.row")).to_have_text([task["id"]])
        assert await page.locator("nav a").all_inner_texts() == ["Tasks", "Servers", "New task"]
        await tab.open("#/servers")
        await expect(page.get_by_role("row", name="backend")).to_be_visible()
        await tab.open(f"#/servers/{server}")
        await expect(page.get_by_role("heading", name="backend")).to_be_visible()
        assert not (await buttons_of(page)).intersection(OPERATES)
        for place in ("now", "types", "failures"):
            await tab.open(f"#/{place}")
            await expect(page.get_by_text("may not see this")).to_be_visible()
        for path, method in (
            (f"api/servers/{server}/drain", "POST"),
            (f"api/servers/{server}", "DELETE"),
            ("api/queue/pause", "POST"),
        ):
            assert await page.evaluate(CALL, [path, method]) == 403
        # The browser itself notes each answer that is an error.
        assert len(tab.errors) == 3
        tab.errors.clear()


async def test_a_backend_s_token_sees_servers_alone(open_tab: OpenTab, tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend() as backend,
        open_tab(gateway.url, token(Role.BACKEND)) as tab,
    ):
        await gateway.register(backend)
        await tab.open("#/servers")
        await expect(tab.page.get_by_role("row", name="backend")).to_be_visible()
        assert await tab.page.locator("nav a").all_inner_texts() == ["Servers"]
        assert "Drain" in await buttons_of(tab.page)


async def test_a_token_is_typed_in_kept_for_the_tab_and_sent_in_a_header_alone(
    open_tab: OpenTab, user: BrowserContext, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url) as tab:
        secret = token()
        asked: list[tuple[str, dict[str, str]]] = []
        tab.page.on("request", lambda one: asked.append((one.url, one.headers)))
        await tab.open()
        await tab.page.get_by_label("Token").fill(f"Bearer {secret}")
        await tab.page.get_by_role("button", name="Sign in").click()
        await expect(tab.page.get_by_text("tester · admin")).to_be_visible()
        await tab.page.reload()
        await expect(tab.page.get_by_text("tester · admin")).to_be_visible()
        assert not [url for url, _ in asked if secret in url]
        calls = [headers for url, headers in asked if "/api/" in url]
        assert {headers["authorization"] for headers in calls} == {f"Bearer {secret}"}
        assert await user.cookies() == []
        assert await tab.page.evaluate("Object.keys(localStorage)") == ["inferry-theme"]
        await tab.page.get_by_role("button", name="Sign out").click()
        await expect(tab.page.get_by_label("Token")).to_be_visible()
        assert await tab.page.evaluate("sessionStorage.getItem('inferry-token')") is None


async def test_a_wrong_token_is_told_why(open_tab: OpenTab, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url) as tab:
        await tab.open()
        await tab.page.get_by_label("Token").fill("nonsense")
        await tab.page.get_by_role("button", name="Sign in").click()
        await expect(tab.page.get_by_role("alert")).to_contain_text("token")
        await expect(tab.page.get_by_label("Token")).to_be_visible()
        assert ["401" in error for error in tab.errors] == [True]
        tab.errors.clear()


async def test_a_code_in_the_address_is_changed_for_a_token_once(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url) as tab:
        auth = token(Role.CLIENT, tenant="ours", subject="olga")
        status, made = await gateway.call("POST", "/api/codes", {}, auth)
        assert status == 200, made
        await tab.open(f"#code={made['code']}")
        await expect(tab.page.get_by_text("olga · client")).to_be_visible()
        # The first page that a client may see.
        await expect(tab.page.get_by_label("Filter of tasks")).to_be_visible()
        assert made["code"] not in tab.page.url
        await tab.page.get_by_role("button", name="Sign out").click()
        await tab.page.goto("about:blank")
        await tab.open(f"#code={made['code']}")
        await expect(tab.page.get_by_role("alert")).to_contain_text("code")
        assert made["code"] not in tab.page.url
        assert ["/api/codes/exchange" in error for error in tab.errors] == [True]
        tab.errors.clear()


async def test_a_page_of_another_origin_can_do_nothing(
    user: BrowserContext, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/ui/") as index:
            script = (await index.text()).partition('src="')[2].partition('"')[0]
        runner = web.AppRunner(_other_site(gateway, script))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            page = await user.new_page()
            await page.goto(f"http://127.0.0.1:{port}/")
            tried = await page.evaluate(_TRY, [gateway.url, token(), script])
        finally:
            await runner.cleanup()
    # Neither reads nor writes, nor is the page or its script to be had within another.
    assert tried == {"read": "blocked", "write": "blocked", "script": "blocked", "window": "cut"}


_TRY = """async ([url, token, script]) => {
  const call = (path, more) => fetch(`${url}${path}`, {
    headers: {Authorization: `Bearer ${token}`}, ...more,
  }).then(() => "done", () => "blocked");
  const read = await call("/api/tasks");
  const write = await call("/api/tasks", {method: "POST", body: '{"type": "echo"}'});
  const element = document.createElement("script");
  element.src = `${url}/ui/${script}`;
  const loaded = new Promise((done) => {
    element.onload = () => done("done");
    element.onerror = () => done("blocked");
  });
  document.head.append(element);
  const other = window.open(`${url}/ui/`);
  await new Promise((done) => setTimeout(done, 500));
  return {read, write, script: await loaded, window: !other || other.closed ? "cut" : "open"};
}"""


def _other_site(gateway: Running, script: str) -> web.Application:
    async def page(_request: web.Request) -> web.Response:
        frame = f'<iframe src="{gateway.url}/ui/"></iframe>'
        return web.Response(text=f"<!doctype html>{frame}{script}", content_type="text/html")

    site = web.Application()
    site.router.add_get("/", page)
    return site


async def test_a_gateway_that_hides_payloads_has_them_shown_nowhere(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await gateway.create(payload={"secret": "hunter2"})
        bridge = Bridge(gateway.gateway.channel, BridgeConfig(port=0, web_hide_payload=True))
        _, port = await bridge.start()
        try:
            async with open_tab(f"http://127.0.0.1:{port}", token()) as tab:
                await tab.open(f"#/task/{task['id']}")
                await expect(tab.page.get_by_text("Hidden by this gateway")).to_be_visible()
                await expect(tab.page.get_by_text("hunter2")).to_have_count(0)
                assert not {
                    one
                    for one in await buttons_of(tab.page)
                    if one.startswith(("Copy as", "Run again"))
                }
        finally:
            await bridge.stop(0.1)
