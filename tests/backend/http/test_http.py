"""What HTTP adds: answers, health, callbacks until they are heard, registration."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inferry.backend import Backend, RefusedError
from inferry.backend.attempt import Report
from inferry.backend.http import Gateway, Place, Server
from inferry.backend.outbox import Outbox
from inferry.backend.testing.http import HttpGateway
from inferry.backend.testing.http import RefusedError as NotTakenError
from inferry.v1.task_pb2 import Task, TaskUpdate
from tests.backend import handlers
from tests.backend.rigs import TYPE, WITHIN_S, Rig, backend, rig


@pytest.fixture
async def running() -> AsyncIterator[Rig]:
    async with rig("http", backend("loop")) as running:
        yield running


@pytest.fixture
async def gateway() -> AsyncIterator[HttpGateway]:
    async with HttpGateway() as gateway:
        yield gateway


def http(running: Rig) -> HttpGateway:
    assert isinstance(running.gateway, HttpGateway)
    return running.gateway


def job(payload: Any, task_id: str = "task_1", **more: Any) -> dict[str, Any]:
    body = {"id": task_id, "type": TYPE, "payload": payload, "callback_url": None, "timeout": 30000}
    return {**body, **more}


def session_of(running: Rig) -> aiohttp.ClientSession:
    """Makes a session whose calls are the gateway's."""
    return aiohttp.ClientSession(headers=http(running).headers(aud=url(running)))


async def get(running: Rig, path: str) -> tuple[int, dict[str, Any]]:
    async with session_of(running) as session, session.get(url(running) + path) as answer:
        return answer.status, dict(await answer.json())


def url(running: Rig) -> str:
    assert isinstance(running.host, Server)
    return running.host.url


async def test_a_synchronous_task_is_answered_with_its_result(running: Rig) -> None:
    answer = await http(running).call("/process", job({"result": 7}))
    assert answer == {"status": "success", "result": 7}


async def test_a_synchronous_failure_is_answered_as_the_guide_says(running: Rig) -> None:
    answer = await http(running).call("/process", job({"do": "fail as foreseen"}))
    assert answer == {
        "status": "error",
        "error": "no such codec",
        "code": "INVALID_FORMAT",
        "retryable": True,
        "details": {"at": 3},
    }


async def test_a_task_of_a_type_that_it_cannot_do_fails(running: Rig) -> None:
    answer = await http(running).call("/process", job({}, type="other"))
    assert answer["error"] == "this backend has no handler for other; it has: work"


async def test_a_call_that_comes_twice_gets_the_same_answer(running: Rig, tmp_path: Path) -> None:
    body = job({"do": "note", "file": str(tmp_path / "runs")}, attempt=1)
    answers = [await http(running).call("/process", body) for _ in range(3)]
    assert answers == [{"status": "success", "result": "noted"}] * 3
    assert (tmp_path / "runs").read_text() == "task_1/1\n"


async def test_without_numbers_of_attempts_a_task_that_has_ended_runs_anew(
    running: Rig, tmp_path: Path
) -> None:
    body = job({"do": "note", "file": str(tmp_path / "runs")})
    for _ in range(2):
        await http(running).call("/process", body)
    assert len((tmp_path / "runs").read_text().splitlines()) == 2


async def test_an_older_attempt_is_refused(running: Rig) -> None:
    await http(running).call("/process", job({}, attempt=2))
    with pytest.raises(NotTakenError, match=r"409 .*STALE_ATTEMPT"):
        await http(running).call("/process", job({}, attempt=1))


async def test_who_hangs_up_stops_the_work_of_a_synchronous_task(running: Rig) -> None:
    body = job({"do": "block"})
    async with session_of(running) as session:
        calling = asyncio.create_task(session.post(f"{url(running)}/process", json=body))
        await until_active(running, 1)
        calling.cancel()
        await until_active(running, 0)


async def test_a_cancel_answers_a_synchronous_task(running: Rig) -> None:
    calling = asyncio.create_task(http(running).call("/process", job({"do": "block"})))
    await until_active(running, 1)
    assert await http(running).call("/cancel", {"id": "task_1", "attempt": 9}) == {
        "cancelled": False
    }
    assert await http(running).call("/cancel", {"id": "task_1"}) == {"cancelled": True}
    assert (await calling)["code"] == "CANCELLED"


