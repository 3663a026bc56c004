"""The guide's two backends, for real: started as the README says, behind a real gateway."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from inferry.server.access.backend_tokens import BackendTokens
from inferry.server.access.secret import read_secret
from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import SystemClock
from tests.processes import start_gateway

EXAMPLES = Path(__file__).parents[2] / "examples"
BACKENDS: dict[str, list[str | Path]] = {
    "fastapi": [sys.executable, EXAMPLES / "fastapi_backend" / "app.py"],
    "express": ["node", EXAMPLES / "express_backend" / "server.js"],
}
WITHIN_S = 30
TYPE = "test-processing"


@dataclass
class Running:
    """A gateway, and the one backend that has registered with it."""

    api: aiohttp.ClientSession
    backend: Process
    #: REST of the gateway.
    rest: str
    #: Makes what the gateway's own calls of the backend carry.
    tokens: BackendTokens

    async def says(self, words: bytes) -> None:
        """Waits until the backend prints a line."""
        assert self.backend.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            while words not in (line := await self.backend.stdout.readline()):
                assert line, f"it ended without {words!r}"


@pytest.fixture(scope="module", params=BACKENDS)
async def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(tmp_path_factory.mktemp("gateway"))
        stack.push_async_callback(gateway.stop)
        environment = {"PORT": "0", "GATEWAY_URL": gateway.rest, "INFERRY_TOKEN": gateway.token}
        backend = await asyncio.create_subprocess_exec(
            *BACKENDS[request.param], env={**os.environ, **environment}, stdout=PIPE
        )
        stack.push_async_callback(backend.communicate)
        stack.callback(backend.terminate)
        session = aiohttp.ClientSession(
            gateway.rest,
            headers={"Authorization": f"Bearer {gateway.token}"},
            timeout=aiohttp.ClientTimeout(total=WITHIN_S),
        )
        tokens = BackendTokens(read_secret(gateway.data_dir, None), gateway.rest, SystemClock())
        api = await stack.enter_async_context(session)
        both = Running(api, backend, gateway.rest, tokens)
        await both.says(b"backend ready url=http://127.0.0.1:")
        yield both


@pytest.fixture
def api(running: Running) -> aiohttp.ClientSession:
    return running.api


async def create(
    api: aiohttp.ClientSession, payload: dict[str, Any], **options: Any
) -> dict[str, Any]:
    body = {"type": TYPE, "payload": payload, **options}
    async with api.post("/api/tasks", json=body) as response:
        assert response.status == (202 if options.get("async", True) else 200)
        task: dict[str, Any] = await response.json()
        return task


async def read(api: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with api.get(path) as response:
        assert response.status == 200
        body: dict[str, Any] = await response.json()
        return body


async def events(api: aiohttp.ClientSession, task_id: str) -> AsyncIterator[dict[str, Any]]:
    async with api.get(f"/api/tasks/{task_id}/events") as stream:
        assert stream.content_type == "text/event-stream"
        async for line in stream.content:
            if line.startswith(b"data:"):
                yield orjson.loads(line.removeprefix(b"data:"))


async def server(api: aiohttp.ClientSession) -> dict[str, Any]:
    (only,) = (await read(api, "/api/servers"))["servers"]
    assert isinstance(only, dict)
    return only


async def calling(running: Running) -> aiohttp.ClientSession:
    """Makes a session that calls the backend as its gateway does."""
    only = await server(running.api)
    return aiohttp.ClientSession(
        only["url"], headers=running.tokens.headers(only["id"], only["url"])
    )


async def load(api: aiohttp.ClientSession) -> dict[str, Any]:
    """Reads what the backend itself says of its load."""
    url = (await server(api))["url"]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        said: dict[str, Any] = (await response.json())["load"]
        return said


async def cancel(api: aiohttp.ClientSession, task_id: str) -> None:
    async with api.delete(f"/api/tasks/{task_id}") as response:
        assert (await response.json())["status"] == "CANCELLED"


async def until_active(api: aiohttp.ClientSession, count: int) -> None:
    """Looks until the backend works on so many tasks."""

    async def active() -> bool:
        return bool((await load(api))["active_tasks"] == count)

    await until(active)


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Looks again and again: what it waits for announces itself to nobody."""
    async with asyncio.timeout(WITHIN_S):
        while not await look():  # noqa: ASYNC110 - another process has no event for us
            await asyncio.sleep(0.05)


