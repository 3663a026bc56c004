"""``inferry submit --from FILE --follow`` against a scripted gateway on a real socket."""

import asyncio
import json
import os
import pty
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from inferry.cli.batch import follow
from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import FollowTasksRequest, FollowTasksResponse
from tests.cli.real import WITHIN_S, ended
from tests.cli.scripted import Context, Gateway, Tasks, completing, finished, hanging
from tests.processes import INFERRY

Asked = AsyncIterator[FollowTasksRequest]
Told = AsyncIterator[FollowTasksResponse]


def write(file: Path, count: int) -> Path:
    file.write_text("".join(f'{{"n": {number}}}\n' for number in range(count)))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "lines.jsonl", 3)


async def test_all_tasks_are_followed_through_one_stream_and_told_as_they_end(
    scripted: Gateway, tmp_path: Path
) -> None:
    asked: list[FollowTasksRequest] = []

    async def backwards(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            asked.append(request)
            yield FollowTasksResponse(tasks=[tasks.by_id(one) for one in request.add_ids])
            yield FollowTasksResponse(events=map(finished, reversed(request.add_ids)))

    async def once_the_first_are_followed(_context: Context) -> None:
        if len(scripted.tasks.batches) > 1:
            await scripted.tasks.shown.wait()

    scripted.tasks.follow = backwards
    scripted.tasks.before = once_the_first_are_followed
    many = write(tmp_path / "many.jsonl", 1_500)
    ran = await scripted.run("submit", "t", "--from", many, "--follow")
    assert ran.status == 0, ran.err
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert len(rows) == 1_500
    assert rows[0] == ["1000", "task_1000", "COMPLETED", '"done"']
    assert rows[999] == ["1", "task_1", "COMPLETED", '"done"']
    assert ran.err == "1,500 tasks created, 1,500 COMPLETED\n"
    assert scripted.tasks.followed == 1
    assert [len(request.add_ids) for request in asked] == [1_000, 500]
    # A word for the whole stream, in its first message.
    assert asked[0].value_format == JSON_TEXT


async def test_ends_are_lines_of_json_if_wanted(scripted: Gateway, file: Path) -> None:
    ran = await scripted.run("submit", "t", "--from", file, "--follow", "--json")
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["line"], one["task"]["id"], one["task"]["result"]) for one in told] == [
        (1, "task_1", "done"),
        (2, "task_2", "done"),
        (3, "task_3", "done"),
    ]


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ((Task.COMPLETED, Task.COMPLETED, Task.COMPLETED), 0),
        ((Task.COMPLETED, Task.CANCELLED, Task.COMPLETED), 3),
        ((Task.COMPLETED, Task.TIMEOUT, Task.COMPLETED), 3),
        ((Task.TIMEOUT, Task.FAILED, Task.CANCELLED), 1),
    ],
)
async def test_the_exit_status_is_that_of_the_worst_end(
    scripted: Gateway, file: Path, ends: tuple[Task.Status.ValueType, ...], status: int
) -> None:
    async def ending(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            for task_id, end in zip(request.add_ids, ends, strict=True):
                why = {"error": "out of\x1b[2J paint", "code": "ODD"}
                more = {} if end == Task.COMPLETED else why
                yield FollowTasksResponse(events=[finished(task_id, end, **more)])

    scripted.tasks.follow = ending
    ran = await scripted.run("submit", "t", "--from", file, "--follow")
    assert ran.status == status
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[2] for row in rows] == [Task.Status.Name(end) for end in ends]
    assert "\x1b" not in ran.out
    bad = [row[3] for row in rows if row[2] != "COMPLETED"]
    assert set(bad) <= {"out of [2J paint (ODD)"}


