import pickle

import pytest
from grpc import StatusCode

from inferry.client import (
    AsyncClient,
    Conflict,
    Forbidden,
    InferryError,
    InvalidRequest,
    NotFound,
    QueueFull,
    Unavailable,
)
from inferry.v1.task_pb2 import Task
from tests.client.scripted import Refusal, Scripted


async def test_all_waits_share_one_stream(client: AsyncClient, gateway: Scripted) -> None:
    for number in range(20):
        assert await client.run("echo", {"n": number}) == {"n": number}
    assert gateway.streams == 1


async def test_nothing_polls(client: AsyncClient, gateway: Scripted) -> None:
    await client.run("echo", {})
    assert set(gateway.calls) == {"CreateTask", "FollowTasks"}
    assert len(gateway.said("FollowTasks")) == 1


async def test_a_wait_goes_on_at_its_cursor_when_the_stream_was_cut(
    client: AsyncClient, gateway: Scripted
) -> None:
    first, second = await client.submit("hold"), await client.submit("hold")
    await client.run("echo")

    def cut_once_it_is_shown() -> None:
        gateway.until(lambda: first.id in gateway.shown)
        gateway.cut()
        gateway.until(lambda: gateway.streams == 2 and len(gateway.said("FollowTasks")) == 3)
        gateway.end(first.id, Task.COMPLETED, result_json=b"1")

    beside = gateway.beside(cut_once_it_is_shown)
    assert await first.result(20) == 1
    beside.join()
    resumed = gateway.said("FollowTasks")[2]
    assert list(resumed.add_ids) == [first.id]
    assert int(resumed.cursor) > 0
    gateway.end(second.id, Task.COMPLETED, result_json=b"2")
    assert await second.result(20) == 2


