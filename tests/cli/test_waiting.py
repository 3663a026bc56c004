"""What is said while a command waits for a task, and when it is broken off: with a real gateway."""

import asyncio
import signal
from asyncio.subprocess import Process

from tests.cli.real import WITHIN_S, Inferry, Ran, ended
from tests.processes import MockProcess

TYPE = "test-processing"
NOBODY = f"PENDING: no server is registered; register a server with: {TYPE}"


async def line(process: Process) -> str:
    """Waits for the next line on standard error."""
    assert process.stderr is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stderr.readline()).decode().rstrip()


async def interrupted(process: Process) -> Ran:
    """Presses Ctrl-C."""
    process.send_signal(signal.SIGINT)
    return await ended(process)


async def status(inferry: Inferry, task_id: str, *how: str) -> str:
    return str((await inferry.json("get", task_id, *how))["status"])


async def test_submit_of_a_type_that_nobody_takes_says_so(inferry: Inferry) -> None:
    ran = await inferry.run("submit", TYPE)
    assert (ran.status, ran.out[:5], ran.err) == (0, "task_", f"{NOBODY}\n")


async def test_submit_of_a_type_that_somebody_takes_says_nothing(
    inferry: Inferry, mock_process: MockProcess
) -> None:
    assert (await inferry.run("submit", TYPE)).err == ""


async def test_a_batch_that_nobody_takes_says_so_once(inferry: Inferry) -> None:
    process = await inferry.start("submit", TYPE, "--from", "-", stdin=b"{}\n{}\n{}\n")
    ran = await ended(process)
    assert (ran.status, len(ran.out.splitlines())) == (0, 3)
    assert ran.err == f"line 1, and all like it: {NOBODY}\n3 tasks created\n"


async def test_follow_says_first_which_task_it_is_and_why_it_waits(inferry: Inferry) -> None:
    process = await inferry.start("submit", TYPE, "--follow")
    task_id = await line(process)
    assert (task_id[:5], await line(process)) == ("task_", NOBODY)
    assert await line(process) == "1 CREATED PENDING 0%"
    ran = await interrupted(process)
    assert ran.status != 0
    assert f"{task_id} goes on:\n  inferry watch {task_id} " in ran.err
    assert f"\n  inferry cancel {task_id} " in ran.err
    assert "Traceback" not in ran.err
    assert await status(inferry, task_id) == "PENDING"


async def test_sync_says_first_which_task_it_is_and_why_it_waits(inferry: Inferry) -> None:
    process = await inferry.start("submit", TYPE, "--sync")
    task_id = await line(process)
    assert (task_id[:5], await line(process)) == ("task_", NOBODY)
    ran = await interrupted(process)
    assert f"{task_id} goes on if a server has it, and is cancelled if none has:" in ran.err
    assert f"\n  inferry cancel {task_id} " in ran.err
    assert "Traceback" not in ran.err
    assert await status(inferry, task_id, "--wait", "30") == "CANCELLED"


async def test_a_named_sync_task_goes_on_when_it_is_interrupted(inferry: Inferry) -> None:
    process = await inferry.start("submit", TYPE, "--sync", "--request-id", "order-66")
    task_id = await line(process)
    assert f"{task_id} goes on:\n" in (await interrupted(process)).err
    assert await status(inferry, task_id) == "PENDING"


async def test_sync_that_no_server_takes_in_time_ends_with_why(inferry: Inferry) -> None:
    ran = await inferry.run("submit", TYPE, "--sync", "--timeout", "100ms")
    assert (ran.status, ran.out) == (3, "")
    told = "TIMEOUT: no server took the task within 100 ms: no server is registered"
    assert told in ran.err


async def test_get_wait_says_why_the_task_waits(inferry: Inferry) -> None:
    task_id = (await inferry.run("submit", TYPE)).out.strip()
    process = await inferry.start("get", task_id, "--wait", "60")
    assert await line(process) == NOBODY
    await inferry.run("cancel", task_id)
    ran = await ended(process)
    assert (ran.status, "CANCELLED" in ran.out) == (0, True)


async def test_watch_says_what_holds_a_task_up_when_that_is_something_else(
    inferry: Inferry,
) -> None:
    task_id = (await inferry.run("submit", TYPE)).out.strip()
    process = await inferry.start("watch", task_id)
    while await line(process) != NOBODY:
        pass
    await inferry.run("pause", TYPE, "--reason", "new model")
    while (said := await line(process)) and "paused" not in said:
        pass
    assert (
        said
        == f"PENDING: the type '{TYPE}' is paused: new model; resume the type (inferry unpause)"
    )
    await inferry.run("cancel", task_id)
    assert (await ended(process)).status == 3
