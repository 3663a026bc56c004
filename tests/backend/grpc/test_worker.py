"""What a stream adds: credit, acknowledgements, heartbeats, and another stream after each end."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from inferry.backend import RefusedError
from inferry.backend.attempt import Report
from inferry.backend.grpc import Worker
from inferry.backend.grpc.channel import Dial, expiry_of
from inferry.backend.outbox import Outbox
from inferry.backend.testing.grpc import GrpcGateway
from inferry.backend.testing.streams import Connection, Cut
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.worker_pb2 import (
    GatewayHeartbeat,
    GatewayMessage,
    Reconnect,
    WorkerHeartbeat,
    WorkerWelcome,
)
from inferry.wire.held import held_hash
from tests.backend import handlers
from tests.backend.rigs import TYPE, WITHIN_S, Rig, backend, rig

#: What a gateway may end a stream with after its welcome; each means another stream.
ENDS = [code for code in grpc.StatusCode if code is not grpc.StatusCode.UNKNOWN]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferry.backend.grpc.transport._FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("inferry.backend.grpc.transport._LONGEST_PAUSE_S", 0.05)


@pytest.fixture
async def running() -> AsyncIterator[Rig]:
    async with rig("grpc", backend("loop", slots=2, labels={"zone": "a"})) as running:
        yield running


@pytest.fixture
async def gateway() -> AsyncIterator[GrpcGateway]:
    async with GrpcGateway() as gateway:
        yield gateway


def grpc_of(running: Rig) -> GrpcGateway:
    assert isinstance(running.gateway, GrpcGateway)
    return running.gateway


async def connected(gateway: GrpcGateway) -> Connection:
    async with asyncio.timeout(WITHIN_S):
        return await gateway.connections.get()


async def stop(worker: Worker) -> None:
    worker.drain()
    await asyncio.to_thread(worker.wait, WITHIN_S)


def heartbeats(connection: Connection) -> list[WorkerHeartbeat]:
    return [said.heartbeat for said in connection.messages if said.HasField("heartbeat")]


async def heartbeat(gateway: GrpcGateway, *, held: int, listed: bool = False) -> WorkerHeartbeat:
    """Asks for the list until the worker holds so many attempts."""

    def look() -> Connection | None:
        connection = gateway.connection
        assert connection is not None
        last = heartbeats(connection)[-1:]
        return connection if last and last[0].held_count == held else None

    if listed:
        gateway.say(GatewayMessage(heartbeat=GatewayHeartbeat(list=True)))
    connection = await gateway.until(look)
    return heartbeats(connection)[-1]


async def test_a_worker_says_who_it_is(running: Rig) -> None:
    hello = (await connected(grpc_of(running))).hello
    assert (hello.name, hello.protocol_version, hello.max_concurrent) == ("test", 1, 2)
    assert (list(hello.capabilities), dict(hello.labels)) == ([TYPE], {"zone": "a"})
    assert (hello.resume_token, list(hello.held)) == ("", [])


async def test_it_takes_as_many_tasks_as_it_has_slots_and_then_one_for_each_that_ends(
    running: Rig, tmp_path: Path
) -> None:
    gateway, gate = grpc_of(running), tmp_path / "gate"
    payload = {"do": "wait for", "file": str(gate)}
    sent = [await gateway.send(TYPE, payload) for _ in range(2)]
    assert gateway.connection is not None
    assert gateway.connection.granted == 2
    gate.touch()
    for one in sent:
        await one.end()
    await gateway.until(lambda: connection_of(gateway, granted=4))
    granted = [said.granted_total for said in gateway.connection.messages if said.granted_total]
    assert granted == sorted(granted)


def connection_of(gateway: GrpcGateway, *, granted: int) -> Connection | None:
    connection = gateway.connection
    return connection if connection is not None and connection.granted == granted else None


async def test_what_comes_without_credit_is_given_back_uncounted(running: Rig) -> None:
    gateway = grpc_of(running)
    first = await gateway.send(TYPE, {"do": "block"})
    await gateway.send(TYPE, {"do": "block"})
    more = await gateway.send_uninvited(TYPE, {"result": 1})
    outcome = await more.end()
    assert (outcome.status, outcome.loss) == ("FAILED", "NOT_STARTED")
    assert outcome.details == {"reason": "not_started"}
    assert not first.ended.is_set()


async def test_it_says_how_much_it_holds_and_lists_it_when_asked(running: Rig) -> None:
    gateway = grpc_of(running)
    sent = [await gateway.send(TYPE, {"do": "block"}) for _ in range(2)]
    said = await heartbeat(gateway, held=2, listed=True)
    keys = {one.key for one in sent}
    assert {(one.task_id, one.attempt) for one in said.held} == keys
    assert said.listed
    assert said.held_hash == held_hash(keys)
    assert (said.received_total, said.ready) == (2, True)
    assert said.load.active_tasks == 2
    assert said.load.memory > 0
    for one in sent:
        await gateway.cancel(one)
        await one.until_stopped()
    assert not (await heartbeat(gateway, held=0, listed=True)).held


async def test_a_cancel_of_what_it_does_not_have_is_answered(running: Rig) -> None:
    gateway = grpc_of(running)
    sent = await gateway.send(TYPE, {})
    await sent.end()
    await gateway.cancel(sent)
    await sent.until_stopped()


@pytest.mark.parametrize("code", ENDS)
async def test_whatever_ends_a_stream_another_one_is_opened_and_work_goes_on(
    running: Rig, tmp_path: Path, code: grpc.StatusCode
) -> None:
    gateway, gate = grpc_of(running), tmp_path / "gate"
    first = await connected(gateway)
    sent = await gateway.send(TYPE, {"do": "wait for", "file": str(gate)})
    await sent.until_under_way()
    gateway.say(Cut(code, "cut by the test"))
    second = await connected(gateway)
    assert second.hello.resume_token == "resume-1"
    assert [(one.task_id, one.attempt) for one in second.hello.held] == [sent.key]
    assert first is not second
    gate.touch()
    assert (await sent.end()).result == "there"


async def test_a_report_that_nobody_acknowledged_is_sent_again_under_its_number(
    running: Rig,
) -> None:
    gateway = grpc_of(running)
    gateway.deaf = True
    sent = await gateway.send(TYPE, {"result": 1})
    first = await connected(gateway)
    await gateway.until(lambda: first if reports(first) else None)
    gateway.deaf = False
    gateway.say(Cut(grpc.StatusCode.UNAVAILABLE))
    assert (await sent.end()).result == 1
    second = await connected(gateway)
    assert [(one.task_id, one.attempt) for one in second.hello.held] == [sent.key]
    assert reports(second) == reports(first)


def reports(connection: Connection) -> list[int]:
    return [one.number for said in connection.messages for one in said.reports]


async def test_a_report_that_was_refused_for_now_is_sent_again(running: Rig) -> None:
    gateway = grpc_of(running)
    gateway.again.append(True)
    assert (await (await gateway.send(TYPE, {"result": 1})).end()).result == 1


async def test_a_result_that_the_gateway_refuses_ends_as_a_failure(running: Rig) -> None:
    gateway = grpc_of(running)
    gateway.refused.append("INVALID_PAYLOAD")
    outcome = await (await gateway.send(TYPE, {"result": 1})).end()
    assert outcome.status == "FAILED"
    assert outcome.error == ("the gateway refused the result: INVALID_PAYLOAD: refused by the test")


async def test_a_stale_report_is_dropped(running: Rig) -> None:
    gateway = grpc_of(running)
    gateway.refused.append("STALE_ATTEMPT")
    sent = await gateway.send(TYPE, {"result": 1})
    assert (await (await gateway.send(TYPE, {"result": 2})).end()).result == 2
    await heartbeat(gateway, held=0, listed=True)
    assert not sent.ended.is_set()


async def test_where_its_resume_token_does_not_hold_its_work_is_stopped(running: Rig) -> None:
    gateway = grpc_of(running)
    await connected(gateway)
    sent = await gateway.send(TYPE, {"do": "block"})
    gateway.resumes = False
    gateway.say(Cut(grpc.StatusCode.UNAVAILABLE))
    await connected(gateway)
    await heartbeat(gateway, held=0, listed=True)
    assert not sent.ended.is_set()


async def test_it_opens_another_stream_when_the_gateway_asks_for_it(running: Rig) -> None:
    gateway = grpc_of(running)
    await connected(gateway)
    gateway.say(GatewayMessage(reconnect=Reconnect(after_ms=1, reason="a new gateway")))
    assert (await connected(gateway)).hello.resume_token == "resume-1"


async def test_a_gateway_that_says_nothing_is_given_up() -> None:
    welcome = WorkerWelcome(heartbeat_interval_ms=50)
    async with GrpcGateway(welcome) as gateway:
        worker = Worker(backend("loop"), Dial(gateway.address))
        worker.start()
        first = await connected(gateway)
        second = await connected(gateway)
        assert len(heartbeats(first)) >= 2
        assert second.hello.resume_token == "resume-1"
        await stop(worker)


async def test_while_it_loads_it_is_connected_and_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "loaded"
    monkeypatch.setenv("TEST_SETUP_WAITS_FOR", str(gate))
    app = backend("loop")
    app.setup(handlers.setup)
    async with rig("grpc", app, ready=False) as running:
        gateway = grpc_of(running)
        connection = await connected(gateway)
        assert not connection.hello.ready
        said = await heartbeat(gateway, held=0, listed=True)
        assert (said.ready, connection.granted) == (False, 0)
        gate.touch()
        await gateway.until(lambda: connection_of(gateway, granted=1))
        assert heartbeats(connection)[-1].ready


async def test_a_handler_that_holds_up_its_loop_is_told_and_holds_up_no_heartbeat() -> None:
    app = backend("loop")
    gate = asyncio.Event()

    @app.task("stall")
    async def stall(_payload: object) -> None:
        while not gate.is_set():
            time.sleep(0.01)  # noqa: ASYNC251 - that is the mistake

    async with GrpcGateway(WorkerWelcome(heartbeat_interval_ms=100)) as gateway:
        worker = Worker(app, Dial(gateway.address))
        worker.start()
        connection = await connected(gateway)
        sent = await gateway.send("stall", {})

        def lagging() -> Connection | None:
            gateway.say(GatewayMessage(heartbeat=GatewayHeartbeat()))
            lags = [one.handler_lag_ms for one in heartbeats(connection)]
            return connection if lags and lags[-1] > 300 else None

        await gateway.until(lagging)
        gate.set()
        await sent.end()
        await stop(worker)


async def test_it_says_goodbye_and_gives_back_what_was_on_its_way(
    running: Rig, tmp_path: Path
) -> None:
    gateway, gate = grpc_of(running), tmp_path / "gate"
    connection = await connected(gateway)
    sent = await gateway.send(TYPE, {"do": "wait for", "file": str(gate)})
    running.host.drain()
    async with asyncio.timeout(WITHIN_S):
        await connection.left.wait()
    late = await gateway.send_uninvited(TYPE, {})
    outcome = await late.end()
    assert (outcome.loss, outcome.error) == ("NOT_STARTED", "the backend stops")
    gate.touch()
    assert (await sent.end()).result == "there"
    await running.ended()


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
    ],
)
async def test_who_is_refused_five_times_stops_and_says_why(
    gateway: GrpcGateway, code: grpc.StatusCode
) -> None:
    gateway.refusals.extend([Cut(code, "not you")] * 5)
    worker = Worker(backend("loop"), Dial(gateway.address))
    worker.start()
    with pytest.raises(RefusedError, match=f"{code.name}: not you"):
        await asyncio.to_thread(worker.wait, WITHIN_S)
    assert gateway.streams == 5


async def test_refusals_that_are_none_and_gateways_that_are_away_stop_nobody(
    gateway: GrpcGateway,
) -> None:
    no, away = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE
    gateway.refusals.extend([Cut(no), Cut(away), Cut(no), Cut(no), Cut(away), Cut(no)])
    worker = Worker(backend("loop"), Dial(gateway.address))
    worker.start()
    await connected(gateway)
    assert gateway.streams == 7
    await stop(worker)


async def test_of_two_workers_with_one_name_one_stops_and_says_why(gateway: GrpcGateway) -> None:
    workers = [Worker(backend("loop"), Dial(gateway.address)) for _ in range(2)]
    for worker in workers:
        worker.start()
    ends = [asyncio.create_task(asyncio.to_thread(one.wait, 2 * WITHIN_S)) for one in workers]
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(RefusedError, match="another worker is called test"):
        await done.pop()
    for worker in workers:
        worker.drain()
    await asyncio.gather(*ends, return_exceptions=True)


def jwt(expires_at: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expires_at}).encode()).decode()
    return f"head.{claims.rstrip('=')}.mac"


async def test_a_token_is_renewed_in_the_stream_before_it_ends(gateway: GrpcGateway) -> None:
    given: list[str] = []

    def token() -> str:
        given.append(jwt(time.time() + 2))
        return given[-1]

    worker = Worker(backend("loop"), Dial(gateway.address, token))
    worker.start()
    connection = await connected(gateway)
    async with asyncio.timeout(WITHIN_S):
        renewed = [await gateway.tokens.get() for _ in range(2)]
    assert [connection.token, *renewed] == given[:3]
    assert gateway.streams == 1
    await stop(worker)


async def test_a_token_that_cannot_be_had_is_asked_for_again(gateway: GrpcGateway) -> None:
    refusals = [OSError("no route"), OSError("no route")]

    def token() -> str:
        if refusals:
            raise refusals.pop()
        return "good"

    worker = Worker(backend("loop"), Dial(gateway.address, token))
    worker.start()
    assert (await connected(gateway)).token == "good"
    await stop(worker)


@pytest.mark.parametrize(
    ("token", "expiry"), [(jwt(1_700_000_000), 1_700_000_000), ("opaque", None), ("a.b.c", None)]
)
def test_when_a_token_ends_is_read_from_it(token: str, expiry: float | None) -> None:
    assert expiry_of(token) == expiry


async def test_what_a_worker_had_done_before_it_died_is_reported_by_the_next_process(
    tmp_path: Path, gateway: GrpcGateway
) -> None:
    first = Worker(backend("loop"), Dial(gateway.address), spool=tmp_path)
    first.start()
    sent = await gateway.send(TYPE, {"result": 1})
    await sent.end()
    await connected(gateway)
    await stop(first)
    sent.ended.clear()
    # As if it had died before it was acknowledged.
    outbox = Outbox(tmp_path)
    update = TaskUpdate(status=Task.COMPLETED, result_json=b'"from before"')
    outbox.add(Report(sent.key, update, outbox.number()))
    second = Worker(backend("loop"), Dial(gateway.address), spool=tmp_path)
    second.start()
    connection = await connected(gateway)
    assert connection.hello.resume_token == "resume-1"
    assert [(one.task_id, one.attempt) for one in connection.hello.held] == [sent.key]
    assert (await sent.end()).result == "from before"
    await stop(second)
    assert not Outbox(tmp_path).reports()


async def test_a_result_comes_in_chunks_no_larger_than_the_gateway_says() -> None:
    welcome = WorkerWelcome(chunk_bytes=1_000, result_limit_bytes=5_000)
    async with GrpcGateway(welcome) as gateway:
        worker = Worker(backend("loop"), Dial(gateway.address))
        worker.start()
        sent = await gateway.send(TYPE, {"do": "large", "size": 4_000})
        assert (await sent.end()).result == "x" * 4_000
        connection = await connected(gateway)
        sizes = [len(one.data) for said in connection.messages for one in said.result_chunks]
        assert sizes == [1_000, 1_000, 1_000, 1_000, 2]
        sent = await gateway.send(TYPE, {"do": "large", "size": 5_000})
        assert (await sent.end()).code == "RESOURCE_LIMIT"
        await stop(worker)


async def test_no_more_reports_are_unacknowledged_than_the_gateway_allows() -> None:
    async with GrpcGateway(WorkerWelcome(unacknowledged_reports_limit=3)) as gateway:
        gateway.deaf = True
        worker = Worker(backend("loop", slots=10), Dial(gateway.address))
        worker.start()
        connection = await connected(gateway)
        sent = [await gateway.send(TYPE, {"result": 1}) for _ in range(10)]
        await gateway.until(lambda: connection if connection.granted == 20 else None)
        assert len(reports(connection)) == 3
        gateway.hear_what_was_said()
        for one in sent:
            await one.end()
        await stop(worker)


async def test_a_token_that_no_header_can_carry_stops_the_worker_at_once(
    gateway: GrpcGateway,
) -> None:
    worker = Worker(backend("loop"), Dial(gateway.address, "t\u00f6ken"))
    worker.start()
    with pytest.raises(RefusedError, match="the token holds what no token does"):
        await asyncio.to_thread(worker.wait, WITHIN_S)
    assert gateway.streams == 0