async def test_at_capacity_it_says_503_and_when_to_come_back(running: Rig) -> None:
    await running.gateway.send(TYPE, {"do": "block"})
    async with (
        session_of(running) as session,
        session.post(f"{url(running)}/process", json=job({}, "task_other")) as answer,
    ):
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert (await answer.json())["error"] == "all slots are taken"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "no JSON, at position 1"),
        (b"[]", "expected a JSON object, got []"),
        (b"{}", "id: a text"),
        (b'{"id":"t","attempt":0}', "attempt: a number from 1"),
        (b'{"id":"t","timeout":"soon"}', "timeout: a number of milliseconds"),
        (b'{"id":"t","callback_url":7}', "callback_url: a text or null"),
    ],
)
async def test_what_is_no_task_is_refused_with_what_is_right(
    running: Rig, body: bytes, says: str
) -> None:
    async with (
        session_of(running) as session,
        session.post(f"{url(running)}/process", data=body) as answer,
    ):
        assert answer.status == 400
        said = await answer.json()
    assert says in said["error"]
    assert said["code"] == "INVALID_PAYLOAD"


async def test_it_tells_its_load_and_that_it_takes_tasks(running: Rig) -> None:
    await running.gateway.send(TYPE, {"do": "block"})
    status, said = await get(running, "/health")
    assert (status, said["status"], said["capabilities"]) == (200, "healthy", [TYPE])
    assert said["load"]["active_tasks"] == 1
    assert 0 < said["load"]["memory"] <= 100
    assert await get(running, "/ready") == (200, {"ready": True})
    assert (await get(running, "/other"))[0] == 404


async def test_while_it_loads_it_is_unhealthy_takes_nothing_and_is_not_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "loaded"
    monkeypatch.setenv("TEST_SETUP_WAITS_FOR", str(gate))
    app = backend("loop")
    app.setup(handlers.setup)
    async with rig("http", app, ready=False) as running:
        status, said = await get(running, "/health")
        assert (status, said["status"]) == (503, "loading")
        assert (await get(running, "/ready"))[0] == 503
        http(running).backend_url = url(running)
        with pytest.raises(NotTakenError, match=r"503 .*the backend is loading"):
            await http(running).call("/process", job({}))
        assert http(running).registered.empty()
        gate.touch()
        async with asyncio.timeout(WITHIN_S):
            said = await http(running).registered.get()
        assert said == {
            "url": url(running),
            "name": "test",
            "capabilities": [TYPE],
            "maxConcurrent": 1,
            "metadata": {},
        }


async def test_while_it_drains_it_is_healthy_not_ready_and_deregistered_with_a_time_of_grace(
    running: Rig, tmp_path: Path
) -> None:
    """A server that looks dead would have its tasks taken away while they end."""
    gate = tmp_path / "gate"
    sent = await running.gateway.send(TYPE, {"do": "wait for", "file": str(gate)})
    running.host.drain()
    async with asyncio.timeout(WITHIN_S):
        path = await http(running).deregistered.get()
    assert path == "/api/servers/srv_test?grace=600000"
    status, said = await get(running, "/health")
    assert (status, said["status"], said["draining"]) == (200, "healthy", True)
    assert await get(running, "/ready") == (503, {"ready": False, "reason": "the backend stops"})
    with pytest.raises(NotTakenError, match=r"503 .*the backend stops"):
        await http(running).call("/process", job({}, "task_other"))
    gate.touch()
    assert (await sent.end()).result == "there"
    await running.ended()


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503])
async def test_a_callback_is_repeated_until_it_is_heard(running: Rig, status: int) -> None:
    http(running).answers.extend([(status, {}), (status, {})])
    sent = await running.gateway.send(TYPE, {"result": 1})
    assert (await sent.end()).result == 1


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410])
async def test_a_refusal_is_the_last_word_on_an_attempt(running: Rig, status: int) -> None:
    http(running).answers.append((status, {}))
    sent = await running.gateway.send(TYPE, {"do": "block"})
    await until_active(running, 0)
    assert not sent.reports


async def test_work_stops_when_the_answer_to_its_progress_says_so(running: Rig) -> None:
    http(running).answers.append((200, {"cancelled": True}))
    sent = await running.gateway.send(TYPE, {"do": "block"})
    await until_active(running, 0)
    assert not sent.ended.is_set()


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_result_that_the_gateway_refuses_ends_as_a_failure_that_says_why(
    running: Rig, status: int
) -> None:
    http(running).answers.append((status, {"error": "nested too deep"}))
    outcome = await (await running.gateway.send(TYPE, {"result": 1})).end()
    assert outcome.status == "FAILED"
    assert outcome.error.startswith(f"the gateway refused the result: {status} ")
    assert "nested too deep" in outcome.error


