"""What an operator sees of tasks while it happens."""

from pathlib import Path

from playwright.async_api import expect

from tests.backends import ACCEPTED, running_backend, say
from tests.bridge.web.conftest import OpenTab
from tests.gateways import running_gateway, token


async def test_a_task_s_whole_life_is_seen_as_it_happens(open_tab: OpenTab, tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend(ACCEPTED) as backend,
        open_tab(gateway.url, token()) as tab,
    ):
        page = tab.page
        await tab.open("#/new")
        await page.get_by_label("Type").fill("echo")
        await page.get_by_label("Payload").fill('{"n": 12345678901234567890}')
        await page.get_by_role("button", name="Create it").click()
        standing = page.locator(".standing")
        await expect(standing).to_contain_text("Waiting")
        await expect(page.get_by_text("register a server")).to_be_visible()

        await gateway.register(backend)
        job = await backend.next_job()
        assert backend.bodies[-1].count(b"12345678901234567890") == 1
        await backend.report(job, status="PROCESSING", progress=45, message="half of it")
        await expect(standing).to_contain_text("Running")
        await expect(standing).to_contain_text("45 %")
        await expect(standing).to_contain_text("half of it")

        await backend.report(job, status="COMPLETED", result={"answer": 42})
        await expect(standing).to_contain_text("Completed")
        await expect(page.get_by_role("figure", name="Result")).to_contain_text("answer: 42")
        events = page.locator("section", has=page.get_by_role("heading", name="Events"))
        for word in ("Created", "Dispatched", "Accepted", "Progressed", "Completed"):
            await expect(events).to_contain_text(word)
        outcome = page.locator("section", has=page.get_by_role("heading", name="Attempts"))
        await expect(outcome).to_contain_text("Succeeded")


