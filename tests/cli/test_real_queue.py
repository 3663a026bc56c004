"""What waits, why it waits and how it is steered: the commands against a real gateway."""

import asyncio
import json
from asyncio.subprocess import Process

import pytest

from tests.cli.real import WITHIN_S, Inferry, ended
from tests.processes import GatewayProcess, MockProcess, start_mock

TYPE = "test-processing"
HANGS = '{"end": "hang"}'


async def submit(inferry: Inferry, *given: str) -> str:
    ran = await inferry.run("submit", *given)
    assert ran.status == 0, ran.err
    return ran.out.strip()


async def said(process: Process, words: str) -> None:
    """Waits until a command says something on standard error."""
    assert process.stderr is not None
    async with asyncio.timeout(WITHIN_S):
        while words.encode() not in (line := await process.stderr.readline()):
            assert line, f"it ended without {words!r}"


async def started(inferry: Inferry, task_id: str) -> None:
    watching = await inferry.start("watch", task_id)
    await said(watching, "PROCESSING")
    watching.terminate()
    await ended(watching)


async def reason(inferry: Inferry, task_id: str) -> str:
    explained = await inferry.json("explain", task_id)
    assert explained["text"]
    return str(explained["reason"])


async def test_explain_names_what_holds_a_task_up(
    inferry: Inferry, gateway_process: GatewayProcess
) -> None:
    task_id = await submit(inferry, TYPE, HANGS)
    explained = await inferry.json("explain", task_id)
    assert (explained["reason"], explained["servers"]) == ("NO_SERVER", [])
    assert TYPE in explained["remedy"]

    mock = await start_mock(gateway_process, "--max-concurrent", "1")
    try:
        await started(inferry, task_id)
        assert await reason(inferry, task_id) == "RUNNING"

        second = await submit(inferry, TYPE)
        explained = await inferry.json("explain", second)
        assert (explained["reason"], explained["queuePosition"]) == ("NO_FREE_SERVER", 1)
        assert [server["rule"] for server in explained["servers"]] == ["FULL"]
        third = await submit(inferry, TYPE)
        assert await reason(inferry, third) == "BEHIND_OTHERS"
        listed = (await inferry.json("list", "--status", "PENDING"))["tasks"]
        assert [(task["id"], task["queuePosition"]) for task in listed] == [(third, 2), (second, 1)]

        await inferry.run("drain", mock.id)
        (server,) = (await inferry.json("explain", second))["servers"]
        assert (server["serverId"], server["rule"]) == (mock.id, "DRAINING")
        assert "resume" in server["remedy"]

        await inferry.run("pause", TYPE, "--reason", "new model")
        assert await reason(inferry, second) == "PAUSED"
        assert "new model" in (await inferry.run("explain", second)).out
        assert await reason(inferry, await submit(inferry, TYPE, "--delay", "1h")) == "DELAYED"

        await inferry.run("cancel", third)
        assert await reason(inferry, third) == "ENDED"
    finally:
        await mock.stop()


