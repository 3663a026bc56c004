"""Whatever breaks in a call, its attempt ends at once and its slot is free: by a real gateway."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inferry.server.access.callback import CallbackSigner
from inferry.server.carriers.http import call as calls
from inferry.server.engine.tasks import Engine
from inferry.server.errors import InferryError
from inferry.server.fleet.fleet import Fleet
from inferry.server.outbound.client import Outbound
from inferry.server.replica.tenure import Tenure
from tests.backends import Backend, running_backend, say
from tests.gateways import Running, running_gateway

OURS = "the gateway failed at the call or its answer"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def backend(gateway: Running) -> AsyncIterator[Backend]:
    async with running_backend() as running:
        server_id = await gateway.register(running, maxConcurrent=1)
        await gateway.probed(server_id)
        yield running


class Breaking:
    """Stands for a function: it breaks, so many times."""

    def __init__(self, function: Any, *, times: int, path: str = "") -> None:
        self._function = function
        self._times = times
        self._path = path

    def __get__(self, owner: Any, _: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            wanted = not self._path or any(str(arg).endswith(self._path) for arg in args)
            if self._times and wanted:
                self._times -= 1
                raise RecursionError("it nests too deep")
            return self._function(*([] if owner is None else [owner]), *args, **named)

        return call


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (CallbackSigner, "url"),
        (Outbound, "post"),
        (Fleet, "note_call"),
        (Engine, "answer"),
        (calls, "read_answer"),
    ],
    ids=["before the call", "the call", "after the call", "its outcome", "its answer"],
)
async def test_a_call_that_breaks_ends_its_attempt_at_once_and_frees_its_slot(
    gateway: Running, backend: Backend, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    breaking = Breaking(getattr(place, name), times=1)
    call = breaking.__get__(None, None) if place is calls else breaking
    monkeypatch.setattr(place, name, call)
    done = await gateway.task((await gateway.create())["id"], wait_s=10)
    assert (done["status"], done["code"]) == ("FAILED", "INTERNAL_ERROR")
    assert OURS in done["error"]
    assert done["details"] == {"reason": "ambiguous", "attempt": 1}
    again = await gateway.task((await gateway.create())["id"], wait_s=10)
    assert again["status"] == "COMPLETED"


async def test_a_replica_that_stood_still_for_its_lease_calls_nobody(
    gateway: Running, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It may when it gives the task away, and no more when it is about to call.
    over = Tenure(15)
    monkeypatch.setattr(gateway.gateway._dispatcher, "_tenure", over)
    path = f"/api/tasks/{(await gateway.create())['id']}/attempts"
    await gateway.eventually(path, lambda body: len(body["attempts"]) > 1)
    assert not backend.history
    over.renewed(over.begin_renewal())
    body = await gateway.eventually(
        path, lambda body: body["attempts"][-1]["outcome"] == "SUCCEEDED"
    )
    refused, last = body["attempts"][0], body["attempts"][-1]
    assert (refused["outcome"], last["outcome"]) == ("REFUSED", "SUCCEEDED")
    assert refused["error"] == "the replica's lease was over before the call"
    assert len(backend.history) == 1


async def test_an_idempotent_task_goes_again_after_a_call_that_broke(
    gateway: Running, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbound, "post", Breaking(Outbound.post, times=1))
    done = await gateway.task((await gateway.create(idempotent=True))["id"], wait_s=10)
    assert (done["status"], done["attempt"]) == ("COMPLETED", 2)


async def test_an_outcome_that_the_store_refuses_ends_the_attempt_without_it(
    gateway: Running, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, refused = Engine.answer, asyncio.Event()

    async def refuse(self: Engine, task_id: str, attempt: int, given: Any) -> None:
        if not refused.is_set():
            refused.set()
            raise InferryError("internal error")
        await answer(self, task_id, attempt, given)

    monkeypatch.setattr(Engine, "answer", refuse)
    done = await gateway.task((await gateway.create())["id"], wait_s=10)
    assert (done["status"], refused.is_set()) == ("FAILED", True)
    assert OURS in done["error"]


async def test_a_cancel_that_breaks_is_told_again_and_the_slot_comes_back(
    gateway: Running, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.answer = say({"status": "accepted"})
    task = await gateway.create()
    await backend.next_job()
    monkeypatch.setattr(Outbound, "post", Breaking(Outbound.post, times=1, path="/cancel"))
    await gateway.call("DELETE", f"/api/tasks/{task['id']}")
    assert (await backend.next_cancel())["id"] == task["id"]
    backend.answer = say({"status": "success"})
    done = await gateway.task((await gateway.create())["id"], wait_s=10)
    assert done["status"] == "COMPLETED"