async def test_a_list_follows_its_filter_as_tasks_change(open_tab: OpenTab, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, running_backend(ACCEPTED) as backend:
        await gateway.register(backend)
        async with open_tab(gateway.url, token()) as tab:
            await tab.open("#/tasks?filter=status:PENDING,PROCESSING+type:echo")
            rows = tab.page.locator("a.row")
            await expect(tab.page.get_by_text("No task is like that")).to_be_visible()
            other = await gateway.create(type="other", labels={"team": "vision"})
            task = await gateway.create()
            job = await backend.next_job()
            await expect(rows).to_have_text([task["id"]])
            await backend.report(job, status="FAILED", error="it broke", code="BROKEN")
            await expect(rows).to_have_count(0)

            await tab.page.get_by_label("Filter of tasks").fill("label.team:vision")
            await tab.page.keyboard.press("Enter")
            await expect(rows).to_have_text([other["id"]])
            assert "filter=label.team" in tab.page.url
            await tab.page.go_back()
            await expect(rows).to_have_count(0)


async def test_what_is_done_to_a_task_is_asked_for_and_done(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway:
        task = await gateway.create()
        async with open_tab(gateway.url, token()) as tab:
            page = tab.page
            await tab.open(f"#/task/{task['id']}")
            await page.get_by_role("button", name="Cancel…").click()
            await page.get_by_role("button", name="Leave it").click()
            assert (await gateway.task(task["id"]))["status"] == "PENDING"
            await page.get_by_role("button", name="Cancel…").click()
            await page.get_by_label("Reason").fill("not needed")
            await page.get_by_role("button", name="Cancel the task").click()
            await expect(page.locator(".standing")).to_contain_text("Cancelled")
            await expect(page.locator(".standing")).to_contain_text("not needed")
            await page.get_by_role("button", name="Retry").click()
            await expect(page.locator(".standing")).to_contain_text("Waiting")


async def test_servers_and_types_are_steered(open_tab: OpenTab, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, running_backend() as backend:
        server = await gateway.register(backend)
        await gateway.create(type="lonely")
        async with open_tab(gateway.url, token()) as tab:
            page = tab.page
            await tab.open("#/servers")
            await page.get_by_role("button", name="Drain").click()
            await expect(page.get_by_role("row", name="backend")).to_contain_text("Draining")
            await page.get_by_role("button", name="Resume").click()
            await expect(page.get_by_role("row", name="backend")).to_contain_text("Active")
            await page.get_by_role("link", name="Types").click()
            row = page.get_by_role("row", name="lonely").first
            await expect(row).to_contain_text("No server")
            await row.get_by_role("button", name="Pause…").click()
            await page.get_by_label("Reason").fill("new model")
            await page.get_by_role("button", name="Pause it").click()
            await expect(row).to_contain_text("new model")
            await row.get_by_role("button", name="Why does it wait?").click()
            await expect(page.get_by_text("inferry unpause")).to_be_visible()
            await row.get_by_role("button", name="Resume").click()
            await expect(row).to_contain_text("Open")
            await page.get_by_role("link", name="Servers").click()
            await page.get_by_role("button", name="Deregister…").click()
            await page.get_by_role("button", name="Deregister it").click()
            await expect(page.get_by_text("No server has registered")).to_be_visible()
            status, _ = await gateway.call("GET", f"/api/servers/{server}")
            assert status == 404


async def test_why_a_task_waits_is_told_anew_as_that_changes(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url, token()) as tab:
        task = await gateway.create()
        await tab.open(f"#/task/{task['id']}")
        await expect(tab.page.get_by_text("register a server")).to_be_visible()
        await gateway.call("POST", "/api/queue/pause", {"type": "echo", "reason": "new model"})
        await expect(tab.page.get_by_text("new model")).to_be_visible(timeout=20_000)


async def test_what_is_done_to_all_that_match_is_counted_first(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    broken = say({"status": "error", "error": "shape mismatch", "code": "MODEL_ERROR"})
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend(broken) as backend,
        open_tab(gateway.url, token()) as tab,
    ):
        page = tab.page
        await gateway.register(backend)
        failed = [(await gateway.create())["id"] for _ in range(3)]
        for one in failed:
            await gateway.task(one, wait_s=10)
        others = [(await gateway.create(type="later"))["id"] for _ in range(2)]
        await tab.open("#/tasks?filter=status:PENDING+type:later")
        await expect(page.locator("a.row")).to_have_count(2)
        await page.get_by_role("button", name="Cancel all…").click()
        await expect(page.get_by_role("heading", name="Cancel 2 tasks?")).to_be_visible()
        await page.get_by_role("button", name="Cancel them").click()
        await expect(page.get_by_role("status")).to_have_text("2 cancelled")
        assert {(await gateway.task(one))["status"] for one in others} == {"CANCELLED"}

        await page.get_by_role("button", name="Failed today").click()
        await expect(page.locator("a.row")).to_have_count(3)
        await page.get_by_role("link", name="Failures").click()
        # Until the other page is painted, the rows are those of tasks that failed so.
        await expect(page.locator("a.row")).to_have_count(0)
        group = page.get_by_role("row", name="shape mismatch")
        await expect(group).to_contain_text("MODEL_ERROR")
        await group.get_by_role("link", name="shape mismatch").click()
        await expect(page.locator("a.row")).to_have_count(3)
        await page.get_by_role("link", name="Failures").click()
        backend.answer = say({"status": "success", "result": 1})
        await group.get_by_role("button", name="Retry…").click()
        await expect(page.get_by_role("heading", name="Retry 3 tasks?")).to_be_visible()
        await page.get_by_role("button", name="Retry them").click()
        await expect(page.get_by_role("status")).to_have_text("3 wait again")
        for one in failed:
            assert (await gateway.task(one, wait_s=10))["status"] == "COMPLETED"


async def test_now_shows_how_it_goes_and_what_needs_somebody(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        running_backend() as backend,
        open_tab(gateway.url, token()) as tab,
    ):
        page = tab.page
        await gateway.register(backend)
        done = await gateway.create()
        await gateway.task(done["id"], wait_s=10)
        await gateway.create(type="lonely")
        await gateway.call("POST", "/api/queue/pause", {"type": "held", "reason": "new model"})
        await tab.open("#/now")
        tiles = page.locator(".tiles")
        await expect(tiles).to_contain_text("Waiting1")
        await expect(tiles).to_contain_text("Slots taken0 / 10")
        await expect(tiles).to_contain_text("Ended, last minute1")
        await expect(page.get_by_role("img", name="Tasks each")).to_be_visible()
        await expect(page.locator(".plot")).to_have_count(4)
        lonely = page.get_by_role("listitem").filter(has_text="lonely: no server")
        await expect(lonely).to_contain_text("register a server with: lonely")
        held = page.get_by_role("listitem").filter(has_text="held: paused")
        await held.get_by_role("button", name="Resume").click()
        await expect(held).to_have_count(0)


async def test_a_plot_says_in_whole_seconds_what_a_point_of_it_stands_for(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, open_tab(gateway.url, token()) as tab:
        await tab.open("#/now")
        await expect(tab.page.get_by_text("Tasks each 5 s", exact=True)).to_be_visible()
