from collections.abc import Callable

import pytest
from grpc import StatusCode

from inferry.client import (
    AsyncClient,
    Forbidden,
    InferryError,
    InvalidRequest,
    NotFound,
    QueueFull,
    Status,
    TaskCancelled,
    TaskFailed,
    TaskTimedOut,
    Unavailable,
    WaitTimedOut,
)
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import BatchCreateTasksResult
from tests.client.scripted import Refusal, Scripted

Garble = Callable[[list[BatchCreateTasksResult]], list[BatchCreateTasksResult]]


async def test_a_run_gives_the_result(client: AsyncClient, gateway: Scripted) -> None:
    assert await client.run("echo", {"n": 2**70, "é": None}) == {"n": 2**70, "é": None}
    assert gateway.metadata["authorization"] == "Bearer secret"


async def test_payloads_travel_as_the_texts_that_they_are(
    client: AsyncClient, gateway: Scripted
) -> None:
    assert await client.run("echo", b'{"b": 1.50, "a": 1}') == {"b": 1.5, "a": 1}
    assert gateway.said("CreateTask")[0].payload_json == b'{"b": 1.50, "a": 1}'


async def test_a_task_is_submitted_and_waited_for_later(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold", {}, labels={"team": "vision"}, attempt_timeout=1.5)
    assert task.state is not None
    assert (task.state.status, task.state.labels) == (Status.PENDING, {"team": "vision"})
    assert gateway.said("CreateTask")[0].timeout_ms == 1_500
    gateway.end(task.id, Task.COMPLETED, result_json=b"[1]")
    assert await task.result() == [1]
    assert (await client.task(task.id).get()).result == [1]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (Task.FAILED, TaskFailed, "INVALID_FORMAT"),
        (Task.TIMEOUT, TaskTimedOut, "TIMEOUT"),
        (Task.CANCELLED, TaskCancelled, "CANCELLED"),
    ],
)
async def test_a_task_that_ends_badly_raises_what_it_ended_with(
    client: AsyncClient,
    gateway: Scripted,
    status: Task.Status.ValueType,
    error: type[InferryError],
    code: str,
) -> None:
    task = await client.submit("hold")
    details = b'{"phase": "attempt"}'
    gateway.end(task.id, status, error="why", code=code, details_json=details)
    with pytest.raises(error, match=rf"^{task.id} {Task.Status.Name(status)}: why$") as caught:
        await task.result()
    assert (caught.value.code, caught.value.details) == (code, {"phase": "attempt"})
    assert caught.value.task is not None
    assert (caught.value.task.id, caught.value.task.error) == (task.id, "why")
    if isinstance(caught.value, TaskTimedOut):
        assert caught.value.phase == "attempt"