async def test_finished_results_that_fill_the_outbox_stop_the_intake(
    running: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferry.backend.outbox.LIMIT_BYTES", 10_000)
    http(running).answers.extend([(503, {})] * 4)
    sent = await running.gateway.send(TYPE, {"do": "large", "size": 10_000})
    await until_active(running, 0)
    with pytest.raises(NotTakenError, match="too many finished tasks wait"):
        await running.gateway.send(TYPE, {})
    await sent.end()
    await running.until_taken(TYPE, {})


async def test_what_was_not_delivered_is_delivered_by_the_next_process(tmp_path: Path) -> None:
    async with rig("http", backend("loop"), spool=tmp_path) as running:
        sent = await http(running).send(TYPE, {"result": 1})
        await sent.end()
        # As if the process had died before it was heard.
        outbox = Outbox(tmp_path)
        update = TaskUpdate(status=Task.COMPLETED, result_json=b'"from before"')
        address = f"{http(running).url}/api/tasks/{sent.key[0]}/1"
        outbox.add(Report(sent.key, update, outbox.number(), address))
        sent.ended.clear()
        server = Server(backend("loop"), Place("127.0.0.1", 0, None), spool=tmp_path)
        await asyncio.to_thread(server.start)
        assert (await sent.end()).result == "from before"
        server.drain()
        await asyncio.to_thread(server.wait, WITHIN_S)
    assert not Outbox(tmp_path).reports()


@pytest.mark.parametrize("refusals", [[500, 503], [429], [408, 502]])
async def test_a_registration_is_repeated_until_it_is_heard(
    gateway: HttpGateway, refusals: list[int]
) -> None:
    gateway.registrations.extend(refusals)
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=Gateway(gateway.url, "t"))
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(WITHIN_S):
        while not gateway.backend_url:
            await gateway.registered.get()
    server.drain()
    await asyncio.to_thread(server.wait, WITHIN_S)


async def test_who_was_forgotten_registers_anew(
    gateway: HttpGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferry.backend.http.registration._HEARTBEAT_S", 0.01)
    gateway.heartbeats.extend([200, 503, 404, 200, 410])
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=Gateway(gateway.url, "t"))
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(WITHIN_S):
        for _ in range(3):
            await gateway.registered.get()
    server.drain()
    await asyncio.to_thread(server.wait, WITHIN_S)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_who_is_refused_before_it_has_work_stops_at_once_and_says_why_once(
    gateway: HttpGateway, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.registrations.append(status)
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=Gateway(gateway.url, "t"))
    await asyncio.to_thread(server.start)
    with pytest.raises(RefusedError, match=str(status)):
        await asyncio.to_thread(server.wait, WITHIN_S)
    assert (gateway.registered.qsize(), caplog.text) == (1, "")


async def test_a_refused_token_comes_with_what_makes_another(gateway: HttpGateway) -> None:
    gateway.registrations.append(401)
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=Gateway(gateway.url, "t"))
    await asyncio.to_thread(server.start)
    with pytest.raises(RefusedError, match="`inferry token` makes a token on the gateway's"):
        await asyncio.to_thread(server.wait, WITHIN_S)


@pytest.mark.parametrize("refusals", [4, 5])
async def test_who_was_forgotten_and_is_refused_stops_after_the_fifth_time_for_it_may_have_work(
    gateway: HttpGateway, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    monkeypatch.setattr("inferry.backend.http.registration._HEARTBEAT_S", 0.01)
    gateway.registrations.extend([200, *[403] * refusals])
    gateway.heartbeats.append(404)
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=Gateway(gateway.url, "t"))
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(WITHIN_S):
        for _ in range(1 + 5):
            await gateway.registered.get()
    if refusals == 5:
        with pytest.raises(RefusedError, match="403"):
            await asyncio.to_thread(server.wait, WITHIN_S)
    else:
        server.drain()
        await asyncio.to_thread(server.wait, WITHIN_S)


async def test_a_gateway_that_is_not_there_yet_is_waited_for_and_told_once(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    known = Gateway(f"http://127.0.0.1:{unused_tcp_port}", "t")
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=known)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(WITHIN_S):
        while not caplog.records:  # noqa: ASYNC110 - a log line is no event
            await asyncio.sleep(0.01)
    server.drain()
    await asyncio.to_thread(server.wait, WITHIN_S)
    (line,) = caplog.messages
    assert line.startswith(f"no gateway answers at {known.url} yet (")


async def test_a_token_that_no_header_can_carry_stops_the_backend(gateway: HttpGateway) -> None:
    known = Gateway(gateway.url, "t\u00f6ken")
    server = Server(backend("loop"), Place("127.0.0.1", 0, None), gateway=known)
    await asyncio.to_thread(server.start)
    with pytest.raises(RefusedError, match="the token holds what no token does"):
        await asyncio.to_thread(server.wait, WITHIN_S)


async def test_a_backend_that_cannot_listen_says_so() -> None:
    server = Server(Backend("b"), Place("127.0.0.1", 0, None))
    server.start()
    taken = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        Server(Backend("b"), Place("127.0.0.1", taken, None)).start()
    server.drain()
    await asyncio.to_thread(server.wait, WITHIN_S)


async def until_active(running: Rig, count: int) -> None:
    """Looks until so many run: a call that nobody answers announces itself to nobody."""
    async with asyncio.timeout(WITHIN_S):
        while (await get(running, "/health"))[1]["load"]["active_tasks"] != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