async def test_a_stream_that_is_refused_ends_the_waits_with_what_was_said(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold")
    no = Refusal(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "no")
    gateway.refuse("FollowTasks", no)
    with pytest.raises(Forbidden, match="no"):
        await task.result()
    gateway.refuse("FollowTasks", None)
    gateway.end(task.id, Task.COMPLETED, result_json=b"1")
    assert await task.result() == 1


async def test_an_older_gateway_without_the_stream_is_named_and_never_polled(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold")
    gateway.refuse("FollowTasks", Refusal(StatusCode.UNIMPLEMENTED, text="Method not found!"))
    with pytest.raises(InferryError, match="older than this client") as caught:
        await task.result()
    assert caught.value.code == "UNIMPLEMENTED"
    assert not gateway.said("GetTask")


async def test_a_gateway_that_cannot_follow_now_is_asked_again(
    client: AsyncClient, gateway: Scripted
) -> None:
    gateway.on("FollowTasks", Refusal(StatusCode.UNAVAILABLE), Refusal(StatusCode.UNAVAILABLE))
    assert await client.run("echo", {"a": 1}) == {"a": 1}


async def test_closing_the_client_ends_its_waits(gateway: Scripted) -> None:
    client = AsyncClient(gateway.address, "secret")
    await client.run("echo")
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.task("task_1").result()


async def test_events_come_once_each_up_to_the_end(client: AsyncClient, gateway: Scripted) -> None:
    task = await client.submit("hold")
    seen = []
    async for event in task.events():
        seen.append((event.seq, event.kind, event.status))
        if event.seq == 1:
            gateway.cut()
            gateway.end(task.id, Task.COMPLETED, result_json=b"7")
    assert seen == [(1, "CREATED", "PENDING"), (2, "FINISHED", "COMPLETED")]
    last = [event async for event in task.events(after=1)]
    assert [event.task.result for event in last if event.task] == [7]


async def test_events_and_watches_of_a_gateway_that_was_never_there_end_as_calls_do() -> None:
    async with AsyncClient("127.0.0.1:1", "secret", retries=0) as client:
        with pytest.raises(Unavailable, match="cannot reach the gateway"):
            async for _ in client.task("task_1").events():
                pass
        with pytest.raises(Unavailable, match="cannot reach the gateway"):
            async for _ in client.watch():
                pass


async def test_a_new_place_in_the_queue_has_no_number_to_go_on_after(
    client: AsyncClient, gateway: Scripted
) -> None:
    task = await client.submit("hold")
    gateway.place(task.id, 3)
    kinds = []
    async for event in task.events():
        kinds.append((event.kind, event.queue_position))
        if len(kinds) == 2:
            gateway.cut()
            gateway.end(task.id, Task.COMPLETED, result_json=b"7")
    queued = ("QUEUED", 3)
    assert kinds == [("CREATED", None), queued, queued, ("FINISHED", None)]
    assert [request.after_seq for request in gateway.said("WatchTask")] == [0, 1]


async def test_tasks_come_page_by_page(client: AsyncClient, gateway: Scripted) -> None:
    for number in range(5):
        await client.submit("hold", labels={"odd": str(number % 2)})
    found = [task.id async for task in client.tasks(status="PENDING")]
    assert len(found) == 5
    assert len(gateway.said("ListTasks")) == 3
    odd = [task.state.labels async for task in client.tasks(labels={"odd": "1"}) if task.state]
    assert odd == [{"odd": "1"}] * 2
    with pytest.raises(ValueError, match="there is no status 'DONE'"):
        async for _ in client.tasks("DONE"):
            pass


async def test_many_are_created_in_one_call_with_an_answer_each(
    client: AsyncClient, gateway: Scripted
) -> None:
    answers = await client.submit_many("echo", [{"n": n} for n in range(2_500)])
    assert [len(batch.requests) for batch in gateway.said("BatchCreateTasks")] == [1000, 1000, 500]
    tasks = [answer for answer in answers if not isinstance(answer, InferryError)]
    assert await tasks[-1].result() == {"n": 2_499}
    assert await client.submit_many("echo", []) == []


async def test_batches_are_bounded_by_bytes(client: AsyncClient, gateway: Scripted) -> None:
    await client.submit_many("echo", [{"x": "x" * 1_000_000}] * 7)
    sizes = [batch.ByteSize() for batch in gateway.said("BatchCreateTasks")]
    assert len(sizes) == 2
    assert max(sizes) <= 3 * 1024 * 1024
    assert len(gateway.said("CreateTask")) == 1


async def test_what_is_refused_costs_no_other(client: AsyncClient, gateway: Scripted) -> None:
    full = Refusal(StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_LIMIT", "full", 0.01)
    reused = Refusal(StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", "reused")
    gateway.on("item", None, full, reused)
    answers = await client.submit_many("echo", [{"n": n} for n in range(4)])
    assert isinstance(answers[2], Conflict)
    assert answers[2].request_id
    assert [type(answer) for answer in answers].count(type(answers[0])) == 3
    assert len(gateway.tasks) == 3


async def test_a_batch_that_fails_as_a_whole_is_an_answer_for_each(
    client: AsyncClient, gateway: Scripted
) -> None:
    gateway.on("BatchCreateTasks", Refusal(StatusCode.INVALID_ARGUMENT, "INVALID_PAYLOAD", "no"))
    answers = await client.submit_many("echo", [{}, {}])
    assert all(isinstance(answer, InvalidRequest) for answer in answers)
    assert len({answer.request_id for answer in answers if isinstance(answer, InferryError)}) == 2


async def test_a_map_gives_results_in_order_and_keeps_no_more_open_than_it_may(
    client: AsyncClient, gateway: Scripted
) -> None:
    told: list[tuple[int, int | None]] = []
    given = [{"n": n} for n in range(50)]
    results = await client.map(
        "echo", given, concurrency=7, on_progress=lambda done, total: told.append((done, total))
    )
    assert results == given
    assert told == [(n + 1, 50) for n in range(50)]
    created = gateway.said("BatchCreateTasks")
    assert max(len(batch.requests) for batch in created) <= 7


async def test_a_map_that_fails_cancels_what_is_open(
    client: AsyncClient, gateway: Scripted
) -> None:
    def fail_one() -> None:
        gateway.until(lambda: len(gateway.tasks) == 3 and bool(gateway.said("FollowTasks")))
        gateway.end("task_2", Task.FAILED, error="why")

    beside = gateway.beside(fail_one)
    with pytest.raises(InferryError, match="task_2 FAILED: why"):
        await client.map("hold", [{}, {}, {}])
    beside.join()
    assert {task.status for task in gateway.tasks.values()} == {Task.FAILED, Task.CANCELLED}


async def test_a_map_may_give_errors_in_place_of_results(
    client: AsyncClient, gateway: Scripted
) -> None:
    gateway.on("item", None, Refusal(StatusCode.INVALID_ARGUMENT, "INVALID_PAYLOAD", "no"))
    first, second, third = await client.map("echo", [{}, {}, {}], return_exceptions=True)
    assert (first, third) == ({}, {})
    assert isinstance(second, InvalidRequest)


async def test_a_watch_resumed_at_its_cursor_sees_each_event_once(gateway: Scripted) -> None:
    ids, cursor, seen = [], "", []
    async with AsyncClient(gateway.address, "secret") as client:
        ids += [(await client.submit("echo")).id for _ in range(3)]
    for _ in range(12):
        async with AsyncClient(gateway.address, "secret") as killed:
            async for change in killed.watch(after=cursor):
                cursor = change.cursor
                seen += [(event.task_id, event.seq) for event in change.events]
                gateway.cut()
                if change.events or change.snapshot_complete:
                    ids.append((await killed.submit("echo")).id)
                    break
    assert len(seen) == len(set(seen))
    later = [name for name, _ in seen]
    assert later == sorted(later, key=lambda name: int(name.removeprefix("task_")))
    assert set(later) <= set(ids)


@pytest.mark.parametrize("kind", [QueueFull, Unavailable, NotFound])
async def test_errors_survive_a_pickle(kind: type[InferryError]) -> None:
    error = kind("why", code="X", details={"a": [1]}, request_id="r")
    error.retry_after = 3.5  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, "why", vars(error))
