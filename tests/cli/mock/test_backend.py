"""The mock backend on a real socket, with the test as its gateway."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inferry.backend.http import Place, Server
from inferry.backend.http.delivery import AnswerRefusedError, Request, call
from inferry.cli.mock.backend import mock_backend

WITHIN_S = 20
ENDLESS = {"seconds": 3_600, "steps": 1}


class Callbacks:
    """The gateway's side: takes callbacks, and answers them as the test says."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        #: Statuses and bodies of the next answers; 200 and ``{}`` after those.
        self.answers: list[tuple[int, dict[str, Any]]] = []
        app = web.Application()
        app.router.add_put("/api/tasks/{id}", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        await self.reports.put(orjson.loads(await request.read()))
        status, body = self.answers.pop(0) if self.answers else (200, {})
        return web.json_response(body, status=status)

    def url(self, task_id: str) -> str:
        return str(self.server.make_url(f"/api/tasks/{task_id}?token=right"))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(WITHIN_S):
            return await self.reports.get()


class Mock:
    """A running mock backend and a client for it."""

    def __init__(self, url: str, http: aiohttp.ClientSession, callbacks: Callbacks) -> None:
        self._url = url
        self._http = http
        self.callbacks = callbacks

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        async with self._http.post(self._url + path, json=body) as answer:
            assert answer.status == 200
            return dict(await answer.json())

    async def text(self, payload: str) -> str:
        body = f'{{"id":"task_1","payload":{payload},"callback_url":null,"timeout":30000}}'
        async with self._http.post(f"{self._url}/process", data=body) as answer:
            return await answer.text()

    async def sync(self, payload: Any, **fields: Any) -> dict[str, Any]:
        body = {"id": "task_1", "type": "t", "payload": payload, "callback_url": None}
        return await self.post("/process", {**body, "timeout": 30_000, **fields})

    async def start(self, payload: Any, task_id: str = "task_1", **fields: Any) -> dict[str, Any]:
        url = self.callbacks.url(task_id)
        return await self.sync(payload, id=task_id, callback_url=url, **fields)

    async def load(self) -> dict[str, Any]:
        async with self._http.get(f"{self._url}/health") as answer:
            health = dict(await answer.json())
        assert health["status"] == "healthy"
        assert health["timestamp"] > 1_700_000_000_000
        assert health["capabilities"] == ["test-processing"]
        return dict(health["load"])

    async def until_active(self, count: int) -> None:
        """Looks until so many run: work announces its beginning and its end to nobody."""
        async with asyncio.timeout(WITHIN_S):
            while (await self.load())["active_tasks"] != count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
async def mock() -> AsyncIterator[Mock]:
    callbacks = Callbacks()
    await callbacks.server.start_server()
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        app = mock_backend("mock", ["test-processing"], max_concurrent=2)
        server = Server(app, Place("127.0.0.1", 0, None), drain_timeout=0)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_ready, WITHIN_S)
        try:
            yield Mock(server.url, http, callbacks)
        finally:
            server.hurry()
            await asyncio.to_thread(server.wait, WITHIN_S)
            await callbacks.server.close()


async def test_a_synchronous_task_is_answered_with_its_result(mock: Mock) -> None:
    assert await mock.sync({"test": "data"}) == {
        "status": "success",
        "result": {"echo": {"test": "data"}},
    }


async def test_a_payload_is_echoed_as_the_text_that_came(mock: Mock) -> None:
    payload = '{"b": 9223372036854775808,  "a": [1.10, 1e400]}'
    echoed = f'{{"status":"success","result":{{"echo":{payload}}}}}'
    assert await mock.text(payload) == echoed


async def test_a_synchronous_failure_is_answered_as_the_guide_says(mock: Mock) -> None:
    payload = {"end": "fail", "error": "no such codec", "code": "INVALID_FORMAT"}
    assert await mock.sync(payload) == {
        "status": "error",
        "error": "no such codec",
        "code": "INVALID_FORMAT",
    }


async def test_an_asynchronous_task_is_accepted_and_reported_step_by_step(mock: Mock) -> None:
    accepted = await mock.start({"seconds": 0.02, "steps": 2, "result": [1]})
    assert accepted["status"] == "accepted"
    reports = [await mock.callbacks.next() for _ in range(3)]
    assert [report.get("progress") for report in reports] == [50, 100, None]
    assert [report["status"] for report in reports] == ["PROCESSING", "PROCESSING", "COMPLETED"]
    assert reports[-1]["result"] == [1]


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("fail", "FAILED", "INTERNAL_ERROR"), ("timeout", "TIMEOUT", "SLOW")],
)
async def test_an_asynchronous_end_is_reported_by_callback(
    mock: Mock, end: str, status: str, code: str
) -> None:
    await mock.start({"end": end, "error": "as scripted", "code": code})
    report = await mock.callbacks.next()
    assert report == {"status": status, "error": "as scripted", "code": code}