async def test_a_synchronous_task_comes_back_with_its_result(api: aiohttp.ClientSession) -> None:
    payload = {"steps": 2, "seconds": 0.01}
    task = await create(api, payload, **{"async": False})
    assert task["status"] == "COMPLETED"
    assert task["result"] == {"steps": 2, "echo": payload}


async def test_a_payload_comes_back_as_it_was_given(api: aiohttp.ClientSession) -> None:
    deep = '{"a":[' * 49 + '"x"' + "]}" * 49
    payload = (
        '{"steps":0,"z":{"b":"9223372036854775808","a":"1e400"},"n":[1.5,-2,null,true],'
        f'"m":"\U0001f600 \u00e9","deep":{deep},"a":{{}}}}'
    )
    body = f'{{"type":"{TYPE}","async":false,"payload":{payload}}}'.encode()
    headers = {"Content-Type": "application/json"}
    async with api.post("/api/tasks", data=body, headers=headers) as response:
        assert f'"result":{{"steps":0,"echo":{payload}}}'.encode() in await response.read()
        path = response.headers["Location"]
    async with api.get(path) as response:
        text = await response.text()
    assert f'"payload":{payload}' in text
    assert f'"result":{{"steps":0,"echo":{payload}}}' in text


async def test_an_asynchronous_task_shows_its_progress_on_the_way_to_its_result(
    api: aiohttp.ClientSession,
) -> None:
    task = await create(api, {"steps": 4, "seconds": 0.05})
    seen = [event async for event in events(api, task["id"])]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    progress = [event.get("progress", 0) for event in seen]
    assert progress == sorted(progress)
    # Two a second are enough for anybody, and the last one always.
    assert 100 in progress
    assert seen[-1]["status"] == "COMPLETED"
    final = await read(api, f"/api/tasks/{task['id']}")
    assert final["result"]["steps"] == 4


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_error_of_the_work_is_the_error_of_the_task(
    api: aiohttp.ClientSession, *, asynchronous: bool
) -> None:
    payload = {"steps": 1, "seconds": 0, "fail": "out of paint"}
    task = await create(api, payload, **{"async": asynchronous})
    final = await read(api, f"/api/tasks/{task['id']}?wait=20")
    assert final["status"] == "FAILED"
    assert (final["error"], final["code"]) == ("out of paint", "INTERNAL_ERROR")


async def test_the_backend_itself_says_when_the_time_of_a_task_is_over(
    api: aiohttp.ClientSession,
) -> None:
    task = await create(api, {"steps": 1, "seconds": 60}, timeout=200)
    final = await read(api, f"/api/tasks/{task['id']}?wait=20")
    assert final["status"] == "TIMEOUT"
    assert final["error"] == "not done in 0.2 s"


