"""Many tasks at once: the commands against a real gateway and backend."""

import asyncio
import json
from asyncio.subprocess import Process
from pathlib import Path

from tests.cli.real import WITHIN_S, Inferry, ended
from tests.processes import GatewayProcess, MockProcess, start_mock

TYPE = "test-processing"


def write(file: Path, *payloads: object) -> str:
    file.write_text("".join(f"{json.dumps(payload)}\n" for payload in payloads))
    return str(file)


async def heard(process: Process, words: str) -> str:
    """Waits until a command says something on standard output; gives the line."""
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        while words.encode() not in (line := await process.stdout.readline()):
            assert line, f"it ended without {words!r}"
    return line.decode()


async def test_a_file_of_lines_runs_to_its_end(
    inferry: Inferry, mock_process: MockProcess, tmp_path: Path
) -> None:
    file = write(tmp_path / "lines", *({"result": number} for number in range(1, 1_201)))
    ran = await inferry.run("submit", TYPE, "--from", file, "--follow", "--json")
    assert (ran.status, ran.err.splitlines()[-1]) == (0, "1,200 tasks created, 1,200 COMPLETED")
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert {one["line"]: one["task"]["result"] for one in told} == {
        number: number for number in range(1, 1_201)
    }


async def test_each_line_has_its_own_end_and_the_worst_is_the_exit_status(
    inferry: Inferry, mock_process: MockProcess, tmp_path: Path
) -> None:
    payloads = ({"result": "ok"}, {"end": "fail", "error": "out of paint"}, {"end": "timeout"})
    file = write(tmp_path / "lines", *payloads)
    ran = await inferry.run("submit", TYPE, "--from", file, "--follow")
    assert ran.status == 1
    ends = {line.split("\t")[0]: line.split("\t")[2] for line in ran.out.splitlines()}
    assert ends == {"1": "COMPLETED", "2": "FAILED", "3": "TIMEOUT"}
    assert "out of paint" in ran.out


async def test_a_line_that_the_gateway_refuses_costs_no_other(
    inferry: Inferry, mock_process: MockProcess, tmp_path: Path
) -> None:
    file = write(tmp_path / "lines", {"type": TYPE}, {"type": "no good"}, {"type": TYPE})
    ran = await inferry.run("submit", "--from", file)
    assert (ran.status, len(ran.out.splitlines())) == (5, 2)
    assert ran.err.startswith("line 2: type: ")


async def test_the_same_lines_under_the_same_name_create_nothing_twice(
    inferry: Inferry, mock_process: MockProcess, tmp_path: Path
) -> None:
    file = write(tmp_path / "lines", {"result": 1}, {"result": 2})
    given = ("submit", TYPE, "--from", file, "--request-id", "night run")
    first = await inferry.run(*given[:-1], "night-run")
    again = await inferry.run(*given[:-1], "night-run")
    assert (again.status, again.out) == (0, first.out)
    assert again.err == "2 tasks created, 2 by an earlier run\n"
    refused = await inferry.run(*given)
    assert (refused.status, refused.out) == (5, "")


async def test_a_gateway_that_is_killed_in_the_middle_loses_no_line(
    gateway_process: GatewayProcess, inferry: Inferry, mock_process: MockProcess, tmp_path: Path
) -> None:
    slow = [{"seconds": 0.5, "result": number} for number in range(40)]
    file = write(tmp_path / "lines", *slow)
    following = await inferry.start("submit", TYPE, "--from", file, "--follow", "--idempotent")
    await heard(following, "COMPLETED")
    await gateway_process.kill()
    await gateway_process.restart()
    ran = await ended(following)
    assert ran.status == 0, ran.err
    assert ran.err.splitlines()[-1] == "40 tasks created, 40 COMPLETED"


async def test_all_tasks_of_a_label_are_watched_and_cancelled(
    inferry: Inferry, mock_process: MockProcess, tmp_path: Path
) -> None:
    await inferry.run("pause", TYPE)
    other = (await inferry.run("submit", TYPE)).out.strip()
    file = write(tmp_path / "lines", {}, {}, {})
    ids = (await inferry.run("submit", TYPE, "--from", file, "--label", "run=7")).out.split()
    watching = await inferry.start("watch", "--all", "--label", "run=7")
    shown = {(await heard(watching, "SHOWN\tPENDING")).split("\t")[1] for _ in ids}
    assert shown == set(ids)
    ran = await inferry.run("cancel", "--label", "run=7", "--reason", "enough")
    assert (ran.status, ran.out) == (0, "3 tasks were cancelled\n")
    ended_now = {(await heard(watching, "FINISHED\tCANCELLED")).split("\t")[1] for _ in ids}
    assert ended_now == set(ids)
    watching.send_signal(2)
    assert (await ended(watching)).status == 130
    assert (await inferry.json("get", other))["status"] == "PENDING"
    listed = (await inferry.json("list", "--label", "run=7"))["tasks"]
    assert {task["status"] for task in listed} == {"CANCELLED"}


async def test_a_watch_of_all_goes_on_when_the_gateway_comes_back(
    gateway_process: GatewayProcess, inferry: Inferry
) -> None:
    first = (await inferry.run("submit", TYPE)).out.strip()
    watching = await inferry.start("watch", "--all")
    await heard(watching, first)
    await gateway_process.kill()
    await gateway_process.restart()
    second = (await inferry.run("submit", TYPE)).out.strip()
    line = await heard(watching, second)
    # It is shown as it is if the gateway went before the watch had a cursor.
    assert line.split("\t")[2] in {"CREATED", "SHOWN"}
    watching.send_signal(2)
    assert (await ended(watching)).status == 130


async def test_a_queue_that_is_full_is_waited_for(
    gateway_process: GatewayProcess, inferry: Inferry, tmp_path: Path
) -> None:
    file = write(tmp_path / "lines", *({"result": number} for number in range(1_100)))
    # Nobody takes them: the queue of a tenant has room for a thousand.
    submitting = await inferry.start("submit", TYPE, "--from", file)
    assert submitting.stderr is not None
    async with asyncio.timeout(WITHIN_S):
        assert b"no server is registered" in await submitting.stderr.readline()
        assert b"the queue is full: 100 tasks wait" in await submitting.stderr.readline()
    mock = await start_mock(gateway_process)
    try:
        ran = await ended(submitting)
    finally:
        await mock.stop()
    assert (ran.status, ran.err.splitlines()[-1]) == (0, "1,100 tasks created")


async def test_top_shows_servers_and_queue_once_in_a_pipe(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    await inferry.run("pause", TYPE, "--reason", "new model")
    await inferry.run("submit", TYPE)
    ran = await inferry.run("top", "--once")
    assert (ran.status, ran.err) == (0, "")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert ["servers", "1 of 1 take tasks"] in rows
    assert [TYPE, "1", "0", "paused: new model"] in rows
