"""What every backend promises, over each transport and in each executor."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inferry.backend.testing.gateway import Sent
from inferry.v1.task_pb2 import Task
from tests.backend.handlers import RAISED
from tests.backend.rigs import EXECUTORS, TRANSPORTS, TYPE, Rig, backend, rig

#: Where work can be stopped that asks nobody.
IN_PROCESSES = ("process", "async-process")


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def running(transport: str, executor: str) -> AsyncIterator[Rig]:
    """A backend of one slot."""
    async with rig(transport, backend(executor)) as running:
        yield running


async def test_a_result_arrives(running: Rig) -> None:
    sent = await running.gateway.send(TYPE, {"result": {"b": 2**63, "a": [1, 1.5, None, "\u00e9"]}})
    outcome = await sent.end()
    assert outcome.status == "COMPLETED"
    assert outcome.result == {"b": 2**63, "a": [1, 1.5, None, "\u00e9"]}


async def test_a_handler_knows_its_task(running: Rig) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    sent = await running.gateway.send(
        TYPE, {"do": "context"}, attempt=3, timeout=20, traceparent=traceparent
    )
    result = (await sent.end()).result
    assert result["traceparent"] == traceparent
    assert (result["id"], result["attempt"]) == sent.key
    assert (result["type"], result["timeout"], result["cancelled"]) == (TYPE, 20, False)
    assert result["payload"] == '{"do":"context"}'


async def test_progress_arrives_in_order_and_nothing_after_the_end(running: Rig) -> None:
    percents = list(range(0, 101, 10))
    payload = {"do": "progress", "progress": percents, "pause": 0.002}
    sent = await running.gateway.send(TYPE, payload)
    outcome = await sent.end()
    told = [percent for percent, _ in outcome.progress if percent is not None]
    assert told == sorted(set(told))
    assert (told[-1], outcome.progress[-1][1]) == (100, "at 100")
    assert [report.status for report in sent.reports[len(told) :]] == [Task.COMPLETED]


async def test_an_exception_is_a_failure_of_the_task(running: Rig) -> None:
    outcome = await (await running.gateway.send(TYPE, {"do": "fail", "text": "no paint"})).end()
    assert (outcome.status, outcome.error) == ("FAILED", "no paint")
    assert (outcome.code, outcome.details) == ("INTERNAL_ERROR", {"exception": "ValueError"})
    assert not outcome.retryable


async def test_whatever_a_handler_raises_is_a_failure_of_its_task_alone(running: Rig) -> None:
    for kind in RAISED:
        outcome = await (await running.until_taken(TYPE, {"do": "raise", "kind": kind})).end()
        assert (outcome.status, outcome.code) == ("FAILED", "INTERNAL_ERROR"), kind
        assert outcome.error
    assert (await (await running.until_taken(TYPE, {"result": 1})).end()).result == 1


@pytest.mark.parametrize("executor", ["loop", "async-thread"])
async def test_what_a_task_raises_that_a_handler_started_costs_no_other(running: Rig) -> None:
    first = await running.gateway.send(TYPE, {"do": "stray"})
    await first.end()
    for number in range(3):
        outcome = await (await running.until_taken(TYPE, {"result": number})).end()
        assert outcome.result == number


async def test_a_task_error_says_all_that_it_knows(running: Rig) -> None:
    outcome = await (await running.gateway.send(TYPE, {"do": "fail as foreseen"})).end()
    assert (outcome.status, outcome.error) == ("FAILED", "no such codec")
    assert (outcome.code, outcome.details) == ("INVALID_FORMAT", {"at": 3})
    assert outcome.retryable


@pytest.mark.parametrize(
    ("payload", "code", "says"),
    [
        ({"do": "unserialisable"}, "INTERNAL_ERROR", "the result is no JSON: "),
        ({"do": "not a number"}, "INTERNAL_ERROR", "the result is no JSON: it holds NaN"),
        ({"do": "large", "size": 3_100_000}, "RESOURCE_LIMIT", "the result has 3,100,002 bytes"),
    ],
)
async def test_a_result_that_cannot_travel_fails_at_once(
    running: Rig, payload: dict[str, object], code: str, says: str
) -> None:
    outcome = await (await running.gateway.send(TYPE, payload)).end()
    assert (outcome.status, outcome.code) == ("FAILED", code)
    assert outcome.error.startswith(says)


async def test_the_largest_result_arrives_whole(running: Rig) -> None:
    outcome = await (await running.gateway.send(TYPE, {"do": "large", "size": 3_000_000})).end()
    assert outcome.result == "x" * 3_000_000


async def test_the_backend_ends_work_whose_time_is_over_and_frees_its_slot(running: Rig) -> None:
    sent = await running.gateway.send(TYPE, {"do": "block"}, timeout=0.2)
    outcome = await sent.end()
    assert (outcome.status, outcome.code) == ("TIMEOUT", "TIMEOUT")
    assert outcome.error == "not done in 0.2 s"
    await until_free(running)


async def test_a_cancel_stops_the_work_frees_its_slot_and_ends_in_no_report(running: Rig) -> None:
    sent = await running.gateway.send(TYPE, {"do": "block"})
    await sent.until_under_way()
    await running.gateway.cancel(sent)
    await sent.until_stopped()
    await until_free(running)
    assert not sent.ended.is_set()


async def test_what_cancelled_work_returns_is_dropped(running: Rig) -> None:
    sent = await running.gateway.send(TYPE, {"do": "return when cancelled"})
    await sent.until_under_way()
    await running.gateway.cancel(sent)
    await sent.until_stopped()
    await until_free(running)
    assert not sent.ended.is_set()


async def test_an_attempt_that_comes_twice_runs_once(running: Rig, tmp_path: Path) -> None:
    file, gate = tmp_path / "runs", tmp_path / "gate"
    first = await running.gateway.send(TYPE, {"do": "wait for", "file": str(gate)})
    await first.until_under_way()
    await running.gateway.send_again(first)
    gate.touch()
    assert (await first.end()).result == "there"
    second = await running.gateway.send(TYPE, {"do": "note", "file": str(file)})
    await second.end()
    await running.gateway.send_again(second)
    await until_free(running)
    assert file.read_text().splitlines() == [f"{second.key[0]}/1"]
    assert [report.status for report in first.reports].count(Task.COMPLETED) == 1


async def test_a_newer_attempt_of_a_task_takes_the_place_of_the_older(
    transport: str, executor: str
) -> None:
    if executor == "serial":
        pytest.skip("it has one slot, which the older one holds")
    async with rig(transport, backend(executor, slots=2)) as running:
        older = await running.gateway.send(TYPE, {"do": "block"}, task_id="task_a")
        await older.until_under_way()
        newer = await running.gateway.send(TYPE, {"result": 2}, task_id="task_a", attempt=2)
        assert (await newer.end()).result == 2
        if transport == "grpc":
            await older.until_stopped()
        assert not older.ended.is_set()


async def test_a_drain_lets_running_work_end(running: Rig, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    sent = await running.gateway.send(TYPE, {"do": "wait for", "file": str(gate)})
    await sent.until_under_way()
    running.host.drain()
    gate.touch()
    assert (await sent.end()).result == "there"
    await running.ended()


async def test_a_drain_breaks_off_what_does_not_end_in_time(transport: str, executor: str) -> None:
    async with rig(transport, backend(executor), drain_timeout=0.1) as running:
        sent = await running.gateway.send(TYPE, {"do": "block"})
        await sent.until_under_way()
        running.host.drain()
        await expect_interrupted(running, sent)


async def test_a_second_signal_breaks_work_off_at_once(running: Rig) -> None:
    sent = await running.gateway.send(TYPE, {"do": "block"})
    await sent.until_under_way()
    running.host.drain()
    running.host.hurry()
    await expect_interrupted(running, sent)


@pytest.mark.parametrize("executor", IN_PROCESSES)
@pytest.mark.parametrize(
    ("payload", "how"),
    [
        ({"do": "exit", "status": 3}, "exit status 3"),
        ({"do": "be killed"}, "signal 9 (SIGKILL)"),
    ],
)
async def test_a_process_that_dies_ends_its_attempt_alone_and_is_started_again(
    running: Rig, payload: dict[str, object], how: str
) -> None:
    outcome = await (await running.gateway.send(TYPE, payload)).end()
    assert (outcome.status, outcome.loss) == ("FAILED", "PROCESS_DIED")
    assert outcome.error == f"the process of the work died: {how}"
    assert outcome.details == {"reason": "process_died"}
    await until_free(running)


@pytest.mark.parametrize("executor", IN_PROCESSES)
async def test_a_cancel_frees_the_slot_of_a_process_that_ignores_everything(
    running: Rig, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = await running.gateway.send(TYPE, {"do": "ignore everything"})
    await sent.until_under_way()
    began = time.perf_counter()
    await running.gateway.cancel(sent)
    await sent.until_stopped()
    stopped_ms = 1_000 * (time.perf_counter() - began)
    await until_free(running)
    free_ms = 1_000 * (time.perf_counter() - began)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{request.node.name}: stopped {stopped_ms:.0f} ms after the cancel, the next task "
            f"done after {free_ms:.0f} ms; 200 ms of it are the time of grace"
        )
    assert not sent.ended.is_set()


async def until_free(running: Rig) -> None:
    """Has the only slot do something else; over HTTP it says no until the slot is free."""
    sent = await running.until_taken(TYPE, {"result": "next"})
    assert (await sent.end()).result == "next"


async def expect_interrupted(running: Rig, sent: Sent) -> None:
    outcome = await sent.end()
    assert (outcome.status, outcome.loss) == ("FAILED", "INTERRUPTED")
    assert outcome.details == {"reason": "interrupted"}
    await running.ended()
