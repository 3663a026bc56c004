"""What follows a failed attempt, by its class: a whole gateway, real backends, broken connections.

The classes are those of design section 6: refused, ambiguous, rejected; and the attempt's clock.
"""

import gzip
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.backends import ACCEPTED, SUCCESS, Answer, Backend, Job, running_backend, say
from tests.fault_proxy import Fault, FaultProxy, running_proxy
from tests.gateways import Running, running_gateway

BUSY = [say(b"", 429), say({"status": "error", "error": "full"}, 503)]
UNCLEAR = [say(b"", 502), say({"status": "error", "error": "slow upstream"}, 504)]
BROKEN = [Fault.CUT, Fault.RESET, Fault.HALF_CLOSE, Fault.TRUNCATE, Fault.GARBAGE]
SILENT = [Fault.STALL, Fault.MUTE, Fault.DRIP]
NO = {"status": "error", "error": "no", "code": "INVALID_FORMAT", "details": {"frame": 7}}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, grace_ms=0) as running:
        yield running


@pytest.fixture
async def proxy(gateway: Running, backend: Backend) -> AsyncIterator[FaultProxy]:
    """Stands between the gateway and its only server."""
    async with running_proxy(backend.url) as running:
        await gateway.register(Backend(url=running.url))
        yield running


def then(first: Answer, after: Answer = SUCCESS) -> Answer:
    """Answers the first dispatch in one way and all others in another."""
    answers = iter([first])

    async def answer(job: Job) -> web.StreamResponse:
        return await next(answers, after)(job)

    return answer


async def run(gateway: Running, **more: object) -> dict[str, Any]:
    """Creates a task and waits for its end."""
    task = await gateway.create(**more)
    return await gateway.task(task["id"], wait_s=20)


async def attempts(gateway: Running, task: dict[str, Any]) -> list[dict[str, Any]]:
    _, listed = await gateway.call("GET", f"/api/tasks/{task['id']}/attempts")
    return list(listed["attempts"])


async def outcomes(gateway: Running, task: dict[str, Any]) -> list[str]:
    return [attempt["outcome"] for attempt in await attempts(gateway, task)]


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("refusal", [None, *BUSY], ids=["nobody listens", "429", "503"])
async def test_a_refused_attempt_goes_to_another_server_and_does_not_count(
    gateway: Running, backend: Backend, refusal: Answer | None, asynchronous: bool
) -> None:
    async with running_backend(refusal or SUCCESS) as refusing:
        url = "http://127.0.0.1:1" if refusal is None else refusing.url
        # Offered first: its load is less. Where nobody listens, both are degraded.
        backend.healthy = refusal is not None
        refusing_id = await gateway.register(Backend(url=url), name="refuses", maxConcurrent=1_000)
        server_id = await gateway.register(backend, name="takes", maxConcurrent=1)
        await gateway.probed(refusing_id, server_id)
        done = await run(gateway, maxAttempts=1, **{"async": asynchronous})
    assert (done["status"], done["serverId"]) == ("COMPLETED", server_id)
    assert await outcomes(gateway, done) == ["REFUSED", "SUCCEEDED"]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_says_when_to_come_back_is_left_alone_until_then(
    gateway: Running, backend: Backend, status: int
) -> None:
    async def ask_for_a_second(_job: Job) -> web.StreamResponse:
        return web.Response(status=status, headers={"Retry-After": "1"})

    backend.answer = then(ask_for_a_second)
    await gateway.register(backend)
    done = await run(gateway, maxAttempts=1)
    refused, succeeded = await attempts(gateway, done)
    assert (done["status"], refused["outcome"]) == ("COMPLETED", "REFUSED")
    waited = datetime.fromisoformat(succeeded["startedAt"]) - datetime.fromisoformat(
        refused["startedAt"]
    )
    assert waited >= timedelta(seconds=1)


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_call_is_repeated_for_an_idempotent_task(
    gateway: Running, proxy: FaultProxy, fault: Fault, asynchronous: bool
) -> None:
    proxy.faults.append(fault)
    done = await run(gateway, idempotent=True, **{"async": asynchronous})
    assert done["status"] == "COMPLETED"
    assert await outcomes(gateway, done) == ["AMBIGUOUS", "SUCCEEDED"]


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_call_fails_a_task_that_is_not_idempotent(
    gateway: Running, backend: Backend, proxy: FaultProxy, fault: Fault, asynchronous: bool
) -> None:
    proxy.faults.append(fault)
    done = await run(gateway, **{"async": asynchronous})
    assert (done["status"], done["code"]) == ("FAILED", "INTERNAL_ERROR")
    assert done["details"]["reason"] == "ambiguous"
    assert await outcomes(gateway, done) == ["AMBIGUOUS"]
    assert len(backend.history) == (fault is not Fault.CUT)
    _, server = await gateway.call("GET", f"/api/servers/{done['serverId']}")
    assert server["active"] == 0