async def test_the_work_stops_when_its_task_is_cancelled_though_it_reports_nothing(
    running: Running, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own handler sees it; the next report would be a minute away."""
    task = await create(running.api, {"steps": 1, "seconds": 60})
    async for event in events(running.api, task["id"]):
        if event["status"] == "PROCESSING":
            break
    began = time.perf_counter()
    await cancel(running.api, task["id"])
    await running.says(b"work stopped")
    took_ms = 1_000 * (time.perf_counter() - began)
    with capsys.disabled():
        print(f"\n{request.node.name}: stopped {took_ms:.0f} ms after the DELETE was sent")  # noqa: T201
    await until_active(running.api, 0)


async def test_the_work_of_a_synchronous_task_stops_with_it(running: Running) -> None:
    payload = {"steps": 1, "seconds": 60}
    waiting = asyncio.create_task(create(running.api, payload, **{"async": False}))
    await until_active(running.api, 1)
    (task,) = (await read(running.api, "/api/tasks?pageSize=1"))["tasks"]
    await cancel(running.api, task["id"])
    await running.says(b"work stopped")
    assert (await waiting)["status"] == "CANCELLED"
    await until_active(running.api, 0)


async def test_hanging_up_stops_the_work_of_a_synchronous_task(running: Running) -> None:
    job = {"id": "task_1", "type": TYPE, "payload": {"seconds": 60}, "timeout": 90_000}
    async with await calling(running) as gateway:
        working = asyncio.create_task(gateway.post("/process", json=job))
        await until_active(running.api, 1)
        working.cancel()
        await running.says(b"work stopped")
    await until_active(running.api, 0)


async def test_a_cancel_of_what_does_not_run_is_answered_all_the_same(running: Running) -> None:
    async with (
        await calling(running) as gateway,
        gateway.post("/cancel", json={"id": "task_unknown", "attempt": 1}) as answer,
    ):
        assert answer.status == 200
        assert await answer.json() == {"cancelled": False}


async def test_the_gateway_shows_the_backend_as_active_with_its_load(
    api: aiohttp.ClientSession,
) -> None:
    async def probed() -> bool:
        return "load" in await server(api)

    await until(probed)
    shown = await server(api)
    assert shown["status"] == "active"
    assert shown["capabilities"] == [TYPE]
    assert shown["load"]["memory"] > 0


async def test_nobody_but_the_gateway_has_it_do_work(running: Running) -> None:
    only = await server(running.api)
    url = only["url"]
    callback = f"{running.rest}/api/tasks/task_1?token=x"
    job = {"id": "task_1", "type": TYPE, "payload": {}, "callback_url": callback, "timeout": 1_000}
    right = running.tokens.headers(only["id"], url)
    other = running.tokens.headers("srv_other", f"{url}/other")
    changed = {"Authorization": f"{right['Authorization'][:-4]}AAAA"}
    stranger = BackendTokens(b"of another gateway", "http://evil", SystemClock())
    async with aiohttp.ClientSession() as session:

        async def ask(headers: Mapping[str, str], path: str = "/process", **more: Any) -> int:
            async with session.post(url + path, json={**job, **more}, headers=headers) as answer:
                said = await answer.json()
                assert answer.status == 200 or (said["status"], bool(said["error"])) == ("error", 1)
                return answer.status

        for headers in ({}, {"Authorization": "Bearer x.y.z"}, other, changed):
            assert await ask(headers) == 401
            assert await ask(headers, "/cancel") == 401
        # The gateway was asked for its keys a moment ago.
        assert await ask(stranger.headers("srv_a", url)) == 503
        for elsewhere in ("http://127.0.0.1:9/x", f"{running.rest}.evil/x"):
            assert await ask(right, callback_url=elsewhere) == 403
        assert await ask(right, "/cancel") == 200


@pytest.mark.parametrize("example", BACKENDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_backend_that_is_stopped_ends_its_work_and_is_out_of_the_list(
    tmp_path: Path, example: str, number: signal.Signals
) -> None:
    gateway = await start_gateway(tmp_path)
    headers = {"Authorization": f"Bearer {gateway.token}"}
    try:
        async with aiohttp.ClientSession(gateway.rest, headers=headers) as api:
            backend = await start(example, gateway.rest, gateway.token)
            assert backend.stdout is not None
            assert (await backend.stdout.readline()).startswith(b"backend ready")
            task = await create(api, {"steps": 2, "seconds": 0.3})
            await until_active(api, 1)
            backend.send_signal(number)
            async with asyncio.timeout(WITHIN_S):
                _, said = await backend.communicate()
            assert said == b""
            assert (await read(api, f"/api/tasks/{task['id']}"))["status"] == "COMPLETED"
            assert (await read(api, "/api/servers"))["servers"] == []
    finally:
        await gateway.stop()


@pytest.mark.parametrize("example", BACKENDS)
async def test_a_token_that_is_refused_is_told_in_one_line_and_ends_the_backend(
    tmp_path: Path, example: str
) -> None:
    gateway = await start_gateway(tmp_path)
    secret = read_secret(tmp_path / "data", None)
    role = Role.BACKEND
    private = issue_token(secret, "me", role, None, 60, SystemClock().now_ms())
    expected = {
        "": b"token",
        "no.such.token": b"the token's header",
        private: b"is at a private address, where a token of role backend may register nothing",
    }
    try:
        for token, why in expected.items():
            backend = await start(example, gateway.rest, token)
            async with asyncio.timeout(WITHIN_S):
                ready, said = await backend.communicate()
            assert (ready, len(said.splitlines())) == (b"", 1), said.decode()
            assert why in said
            assert backend.returncode != 0
    finally:
        await gateway.stop()


async def start(example: str, gateway: str, token: str) -> Process:
    environment = {"PORT": "0", "GATEWAY_URL": gateway, "INFERRY_TOKEN": token}
    return await asyncio.create_subprocess_exec(
        *BACKENDS[example], env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE
    )