async def test_it_reports_a_timeout_itself_when_its_time_is_over(mock: Mock) -> None:
    await mock.start(ENDLESS, timeout=10)
    assert (await mock.callbacks.next())["status"] == "TIMEOUT"
    assert (await mock.sync(ENDLESS, timeout=10))["code"] == "TIMEOUT"


async def test_a_flaky_task_fails_so_many_rounds_and_then_succeeds(mock: Mock) -> None:
    answers = [await mock.sync({"flaky": 2}, attempt=attempt) for attempt in (1, 2, 3)]
    assert [answer["status"] for answer in answers] == ["error", "error", "success"]
    assert answers[0]["retryable"] is True
    assert (await mock.sync({"flaky": 1}, id="task_2"))["status"] == "error"


async def test_a_payload_that_is_no_script_is_an_error_of_the_task(mock: Mock) -> None:
    answer = await mock.sync({"seconds": "soon"})
    assert (answer["status"], answer["code"]) == ("error", "INVALID_PAYLOAD")
    assert answer["error"].startswith("seconds: ")


async def test_cancel_stops_the_work(mock: Mock) -> None:
    await mock.start(ENDLESS, attempt=2)
    assert (await mock.load())["active_tasks"] == 1
    assert await mock.post("/cancel", {"id": "task_1", "attempt": 1}) == {"cancelled": False}
    assert await mock.post("/cancel", {"id": "task_1", "attempt": 2}) == {"cancelled": True}
    await mock.until_active(0)
    assert mock.callbacks.reports.empty()


async def test_a_synchronous_task_that_is_cancelled_is_answered(mock: Mock) -> None:
    waiting = asyncio.create_task(mock.sync(ENDLESS))
    await mock.until_active(1)
    assert await mock.post("/cancel", {"id": "task_1"}) == {"cancelled": True}
    assert (await waiting)["code"] == "CANCELLED"


async def test_hanging_up_stops_a_synchronous_task(mock: Mock) -> None:
    waiting = asyncio.create_task(mock.sync(ENDLESS))
    await mock.until_active(1)
    waiting.cancel()
    await mock.until_active(0)


async def test_what_it_works_on_is_counted_and_more_than_its_slots_refused(mock: Mock) -> None:
    for number in range(2):
        await mock.start(ENDLESS, f"task_{number}")
    with pytest.raises(AssertionError, match="503"):
        await mock.start(ENDLESS, "task_2")
    load = await mock.load()
    assert (load["active_tasks"], load["queue_length"]) == (2, 0)
    assert 0 <= load["cpu"] <= 100
    assert 0 <= load["memory"] <= 100


async def test_the_same_attempt_sent_again_runs_once(mock: Mock) -> None:
    for _ in range(2):
        assert (await mock.start(ENDLESS))["status"] == "accepted"
    load = await mock.load()
    assert (load["active_tasks"], load["queue_length"]) == (1, 0)


async def test_a_callback_is_repeated_until_the_gateway_takes_it(mock: Mock) -> None:
    mock.callbacks.answers = [(503, {}), (429, {})]
    await mock.start({})
    reports = [await mock.callbacks.next() for _ in range(3)]
    assert [report["status"] for report in reports] == ["COMPLETED"] * 3


@pytest.mark.parametrize("answer", [(409, {}), (404, {}), (410, {}), (200, {"cancelled": True})])
async def test_work_stops_when_the_gateway_wants_no_more_of_it(
    mock: Mock, answer: tuple[int, dict[str, Any]]
) -> None:
    mock.callbacks.answers = [answer]
    await mock.start({"seconds": 0.02, "steps": 2})
    await mock.callbacks.next()
    await mock.until_active(0)
    assert mock.callbacks.reports.empty()


async def test_a_call_is_repeated_until_somebody_listens(unused_tcp_port: int) -> None:
    callbacks = Callbacks()
    url = f"http://127.0.0.1:{unused_tcp_port}/api/tasks/task_1"
    async with aiohttp.ClientSession() as http:
        calling = asyncio.create_task(call(http, Request("PUT", url, {"status": "COMPLETED"})))
        callbacks.server.port = unused_tcp_port
        await callbacks.server.start_server()
        async with asyncio.timeout(WITHIN_S):
            assert await calling == {}
    await callbacks.server.close()


async def test_a_refusal_is_not_repeated() -> None:
    callbacks = Callbacks()
    callbacks.answers = [(400, {"code": "INVALID_PAYLOAD"})]
    await callbacks.server.start_server()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(AnswerRefusedError, match=r"400 .*INVALID_PAYLOAD"):
            await call(http, Request("PUT", callbacks.url("task_1"), {}))
    await callbacks.server.close()
