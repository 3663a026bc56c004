"""Servers are looked after by one replica each, and work on behalf of all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.backends import ACCEPTED, Backend, running_backend
from tests.gateways import token
from tests.server.replicas.crowd import Crowd, Replica, crowd


@pytest.fixture(params=[True, False], ids=["notices", "polling"])
def notify(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


async def until(wanted: Callable[[], bool]) -> None:
    """Waits until it is so; what no event announces."""
    async with asyncio.timeout(20):
        while True:
            if wanted():
                return
            await asyncio.sleep(0.02)


async def seen(replica: Replica, server_id: str) -> None:
    await replica.eventually(f"/api/servers/{server_id}", lambda body: "id" in body)


async def backends(stack: AsyncExitStack, count: int) -> list[Backend]:
    return [await stack.enter_async_context(running_backend(ACCEPTED)) for _ in range(count)]


async def test_nobody_is_told_that_no_server_takes_a_task_that_one_of_another_replica_takes(
    many: Crowd, notify: bool
) -> None:
    a, b = [await many.join(store_notify=notify) for _ in range(2)]
    assert (await a.create())["unserved"].startswith("no server is registered")
    async with running_backend(ACCEPTED) as backend:
        # Nothing has told the other one of it by itself yet.
        await a.register(backend)
        assert "unserved" not in await b.create()


async def test_a_task_is_created_here_runs_there_reports_elsewhere_and_is_seen_everywhere(
    many: Crowd, notify: bool
) -> None:
    a, b, c = [await many.join(store_notify=notify) for _ in range(3)]
    async with running_backend(ACCEPTED) as backend:
        server_id = await b.register(backend)
        for replica in (a, c):
            await seen(replica, server_id)
        task = await a.create(capabilities=[])
        job = await backend.next_job()
        assert job["id"] == task["id"]
        watching = asyncio.ensure_future(a.events(task["id"]))
        waiting = asyncio.ensure_future(b.task(task["id"], wait_s=10))
        async with c.http.put(
            f"{c.url}/api/tasks/{job['id']}?{job['callback_url'].partition('?')[2]}",
            json={"status": "COMPLETED", "result": {"n": 1}},
        ) as response:
            assert response.status == 200, await response.text()
        assert (await waiting)["status"] == "COMPLETED"
        kinds = [event["kind"] for event in await watching]
        assert kinds[-1] == "FINISHED"
        assert kinds.count("FINISHED") == 1
        await until(lambda: not any(one.active for one in b.lives.gateway._memory.fleet))
        done = await c.task(task["id"])
        assert done["result"] == {"n": 1}


async def test_who_waits_in_its_call_gets_the_result_that_another_replica_wrote(
    many: Crowd, notify: bool
) -> None:
    a, b = [await many.join(store_notify=notify) for _ in range(2)]
    async with running_backend() as backend:
        server_id = await b.register(backend)
        await seen(a, server_id)
        done = await a.create(**{"async": False})
        assert (done["status"], done["result"]) == ("COMPLETED", {"done": True})


async def test_a_cancel_at_one_replica_reaches_the_server_of_another(
    many: Crowd, notify: bool
) -> None:
    a, b = [await many.join(store_notify=notify, cancel_grace_ms=600_000) for _ in range(2)]
    async with running_backend(ACCEPTED) as backend:
        server_id = await b.register(backend, maxConcurrent=1)
        await seen(a, server_id)
        task = await b.create()
        await backend.next_job()
        status, _ = await a.call("DELETE", f"/api/tasks/{task['id']}")
        assert status == 200
        assert await backend.next_cancel() == {"id": task["id"], "attempt": 1}
        await b.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 0)
        # The slot is free for the next one, wherever that comes from.
        await a.create()
        await backend.next_job()


@pytest.mark.parametrize(
    ("ends", "word"),
    [
        ("CANCELLED", "PROCESSING"),
        ("CANCELLED", "CANCELLED"),
        ("TIMEOUT", "PROCESSING"),
        # It is kept as a late result.
        ("TIMEOUT", "COMPLETED"),
    ],
)
async def test_a_server_that_says_elsewhere_that_it_knows_of_a_stop_has_its_slot_free(
    many: Crowd, ends: str, word: str
) -> None:
    settings = {"cancel_grace_ms": 600_000, "grace_ms": 0, "replica_lease_ms": 60_000}
    a, b = [await many.join(**settings) for _ in range(2)]
    async with running_backend(ACCEPTED) as backend:
        # It cannot be told, so it is told again and again.
        backend.cancel_status = 503
        server_id = await b.register(backend, maxConcurrent=1)
        await seen(a, server_id)
        task = await a.create(timeout=1_000 if ends == "TIMEOUT" else 600_000)
        job = await backend.next_job()
        if ends == "CANCELLED":
            await a.call("DELETE", f"/api/tasks/{task['id']}")
        for _ in range(2):
            assert (await backend.next_cancel())["id"] == task["id"]
        await b.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 1)
        query = job["callback_url"].partition("?")[2]
        url = f"{a.url}/api/tasks/{job['id']}?{query}"
        async with a.http.put(url, json={"status": word, "result": 1}) as response:
            assert response.status == 200, await response.text()
        await b.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 0)
        assert (await a.task(task["id"]))["status"] == ends
        # The slot is free for the next one, and the server is told of the first no more.
        while not backend.cancels.empty():
            backend.cancels.get_nowait()
        other = await a.create()
        assert (await backend.next_job())["id"] == other["id"]
        await a.call("DELETE", f"/api/tasks/{other['id']}")
        for _ in range(2):
            assert (await backend.next_cancel())["id"] == other["id"]


async def test_one_key_at_two_replicas_at_once_makes_one_task(many: Crowd) -> None:
    a, b = [await many.join() for _ in range(2)]

    async def create(replica: Replica, key: str) -> str:
        async with replica.http.post(
            f"{replica.url}/api/tasks",
            json={"type": "echo"},
            headers={"Authorization": f"Bearer {token()}", "Idempotency-Key": key},
        ) as response:
            return str((await response.json())["id"])

    for number in range(10):
        one, other = await asyncio.gather(create(a, f"k{number}"), create(b, f"k{number}"))
        assert one == other
    _, body = await a.call("GET", "/api/tasks")
    assert len(body["tasks"]) == 10


async def test_every_server_is_shown_as_its_owner_sees_it_and_explained(many: Crowd) -> None:
    a, b = [await many.join() for _ in range(2)]
    async with running_backend(ACCEPTED) as backend:
        server_id = await b.register(backend, maxConcurrent=1)
        await seen(a, server_id)
        await b.create()
        await backend.next_job()
        shown = await a.eventually(
            f"/api/servers/{server_id}", lambda body: body["active"] == 1 and "load" in body
        )
        assert shown["load"]["cpu"] == 45
        task = await a.create()
        _, why = await a.call("GET", f"/api/tasks/{task['id']}/explain")
        assert [one["rule"] for one in why["servers"]] == ["FULL"]
        other = await a.create(type="other")
        await b.call(
            "POST",
            "/api/servers/register",
            {"url": backend.url, "name": "other", "capabilities": ["other"], "maxConcurrent": 1},
        )
        assert (await backend.next_job())["id"] == other["id"]


async def test_a_server_drains_beats_and_goes_wherever_that_is_said(many: Crowd) -> None:
    a, b = [await many.join(probe_interval_ms=3_600_000) for _ in range(2)]
    async with running_backend(ACCEPTED) as backend:
        server_id = await b.register(backend)
        await seen(a, server_id)
        member = b.lives.gateway._memory.fleet.get(server_id)
        assert member is not None
        await a.call("POST", f"/api/servers/{server_id}/drain")
        await until(lambda: member.record.draining)
        await a.call("POST", f"/api/servers/{server_id}/resume")
        await until(lambda: not member.record.draining)
        status, _ = await a.call(
            "POST", f"/api/servers/{server_id}/heartbeat", {"load": {"queue_length": 7}}
        )
        assert status == 200
        await until(lambda: member.queued == 7)
        task = await a.create()
        job = await backend.next_job()
        going = asyncio.ensure_future(a.call("DELETE", f"/api/servers/{server_id}"))
        await until(lambda: member.leaves_ms > 0)
        assert not going.done()
        await backend.report(job, status="COMPLETED", result=1)
        status, _ = await going
        assert status == 200
        for replica in (a, b):
            await replica.eventually(
                f"/api/servers/{server_id}", lambda body: body.get("code") == "NOT_FOUND"
            )
        assert (await a.task(task["id"]))["status"] == "COMPLETED"


async def test_what_is_done_with_a_server_is_known_at_once_at_every_replica(
    many: Crowd,
) -> None:
    # Nobody says that there is news, and to look takes half a second.
    a, b, c = [await many.join(store_notify=False, probe_interval_ms=3_600_000) for _ in range(3)]

    async def done(replica: Replica, verb: str, path: str, body: object = None) -> Any:
        status, answer = await replica.call(verb, f"/api/servers/{path}", body)
        assert status == 200, answer
        return answer

    async with running_backend(ACCEPTED) as backend:
        for number in range(3):
            server_id = await a.register(backend, name=f"b{number}", capabilities=["ocr"])
            beat = {"load": {"queue_length": 7}}
            await done(c, "POST", f"{server_id}/heartbeat", beat)
            assert (await done(b, "GET", server_id))["id"] == server_id
            await done(b, "POST", f"{server_id}/drain")
            assert (await done(c, "GET", server_id))["status"] == "draining"
            await done(c, "POST", f"{server_id}/resume")
            assert (await done(a, "GET", server_id))["status"] == "active"
            last = await a.register(backend, name=f"last{number}", capabilities=["ocr"])
            await done(b, "DELETE", last)
            assert (await c.call("GET", f"/api/servers/{last}"))[0] == 404
            _, listed = await c.call("GET", "/api/servers")
            assert len(listed["servers"]) == number + 1
        task = await c.create(type="none")
        await a.register(backend, name="other", capabilities=["none"], maxConcurrent=1)
        _, why = await b.call("GET", f"/api/tasks/{task['id']}/explain")
        assert "other" in [one["name"] for one in why["servers"]]


async def test_a_pause_is_shown_at_once_at_every_replica(many: Crowd) -> None:
    a, b = [await many.join(store_notify=False) for _ in range(2)]
    for _ in range(3):
        for verb, paused in (("pause", True), ("resume", False)):
            await a.call("POST", f"/api/queue/{verb}", {"type": "echo"})
            _, queue = await b.call("GET", "/api/queue")
            assert any(one["paused"] for one in queue["types"]) is paused


async def test_a_pause_holds_at_all_replicas(many: Crowd) -> None:
    a, b = [await many.join() for _ in range(2)]
    async with running_backend(ACCEPTED) as backend:
        await b.register(backend)
        await a.call("POST", "/api/queue/pause", {"type": "echo", "reason": "no"})
        await until(lambda: "echo" in b.lives.gateway._memory.pauses)
        task = await b.create()
        await a.call("POST", "/api/queue/resume", {"type": "echo"})
        assert (await backend.next_job())["id"] == task["id"]


async def test_the_limit_of_the_queue_is_exact_however_many_ask_at_once(many: Crowd) -> None:
    replicas = [await many.join(queue_limit=25, queue_limit_per_tenant=25) for _ in range(3)]

    async def create(replica: Replica) -> int:
        status, _ = await replica.call("POST", "/api/tasks", {"type": "echo"})
        return status

    asked = [create(replica) for _ in range(20) for replica in replicas]
    statuses = await asyncio.gather(*asked)
    assert (statuses.count(202), statuses.count(429)) == (25, 35)
    for replica in replicas:
        await replica.eventually("/api/queue", lambda body: body["waiting"] == 25)


async def test_many_tasks_of_all_replicas_run_once_each_at_the_servers_of_all(
    many: Crowd,
) -> None:
    replicas = [await many.join() for _ in range(3)]
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(running_backend()) for _ in range(3)]
        for number, (replica, backend) in enumerate(zip(replicas, running, strict=True)):
            await replica.register(backend, name=f"b{number}", maxConcurrent=3)
        made = await asyncio.gather(*(replica.create() for _ in range(40) for replica in replicas))
        for task in made:
            done = await replicas[0].task(task["id"], wait_s=20)
            assert done["status"] == "COMPLETED"
        given = [job["id"] for backend in running for job in backend.history]
        assert sorted(given) == sorted(task["id"] for task in made)
        for replica in replicas:
            await replica.eventually("/api/queue", lambda body: body["waiting"] == 0)


async def test_servers_spread_evenly_when_a_replica_joins_and_when_one_leaves(
    many: Crowd,
) -> None:
    async with AsyncExitStack() as stack:
        a = await many.join()
        ids = {
            await a.register(backend, name=f"b{number}")
            for number, backend in enumerate(await backends(stack, 6))
        }
        assert a.own() == ids
        b, stop = await many.start()
        await until(lambda: len(a.own()) == len(b.own()) == 3)
        assert a.own() | b.own() == ids
        c = await many.join()
        await until(lambda: len(a.own()) == len(b.own()) == len(c.own()) == 2)
        await stop.aclose()
        await until(lambda: len(a.own()) == len(c.own()) == 3)
        assert a.own() | c.own() == ids


async def test_work_goes_on_while_its_server_changes_hands(many: Crowd) -> None:
    a = await many.join()
    async with running_backend(ACCEPTED) as one, running_backend(ACCEPTED) as other:
        ids = [await a.register(one, name="one"), await a.register(other, name="other")]
        tasks = [await a.create() for _ in range(4)]
        jobs = [(one, await one.next_job()) for _ in range(2)]
        jobs += [(other, await other.next_job()) for _ in range(2)]
        b = await many.join()
        await until(lambda: len(b.own()) == 1)
        (moved,) = b.own()
        assert moved in ids
        await b.eventually(f"/api/servers/{moved}", lambda body: body["active"] == 2)
        for backend, job in jobs:
            assert (await backend.report(job, status="COMPLETED", result=1))[0] == 200
        for task in tasks:
            done = await b.task(task["id"], wait_s=5)
            assert done["status"] == "COMPLETED"
        for server_id in ids:
            await b.eventually(f"/api/servers/{server_id}", lambda body: body["active"] == 0)
        await until(
            lambda: (
                not any(
                    member.active
                    for replica in (a, b)
                    for member in replica.lives.gateway._memory.fleet.own_ones
                )
            )
        )
