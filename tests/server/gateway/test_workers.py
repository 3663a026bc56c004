"""Workers that dial in, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import SystemClock
from inferry.server.fleet.lines import Lines
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    DrainServerRequest,
    HeartbeatRequest,
    ResumeServerRequest,
)
from inferry.v1.task_pb2 import Attempt, Task, TaskUpdate
from inferry.v1.task_service_pb2 import (
    CancelTaskRequest,
    ExplainTaskRequest,
    ListAttemptsRequest,
    ServerVerdict,
)
from inferry.v1.worker_pb2 import (
    Assignment,
    AttemptCancel,
    AttemptRef,
    GatewayMessage,
    ResultChunk,
    WorkerHello,
    WorkerMessage,
    WorkerReport,
)
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub
from tests.gateways import SECRET, token
from tests.model_worker import ModelWorker, Streamed, admin, streamed_gateway

#: Little patience, so that what is not to come is soon known not to.
QUICK: dict[str, Any] = {"worker_heartbeat_ms": 100, "worker_acknowledge_ms": 200, "lease_ms": 500}


async def with_progress(worker: ModelWorker, assignment: Assignment) -> None:
    worker.report(assignment, status=Task.PROCESSING, progress=50.0)
    await asyncio.sleep(0)
    worker.complete(assignment, assignment.payload_json)


async def for_ever(_worker: ModelWorker, _assignment: Assignment) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Streamed]:
    async with streamed_gateway(tmp_path, **QUICK) as running:
        yield running


def worker_of(gateway: Streamed, **more: Any) -> ModelWorker:
    return ModelWorker(gateway.gateway.grpc_address, **more)


async def attempts(gateway: Streamed, task_id: str) -> list[str]:
    request = ListAttemptsRequest(id=task_id)
    answer = await gateway.tasks.ListAttempts(request, metadata=admin())
    return [Attempt.Outcome.Name(one.outcome) for one in answer.attempts]


async def begun(gateway: Streamed, task_id: str) -> None:
    """Waits until the gateway knows that a worker has taken a task; what no answer announces."""
    async with asyncio.timeout(20):
        while True:
            if (await gateway.task(task_id, 0)).status == Task.PROCESSING:
                return
            await asyncio.sleep(0.01)


async def cancel(gateway: Streamed, task_id: str) -> None:
    await gateway.tasks.CancelTask(CancelTaskRequest(id=task_id), metadata=admin())


async def verdict(gateway: Streamed, task_id: str) -> ServerVerdict:
    request = ExplainTaskRequest(id=task_id)
    answer = await gateway.tasks.ExplainTask(request, metadata=admin())
    found: ServerVerdict = answer.servers[0]
    return found


async def test_a_worker_that_dials_in_does_what_is_given_to_it(gateway: Streamed) -> None:
    worker = worker_of(gateway, work=with_progress)
    async with worker.connected():
        task = await gateway.task(await gateway.create(b'{"a":1}'))
        assert (task.status, task.progress) == (Task.COMPLETED, 100.0)
        server = await gateway.server()
        assert task.server_id == server.id
        assert (server.transport, server.connection) == (Server.GRPC, Server.CONNECTED)
        assert (server.tenant, server.url) == ("acme", "")
        await gateway.until(lambda now: now.credit == 4 and not now.active)


async def test_of_a_thousand_tasks_each_ends_though_their_worker_is_killed_midway(
    tmp_path: Path,
) -> None:
    async with streamed_gateway(tmp_path, **QUICK) as gateway:
        worker = worker_of(gateway, slots=50, work=with_progress)
        worker.start()
        made = [gateway.create(b'{"a":1}', idempotent=True) for _ in range(1_000)]
        ids = await asyncio.gather(*made)
        await worker.until(lambda: len(worker.acks) >= 500)
        await worker.die()
        async with worker_of(gateway, slots=50, work=with_progress).connected() as next_one:
            tasks = await asyncio.gather(*(gateway.task(one, 60) for one in ids))
            assert {task.status for task in tasks} == {Task.COMPLETED}
            server = await gateway.until(lambda now: now.credit == 50 and not now.active)
            assert server.worker_idle_with_backlog_ms == 0
            await next_one.until(lambda: not next_one.reports)


async def test_a_newer_stream_of_the_same_name_ends_the_older_one(gateway: Streamed) -> None:
    older, newer = worker_of(gateway), worker_of(gateway)
    async with older.connected(), newer.connected():
        await older.ended()
        assert (older.code, "gpu-1" in older.details) == (StatusCode.ABORTED, True)
        task = await gateway.task(await gateway.create())
        assert (task.status, len(newer.got)) == (Task.COMPLETED, 1)


async def test_workers_of_two_tenants_may_have_one_name(gateway: Streamed) -> None:
    one = worker_of(gateway)
    other = worker_of(gateway, auth=token(Role.BACKEND, tenant="umbrella"))
    async with one.connected(), other.connected():
        assert one.welcome is not None
        assert other.welcome is not None
        assert one.welcome.server_id != other.welcome.server_id


async def test_what_a_worker_has_goes_on_through_a_cut_of_its_stream(gateway: Streamed) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    worker = worker_of(gateway, work=work)
    async with worker.connected():
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
    cut = await gateway.until(lambda now: now.connection == Server.RECONNECTING)
    assert cut.active == 1
    async with worker.connected():
        assert worker.welcome is not None
        assert worker.welcome.resumed
        go.set()
        assert (await gateway.task(task_id)).status == Task.COMPLETED
        assert len(worker.got) == 1
        assert await attempts(gateway, task_id) == ["SUCCEEDED"]


async def test_what_ended_while_there_was_no_stream_is_reported_on_the_next(
    gateway: Streamed,
) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    worker = worker_of(gateway, work=work)
    async with worker.connected():
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
    go.set()
    await asyncio.gather(*(work for work in worker.held.values() if work is not None))
    async with worker.connected():
        assert (await gateway.task(task_id)).status == Task.COMPLETED


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_worker_that_stays_away_loses_what_it_had(
    gateway: Streamed, *, idempotent: bool
) -> None:
    worker = worker_of(gateway, work=for_ever)
    async with worker.connected():
        task_id = await gateway.create(idempotent=idempotent)
        await begun(gateway, task_id)
    await gateway.until(lambda now: now.connection == Server.GONE)
    if idempotent:
        async with worker_of(gateway, name="gpu-2").connected():
            assert (await gateway.task(task_id)).status == Task.COMPLETED
        assert await attempts(gateway, task_id) == ["LOST", "SUCCEEDED"]
    else:
        task = await gateway.task(task_id)
        assert (task.status, task.details["reason"]) == (Task.FAILED, "lost")
    server = await gateway.until(lambda now: not now.active)
    assert server.status == Server.OFFLINE


async def test_a_worker_that_begins_anew_has_lost_what_it_had_at_once(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path, **(QUICK | {"lease_ms": 60_000})) as gateway:
        worker = worker_of(gateway, work=for_ever)
        async with worker.connected():
            task_id = await gateway.create()
            await begun(gateway, task_id)
        await worker.die()
        async with worker.connected():
            assert (await gateway.task(task_id)).details["reason"] == "lost"


async def test_what_a_worker_has_that_closes_after_a_goodbye_is_lost_at_once(
    tmp_path: Path,
) -> None:
    async with streamed_gateway(tmp_path, **(QUICK | {"lease_ms": 60_000})) as gateway:
        worker = worker_of(gateway, work=for_ever)
        async with worker.connected():
            task_id = await gateway.create()
            await begun(gateway, task_id)
            worker.goodbye()
            await gateway.until(lambda now: now.status == Server.DRAINING)
            waiting = await gateway.create()
            assert "said goodbye" in (await verdict(gateway, waiting)).text
            worker.said.put_nowait(None)
            await worker.ended()
        assert (await gateway.task(task_id)).details["reason"] == "lost"


async def test_what_a_worker_has_that_said_goodbye_goes_on_through_a_cut_of_its_stream(
    gateway: Streamed,
) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    worker = worker_of(gateway, work=work)
    async with worker.connected():
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
        worker.goodbye()
        await gateway.until(lambda now: now.status == Server.DRAINING)
    await gateway.until(lambda now: now.connection == Server.RECONNECTING)
    async with worker.connected():
        go.set()
        assert (await gateway.task(task_id)).status == Task.COMPLETED


async def test_a_cancel_reaches_the_work_and_gives_the_slot_back(gateway: Streamed) -> None:
    worker = worker_of(gateway, slots=1, work=for_ever)
    async with worker.connected():
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
        await cancel(gateway, task_id)
        await worker.until(lambda: bool(worker.cancels))
        assert worker.cancels[0].reason == AttemptCancel.CANCELLED
        await gateway.until(lambda now: not now.active and now.credit == 1)


async def test_a_cancelled_attempt_keeps_its_slot_until_its_worker_says_that_it_stopped(
    tmp_path: Path,
) -> None:
    async with streamed_gateway(tmp_path, worker_heartbeat_ms=60_000) as gateway:
        worker = worker_of(gateway, work=for_ever)
        async with worker.connected():
            task_id = await gateway.create()
            await worker.until(lambda: bool(worker.held))
            worker.say = lambda **_parts: None  # type: ignore[method-assign]
            await cancel(gateway, task_id)
            await worker.until(lambda: bool(worker.cancels))
            assert (await gateway.server()).active == 1
            del worker.say
            worker.say(stopped=[AttemptRef(task_id=task_id, attempt=1)])
            await gateway.until(lambda now: not now.active)


async def test_what_a_stopped_attempt_still_reports_is_refused_and_frees_its_slot(
    gateway: Streamed,
) -> None:
    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            worker.complete(assignment, b"1")

    worker = worker_of(gateway, work=work)
    async with worker.connected():
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
        await cancel(gateway, task_id)
        await worker.until(lambda: bool(worker.acks))
        assert (worker.acks[0].code, worker.acks[0].stop) == ("ILLEGAL_TRANSITION", True)
        assert worker.acks[0].status == Task.CANCELLED
        await gateway.until(lambda now: not now.active)


def told(message: GatewayMessage) -> bool:
    return message.HasField("draining")


async def test_a_drained_worker_is_told_and_gets_no_more_until_it_is_resumed(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway)
    async with worker.connected():
        server = await gateway.server()
        await gateway.servers.DrainServer(DrainServerRequest(id=server.id), metadata=admin())
        await worker.until(lambda: any(one.draining for one in worker.messages))
        task_id = await gateway.create()
        assert (await verdict(gateway, task_id)).rule == ServerVerdict.DRAINING
        await gateway.servers.ResumeServer(ResumeServerRequest(id=server.id), metadata=admin())
        assert (await gateway.task(task_id)).status == Task.COMPLETED
        await worker.until(lambda: [one.draining for one in worker.messages if told(one)] == [1, 0])


async def test_a_deregistered_worker_leaves_the_list_and_its_stream_ends(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway, work=for_ever)
    async with worker.connected():
        task_id = await gateway.create()
        await begun(gateway, task_id)
        server = await gateway.server()
        request = DeregisterServerRequest(id=server.id, grace_ms=100)
        await gateway.servers.DeregisterServer(request, metadata=admin())
        await worker.ended()
        assert worker.code == StatusCode.NOT_FOUND
        assert (await gateway.task(task_id)).details["reason"] == "lost"
        # It may come back, as another server.
        worker.work = with_progress
        worker.start()
        await worker.until(lambda: worker.welcome is not None)
        assert worker.welcome is not None
        assert worker.welcome.server_id != server.id
        assert not worker.welcome.resumed


async def test_what_is_not_acknowledged_goes_to_another_worker_and_does_not_count(
    tmp_path: Path,
) -> None:
    settings = QUICK | {"worker_heartbeat_ms": 60_000}
    async with streamed_gateway(tmp_path, **settings) as gateway:
        worker = worker_of(gateway, takes=False, slots=1)
        worker.grant = lambda: 1  # type: ignore[method-assign]
        async with worker.connected():
            task_id = await gateway.create(max_attempts=1)
            await worker.until(lambda: bool(worker.cancels))
            assert worker.cancels[0].reason == AttemptCancel.NOT_YOURS
            assert len(worker.got) == 1
            # What it acknowledges later is none of its own.
            worker.say(acknowledged=[AttemptRef(task_id=task_id, attempt=1)])
            await worker.until(lambda: len(worker.cancels) > 1)
            async with worker_of(gateway, name="gpu-2").connected():
                assert (await gateway.task(task_id)).status == Task.COMPLETED
            assert await attempts(gateway, task_id) == ["REFUSED", "SUCCEEDED"]


async def test_what_never_came_is_given_to_another_worker_within_a_heartbeat(
    tmp_path: Path,
) -> None:
    async with streamed_gateway(tmp_path, **(QUICK | {"worker_acknowledge_ms": 60_000})) as gateway:
        worker = worker_of(gateway, takes=False, slots=1)
        worker.grant = lambda: 1  # type: ignore[method-assign]
        async with worker.connected():
            task_id = await gateway.create(max_attempts=1)
            async with worker_of(gateway, name="gpu-2").connected():
                assert (await gateway.task(task_id)).status == Task.COMPLETED
            assert await attempts(gateway, task_id) == ["REFUSED", "SUCCEEDED"]


async def test_a_worker_that_says_nothing_for_three_intervals_has_its_stream_ended(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway, beats=False)
    async with worker.connected():
        await worker.ended()
        assert worker.code == StatusCode.UNAVAILABLE
        assert "said nothing" in worker.details


async def test_heartbeats_go_both_ways_and_keep_the_stream(gateway: Streamed) -> None:
    worker = worker_of(gateway)
    async with worker.connected():
        await worker.until(lambda: sum(one.HasField("heartbeat") for one in worker.messages) >= 10)
        assert worker.code is None


async def test_an_attempt_that_its_worker_forgot_is_lost_within_a_heartbeat(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway, work=for_ever)
    async with worker.connected():
        task_id = await gateway.create()
        await gateway.until(lambda now: now.active == 1)
        await begun(gateway, task_id)
        worker.held.clear()
        task = await gateway.task(task_id)
        assert (task.status, task.details["reason"]) == (Task.FAILED, "lost")


async def test_an_attempt_that_the_gateway_does_not_know_is_called_off_within_a_heartbeat(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway)
    async with worker.connected():
        worker.held["task_unknown", 7] = None
        await worker.until(lambda: bool(worker.cancels))
        assert worker.cancels[0].reason == AttemptCancel.NOT_YOURS
        assert worker.cancels[0].attempt.task_id == "task_unknown"


async def test_a_worker_whose_models_load_gets_nothing_before_it_is_ready(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway, ready=False)
    async with worker.connected():
        task_id = await gateway.create()
        assert (await verdict(gateway, task_id)).rule == ServerVerdict.LOADING
        assert (await gateway.server()).connection == Server.LOADING
        worker.ready = True
        worker.beat()
        assert (await gateway.task(task_id)).status == Task.COMPLETED


async def test_a_worker_whose_handlers_lag_gets_nothing_until_they_keep_up(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway, lag_ms=5_001)
    async with worker.connected():
        worker.beat()
        await gateway.until(lambda now: now.connection == Server.STALLED)
        task_id = await gateway.create()
        assert (await verdict(gateway, task_id)).rule == ServerVerdict.STALLED
        worker.lag_ms = 5_000
        worker.beat()
        assert (await gateway.task(task_id)).status == Task.COMPLETED


async def test_a_worker_gets_no_more_than_it_asked_for(gateway: Streamed) -> None:
    worker = worker_of(gateway, slots=3)
    worker.grant = lambda: 1  # type: ignore[method-assign]
    async with worker.connected():
        first, second = await gateway.create(), await gateway.create()
        assert (await gateway.task(first)).status == Task.COMPLETED
        assert (await verdict(gateway, second)).rule == ServerVerdict.NO_CREDIT
        assert (await gateway.server()).credit == 0
        worker.say(granted_total=0)
        worker.say(granted_total=2)
        assert (await gateway.task(second)).status == Task.COMPLETED
        assert len(worker.got) == 2


@pytest.mark.parametrize(
    ("loss", "idempotent", "ends"),
    [
        (TaskUpdate.NOT_STARTED, False, ["REFUSED", "SUCCEEDED"]),
        (TaskUpdate.INTERRUPTED, True, ["AMBIGUOUS", "SUCCEEDED"]),
        (TaskUpdate.INTERRUPTED, False, ["AMBIGUOUS"]),
        (TaskUpdate.PROCESS_DIED, True, ["LOST", "SUCCEEDED"]),
        (TaskUpdate.PROCESS_DIED, False, ["LOST"]),
    ],
)
async def test_a_worker_says_how_it_lost_an_attempt(
    gateway: Streamed, loss: TaskUpdate.Loss.ValueType, ends: list[str], *, idempotent: bool
) -> None:
    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        if assignment.attempt == 1:
            worker.report(assignment, status=Task.FAILED, loss=loss)
        else:
            worker.complete(assignment, b"1")

    async with worker_of(gateway, work=work).connected():
        task_id = await gateway.create(idempotent=idempotent, max_attempts=1)
        task = await gateway.task(task_id)
        assert await attempts(gateway, task_id) == ends
        if len(ends) == 1:
            assert task.status == Task.FAILED
            assert task.details["reason"] == TaskUpdate.Loss.Name(loss).lower()


async def test_a_worker_that_gives_a_task_back_rests_while_another_one_gets_it(
    tmp_path: Path,
) -> None:
    async def give_back(worker: ModelWorker, assignment: Assignment) -> None:
        worker.report(assignment, status=Task.FAILED, loss=TaskUpdate.NOT_STARTED)

    async with streamed_gateway(tmp_path, **QUICK, rest_first_ms=60_000) as gateway:
        worker = worker_of(gateway, work=give_back)
        async with worker.connected():
            task_id = await gateway.create()
            await gateway.until(lambda now: now.status == Server.RESTING)
            assert (await verdict(gateway, task_id)).rule == ServerVerdict.RESTING
            async with worker_of(gateway, name="gpu-2").connected():
                assert (await gateway.task(task_id)).status == Task.COMPLETED
            assert await attempts(gateway, task_id) == ["REFUSED", "SUCCEEDED"]
            assert len(worker.got) == 1


async def test_a_result_comes_in_chunks(tmp_path: Path) -> None:
    result = b'"%b"' % (b"x" * 10_000)

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        named = AttemptRef(task_id=assignment.task_id, attempt=assignment.attempt)
        for offset in range(0, len(result), 4_096):
            part = result[offset : offset + 4_096]
            worker.say(result_chunks=[ResultChunk(attempt=named, offset=offset, data=part)])
        update = TaskUpdate(status=Task.COMPLETED)
        report = WorkerReport(attempt=named, number=1, update=update, chunked_bytes=len(result))
        worker.reports[1] = report
        worker.say(reports=[report])

    settings = QUICK | {"worker_chunk_bytes": 4_096}
    async with (
        streamed_gateway(tmp_path, **settings) as gateway,
        worker_of(gateway, work=work).connected() as worker,
    ):
        assert worker.welcome is not None
        assert worker.welcome.chunk_bytes == 4_096
        task = await gateway.task(await gateway.create())
        assert (task.status, task.result.string_value) == (Task.COMPLETED, "x" * 10_000)


async def test_a_result_in_chunks_that_comes_after_its_time_is_kept_however_long_it_takes(
    tmp_path: Path,
) -> None:
    async def nothing(_worker: ModelWorker, _assignment: Assignment) -> None:
        return

    settings = QUICK | {"worker_chunk_bytes": 1_024, "grace_ms": 0, "cancel_grace_ms": 10}
    async with streamed_gateway(tmp_path, **settings) as gateway:
        worker = worker_of(gateway, work=nothing, stops=False)
        async with worker.connected():
            task_id = await gateway.create(timeout_ms=300)
            await worker.until(lambda: bool(worker.held))
            named = AttemptRef(task_id=task_id, attempt=1)
            worker.say(result_chunks=[ResultChunk(attempt=named, offset=0, data=b'"' + b"x" * 999)])
            assert (await gateway.task(task_id)).status == Task.TIMEOUT
            # Its slot is free again, though it said nothing.
            await gateway.until(lambda now: not now.active)
            worker.say(result_chunks=[ResultChunk(attempt=named, offset=1_000, data=b'"')])
            update = TaskUpdate(status=Task.COMPLETED)
            report = WorkerReport(attempt=named, number=1, update=update, chunked_bytes=1_001)
            worker.reports[1] = report
            worker.say(reports=[report])
            await worker.until(lambda: bool(worker.acks))
            assert worker.acks[0].code == ""
            assert (await gateway.task(task_id)).late_result.string_value == "x" * 999


async def test_a_large_result_whose_acknowledgement_was_lost_is_taken_once_more(
    tmp_path: Path,
) -> None:
    result = b'"%b"' % (b"x" * 2_000)

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        named = AttemptRef(task_id=assignment.task_id, attempt=assignment.attempt)
        update = TaskUpdate(status=Task.COMPLETED)
        for number in (1, 2):
            for offset in (0, 1_024):
                part = result[offset : offset + 1_024]
                worker.say(result_chunks=[ResultChunk(attempt=named, offset=offset, data=part)])
            report = WorkerReport(
                attempt=named, number=number, update=update, chunked_bytes=len(result)
            )
            worker.reports[number] = report
            worker.say(reports=[report])
            await worker.until(lambda: len(worker.acks) == number)  # noqa: B023

    async with (
        streamed_gateway(tmp_path, worker_chunk_bytes=1_024, **QUICK) as gateway,
        worker_of(gateway, work=work).connected() as worker,
    ):
        await gateway.task(await gateway.create())
        await worker.until(lambda: len(worker.acks) == 2)
        assert [(one.status, one.code) for one in worker.acks] == [(Task.COMPLETED, "")] * 2


async def test_an_attempt_of_another_server_is_not_to_be_reported_on(gateway: Streamed) -> None:
    worker = worker_of(gateway, work=for_ever)
    async with worker.connected():
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
        stranger = worker_of(gateway, name="gpu-2", slots=0)
        stranger.grant = lambda: 0  # type: ignore[method-assign]
        stranger.slots = 1
        async with stranger.connected():
            stranger.complete(Assignment(task_id=task_id, attempt=1), b"1")
            await stranger.until(lambda: bool(stranger.acks))
            assert stranger.acks[0].code == "STALE_ATTEMPT"
        assert (await gateway.task(task_id, 0)).status == Task.PROCESSING


async def test_a_worker_that_reports_without_end_is_slowed_and_heard(tmp_path: Path) -> None:
    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        for number in range(1_000):
            worker.report(assignment, status=Task.PROCESSING, progress=number / 10)
        worker.complete(assignment, b"1")

    async with (
        streamed_gateway(tmp_path, worker_reports=8) as gateway,
        worker_of(gateway, work=work).connected() as worker,
    ):
        task = await gateway.task(await gateway.create())
        assert task.status == Task.COMPLETED
        await worker.until(lambda: len(worker.acks) == 1_001)
        assert [ack.number for ack in worker.acks] == sorted(ack.number for ack in worker.acks)


async def test_parts_of_a_message_that_the_gateway_does_not_know_are_passed_over(
    gateway: Streamed,
) -> None:
    worker = worker_of(gateway)
    async with worker.connected():
        strange = WorkerMessage()
        # Field 99, a text.
        strange.MergeFromString(b"\x9a\x06\x05hello")
        worker.said.put_nowait(strange)
        task = await gateway.task(await gateway.create())
        assert task.status == Task.COMPLETED


async def test_a_worker_that_does_not_read_gets_no_more_and_blocks_nobody(
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {
        "worker_unsent_bytes": 100_000,
        "worker_acknowledge_ms": 60_000,
        # Who does not read answers no heartbeat: its silence is not what this is about.
        "worker_heartbeat_ms": 60_000,
        "lease_ms": 180_000,
    }
    async with streamed_gateway(tmp_path, **settings) as gateway:
        slow = worker_of(gateway, name="slow", slots=10_000)
        async with slow.connected():
            slow.reading.clear()
            payload = b'{"a":"%b"}' % (b"x" * 500_000)
            ids: list[str] = []
            waiting = 0
            # Until nothing more leaves, for all buffers on the way are full.
            while waiting < 5:
                ids.append(await gateway.create(payload))
                seen = await verdict(gateway, ids[-1])
                waiting = waiting + 1 if seen.rule == ServerVerdict.NO_CREDIT else 0
                assert len(ids) < 200
            seen = await verdict(gateway, ids[-1])
            assert (seen.rule, "reads too slowly" in seen.text) == (ServerVerdict.NO_CREDIT, True)
            async with worker_of(gateway, name="swift").connected() as swift:
                # Buffers on the way may have room again for some that waited.
                while not swift.acks:
                    ids.append(await gateway.create(payload))
                    assert len(ids) < 400
                slow.reading.set()
                tasks = await asyncio.gather(*(gateway.task(one) for one in ids))
                assert {task.status for task in tasks} == {Task.COMPLETED}


async def test_a_stream_that_is_to_end_ends_though_its_worker_does_not_read(
    tmp_path: Path,
) -> None:
    settings = QUICK | {"worker_acknowledge_ms": 60_000}
    async with streamed_gateway(tmp_path, **settings) as gateway:
        slow = worker_of(gateway, slots=1_000)
        async with slow.connected():
            slow.reading.clear()
            payload = b'"%b"' % (b"x" * 500_000)
            for _ in range(8):
                await gateway.create(b'{"a":%b}' % payload)
            # Silent for as long as it does not read, it is given up.
            await gateway.until(lambda now: now.connection == Server.GONE)
            slow.reading.set()
            await slow.ended()
            assert slow.code in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


def short_token(tenant: str = "acme", role: Role = Role.BACKEND, ttl_s: int = 60) -> str:
    now_ms = SystemClock().now_ms()
    return issue_token(SECRET.encode(), "tester", role, tenant, ttl_s, now_ms)


async def test_a_stream_ends_with_its_token_unless_another_one_comes(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path, jwt_leeway_ms=0, **QUICK) as gateway:
        worker, other = (worker_of(gateway, name=name, auth=short_token(ttl_s=2)) for name in "ab")
        async with worker.connected(), other.connected():
            worker.say(token=short_token())
            await other.ended()
            assert other.code == StatusCode.UNAUTHENTICATED
            assert worker.code is None
            assert (await gateway.task(await gateway.create())).status == Task.COMPLETED


@pytest.mark.parametrize(
    ("tenant", "role", "code"),
    [
        ("umbrella", Role.BACKEND, StatusCode.PERMISSION_DENIED),
        ("acme", Role.CLIENT, StatusCode.PERMISSION_DENIED),
        ("acme", None, StatusCode.UNAUTHENTICATED),
    ],
)
async def test_a_token_of_somebody_else_ends_the_stream(
    gateway: Streamed, tenant: str, role: Role | None, code: StatusCode
) -> None:
    worker = worker_of(gateway)
    async with worker.connected():
        worker.say(token="no token" if role is None else short_token(tenant, role))
        await worker.ended()
        assert worker.code == code


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (WorkerMessage(), StatusCode.INVALID_ARGUMENT),
        (WorkerMessage(hello=WorkerHello(protocol_version=1)), StatusCode.INVALID_ARGUMENT),
        (WorkerMessage(hello=WorkerHello(name="a")), StatusCode.FAILED_PRECONDITION),
        (
            WorkerMessage(hello=WorkerHello(name="a", protocol_version=1, max_concurrent=0)),
            StatusCode.INVALID_ARGUMENT,
        ),
        (
            WorkerMessage(hello=WorkerHello(name="a", protocol_version=1, features=["a"] * 65)),
            StatusCode.INVALID_ARGUMENT,
        ),
    ],
)
async def test_a_hello_that_is_wrong_is_refused(
    gateway: Streamed, first: WorkerMessage, code: StatusCode
) -> None:
    worker = worker_of(gateway)
    worker.hello = lambda: first  # type: ignore[method-assign]
    worker.start()
    await worker.ended()
    assert (worker.code, worker.welcome) == (code, None)


async def test_a_client_may_not_connect(gateway: Streamed) -> None:
    worker = worker_of(gateway, auth=short_token(role=Role.CLIENT))
    worker.start()
    await worker.ended()
    assert worker.code == StatusCode.PERMISSION_DENIED


async def test_a_message_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path, worker_chunk_bytes=1_024) as gateway:
        worker = worker_of(gateway)
        async with worker.connected():
            worker.say(token="x" * 2_000_000)
            await worker.ended()
            assert worker.code == StatusCode.INVALID_ARGUMENT
            assert "the limit is" in worker.details


async def test_a_worker_opens_its_stream_anew_now_and_then_and_keeps_what_it_has(
    tmp_path: Path,
) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    async with streamed_gateway(tmp_path, worker_reconnect_ms=300, **QUICK) as gateway:
        worker = worker_of(gateway, work=work)
        async with worker.connected():
            task_id = await gateway.create()
            await worker.until(lambda: any(one.HasField("reconnect") for one in worker.messages))
        async with worker.connected():
            go.set()
            assert (await gateway.task(task_id)).status == Task.COMPLETED
            assert await attempts(gateway, task_id) == ["SUCCEEDED"]


async def test_a_stream_that_its_worker_was_to_leave_is_ended(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path, worker_reconnect_ms=200, **QUICK) as gateway:
        worker = worker_of(gateway)
        async with worker.connected():
            await worker.ended()
            assert worker.code == StatusCode.OK


async def test_what_a_worker_has_goes_on_through_a_restart_of_the_gateway(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def work(worker: ModelWorker, assignment: Assignment) -> None:
        await go.wait()
        worker.complete(assignment, b"1")

    async with streamed_gateway(tmp_path, **QUICK) as gateway:
        worker = worker_of(gateway, work=work)
        worker.start()
        task_id = await gateway.create()
        await worker.until(lambda: bool(worker.held))
    await worker.ended()
    assert worker.code == StatusCode.OK
    assert worker.messages[-1].HasField("reconnect")
    async with streamed_gateway(tmp_path, **QUICK) as gateway:
        worker.address = gateway.gateway.grpc_address
        async with worker.connected():
            assert worker.welcome is not None
            assert worker.welcome.resumed
            go.set()
            assert (await gateway.task(task_id)).status == Task.COMPLETED
            assert await attempts(gateway, task_id) == ["SUCCEEDED"]


async def test_after_a_restart_a_worker_that_stays_away_loses_what_it_had(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path, **QUICK) as gateway:
        worker = worker_of(gateway, work=for_ever)
        worker.start()
        task_id = await gateway.create()
        await begun(gateway, task_id)
    async with streamed_gateway(tmp_path, **QUICK) as gateway:
        assert (await gateway.server()).connection == Server.RECONNECTING
        task = await gateway.task(task_id)
        assert (task.status, task.details["reason"]) == (Task.FAILED, "lost")
        await gateway.until(lambda now: now.connection == Server.GONE and not now.active)


async def test_a_worker_that_is_gone_for_long_is_forgotten(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path, forget_after_ms=300, **QUICK) as gateway:
        async with worker_of(gateway).connected():
            await gateway.until(lambda now: now.connection == Server.CONNECTED)
        await gateway.until(lambda now: not now.id)


async def test_a_worker_says_that_it_is_alive_on_its_stream_alone(gateway: Streamed) -> None:
    async with worker_of(gateway).connected():
        server = await gateway.server()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gateway.servers.Heartbeat(HeartbeatRequest(id=server.id), metadata=admin())
        assert caught.value.code() == StatusCode.INVALID_ARGUMENT


async def test_a_worker_may_run_in_the_process_of_the_gateway(gateway: Streamed) -> None:
    said: asyncio.Queue[WorkerMessage] = asyncio.Queue()
    said.put_nowait(WorkerMessage(hello=WorkerHello(name="a", protocol_version=1)))

    async def outgoing() -> AsyncIterator[WorkerMessage]:
        while True:
            yield await said.get()

    stub: Any = WorkerServiceStub(gateway.gateway.channel)
    call = stub.Connect(outgoing(), metadata=admin())
    async for message in call:
        assert message.welcome.server_id.startswith("srv_")
        break
    call.cancel()


async def test_a_scheduler_that_credit_does_not_wake_shows_as_an_idle_worker(
    gateway: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(gateway)
    worker.grant = lambda: 0  # type: ignore[method-assign]
    async with worker.connected():
        await gateway.create()
        server = await gateway.server()
        with monkeypatch.context() as broken:
            # The bug is planted: credit comes, and nobody looks.
            broken.setattr(asyncio.Event, "set", lambda _event: None)
            Lines(gateway.gateway._memory.fleet).grant(server.id, 4)
        await gateway.until(lambda now: now.worker_idle_with_backlog_ms > 0)