@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "not"])
@pytest.mark.parametrize("answer", UNCLEAR, ids=["502", "504"])
async def test_an_answer_of_something_in_between_is_as_unclear_as_none(
    gateway: Running, backend: Backend, answer: Answer, idempotent: bool
) -> None:
    backend.answer = then(answer)
    await gateway.register(backend)
    done = await run(gateway, idempotent=idempotent)
    assert done["status"] == ("COMPLETED" if idempotent else "FAILED")
    assert ("details" in done) is not idempotent
    assert len(backend.history) == 1 + idempotent


async def test_broken_calls_are_repeated_until_the_attempts_are_used_up(
    gateway: Running, backend: Backend, proxy: FaultProxy
) -> None:
    proxy.faults.extend(BROKEN)
    done = await run(gateway, idempotent=True, maxAttempts=2)
    assert (done["status"], done["details"]["reason"]) == ("FAILED", "ambiguous")
    assert await outcomes(gateway, done) == ["AMBIGUOUS", "AMBIGUOUS"]


async def test_the_first_run_of_a_repeated_task_cannot_report_any_more(
    gateway: Running, backend: Backend, proxy: FaultProxy
) -> None:
    backend.answer = ACCEPTED
    proxy.faults.append(Fault.RESET)
    task = await gateway.create(idempotent=True)
    first, second = [await backend.next_job() for _ in range(2)]
    for status in ("PROCESSING", "COMPLETED", "FAILED"):
        http_status, body = await backend.report(first, status=status, result="old")
        assert (http_status, body["code"]) == (409, "STALE_ATTEMPT")
    assert (await backend.report(second, status="COMPLETED", result="new"))[0] == 200
    assert (await backend.report(first, status="COMPLETED", result="old"))[0] == 409
    assert (await gateway.task(task["id"]))["result"] == "new"


@pytest.mark.parametrize("status", [200, 400, 404, 500])
async def test_an_error_that_the_server_says_is_final_even_for_an_idempotent_task(
    gateway: Running, backend: Backend, status: int
) -> None:
    backend.answer = say(NO, status)
    await gateway.register(backend)
    done = await run(gateway, idempotent=True)
    assert (done["status"], done["error"]) == ("FAILED", "no")
    assert (done["code"], done["details"]) == ("INVALID_FORMAT", {"frame": 7})
    assert await outcomes(gateway, done) == ["REJECTED"]


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        (
            {"X-Trace": "x" * 70_000},
            "the header X-Trace of the answer has more than 65,536 bytes",
        ),
        (
            {"Content-Encoding": "br"},
            "the answer has Content-Encoding: br; right is none, gzip or deflate",
        ),
    ],
    ids=["header", "br"],
)
async def test_an_answer_that_would_be_unreadable_again_is_final_even_for_an_idempotent_task(
    gateway: Running, backend: Backend, headers: dict[str, str], error: str
) -> None:
    async def answer(_job: Job) -> web.StreamResponse:
        return web.json_response({"status": "success"}, headers=headers)

    backend.answer = answer
    await gateway.register(backend)
    done = await run(gateway, idempotent=True)
    assert (done["status"], done["error"]) == ("FAILED", error)
    assert await outcomes(gateway, done) == ["REJECTED"]
    assert len(backend.history) == 1


