"""``inferry watch --all`` against a scripted gateway on a real socket."""

import asyncio
import json
import os
import pty
from asyncio.subprocess import Process
from collections.abc import AsyncIterator

import grpc
import pytest

from inferry.client import patience
from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksRequest, WatchTasksResponse
from tests.cli.real import WITHIN_S, ended
from tests.cli.scripted import Context, Gateway, Watch, finished
from tests.processes import INFERRY

SHOWN = WatchTasksResponse(
    tasks=[Task(id="task_1", type="t", status=Task.PENDING)], snapshot_complete=True, cursor="c1"
)
MOVED = WatchTasksResponse(
    events=[
        TaskEvent(
            task_id="task_1",
            seq=3,
            kind=TaskEvent.PROGRESSED,
            status=Task.PROCESSING,
            progress=45,
            message="frames\t\x1b[2J",
        )
    ],
    cursor="c2",
)
ENDED = WatchTasksResponse(
    events=[finished("task_1"), finished("task_2", Task.FAILED, error="why")], cursor="c3"
)


def telling(*streams: tuple[WatchTasksResponse, ...]) -> Watch:
    """Tells each stream's responses and breaks it off; the one after them is refused."""
    left = iter(streams)

    async def watch(_: WatchTasksRequest, context: Context) -> AsyncIterator[WatchTasksResponse]:
        responses = next(left, None)
        if responses is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "that is all")
        for response in responses:
            yield response
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    return watch


@pytest.fixture(autouse=True)
def a_second_try_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "AWAY_S", 0.0)


async def test_in_a_pipe_each_change_is_a_line_with_tabs(scripted: Gateway) -> None:
    scripted.tasks.watch = telling((SHOWN, MOVED, ENDED))
    ran = await scripted.run("watch", "--all", "--type", "t", "--label", "a=b")
    assert [line.split("\t")[1:] for line in ran.out.splitlines()] == [
        ["task_1", "SHOWN", "PENDING", "0%", ""],
        ["task_1", "PROGRESSED", "PROCESSING", "45%", "frames  [2J"],
        ["task_1", "FINISHED", "COMPLETED", "0%", ""],
        ["task_2", "FINISHED", "FAILED", "0%", "why"],
    ]
    assert (ran.status, "that is all" in ran.err) == (5, True)
    asked = scripted.tasks.watched[0]
    assert asked == WatchTasksRequest(
        type="t", labels={"a": "b"}, value_format=JSON_TEXT, without_results=True
    )


async def test_with_json_each_change_is_a_line_of_json(scripted: Gateway) -> None:
    scripted.tasks.watch = telling((SHOWN, MOVED, ENDED))
    ran = await scripted.run("watch", "--all", "--json")
    shown, moved, done, failed = (json.loads(line) for line in ran.out.splitlines())
    assert (shown["task"]["id"], shown["task"]["status"]) == ("task_1", "PENDING")
    assert (moved["event"]["kind"], moved["event"]["progress"]) == ("PROGRESSED", 45)
    assert done["event"]["task"]["result"] == "done"
    assert failed["event"]["task"]["error"] == "why"
    asked = scripted.tasks.watched[0]
    assert (asked.value_format, asked.without_results) == (JSON_TEXT, False)


@pytest.mark.parametrize("how", [(), ("--json",)])
async def test_changes_can_be_picked_by_the_status_after_them(
    scripted: Gateway, how: tuple[str, ...]
) -> None:
    scripted.tasks.watch = telling((SHOWN, MOVED, ENDED))
    ran = await scripted.run("watch", "--all", "--status", "failed", *how)
    (line,) = ran.out.splitlines()
    assert "task_2" in line


async def test_a_stream_that_breaks_goes_on_at_its_cursor_without_being_shown_all_again(
    scripted: Gateway,
) -> None:
    scripted.tasks.watch = telling((SHOWN,), (MOVED,), (ENDED,))
    ran = await scripted.run("watch", "--all", "--json")
    assert [next(iter(json.loads(line))) for line in ran.out.splitlines()] == [
        "task",
        "event",
        "event",
        "event",
    ]
    assert [request.cursor for request in scripted.tasks.watched] == ["", "c1", "c2", "c3"]


async def test_what_broke_before_it_had_a_cursor_is_shown_again_and_says_so(
    scripted: Gateway,
) -> None:
    part = WatchTasksResponse(tasks=[Task(id="task_0", status=Task.PENDING)])
    scripted.tasks.watch = telling((part,), (SHOWN,))
    ran = await scripted.run("watch", "--all", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()][1] == {"restarted": True}
    assert [request.cursor for request in scripted.tasks.watched] == ["", "", "c1"]