async def test_a_paused_type_waits_and_starts_when_it_is_unpaused(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    paused = await inferry.json("pause", TYPE, "--reason", "new model")
    assert (paused["paused"], paused["pauseReason"]) == (True, "new model")
    task_id = await submit(inferry, TYPE)
    queue = await inferry.json("queue")
    assert (queue["waiting"], queue["limit"]) == (1, 10_000)
    (waiting,) = queue["types"]
    assert (waiting["type"], waiting["waiting"], waiting["paused"]) == (TYPE, 1, True)
    assert not (await inferry.json("unpause", TYPE))["paused"]
    assert (await inferry.json("get", task_id, "--wait", "20"))["status"] == "COMPLETED"
    assert (await inferry.json("queue"))["types"] == []


async def test_who_follows_a_task_that_waits_sees_its_place(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    await inferry.run("drain", mock_process.id)
    following = await inferry.start("submit", TYPE, '{"test": "data"}', "--follow")
    await said(following, "place 1 in the queue")
    await inferry.run("resume", mock_process.id)
    ran = await ended(following)
    assert (ran.status, json.loads(ran.out)) == (0, {"echo": {"test": "data"}})


async def test_the_same_request_again_creates_no_second_task(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    first = await inferry.run("submit", TYPE, "--request-id", "order-66")
    again = await inferry.run("submit", TYPE, "--request-id", "order-66")
    assert (again.status, again.out) == (0, first.out)
    assert (first.err, again.err.split()[-1]) == ("", "replayed")
    other = await inferry.run("submit", TYPE, '{"a": 1}', "--request-id", "order-66")
    assert other.status == 5
    assert "REQUEST_ID_REUSED" in other.err
    assert len((await inferry.json("list"))["tasks"]) == 1


async def test_all_failed_tasks_can_be_started_again_at_once(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    failing = json.dumps({"end": "fail", "code": "OUT_OF_PAINT"})
    tasks = [await inferry.json("submit", TYPE, failing, "--sync") for _ in range(3)]
    assert {task["status"] for task in tasks} == {"FAILED"}
    await inferry.run("pause", TYPE)
    none = await inferry.json("retry", "--all", "--code", "OUT_OF_INK")
    assert none == {"retried": 0, "queueFull": False}
    assert (await inferry.json("retry", "--all", "--limit", "1"))["retried"] == 1
    ran = await inferry.run("retry", "--all", "--code", "OUT_OF_PAINT", "--server", mock_process.id)
    assert (ran.status, ran.out) == (0, "2 tasks were started again\n")
    assert (await inferry.json("queue"))["waiting"] == 3


async def test_what_failed_is_seen_in_groups_and_one_group_is_started_again(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    for code, seconds in (("SLOW", 30), ("SLOW", 31), ("FULL", 1)):
        failing = {"end": "fail", "code": code, "error": f"gave up after {seconds} s"}
        await inferry.run("submit", TYPE, json.dumps(failing), "--sync")
    full, slow = (await inferry.json("failures", "--type", TYPE))["groups"]
    assert (full["code"], full["count"], slow["code"], slow["count"]) == ("FULL", 1, "SLOW", 2)
    shown = (await inferry.run("failures")).out.splitlines()
    assert [line.split("\t")[4] for line in shown[1:]] == [full["fingerprint"], slow["fingerprint"]]
    group = ("--fingerprint", slow["fingerprint"], "--finished-since", "1h")
    assert {task["code"] for task in (await inferry.json("list", *group))["tasks"]} == {"SLOW"}
    await inferry.run("pause", TYPE)
    assert (await inferry.json("retry", "--all", *group))["retried"] == 2
    stats = await inferry.json("stats", "--type", TYPE)
    assert sum(n for n in stats["failed"] if n > 0) == 3
    assert (await inferry.run("cancel", "--tenant", "nobody")).out == "0 tasks were cancelled\n"


@pytest.mark.parametrize(
    ("given", "status", "why"),
    [((), "FAILED", "lost"), (("--idempotent",), "PENDING", None)],
)
async def test_deregistering_a_server_frees_its_tasks_by_the_rules(
    inferry: Inferry,
    mock_process: MockProcess,
    given: tuple[str, ...],
    status: str,
    why: str | None,
) -> None:
    task_id = await submit(inferry, TYPE, HANGS, *given)
    await started(inferry, task_id)
    assert (await inferry.run("deregister", mock_process.id, "--grace", "0")).status == 0
    assert await inferry.json("servers") == {"servers": []}
    task = await inferry.json("get", task_id)
    assert (task["status"], task.get("details", {}).get("reason")) == (status, why)


async def test_a_server_that_cannot_be_reached_shows_its_open_breaker(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    await mock_process.kill()
    task_id = await submit(inferry, TYPE)
    async with asyncio.timeout(WITHIN_S):
        while (await inferry.json("servers"))["servers"][0]["breaker"] != "OPEN":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    shown = (await inferry.run("servers")).out
    assert "open until" in shown
    await inferry.run("cancel", task_id)