async def test_an_answer_that_is_packed_is_unpacked(gateway: Running, backend: Backend) -> None:
    async def answer(_job: Job) -> web.StreamResponse:
        packed = gzip.compress(b'{"status":"success","result":"unpacked"}')
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    backend.answer = answer
    await gateway.register(backend)
    assert (await run(gateway))["result"] == "unpacked"


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
async def test_an_error_that_the_server_calls_retryable_is_followed_by_another_attempt(
    gateway: Running, backend: Backend, asynchronous: bool
) -> None:
    backend.answer = then(say({**NO, "retryable": True}))
    await gateway.register(backend)
    done = await run(gateway, **{"async": asynchronous})
    assert done["status"] == "COMPLETED"
    assert await outcomes(gateway, done) == ["REJECTED", "SUCCEEDED"]


async def test_a_reported_error_that_is_retryable_is_followed_by_another_attempt(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = then(ACCEPTED)
    await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    status, body = await backend.report(job, status="FAILED", error="no", retryable=True)
    assert (status, body["status"]) == (200, "PENDING")
    assert (await gateway.task(task["id"], wait_s=20))["status"] == "COMPLETED"


async def test_retryable_errors_end_with_the_attempts(gateway: Running, backend: Backend) -> None:
    backend.answer = say({**NO, "retryable": True})
    await gateway.register(backend)
    done = await run(gateway, maxAttempts=2)
    assert (done["status"], done["error"]) == ("FAILED", "no")
    assert len(backend.history) == 2


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("fault", SILENT)
async def test_silence_is_ended_by_the_clock_of_the_attempt(
    gateway: Running, backend: Backend, fault: Fault, asynchronous: bool
) -> None:
    async with running_proxy(backend.url, drip_s=30.0) as proxy:
        proxy.faults.append(fault)
        await gateway.register(Backend(url=proxy.url))
        done = await run(gateway, timeout=200, idempotent=True, **{"async": asynchronous})
    assert (done["status"], done["details"]) == ("TIMEOUT", {"phase": "attempt"})
    assert await outcomes(gateway, done) == ["TIMED_OUT"]


async def test_an_answer_that_drips_in_time_is_an_answer(
    gateway: Running, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault.DRIP)
    done = await run(gateway)
    assert (done["status"], done["result"]) == ("COMPLETED", {"done": True})


async def test_a_report_counts_when_the_answer_to_the_dispatch_never_comes(
    gateway: Running, backend: Backend, proxy: FaultProxy
) -> None:
    backend.answer = ACCEPTED
    proxy.faults.append(Fault.MUTE)
    task = await gateway.create()
    job = await backend.next_job()
    assert (await backend.report(job, status="PROCESSING", progress=50))[0] == 200
    assert (await backend.report(job, status="COMPLETED", result="heard"))[0] == 200
    done = await gateway.task(task["id"])
    assert (done["status"], done["result"]) == ("COMPLETED", "heard")
    assert await outcomes(gateway, done) == ["SUCCEEDED"]


async def test_a_server_that_breaks_tasks_off_and_says_so_is_called_as_before(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say({"status": "error", "error": "it stops", "loss": "interrupted"})
    server_id = await gateway.register(backend)
    for _ in range(6):
        done = await run(gateway)
        assert (done["status"], done["details"]["reason"]) == ("FAILED", "interrupted")
    _, server = await gateway.call("GET", f"/api/servers/{server_id}")
    assert server["breaker"] == "CLOSED"
