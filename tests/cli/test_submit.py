"""``inferry submit`` against a channel on which the test plays the gateway."""

import pytest

from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import CreateTaskRequest, CreateTaskResponse
from tests.cli.play import Play, ended, rpc

TASK = Task(id="task_1", type="test-processing", status=Task.PENDING)


def test_submit_creates_an_asynchronous_task_and_prints_its_id(play: Play) -> None:
    play.run("submit", "test-processing", '{"test": "data"}')
    request = play.answer(rpc("CreateTask"), CreateTaskResponse(task=TASK), CreateTaskRequest)
    assert (play.result().exit_code, play.result().stdout) == (0, "task_1\n")
    assert request == CreateTaskRequest(
        type="test-processing",
        payload_json=b'{"test": "data"}',
        asynchronous=True,
        value_format=JSON_TEXT,
    )
    assert play.metadata["authorization"] == "Bearer secret"


def test_submit_sends_every_option(play: Play) -> None:
    times = "--timeout 90s --queue-timeout 2m --silence-timeout 0 --total-timeout 7d --delay 1.5h"
    others = (
        "--priority 9 --label a=b --label c=d --capability gpu --capability x --idempotent "
        "--max-attempts 5 --request-id order-66"
    )
    play.run("submit", "t", *times.split(), *others.split())
    request = play.answer(rpc("CreateTask"), CreateTaskResponse(task=TASK), CreateTaskRequest)
    assert request == CreateTaskRequest(
        type="t",
        payload_json=b"{}",
        value_format=JSON_TEXT,
        asynchronous=True,
        timeout_ms=90_000,
        queue_timeout_ms=120_000,
        silence_timeout_ms=0,
        total_timeout_ms=604_800_000,
        delay_ms=5_400_000,
        priority=9,
        labels={"a": "b", "c": "d"},
        capabilities=["gpu", "x"],
        idempotent=True,
        max_attempts=5,
        request_id="order-66",
    )
    result = play.result()
    assert (result.exit_code, result.stdout, result.stderr) == (0, "task_1\n", "")


def test_submit_says_that_an_earlier_request_created_the_task(play: Play) -> None:
    play.run("submit", "t", "--request-id", "order-66")
    response = CreateTaskResponse(task=TASK, replayed=True)
    play.answer(rpc("CreateTask"), response, CreateTaskRequest)
    assert (play.result().exit_code, play.result().stdout) == (0, "task_1\n")
    assert play.result().stderr == "an earlier request order-66 created task_1: replayed\n"


def test_submit_sync_prints_the_result_alone(play: Play) -> None:
    result = b'{"n": 9223372036854775808, "b": 1e400}'
    play.run("submit", "t", "--sync")
    request = play.answer_late(
        rpc("CreateTask"),
        CreateTaskResponse(task=ended(Task.COMPLETED, result_json=result)),
        CreateTaskRequest,
        **{"inferry-task-id": "task_1"},
    )
    assert not request.asynchronous
    assert play.result().exit_code == 0
    assert (play.result().stdout, play.result().stderr) == (f"{result.decode()}\n", "task_1\n")


def test_submit_sync_works_with_a_gateway_that_does_not_tell_the_task_before(play: Play) -> None:
    task = ended(Task.COMPLETED, result_json=b"1")
    play.run("submit", "t", "--sync")
    play.answer_late(rpc("CreateTask"), CreateTaskResponse(task=task), CreateTaskRequest)
    assert (play.result().stdout, play.result().stderr) == ("1\n", "")


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_submit_says_that_no_server_takes_the_task(play: Play, how: tuple[str, ...]) -> None:
    why = "no server is registered; register a server with: t\x1b[2J"
    play.run("submit", "t", *how)
    task = Task(id="task_1", type="t", status=Task.PENDING, unserved=why)
    play.answer(rpc("CreateTask"), CreateTaskResponse(task=task), CreateTaskRequest)
    assert play.result().exit_code == 0
    assert play.result().stdout.startswith('{\n  "id": "task_1"' if how else "task_1\n")
    assert play.result().stderr == f"PENDING: {why.replace(chr(27), ' ')}\n"


@pytest.mark.parametrize(
    ("status", "exit_code"), [(Task.FAILED, 1), (Task.TIMEOUT, 3), (Task.CANCELLED, 3)]
)
def test_a_task_that_did_not_complete_is_told_on_standard_error_and_by_the_exit_status(
    play: Play, status: Task.Status.ValueType, exit_code: int
) -> None:
    task = ended(status, error="out of paint\x1b[2J", code="RESOURCE_LIMIT")
    play.run("submit", "t", "--sync")
    play.answer_late(rpc("CreateTask"), CreateTaskResponse(task=task), CreateTaskRequest)
    assert play.result().exit_code == exit_code
    assert play.result().stdout == ""
    assert f"{Task.Status.Name(status)}: out of paint" in play.result().stderr
    assert "(RESOURCE_LIMIT)" in play.result().stderr
    assert "\x1b" not in play.result().stderr


def test_submit_follow_shows_each_event_and_prints_the_result(play: Play) -> None:
    done = ended(Task.COMPLETED, result_json=b'"done"')
    play.run("submit", "t", "--follow")
    play.answer(rpc("CreateTask"), CreateTaskResponse(task=TASK), CreateTaskRequest)
    play.stream(
        TaskEvent(seq=1, kind=TaskEvent.CREATED, status=Task.PENDING),
        TaskEvent(
            seq=2,
            kind=TaskEvent.PROGRESSED,
            status=Task.PROCESSING,
            progress=45,
            message="frames",
        ),
        TaskEvent(seq=3, kind=TaskEvent.FINISHED, status=Task.COMPLETED, progress=45, task=done),
    )
    assert play.result().exit_code == 0
    assert play.result().stdout == '"done"\n'
    assert play.result().stderr.splitlines() == [
        "task_1",
        "1 CREATED PENDING 0%",
        "2 PROGRESSED PROCESSING 45% frames",
        "3 FINISHED COMPLETED 45%",
    ]