async def test_a_cursor_that_is_too_old_is_told(scripted: Gateway) -> None:
    again = WatchTasksResponse()
    again.CopyFrom(SHOWN)
    again.restarted = True
    scripted.tasks.watch = telling((SHOWN,), (again,))
    ran = await scripted.run("watch", "--all", "--json")
    assert [next(iter(json.loads(line))) for line in ran.out.splitlines()] == [
        "task",
        "restarted",
        "task",
    ]


async def test_a_stream_that_somebody_ends_is_taken_up_again(scripted: Gateway) -> None:
    streams = iter([(SHOWN,), (MOVED,)])

    async def watch(_: WatchTasksRequest, context: Context) -> AsyncIterator[WatchTasksResponse]:
        for response in next(streams, ()):
            yield response

    scripted.tasks.watch = watch
    ran = await scripted.run("watch", "--all")
    assert [line.split("\t")[2] for line in ran.out.splitlines()] == ["SHOWN", "PROGRESSED"]
    assert (ran.status, "Traceback" in ran.err) == (4, False)
    assert "cannot reach the gateway" in ran.err
    assert "it ended the stream" in ran.err


async def test_a_gateway_that_was_never_there_is_not_waited_for(
    scripted: Gateway, unused_tcp_port: int
) -> None:
    where = ("--address", f"127.0.0.1:{unused_tcp_port}")
    ran = await scripted.run(*where, "watch", "--all")
    assert (ran.status, ran.out) == (4, "")
    assert ran.err.startswith("cannot reach the gateway")


@pytest.mark.parametrize(
    "arguments", [("watch",), ("watch", "task_1", "--all"), ("watch", "task_1", "--type", "t")]
)
async def test_it_is_one_task_or_all(scripted: Gateway, arguments: tuple[str, ...]) -> None:
    assert (await scripted.run(*arguments)).status == 2


async def hanging(_: WatchTasksRequest, __: Context) -> AsyncIterator[WatchTasksResponse]:
    yield SHOWN
    yield MOVED
    await asyncio.Event().wait()


async def lines_of(process: Process, count: int) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        for _ in range(count):
            assert await process.stdout.readline()


async def test_ctrl_c_ends_it(scripted: Gateway) -> None:
    scripted.tasks.watch = hanging
    process = await scripted.start_command("watch", "--all")
    await lines_of(process, 2)
    process.send_signal(2)
    ran = await ended(process)
    assert (ran.status, ran.err) == (130, "")


async def test_a_reader_that_goes_away_ends_it_without_a_word(scripted: Gateway) -> None:
    more = asyncio.Event()

    async def watch(_: WatchTasksRequest, __: Context) -> AsyncIterator[WatchTasksResponse]:
        yield SHOWN
        await more.wait()
        yield MOVED
        yield ENDED
        await asyncio.Event().wait()

    scripted.tasks.watch = watch
    read, written = os.pipe()
    process = await scripted.start_command("watch", "--all", stdout=written)
    os.close(written)
    assert b"task_1" in await asyncio.to_thread(os.read, read, 4_096)
    os.close(read)
    more.set()
    ran = await ended(process)
    assert (ran.status, ran.err) == (1, "")


async def test_a_terminal_gets_a_table_that_lives(scripted: Gateway) -> None:
    more = asyncio.Event()

    async def watch(_: WatchTasksRequest, __: Context) -> AsyncIterator[WatchTasksResponse]:
        yield SHOWN
        await more.wait()
        yield MOVED
        yield ENDED
        await asyncio.Event().wait()

    scripted.tasks.watch = watch
    ours, theirs = pty.openpty()
    environment = {**scripted.environment, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = await asyncio.create_subprocess_exec(
        INFERRY, "watch", "--all", stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    drawn = ""
    try:
        async with asyncio.timeout(WITHIN_S):
            while "1 PENDING" not in drawn or "task_1" not in drawn:
                drawn += (await asyncio.to_thread(os.read, ours, 65_536)).decode()
            more.set()
            while "ended meanwhile: 1 COMPLETED, 1 FAILED" not in drawn:
                drawn += (await asyncio.to_thread(os.read, ours, 65_536)).decode()
            process.send_signal(2)
            assert await process.wait() == 130
    finally:
        os.close(ours)
    assert "Traceback" not in drawn
