"""``inferry top``."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator

import grpc
import pytest
from rich.console import Console

from inferry.cli.live.look import Look, picture
from inferry.cli.live.rates import Flow
from inferry.v1.queue_pb2 import TypeQueue
from inferry.v1.queue_service_pb2 import GetQueueResponse
from inferry.v1.server_pb2 import Load, Server
from inferry.v1.server_service_pb2 import ListServersResponse
from inferry.v1.task_pb2 import TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksRequest, WatchTasksResponse
from tests.cli.real import WITHIN_S
from tests.cli.scripted import Context, Gateway, finished
from tests.processes import INFERRY

SERVERS = [
    Server(
        name="gpu-1",
        status=Server.ACTIVE,
        transport=Server.HTTP,
        active=3,
        max_concurrent=4,
        success_rate=0.985,
        load=Load(cpu=71.4),
    ),
    Server(name="cpu", status=Server.OFFLINE, max_concurrent=8, last_error="connection refused"),
    Server(
        name="worker-1",
        status=Server.ACTIVE,
        transport=Server.GRPC,
        connection=Server.LOADING,
        max_concurrent=2,
    ),
]
QUEUE = GetQueueResponse(
    waiting=12,
    limit=10_000,
    left_last_minute=90,
    types=[
        TypeQueue(type="speech", waiting=4, paused=True, pause_reason="new model"),
        TypeQueue(type="video", waiting=5, delayed=3),
    ],
)


def drawn(look: Look, height: int = 24) -> list[str]:
    console = Console(width=80, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(picture(look, height))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_look_tells_servers_slots_queue_and_rates() -> None:
    lines = drawn(Look(SERVERS, QUEUE, Flow(12.34, 11.0, 0.021)))
    stock, rates = lines[:2]
    assert stock == "servers 1 of 3 take tasks  slots 3/4  queue 12 of 10,000"
    assert rates == "created 12.3/s  ended 11.0/s  failed 2.1% (in 10 s)  left 90 in 1 min"
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert cells["gpu-1"] == ["active", "http", "3/4", "98%", "71%", "-"]
    assert cells["cpu"][:5] == ["offline", "http", "0/8", "-", "-"]
    assert cells["worker-1"] == ["loading", "grpc", "0/2", "-", "-", "-"]
    assert cells["speech"] == ["4", "0", "paused:", "new", "model"]
    assert cells["video"] == ["5", "3", "-"]


def test_the_figures_of_a_busy_gateway_fit_80_columns() -> None:
    queue = GetQueueResponse(waiting=100_000, limit=100_000, left_last_minute=50_000)
    busy = Server(status=Server.ACTIVE, active=100, max_concurrent=100)
    stock, rates = drawn(Look([busy] * 100, queue, Flow(999.9, 999.9, 0.999)))[:2]
    assert stock.endswith("queue 100,000 of 100,000")
    assert rates.endswith("left 50,000 in 1 min")


def test_a_look_tells_of_which_types_no_server_takes_tasks() -> None:
    servers = [
        Server(name="a", status=Server.RESTING, capabilities=["video"]),
        Server(name="b", status=Server.OFFLINE, capabilities=["speech"]),
        Server(name="c", status=Server.DRAINING),
    ]
    queue = GetQueueResponse(types=[TypeQueue(type=name) for name in ("speech", "video")])
    lines = {line.split()[0]: line for line in drawn(Look(servers, queue)) if line}
    assert lines["speech"].endswith("no server takes it")
    assert lines["video"].endswith("-")


def test_what_a_backend_says_moves_neither_terminal_nor_columns() -> None:
    odd = Server(
        name="x\x1b[2J" * 40,
        status=Server.RESTING,
        active=10_000,
        max_concurrent=10_000,
        last_error="e\n" * 500,
    )
    types = [TypeQueue(type="t" * 128, waiting=10_000, paused=True, pause_reason="r" * 255)]
    lines = drawn(Look([odd], GetQueueResponse(waiting=10_000, limit=10_000, types=types)))
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert "10000/10000" in "".join(lines)


@pytest.mark.parametrize(("servers", "types"), [(100, 0), (0, 100), (100, 100), (100, 1)])
def test_a_look_has_no_more_lines_than_the_terminal(servers: int, types: int) -> None:
    queue = GetQueueResponse(types=[TypeQueue(type=f"t{n}") for n in range(types)])
    look = Look([Server(name=f"s{n}") for n in range(servers)], queue, Flow(1.0, 1.0, None))
    lines = drawn(look)
    assert len(lines) <= 23
    assert "more" in " ".join(lines)
    for count, name in ((servers, "SERVER"), (types, "TYPE")):
        assert any(line.startswith(name) for line in lines) == bool(count)


@pytest.mark.parametrize("how", [(), ("--once",)])
async def test_in_a_pipe_it_is_one_look_as_lines_with_tabs(
    scripted: Gateway, how: tuple[str, ...]
) -> None:
    scripted.servers = ListServersResponse(servers=SERVERS)
    scripted.queue = QUEUE
    ran = await scripted.run("top", *how)
    assert (ran.status, ran.err, scripted.looks) == (0, "", 1)
    lines = [line.split("\t") for line in ran.out.splitlines()]
    assert ["servers", "1 of 3 take tasks"] in lines
    assert ["left in the last minute", "90"] in lines
    assert ["gpu-1", "active", "http", "3/4", "98%", "71%", "-"] in lines
    assert ["speech", "4", "0", "paused: new model"] in lines


async def read_until(terminal: int, words: str, drawn: str = "") -> str:
    async with asyncio.timeout(WITHIN_S):
        while words not in drawn:
            drawn += (await asyncio.to_thread(os.read, terminal, 65_536)).decode()
    return drawn


async def test_on_a_terminal_it_goes_on_until_ctrl_c_and_counts_what_happens(
    scripted: Gateway,
) -> None:
    scripted.servers = ListServersResponse(servers=SERVERS)
    scripted.queue = QUEUE

    async def watch(_: WatchTasksRequest, __: Context) -> AsyncIterator[WatchTasksResponse]:
        created = TaskEvent(task_id="task_1", kind=TaskEvent.CREATED)
        yield WatchTasksResponse(events=[created, finished("task_1")], cursor="c1")
        await asyncio.Event().wait()

    scripted.tasks.watch = watch
    ours, theirs = pty.openpty()
    environment = {**scripted.environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = await asyncio.create_subprocess_exec(
        INFERRY, "top", stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    try:
        await read_until(ours, "gpu-1")
        await read_until(ours, "failed 0.0% (in 10 s)")
        await scripted.stop()
        await read_until(ours, "the gateway is away")
        scripted.queue = GetQueueResponse(waiting=77, limit=100)
        await scripted.start()
        await read_until(ours, "queue 77 of 100")
        process.send_signal(2)
        rest = await read_until(ours, "\x1b[?1049l")
        assert await process.wait() == 130
    finally:
        os.close(ours)
    assert "Traceback" not in rest


async def test_a_watch_that_is_refused_ends_it_with_a_sentence(scripted: Gateway) -> None:
    scripted.servers = ListServersResponse(servers=SERVERS)

    async def watch(_: WatchTasksRequest, context: Context) -> AsyncIterator[WatchTasksResponse]:
        if scripted.tasks.watched:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")
        yield WatchTasksResponse()

    scripted.tasks.watch = watch
    ours, theirs = pty.openpty()
    environment = {**scripted.environment, "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        INFERRY, "top", stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    try:
        drawn = await read_until(ours, "not for you")
        assert await process.wait() == 5
    finally:
        os.close(ours)
    assert "Traceback" not in drawn