async def test_a_task_that_has_ended_before_it_is_followed_counts_once(
    scripted: Gateway, file: Path
) -> None:
    async def shown(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            done = [finished(one) for one in request.add_ids]
            yield FollowTasksResponse(tasks=[event.task for event in done])
            yield FollowTasksResponse(events=done)

    scripted.tasks.follow = shown
    ran = await scripted.run("submit", "t", "--from", file, "--follow")
    assert (ran.status, len(ran.out.splitlines())) == (0, 3)
    assert ran.err == "3 tasks created, 3 COMPLETED\n"


async def test_a_task_that_is_gone_is_named_and_is_no_success(
    scripted: Gateway, file: Path
) -> None:
    async def losing(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            first, *others = request.add_ids
            yield FollowTasksResponse(missing_ids=[first], events=map(finished, others))

    scripted.tasks.follow = losing
    ran = await scripted.run("submit", "t", "--from", file, "--follow")
    assert (ran.status, len(ran.out.splitlines())) == (5, 2)
    assert "line 1: task_1 is gone, and how it ended with it" in ran.err


async def test_a_task_whose_end_the_stream_does_not_show_is_asked_for(
    scripted: Gateway, file: Path
) -> None:
    async def showing_no_end(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            first, second, third = request.add_ids
            tasks.kept = {one: finished(one).task for one in (first, second)}
            bare = TaskEvent(task_id=second, kind=TaskEvent.FINISHED, status=Task.COMPLETED)
            yield FollowTasksResponse(missing_ids=[first], events=[bare, finished(third)])

    scripted.tasks.follow = showing_no_end
    ran = await scripted.run("submit", "t", "--from", file, "--follow")
    assert (ran.status, len(ran.out.splitlines())) == (0, 3)
    assert ran.err == "3 tasks created, 3 COMPLETED\n"


async def test_a_stream_that_is_opened_anew_goes_on_at_its_cursor(
    scripted: Gateway, file: Path
) -> None:
    asked: list[tuple[list[str], str]] = []

    async def breaking(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            asked.append((sorted(request.add_ids), request.cursor))
            if request.cursor:
                yield FollowTasksResponse(events=map(finished, request.add_ids))
            else:
                shown = [tasks.by_id(one) for one in request.add_ids]
                yield FollowTasksResponse(tasks=shown, cursor="here")
                raise ConnectionResetError

    scripted.tasks.follow = breaking
    ran = await scripted.run("submit", "t", "--from", file, "--follow")
    assert (ran.status, len(ran.out.splitlines())) == (0, 3)
    ids = ["task_1", "task_2", "task_3"]
    assert asked == [(ids, ""), (ids, "here")]


async def test_lines_that_name_one_request_each_get_their_answer(
    scripted: Gateway, file: Path
) -> None:
    file.write_text('{"type": "t", "requestId": "same"}\n' * 2)  # noqa: ASYNC240 - a few bytes
    ran = await scripted.run("submit", "--from", file, "--follow")
    assert (ran.status, ran.err) == (0, "2 tasks created, 1 by an earlier run, 2 COMPLETED\n")
    assert [line.split("\t")[:2] for line in ran.out.splitlines()] == [
        ["1", "task_1"],
        ["2", "task_1"],
    ]


async def test_a_stream_that_breaks_is_opened_anew_with_what_is_still_open(
    scripted: Gateway, file: Path
) -> None:
    asked: list[list[str]] = []

    async def breaking(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            asked.append(list(request.add_ids))
            if len(asked) == 1:
                yield FollowTasksResponse(events=[finished("task_2")])
                raise ConnectionResetError
            yield FollowTasksResponse(tasks=[finished(one).task for one in request.add_ids])

    scripted.tasks.follow = breaking
    scripted.tasks.break_with = grpc.StatusCode.UNAVAILABLE
    ran = await scripted.run("submit", "t", "--from", file, "--follow")
    assert ran.status == 0, ran.err
    assert asked == [["task_1", "task_2", "task_3"], ["task_1", "task_3"]]
    assert sorted(line.split("\t")[1] for line in ran.out.splitlines()) == [
        "task_1",
        "task_2",
        "task_3",
    ]


async def test_a_gateway_that_restarts_in_the_middle_is_waited_for(
    scripted: Gateway, file: Path
) -> None:
    scripted.tasks.follow = hanging
    process = await scripted.start_command("submit", "t", "--from", file, "--follow")
    async with asyncio.timeout(WITHIN_S):
        await scripted.tasks.shown.wait()
    await scripted.stop()
    assert process.stderr is not None
    async with asyncio.timeout(WITHIN_S):
        assert b"the gateway is away" in await process.stderr.readline()
    scripted.tasks.follow = completing
    await scripted.start()
    ran = await ended(process)
    assert (ran.status, len(ran.out.splitlines())) == (0, 3)


async def test_a_stream_that_is_refused_ends_it_even_while_lines_are_waited_for(
    scripted: Gateway,
) -> None:
    async def refusing(tasks: Tasks, requests: Asked) -> Told:
        async for _ in requests:
            raise ConnectionResetError
        yield FollowTasksResponse()

    scripted.tasks.follow = refusing
    scripted.tasks.break_with = grpc.StatusCode.PERMISSION_DENIED
    process = await scripted.start_command("submit", "t", "--from", "-", "--follow", stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(b"{}\n")
    async with asyncio.timeout(WITHIN_S):
        assert await process.wait() == 5
    ran = await ended(process)
    assert "What was created goes on" in ran.err
    assert "refused: broken off (PERMISSION_DENIED)" in ran.err


async def test_no_more_tasks_are_open_than_the_limit(
    scripted: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "OPEN_LIMIT", 1_000)
    most = 0

    async def slowly(tasks: Tasks, requests: Asked) -> Told:
        nonlocal most
        done = 0
        async for request in requests:
            most = max(most, len(tasks.created) - done)
            yield FollowTasksResponse(events=map(finished, request.add_ids))
            done += len(request.add_ids)

    scripted.tasks.follow = slowly
    many = write(tmp_path / "many.jsonl", 5_000)
    ran = await scripted.run("submit", "t", "--from", many, "--follow")
    assert (ran.status, len(ran.out.splitlines())) == (0, 5_000)
    # One batch is open, and one more may have been created before it waits.
    assert most <= 2_000


async def test_ctrl_c_leaves_the_tasks_alone_and_tells_how_to_find_them(
    scripted: Gateway, file: Path
) -> None:
    scripted.tasks.follow = hanging
    process = await scripted.start_command("submit", "t", "--from", file, "--follow")
    async with asyncio.timeout(WITHIN_S):
        await scripted.tasks.shown.wait()
    process.send_signal(2)
    ran = await ended(process)
    assert (ran.status, "Traceback" in ran.err) == (130, False)
    assert "stopped at line 3: 3 tasks created. What was created goes on" in ran.err
    assert "inferry watch --all --type t " in ran.err


async def test_on_a_terminal_a_bar_stands_for_all_tasks(scripted: Gateway, file: Path) -> None:
    async def half(tasks: Tasks, requests: Asked) -> Told:
        async for request in requests:
            first, *others = request.add_ids
            moved = TaskEvent(task_id=others[0], kind=TaskEvent.PROGRESSED, progress=50)
            yield FollowTasksResponse(events=[finished(first), moved])
            await go_on.wait()
            yield FollowTasksResponse(events=map(finished, others))

    go_on = asyncio.Event()
    scripted.tasks.follow = half
    ours, theirs = pty.openpty()
    environment = {**scripted.environment, "TERM": "xterm", "COLUMNS": "100"}
    process = await asyncio.create_subprocess_exec(
        *(INFERRY, "submit", "t", "--from", file, "--follow"),
        stdin=theirs,
        stdout=PIPE,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    shown = ""
    try:
        async with asyncio.timeout(WITHIN_S):
            while "3 tasks created, 1 COMPLETED" not in shown:
                shown += (await asyncio.to_thread(os.read, ours, 65_536)).decode()
            go_on.set()
            while "3 tasks created, 3 COMPLETED" not in shown:
                shown += (await asyncio.to_thread(os.read, ours, 65_536)).decode()
            out, _ = await process.communicate()
    finally:
        os.close(ours)
    assert "1/3" in shown
    assert "3/3" in shown
    # What belongs to the pipe does not go to the terminal.
    assert len(out.splitlines()) == 3
    assert "task_1" not in shown