async def test_a_wait_that_takes_too_long_leaves_the_task_alone(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold")
    with pytest.raises(WaitTimedOut, match=rf"^{task.id} has not ended within 0.05 s$") as caught:
        await task.result(timeout=0.05)
    assert caught.value.task is not None
    assert caught.value.task.id == task.id
    assert not gateway.said("CancelTask")


async def test_a_run_that_takes_too_long_cancels_its_task(
    client: AsyncClient, gateway: Scripted
) -> None:
    with pytest.raises(WaitTimedOut) as caught:
        await client.run("hold", timeout=0.3)
    assert caught.value.task is not None
    assert gateway.tasks[caught.value.task.id].status == Task.CANCELLED


async def test_a_run_that_is_to_keep_its_task_leaves_it_alone(
    client: AsyncClient, gateway: Scripted
) -> None:
    with pytest.raises(WaitTimedOut) as caught:
        await client.run("hold", timeout=0.3, keep=True)
    assert caught.value.task is not None
    assert gateway.tasks[caught.value.task.id].status == Task.PENDING


async def test_a_task_that_is_not_there_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(NotFound, match="there is no task task_0"):
        await client.task("task_0").result()
    with pytest.raises(NotFound):
        await client.task("task_0").get()


async def test_a_creation_is_repeated_with_its_key_until_it_is_answered(
    client: AsyncClient, gateway: Scripted
) -> None:
    gone = Refusal(StatusCode.UNAVAILABLE)
    gateway.on("CreateTask", gone, Refusal(StatusCode.INTERNAL, text="stream reset"))
    task = await client.submit("hold")
    keys = {request.request_id for request in gateway.said("CreateTask")}
    assert (len(gateway.said("CreateTask")), len(keys)) == (3, 1)
    assert list(gateway.tasks) == [task.id]


async def test_a_full_queue_is_tried_again_when_it_says(
    client: AsyncClient, gateway: Scripted
) -> None:
    full = Refusal(StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_LIMIT", "the queue is full", 0.01)
    gateway.on("CreateTask", full)
    assert await client.run("echo", {}) == {}


async def test_who_would_be_told_to_come_back_too_late_is_told_at_once(gateway: Scripted) -> None:
    full = Refusal(StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_LIMIT", "the queue is full", 60)
    gateway.on("CreateTask", full)
    async with AsyncClient(gateway.address, "secret", timeout=10) as client:
        with pytest.raises(QueueFull, match=r"^the queue is full$") as caught:
            await client.submit("hold")
    assert caught.value.retry_after == 60
    assert caught.value.request_id == gateway.said("CreateTask")[0].request_id


async def test_what_is_wrong_is_not_repeated(client: AsyncClient, gateway: Scripted) -> None:
    gateway.on("CreateTask", Refusal(StatusCode.INVALID_ARGUMENT, "INVALID_PAYLOAD", "type: no"))
    with pytest.raises(InvalidRequest, match=r"^type: no$"):
        await client.submit("hold")
    assert len(gateway.said("CreateTask")) == 1


async def test_a_retry_is_not_said_twice_when_it_may_have_been_heard(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold")
    gateway.on("RetryTask", Refusal(StatusCode.UNAVAILABLE))
    with pytest.raises(Unavailable):
        await task.retry()
    gateway.on("RetryTask", Refusal(StatusCode.UNAVAILABLE, "UNAVAILABLE", "stopping"))
    assert (await task.retry()).id == task.id


async def test_a_gateway_that_is_not_there_is_named() -> None:
    async with AsyncClient("127.0.0.1:1", "secret", retries=0) as client:
        with pytest.raises(
            Unavailable,
            match=r"cannot reach the gateway at 127\.0\.0\.1:1 \(nobody listens there\)",
        ) as caught:
            await client.submit("hold")
    assert caught.value.request_id


async def test_a_call_that_is_not_answered_in_time_says_so(gateway: Scripted) -> None:
    async with AsyncClient(gateway.address, "secret", timeout=0.2) as client:
        gateway.on("GetTask", lambda: gateway.until(lambda: bool(gateway.said("CancelTask"))))
        with pytest.raises(Unavailable, match="did not answer in time") as caught:
            await client.task("task_1").get()
        assert caught.value.code == "TIMEOUT"
        with pytest.raises(NotFound):
            await client.task("task_1").cancel()


async def test_without_a_token_nothing_is_sent(
    gateway: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INFERRY_TOKEN", raising=False)
    async with AsyncClient(gateway.address) as client:
        with pytest.raises(Forbidden, match="no token"):
            await client.submit("hold")
        with pytest.raises(Forbidden, match="no token"):
            await client.task("task_1").result()
    assert not gateway.calls


async def test_a_token_source_is_asked_for_each_call(gateway: Scripted) -> None:
    tokens = iter(["a", "b"])
    async with AsyncClient(gateway.address, lambda: next(tokens)) as client:
        await client.submit("hold")
        assert gateway.metadata["authorization"] == "Bearer a"
        await client.submit("hold")
        assert gateway.metadata["authorization"] == "Bearer b"


async def test_a_closed_client_says_so(gateway: Scripted) -> None:
    client = AsyncClient(gateway.address, "secret")
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.submit("hold")


async def test_a_payload_that_cannot_be_sent_costs_no_other(
    client: AsyncClient, gateway: Scripted
) -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    odd = [{"n": float("nan")}, "text", {"o": object()}, deep]
    answers = await client.submit_many("hold", [{"n": 1}, *odd, {"n": 2}])
    assert [isinstance(one, InvalidRequest) for one in answers] == [False, *[True] * 4, False]
    assert [one.payload_json for one in gateway.said("BatchCreateTasks")[0].requests] == [
        b'{"n":1}',
        b'{"n":2}',
    ]
    results = await client.map("echo", [{"n": 1}, odd[0], {"n": 2}], return_exceptions=True)
    assert results[::2] == [{"n": 1}, {"n": 2}]
    assert isinstance(results[1], InvalidRequest)
    with pytest.raises(InvalidRequest, match="not JSON compliant"):
        await client.submit("hold", odd[0])


async def test_an_option_that_is_wrong_is_said_once_for_many(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequest, match="priority"):
        await client.submit_many("hold", [{}, {}], priority=2**40)


@pytest.mark.parametrize(
    "garble",
    [
        lambda results: results[:-1],
        lambda results: [*results, results[0]],
        lambda results: [BatchCreateTasksResult() for _ in results],
    ],
    ids=["too few", "too many", "empty"],
)
async def test_a_batch_whose_answers_do_not_match_is_an_error_of_each(
    client: AsyncClient, gateway: Scripted, garble: Garble
) -> None:
    gateway.garble = garble
    for answer in await client.submit_many("hold", [{"n": 1}, {"n": 2}]):
        assert isinstance(answer, InferryError)
        assert (answer.code, bool(answer.request_id)) == ("INVALID_ANSWER", True)


@pytest.mark.parametrize("text", [b"{oops", b"[" * 100_000], ids=["no json", "too deep"])
async def test_a_result_that_cannot_be_read_is_an_error_of_the_tree(
    client: AsyncClient, gateway: Scripted, text: bytes
) -> None:
    task = await client.submit("hold", {})
    gateway.end(task.id, Task.COMPLETED, result_json=text)
    with pytest.raises(InferryError) as caught:
        await task.result()
    assert caught.value.code == "INVALID_RESULT"


async def test_a_stream_of_events_that_ends_before_the_task_does_goes_on(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold", {})
    gateway.short_watches = 1
    seen = []
    async for event in task.events():
        seen.append((event.seq, event.status.final))
        if len(seen) == 1:
            gateway.end(task.id, Task.COMPLETED)
    assert seen == [(1, False), (2, True)]
