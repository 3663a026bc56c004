"""``inferry submit --from`` against a scripted gateway on a real socket."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TextIO

import grpc
import pytest

from inferry.client import patience
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import BatchCreateTasksResult, CreateTaskRequest, TaskRefusal
from tests.cli.real import WITHIN_S, Ran, ended
from tests.cli.scripted import Context, Gateway


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lines.jsonl"


def write(file: Path, count: int) -> Path:
    return put(file, "".join(f'{{"n": {number}}}\n' for number in range(count)))


def put(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def open_reader(descriptor: int) -> TextIO:
    return os.fdopen(descriptor)


def refusing(word: str, retry_after_ms: int | None = None) -> BatchCreateTasksResult:
    refusal = TaskRefusal(code=word, error="no", retry_after_ms=retry_after_ms)
    return BatchCreateTasksResult(refusal=refusal)


async def test_a_task_is_created_for_each_line_and_its_id_printed(
    scripted: Gateway, file: Path
) -> None:
    ran = await scripted.run("submit", "t", "--from", write(file, 2_001), "--label", "a=b")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines() == [f"task_{number}" for number in range(1, 2_002)]
    assert ran.err == "2,001 tasks created\n"
    assert [len(batch.requests) for batch in scripted.tasks.batches] == [1_000, 1_000, 1]
    requests = scripted.tasks.requests
    assert [request.payload_json for request in requests[:2]] == [b'{"n": 0}', b'{"n": 1}']
    assert all(
        one.type == "t" and one.labels == {"a": "b"} and one.asynchronous for one in requests
    )
    assert len({request.request_id for request in requests}) == 2_001


async def test_a_line_may_be_a_whole_request(scripted: Gateway, file: Path) -> None:
    put(file, '{"type": "a", "payload": {"x": 1}, "labels": {"k": "v"}}\n{"type": "b"}\n')
    ran = await scripted.run("submit", "--from", file, "--json")
    assert ran.status == 0, ran.err
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["line"], one["task"]["id"], one["task"]["type"]) for one in answers] == [
        (1, "task_1", "a"),
        (2, "task_2", "b"),
    ]
    assert scripted.tasks.requests[0].labels == {"k": "v"}


async def test_a_line_that_is_refused_is_named_with_the_reason_and_costs_no_other(
    scripted: Gateway, file: Path
) -> None:
    put(file, '{"n": 1}\n{"n": \n{"bad": 1}\n{"n": 4}\n')
    bad = b'{"bad": 1}'
    scripted.tasks.answers = lambda request: (
        refusing("INVALID_PAYLOAD") if request.payload_json == bad else None
    )
    ran = await scripted.run("submit", "t", "--from", file)
    assert (ran.status, ran.out) == (5, "task_1\ntask_2\n")
    first, second, summary = ran.err.splitlines()
    assert first.startswith("line 2: no JSON, at position")
    assert second == "line 3: no (INVALID_PAYLOAD)"
    assert summary == "2 tasks created, 2 refused"

    ran = await scripted.run("submit", "t", "--from", file, "--json")
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert {one["line"]: one["refusal"]["code"] for one in answers if "refusal" in one} == {
        2: "INVALID_PAYLOAD",
        3: "INVALID_PAYLOAD",
    }


@pytest.mark.parametrize("text", ["", "\n\n"])
async def test_an_empty_file_creates_nothing_and_says_so(
    scripted: Gateway, file: Path, text: str
) -> None:
    put(file, text)
    for how in ((), ("--follow",)):
        ran = await scripted.run("submit", "t", "--from", file, *how)
        assert (ran.status, ran.out) == (0, "")
        assert ran.err == f"no lines in {file}: nothing was created\n"


async def test_a_file_that_cannot_be_read_is_wrong_usage(scripted: Gateway, tmp_path: Path) -> None:
    for file, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        ran = await scripted.run("submit", "t", "--from", file)
        assert ran.status == 2
        assert why in " ".join(ran.err.replace("│", "").split())


async def test_a_file_that_ceases_to_be_readable_is_named(scripted: Gateway) -> None:
    ran = await scripted.run("submit", "t", "--from", "/proc/self/mem")
    assert ran.status == 2
    assert ran.err.endswith("cannot read on: Input/output error\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "t", "{}", "--from", "-"),
        ("submit", "t", "--sync", "--from", "-"),
        ("submit", "t", "--from", "-", "--request-id", "x" * 241),
    ],
)
async def test_what_makes_no_sense_together_is_wrong_usage(
    scripted: Gateway, arguments: tuple[str, ...]
) -> None:
    assert (await scripted.run(*arguments)).status == 2
    assert scripted.tasks.batches == []


async def test_lines_of_a_pipe_become_tasks_while_it_stays_open(scripted: Gateway) -> None:
    process = await scripted.start_command("submit", "t", "--from", "-", stdin=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        for number in (1, 2):
            process.stdin.write(b'{"n": %d}\n' % number)
            assert await process.stdout.readline() == b"task_%d\n" % number
    process.stdin.close()
    assert (await ended(process)).status == 0


async def test_a_full_queue_is_waited_for_and_what_had_no_room_is_sent_again(
    scripted: Gateway, file: Path
) -> None:
    turned_away: set[str] = set()

    def answer(request: CreateTaskRequest) -> BatchCreateTasksResult | None:
        if request.payload_json == b'{"n": 0}' or request.request_id in turned_away:
            return None
        turned_away.add(request.request_id)
        return refusing("RESOURCE_LIMIT", retry_after_ms=1)

    scripted.tasks.answers = answer
    ran = await scripted.run("submit", "t", "--from", write(file, 3))
    assert (ran.status, ran.out) == (0, "task_1\ntask_2\ntask_3\n")
    assert ran.err.startswith("the queue is full: 2 tasks wait, tries again in 0.05 s\n")
    first, second = scripted.tasks.batches
    assert list(second.requests) == list(first.requests[1:])


async def test_a_call_that_broke_is_made_again_and_creates_nothing_twice(
    scripted: Gateway, file: Path
) -> None:
    async def breaks_once(context: Context) -> None:
        if len(scripted.tasks.batches) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    # It has created the tasks when it goes away.
    scripted.tasks.after = breaks_once
    ran = await scripted.run("submit", "t", "--from", write(file, 3))
    assert (ran.status, ran.out) == (0, "task_1\ntask_2\ntask_3\n")
    first, second = scripted.tasks.batches
    assert first == second
    away, summary = ran.err.splitlines()
    assert away.startswith("the gateway is away, tries again in 0.")
    assert "(gone)" in away
    assert summary == "3 tasks created, 3 by an earlier run"


async def test_a_gateway_that_stays_away_ends_it_and_the_same_run_goes_on_later(
    scripted: Gateway, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "AWAY_S", 0.0)

    async def breaks(context: Context) -> None:
        if len(scripted.tasks.batches) > 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    scripted.tasks.before = breaks
    ran = await scripted.run("submit", "t", "--from", write(file, 1_500), "--label", "a=b c")
    assert (ran.status, len(ran.out.splitlines())) == (4, 1_000)
    assert "stopped at line 1,000: 1,000 tasks created." in ran.err
    assert "inferry watch --all --type t --label 'a=b c' " in ran.err
    assert "inferry cancel --type t --label 'a=b c' " in ran.err
    assert "cannot reach the gateway" in ran.err
    name = ran.err.partition("--request-id ")[2].split()[0]

    scripted.tasks.before = None
    ran = await scripted.run("submit", "t", "--from", file, "--request-id", name)
    assert (ran.status, len(set(ran.out.splitlines()))) == (0, 1_500)
    assert ran.err == "1,500 tasks created, 1,000 by an earlier run\n"
    assert len(scripted.tasks.created) == 1_500


async def test_ctrl_c_says_that_the_tasks_go_on_and_how_to_go_on_with_the_rest(
    scripted: Gateway, file: Path
) -> None:
    process = await scripted.start_command(
        "submit", "t", "--from", "-", "--request-id", "night run", stdin=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"{}\n{}\n")
    async with asyncio.timeout(WITHIN_S):
        assert await process.stdout.readline() == b"task_1\n"
        assert await process.stdout.readline() == b"task_2\n"
    process.send_signal(2)
    ran = await ended(process)
    assert (ran.status, "Traceback" in ran.err) == (130, False)
    assert "stopped at line 2: 2 tasks created. What was created goes on" in ran.err
    assert "--request-id 'night run'" in ran.err


@pytest.mark.parametrize("how", [(), ("--follow",), ("--json",)])
async def test_a_reader_that_goes_away_ends_it_without_a_traceback(
    scripted: Gateway, how: tuple[str, ...]
) -> None:
    read, written = os.pipe()
    process = await scripted.start_command(
        "submit", "t", "--from", "-", *how, stdin=PIPE, stdout=written
    )
    os.close(written)
    assert process.stdin is not None
    process.stdin.write(b"{}\n")
    with open_reader(read) as out:
        assert "task_1" in await asyncio.to_thread(out.readline)
    process.stdin.write(b"{}\n{}\n")
    ran = await ended(process)
    assert "Traceback" not in ran.err
    assert "What was created goes on" in ran.err
    assert ran.status == 1


async def test_a_gateway_that_refuses_the_token_is_named(scripted: Gateway, file: Path) -> None:
    async def refuses(context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token has expired")

    scripted.tasks.before = refuses
    ran: Ran = await scripted.run("submit", "t", "--from", write(file, 1))
    assert (ran.status, ran.out) == (5, "")
    assert "refused: the token has expired (UNAUTHENTICATED)" in ran.err
    assert Task.Status.Name(Task.FAILED) not in ran.err


async def test_an_answer_that_does_not_tell_of_each_line_is_named(
    scripted: Gateway, file: Path
) -> None:
    scripted.tasks.answers = lambda _: BatchCreateTasksResult()
    ran = await scripted.run("submit", "t", "--from", write(file, 2))
    assert (ran.status, ran.out) == (5, "")
    assert "the answer tells of 0 of 2 creations" in ran.err
    assert "Traceback" not in ran.err
