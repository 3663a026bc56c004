"""Many tasks in one call: each has the answer that its own call would have had."""

from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest

from inferry.server.store.operations import Insert
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResponse,
    CreateTaskRequest,
)
from tests.backends import Backend, say
from tests.gateways import Running, running_gateway, token
from tests.server.gateway.test_many_watched import stub_of
from tests.server.watches import bearer

MIB = 1024 * 1024


async def batch(gateway: Running, *requests: CreateTaskRequest) -> Any:
    async with stub_of(gateway) as stub:
        return await stub.BatchCreateTasks(
            BatchCreateTasksRequest(requests=requests), metadata=bearer()
        )


def codes(response: BatchCreateTasksResponse) -> list[str]:
    return [one.refusal.code for one in response.results]


async def test_each_task_of_a_batch_has_its_own_answer_in_its_place(gateway: Running) -> None:
    wrong = [
        CreateTaskRequest(type="no type"),
        CreateTaskRequest(type="echo", payload_json=b"[1]"),
        CreateTaskRequest(type="echo", priority=10),
        CreateTaskRequest(type="echo", payload_json=b'{"x":"%b"}' % (b"x" * MIB)),
    ]
    waits = CreateTaskRequest(type="echo", asynchronous=False)
    good = CreateTaskRequest(type="echo", payload_json=b'{"a":1}', labels={"job": "7"})
    requests = [good, wrong[0], good, *wrong[1:], waits, good]
    response = await batch(gateway, *requests)
    right = "INVALID_PAYLOAD"
    assert codes(response) == ["", right, "", right, right, "PAYLOAD_TOO_LARGE", right, ""]
    for number in (0, 2, 7):
        task = response.results[number].task
        read = await gateway.task(task.id)
        assert (read["payload"], read["labels"]) == ({"a": 1}, {"job": "7"})
        assert (task.status, task.payload_json) == (Task.PENDING, b"")
    async with stub_of(gateway) as stub:
        for request, number in zip(wrong, (1, 3, 4, 5), strict=True):
            with pytest.raises(grpc.aio.AioRpcError) as alone:
                await stub.CreateTask(request, metadata=bearer())
            assert response.results[number].refusal.error == alone.value.details()


async def test_a_batch_that_is_sent_again_gives_the_same_tasks(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say({"status": "error", "error": "x" * 4_000, "code": "BROKEN"})
    await gateway.register(backend, maxConcurrent=1_000)
    requests = [CreateTaskRequest(type="echo", request_id=f"key-{n}") for n in range(1_000)]
    # The same key twice in a batch is one task, too.
    requests[7].request_id = "key-6"
    first = await batch(gateway, *requests)
    assert [one.replayed for one in first.results].count(True) == 1
    for result in first.results:
        assert (await gateway.task(result.task.id, 10))["status"] == "FAILED"
    again = await batch(gateway, *requests)
    assert [one.task.id for one in again.results] == [one.task.id for one in first.results]
    assert all(one.replayed for one in again.results)
    requests[3].priority = 5
    other = await batch(gateway, *requests[:5])
    assert codes(other) == ["", "", "", "REQUEST_ID_REUSED", ""]
    taken = other.results[3].refusal
    assert taken.details["taskId"] == first.results[3].task.id


async def test_what_the_queue_has_no_room_for_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, queue_limit=5) as gateway:
        response = await batch(gateway, *[CreateTaskRequest(type="echo") for _ in range(8)])
        assert codes(response) == [""] * 5 + ["RESOURCE_LIMIT"] * 3
        assert response.results[-1].refusal.retry_after_ms >= 1_000


async def test_a_batch_takes_few_commits(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    store = gateway.gateway._store
    commit = store.commit

    async def counted(operations: Any) -> Any:
        inserts = sum(isinstance(operation, Insert) for operation in operations)
        sizes.extend([inserts] if inserts else [])
        return await commit(operations)

    monkeypatch.setattr(store, "commit", counted)
    await batch(gateway, *[CreateTaskRequest(type="echo") for _ in range(1_000)])
    assert (sum(sizes), len(sizes)) == (1_000, 4)


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([], "requests: 0; right is 1 to 1000"),
        ([CreateTaskRequest(type="echo")] * 1_001, "requests: 1001; right is 1 to 1000"),
        (
            [CreateTaskRequest(type="echo", payload_json=b"x" * 800_000)] * 4,
            "the limit is 3145728",
        ),
    ],
    ids=["none", "too many", "too large"],
)
async def test_what_is_no_batch_is_refused_as_a_whole(
    gateway: Running, requests: list[CreateTaskRequest], words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await batch(gateway, *requests)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in (refused.value.details() or "")


async def test_a_batch_over_rest_refuses_alone_what_is_no_request(gateway: Running) -> None:
    status, body = await gateway.call(
        "POST",
        "/api/tasks:batchCreate",
        {
            "requests": [
                {"type": "echo", "payload": {"a": 1}, "requestId": "one"},
                {"type": "echo", "priority": "soon"},
                {"type": "echo", "colour": "red"},
                7,
                None,
                {"type": "echo", "async": False},
                {"type": "echo", "payload": {"b": 2}},
            ]
        },
    )
    assert status == 200
    results = body["results"]
    wrong = [result["refusal"] for result in results if "refusal" in result]
    assert [result.get("refusal") for result in results] == [None, *wrong, None]
    assert {one["code"] for one in wrong} == {"INVALID_PAYLOAD"}
    errors = [one["error"] for one in wrong]
    assert errors[0].startswith("priority: expected an integer")
    assert errors[1].startswith("colour: no such field")
    assert errors[2:4] == ["expected a JSON object, got 7", "expected a JSON object, got null"]
    assert errors[4] == "async: false; a batch waits for the end of no task"
    assert wrong[0]["details"] == {"field": "priority"}
    assert (await gateway.task(results[6]["task"]["id"]))["payload"] == {"b": 2}
    assert "payload" not in results[0]["task"]
    # A colon may come escaped.
    _, again = await gateway.call(
        "POST",
        "/api/tasks%3AbatchCreate/",
        {"requests": [{"type": "echo", "payload": {"a": 1}, "requestId": "one"}]},
    )
    (result,) = again["results"]
    assert (result["replayed"], result["task"]["id"]) == (True, results[0]["task"]["id"])


async def test_a_batch_over_rest_may_have_3_mib(gateway: Running) -> None:
    async def send(size: int) -> tuple[int, Any]:
        one = b'{"type":"echo","payload":{"x":"%b"}}' % (b"x" * 700_000)
        batch = b'{"requests":[%b]}' % b",".join([one] * 4)
        headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
        async with gateway.http.post(
            f"{gateway.url}/api/tasks:batchCreate",
            data=BytesIO(batch + b" " * (size - len(batch))),
            headers=headers,
        ) as response:
            return response.status, orjson.loads(await response.read())

    status, body = await send(3 * MIB)
    assert status == 200, body
    assert all("task" in result for result in body["results"])
    status, body = await send(3 * MIB + 1)
    assert (status, body["details"]) == (413, {"limit": 3 * MIB})
