"""The commands, the gateway and the mock backend, each in a process of its own."""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from inferry.cli.mock.backend import CRASHED
from tests.cli.real import WITHIN_S, Inferry, ended
from tests.processes import INFERRY, GatewayProcess, MockProcess, start, start_mock

TYPE = "test-processing"


@pytest.fixture
async def http(gateway_process: GatewayProcess) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {gateway_process.token}"}
    async with aiohttp.ClientSession(gateway_process.rest, headers=headers) as session:
        yield session


async def test_a_synchronous_task_prints_its_result(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    ran = await inferry.run("submit", TYPE, '{"test": "data"}', "--sync")
    assert (ran.status, json.loads(ran.out)) == (0, {"echo": {"test": "data"}})


async def test_a_followed_task_shows_its_progress_and_prints_its_result(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    payload = '{"seconds": 0.2, "steps": 4, "result": "done"}'
    ran = await inferry.run("submit", TYPE, payload, "--follow")
    assert (ran.status, json.loads(ran.out)) == (0, "done")
    for progress in ("25%", "50%", "75%", "100%"):
        assert progress in ran.err


@pytest.mark.parametrize(("end", "status"), [("fail", 1), ("timeout", 3)])
async def test_the_exit_status_says_how_the_task_ended(
    inferry: Inferry, mock_process: MockProcess, end: str, status: int
) -> None:
    ran = await inferry.run("submit", TYPE, json.dumps({"end": end, "error": "why"}), "--follow")
    assert ran.status == status
    assert "why" in ran.err
    assert ran.out == ""


async def test_a_task_that_hangs_can_be_cancelled_and_retried(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    task_id = (await inferry.run("submit", TYPE, '{"end": "hang"}')).out.strip()
    watching = await inferry.start("watch", task_id)
    assert (await inferry.json("cancel", task_id, "--reason", "enough"))["status"] == "CANCELLED"
    assert (await ended(watching)).status == 3
    assert (await inferry.run("cancel", task_id)).status == 0
    assert (await inferry.json("retry", task_id))["status"] in {"PENDING", "PROCESSING"}
    assert [task["id"] for task in (await inferry.json("list", "--type", TYPE))["tasks"]] == [
        task_id
    ]
    await inferry.run("cancel", task_id)


async def test_a_list_that_its_limit_cut_says_so(inferry: Inferry) -> None:
    ids = [(await inferry.run("submit", "painting", "{}")).out.strip() for _ in range(3)]
    some = await inferry.run("list", "--type", "painting", "--limit", "2")
    assert some.err == "these are the newest 2; --limit shows more\n"
    every = await inferry.run("list", "--type", "painting", "--limit", "3")
    assert (len(every.out.splitlines()), every.err) == (4, "")
    assert "newest" not in (await inferry.run("list", "--limit", "1", "--json")).err
    for task_id in ids:
        await inferry.run("cancel", task_id)


async def test_a_failed_task_can_be_retried_and_has_its_attempts_listed(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    task = await inferry.json("submit", TYPE, '{"end": "fail", "code": "INVALID_FORMAT"}', "--sync")
    assert (task["status"], task["code"]) == ("FAILED", "INVALID_FORMAT")
    await inferry.run("retry", task["id"])
    await inferry.run("watch", task["id"])
    attempts = (await inferry.json("attempts", task["id"]))["attempts"]
    assert [attempt["number"] for attempt in attempts] == [1, 2]
    assert {attempt["serverId"] for attempt in attempts} == {mock_process.id}


async def test_a_stream_url_shows_a_task_to_who_has_no_token(inferry: Inferry) -> None:
    task_id = (await inferry.run("submit", TYPE)).out.strip()
    await inferry.run("cancel", task_id)
    url = (await inferry.run("stream-url", task_id, "--ttl", "1m")).out.strip()
    async with aiohttp.ClientSession() as http, http.get(url) as stream:
        assert stream.status == 200
        assert "event: finished" in await stream.text()
    made = await inferry.json("stream-url", task_id)
    assert made.keys() == {"url", "expiresAt"}
    refused = await inferry.run("stream-url", task_id, "--ttl", "2h")
    assert refused.status == 5
    assert "ttl" in refused.err


async def test_a_drained_server_gets_no_tasks_until_it_is_resumed(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    assert "draining" in (await inferry.run("drain", mock_process.id)).out
    task_id = (await inferry.run("submit", TYPE)).out.strip()
    assert (await inferry.json("get", task_id))["status"] == "PENDING"
    assert (await inferry.run("resume", mock_process.id)).status == 0
    assert (await inferry.json("get", task_id, "--wait", "20"))["status"] == "COMPLETED"
    (server,) = (await inferry.json("servers"))["servers"]
    assert (server["id"], server["status"]) == (mock_process.id, "active")


async def test_nothing_is_lost_when_the_gateway_is_killed_in_the_middle(
    gateway_process: GatewayProcess, inferry: Inferry, mock_process: MockProcess
) -> None:
    payload = '{"seconds": 2, "steps": 8, "result": "survived"}'
    following = await inferry.start("submit", TYPE, payload, "--follow")
    assert following.stderr is not None
    async with asyncio.timeout(WITHIN_S):
        while b"PROGRESSED" not in await following.stderr.readline():
            pass
    await gateway_process.kill()
    await gateway_process.restart()
    ran = await ended(following)
    assert (ran.status, json.loads(ran.out)) == (0, "survived")


async def test_a_script_can_let_the_backend_crash(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    task_id = (await inferry.run("submit", TYPE, '{"end": "crash"}')).out.strip()
    assert await mock_process.ended() == CRASHED
    await inferry.run("cancel", task_id)


async def test_a_mock_waits_for_its_gateway_and_takes_every_type(
    gateway_process: GatewayProcess, inferry: Inferry
) -> None:
    await gateway_process.stop()
    starting = asyncio.create_task(start_mock(gateway_process, "--capabilities", "", "--name", "m"))
    await gateway_process.restart()
    mock = await starting
    try:
        assert (await inferry.run("submit", "anything", "--sync")).status == 0
    finally:
        assert await mock.stop() == 0


async def test_the_gateway_stops_in_order_and_says_nothing_else_on_standard_output(
    gateway_process: GatewayProcess,
) -> None:
    assert await gateway_process.stop() == 0
    assert "Traceback" not in gateway_process.log


async def test_the_log_says_in_words_what_happened(
    gateway_process: GatewayProcess, inferry: Inferry, mock_process: MockProcess
) -> None:
    for command in ("drain", "resume"):
        assert (await inferry.run(command, mock_process.id)).status == 0
    await inferry.run("submit", TYPE, '{"end": "fail", "error": "why", "code": "ODD"}', "--follow")
    await inferry.run("submit", TYPE, "--sync")
    logged = [json.loads(line) for line in gateway_process.log.splitlines()]
    lines = [line for line in logged if line["event"] != "call ended"]
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("gateway started", None),
        ("where to go on", None),
        ("server registered", None),
        ("server drained", None),
        ("done on request", None),
        ("server resumed", None),
        ("done on request", None),
        ("task ended", "why"),
        ("task ended", None),
    ]
    assert lines[-2]["code"] == "ODD"


async def test_the_bridge_alone_serves_rest_for_a_gateway_elsewhere(
    gateway_process: GatewayProcess, mock_process: MockProcess, tmp_path: Path
) -> None:
    log = tmp_path / "bridge.log"
    bridge = await start(log, "bridge", "--upstream", gateway_process.grpc, "--port", "0")
    try:
        url = bridge.words[3].removeprefix("rest=")
        headers = {"Authorization": f"Bearer {gateway_process.token}"}
        body = {"type": TYPE, "async": False, "payload": {"test": "data"}}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{url}/api/tasks", json=body) as answer,
        ):
            assert answer.status == 200
            assert (await answer.json())["status"] == "COMPLETED"
    finally:
        assert await bridge.stop() == 0


async def test_the_guides_own_flow_works_over_rest(
    http: aiohttp.ClientSession, mock_process: MockProcess
) -> None:
    registration = {"url": mock_process.url, "name": "mock", "capabilities": [TYPE]}
    async with http.post("/api/servers/register", json=registration) as answer:
        assert await answer.json() == {"id": mock_process.id, "status": "active"}
    body = {"type": TYPE, "async": True, "payload": {"test": "data"}}
    async with http.post("/api/tasks", json=body) as answer:
        assert answer.status == 202
        task = await answer.json()
    async with http.get(f"/api/tasks/{task['id']}?wait=20") as answer:
        final = await answer.json()
    assert (final["status"], final["result"]) == ("COMPLETED", {"echo": {"test": "data"}})


async def test_a_second_gateway_on_the_same_data_refuses_to_start(
    gateway_process: GatewayProcess,
) -> None:
    data = str(gateway_process.data_dir)
    flags = ["--port", "0", "--grpc-port", "0", "--data-dir", data]
    process = await asyncio.create_subprocess_exec(INFERRY, "serve", *flags, stderr=PIPE)
    ran = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 1
    assert b"inferry cannot start" in ran[1]
    assert b"Traceback" not in ran[1]


async def test_a_wrong_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        INFERRY, "serve", "--port", "99999", "--data-dir", tmp_path / "data", stderr=PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 2
    assert b"cannot start: --port: expected" in err
    assert not (tmp_path / "data").exists()


async def test_commands_say_when_there_is_no_gateway(unused_tcp_port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        INFERRY,
        *("--address", f"127.0.0.1:{unused_tcp_port}", "--token", "t", "get", "task_1"),
        stderr=PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 4
    assert b"cannot reach the gateway" in err
