# Made of tests/client/aio/test_fake_gateway.py by tools/unasync.py.
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferry.client import (
    Client,
    Conflict,
    Count,
    InferryError,
    InvalidRequest,
    NotFound,
    QueueFull,
    Status,
    TaskCancelled,
    TaskFailed,
    TaskTimedOut,
)
from inferry.client.testing import FakeGateway, RunningTask
from tests.client.handlers import HANDLERS, holding


@dataclass
class Size:
    width: int
    height: int


@dataclass
class Picture:
    area: int
    name: str = "picture"


def test_handlers_run_what_a_client_asks_for() -> None:
    with (
        FakeGateway(HANDLERS) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        assert client.run("double", {"n": 2**70}) == 2**71
        assert client.run("double-later", {"n": 2}) == 4
        with pytest.raises(TaskFailed, match="FAILED: no such format") as caught:
            client.run("fail", {})
        assert (caught.value.code, caught.value.details) == ("INVALID_FORMAT", {"format": "x"})
        with pytest.raises(TaskFailed, match="FAILED: 'n'") as caught:
            client.run("double", {})
        assert caught.value.code == "HANDLER_FAILED"


def test_only_a_handler_that_asks_for_the_task_gets_it() -> None:
    handlers: dict[str, Any] = {
        "plain": dict,
        "spare": lambda payload, factor=3: factor * payload["n"],
    }
    with (
        FakeGateway(handlers) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        assert client.run("plain", {"n": 1}) == {"n": 1}
        assert client.run("spare", {"n": 1}) == 3


def test_progress_is_seen_as_it_is_reported() -> None:
    def report(_: Any, task: RunningTask) -> str:
        task.progress(50, "half")
        return "done"

    with (
        FakeGateway({"report": report}) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        task = client.submit("report")
        kinds = [event.kind for event in task.events()]
        assert kinds[0] == "CREATED"
        assert kinds[-1] == "FINISHED"
        assert task.result() == "done"
        (attempt,) = task.attempts()
        assert attempt.outcome == "SUCCEEDED"
        assert (task.explain()).reason == "ENDED"


def test_a_task_is_cancelled_and_retried() -> None:
    hold, release = holding()
    with (
        FakeGateway({"hold": hold}) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        task = client.submit("hold")
        assert (task.cancel("enough")).status is Status.CANCELLED
        with pytest.raises(TaskCancelled, match="enough"):
            task.result()
        with pytest.raises(Conflict):
            client.task((client.submit("hold", delay=60)).id).retry()
        release()
        assert (task.retry()).status is Status.PENDING
        assert task.result(20) == "held"


def test_a_stream_url_is_made_for_a_browser() -> None:
    with (
        FakeGateway({}) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        task = client.submit("nobody")
        made = task.stream_url(ttl=60)
        assert f"/api/tasks/{task.id}/events?ticket=" in made.url
        assert made.expires_at is not None
        assert timedelta(seconds=30) < made.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
        usual = (task.stream_url()).expires_at
        assert usual is not None
        assert usual - made.expires_at > timedelta(minutes=13)
        with pytest.raises(InvalidRequest, match="ttl"):
            task.stream_url(ttl=3_601)
        with pytest.raises(NotFound):
            client.task("task_01HK153X00PYXZ6CXT0BGWJ8MG").stream_url()


def test_clocks_and_limits_are_those_of_a_real_gateway() -> None:
    with (
        FakeGateway({}, queue_limit=2) as gateway,
        Client(gateway.address, gateway.token, retries=0) as client,
    ):
        with pytest.raises(TaskTimedOut) as caught:
            client.run("nobody", queue_timeout=0.01)
        assert caught.value.phase == "queue"
        first, second, refused = client.submit_many("nobody", [{}, {}, {}])
        assert isinstance(refused, QueueFull)
        assert not isinstance(first, InferryError)
        assert not isinstance(second, InferryError)
        assert (first.explain()).reason == "NO_SERVER"
        assert client.cancel_all(type="nobody") == 2


def test_servers_and_the_queue_are_steered() -> None:
    with (
        FakeGateway(HANDLERS) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        (server,) = client.servers()
        assert (server.name, server.max_concurrent) == ("handlers", 1_000)
        assert (client.drain(server.id)).status == "DRAINING"
        assert (client.resume(server.id)).status != "DRAINING"
        assert (client.server(server.id)).id == server.id
        assert (client.pause("double", "mending")).pause_reason == "mending"
        task = client.submit("double", {"n": 1}, labels={"a": "b"})
        assert (task.explain()).reason == "PAUSED"
        assert [one.waiting for one in (client.queue()).types] == [1]
        assert not (client.unpause("double")).paused
        assert task.result(20) == 2
        client.deregister(server.id, grace=0)
        assert client.servers() == []


def test_what_failed_is_retried_in_bulk() -> None:
    with (
        FakeGateway(HANDLERS) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        ends = client.map("fail", [{}] * 3, labels={"a": "b"}, return_exceptions=True)
        assert all(isinstance(end, TaskFailed) for end in ends)
        client.pause("fail")
        assert client.count("failed", labels={"a": "b"}) == Count(count=3, more=False)
        assert (client.count(code="NO_SUCH_CODE")).count == 0
        soon = datetime.now(UTC) + timedelta(minutes=5)
        nowhere = "0" * 16
        assert len([task for task in client.tasks(fingerprint=nowhere)]) == 0
        assert client.retry_all(fingerprint=nowhere) == 0
        assert client.retry_all(tenant="nobody") == 0
        with pytest.raises(TypeError, match="there is no filter kode; right are server_id, code"):
            client.count(kode="x")  # type: ignore[call-arg]
        assert client.retry_all(finished_since=soon) == 0
        assert client.retry_all(labels={"a": "b"}, limit=2) == 2
        assert len([task for task in client.tasks("failed", "fail")]) == 1
        assert len([task for task in client.tasks(labels={"a": "b"})]) == 3
        assert len([task for task in client.tasks(labels={"a": "c"})]) == 0
        now = datetime.now(UTC)
        before = now - timedelta(minutes=5)
        for begun in (before, before.astimezone().replace(tzinfo=None)):
            assert len([task for task in client.tasks("failed", finished_since=begun)]) == 1
        later = now + timedelta(minutes=5)
        assert len([task for task in client.tasks(created_since=later)]) == 0
        assert len([task for task in client.tasks(code="NO_SUCH_CODE")]) == 0


def test_a_typed_function_takes_and_gives_dataclasses() -> None:
    with (
        FakeGateway(HANDLERS) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        measure = client.function("measure", Size, Picture)
        assert repr(measure) == "<measure: Size -> Picture>"
        assert measure(Size(3, 4), priority=5) == Picture(12)
        assert measure.map([Size(1, 1), Size(2, 2)]) == [Picture(1), Picture(4)]
        task = measure.submit(Size(5, 5))
        assert measure.read(task.result()) == Picture(25)
        with pytest.raises(TypeError, match="measure takes Size, got"):
            measure({"width": 1})  # type: ignore[arg-type]
        with pytest.raises(InferryError, match=r"no Size: .*'width'") as caught:
            client.function("measure", Size, Size)(Size(1, 2))
        assert caught.value.code == "INVALID_RESULT"


def test_a_watch_sees_all_that_happens_to_a_type() -> None:
    with (
        FakeGateway(HANDLERS) as gateway,
        Client(gateway.address, gateway.token) as client,
    ):
        ended: list[str] = []
        for change in client.watch(type="double"):
            if change.snapshot_complete:
                client.submit_many("double", [{"n": 1}, {"n": 2}])
                client.submit("double-later", {"n": 3})
            ended += [event.task_id for event in change.events if event.status.final]
            if len(ended) == 2:
                break
        assert {(client.task(one).get()).result for one in ended} == {2, 4}
