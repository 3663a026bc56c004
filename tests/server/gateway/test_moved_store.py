"""A gateway goes on in another store where it stopped in the first one."""

import asyncio
import os
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import asyncpg
import pytest
from pydantic import SecretStr

from inferry.server.store import StoreError
from inferry.server.store.postgres.connections import place_of
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.store.sqlite.store import SqliteStore
from tests.backends import ACCEPTED, Backend, Job, say
from tests.gateways import Running, running_gateway, token
from tests.processes import INFERRY
from tests.server.gateway.test_many_watched import stub_of
from tests.server.store.opening import opened, opened_postgres
from tests.server.store.samples import do, waiting
from tests.server.watches import Seen, begun, watch

WITHIN_S = 60
#: Nobody waits for what takes longer.
HASTY: dict[str, Any] = {"shutdown_grace_ms": 100}
HELD_UP = "SELECT count(*) FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted"
SPOKEN = {"Idempotency-Key": "order-1"}


async def started(home: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Starts the command."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        # Longer than any test.
        "INFERRY_STORE_STATEMENT_TIMEOUT_MS": "600000",
        "INFERRY_STORE_LOCK_TIMEOUT_MS": "599999",
    }
    return await asyncio.create_subprocess_exec(
        INFERRY, *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )


async def inferry(home: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Runs the command; gives its status and what it prints."""
    process = await started(home, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    return process.returncode, out.decode(), err.decode()


async def get(gateway: Running, path: str) -> bytes:
    """Reads what REST answers, as it is."""
    headers = {"Authorization": f"Bearer {token()}"}
    async with gateway.http.get(f"{gateway.url}{path}", headers=headers) as answer:
        return await answer.read()


async def create_named(gateway: Running) -> tuple[dict[str, Any], bool]:
    """Creates a task under a name; tells whether it was there."""
    headers = {"Authorization": f"Bearer {token()}", **SPOKEN}
    async with gateway.http.post(
        f"{gateway.url}/api/tasks", json={"type": "named"}, headers=headers
    ) as answer:
        return await answer.json(), "Idempotency-Replayed" in answer.headers


async def by_task(job: Job) -> aiohttp.web.StreamResponse:
    """Ends what is to be done at once; the rest calls back."""
    answer = ACCEPTED if job["payload"].get("slow") else say({"status": "success", "result": [1.0]})
    return await answer(job)


@pytest.mark.parametrize("to", ["postgres", "file"])
async def test_a_gateway_goes_on_in_another_store(
    tmp_path: Path, postgres_url: str, backend: Backend, to: str
) -> None:
    places = [f"sqlite:{tmp_path}/tasks.db", postgres_url]
    source, target = places if to == "postgres" else reversed(places)
    backend.answer = by_task
    seen = Seen()
    data = tmp_path / "data"
    async with (
        running_gateway(data, store=SecretStr(source), **HASTY) as gateway,
        stub_of(gateway) as stub,
    ):
        url = gateway.url
        await gateway.register(backend, maxConcurrent=5)
        (await begun(stub, seen)).cancel()
        done = [
            (await gateway.create(payload={"text": "ü\x00"}, labels={"job": "7"}))["id"]
            for _ in range(3)
        ]
        for task_id in done:
            assert (await gateway.task(task_id, wait_s=10))["status"] == "COMPLETED"
        running = (await gateway.create(payload={"slow": True}, **{"async": True}))["id"]
        jobs = [await backend.next_job() for _ in range(4)]
        status, _ = await backend.report(jobs[-1], status="processing", progress=30)
        assert status == 200
        later = (await gateway.create(delayMs=3_600_000))["id"]
        delayed = (await gateway.create(delayMs=3_600_000))["id"]
        named, replayed = await create_named(gateway)
        assert not replayed
        call = watch(stub, seen.cursor)
        await seen.until(aiter(call), lambda: seen.heard_of({*done, running, delayed, named["id"]}))
        call.cancel()
        # Somebody looks away, and something happens.
        await gateway.call("POST", f"/api/tasks/{delayed}/cancel")
        page = await get(gateway, "/api/tasks?pageSize=3")
        paths = [f"/api/tasks/{one}{part}" for one in (*done, later) for part in ("", "/attempts")]
        paths += [f"/api/tasks?pageSize=2&labels.job=7&pageToken={await page_token(gateway)}"]
        before = [await get(gateway, path) for path in paths]
    code, out, err = await inferry(tmp_path, "migrate-store", source, target)
    assert (code, err) == (0, ""), out
    assert "moved 7 tasks in " in out
    async with (
        running_gateway(data, store=SecretStr(target), **HASTY) as gateway,
        stub_of(gateway) as stub,
    ):
        assert [await get(gateway, path) for path in paths] == before
        assert await get(gateway, "/api/tasks?pageSize=3") == page
        # The attempt that ran all the while ends, and what waited gets its server.
        job = jobs[-1] | {"callback_url": jobs[-1]["callback_url"].replace(url, gateway.url)}
        status, _ = await backend.report(job, status="success", result={"n": 1})
        assert status == 200
        ended = await gateway.task(running, wait_s=10)
        assert (ended["status"], ended["attempt"]) == ("COMPLETED", 1)
        again, replayed = await create_named(gateway)
        assert (again["id"], replayed) == (named["id"], True)
        await gateway.register(backend, maxConcurrent=5, capabilities=["echo", "named"])
        assert (await gateway.task(named["id"], wait_s=10))["status"] == "COMPLETED"
        call = watch(stub, seen.cursor)
        await seen.until(aiter(call), lambda: seen.ended({*done, running, delayed, named["id"]}))
        call.cancel()
    assert (seen.restarts, seen.complete) == (0, 1)
    assert seen.seqs(done[0]) == [1, 2, 3]
    assert seen.seqs(delayed) == [1, 2]
    for seqs in map(seen.seqs, seen.events):
        assert seqs == [*range(1, len(seqs) + 1)]


async def page_token(gateway: Running) -> str:
    _, listed = await gateway.call("GET", "/api/tasks?pageSize=2&labels.job=7")
    return str(listed["nextPageToken"])


async def test_the_command_prints_what_it_compared(tmp_path: Path, postgres_url: str) -> None:
    source = f"sqlite:{tmp_path}/tasks.db"
    async with opened(tmp_path / "tasks.db"):
        pass
    status, out, _ = await inferry(tmp_path, "migrate-store", source, postgres_url)
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split() == ["table", "rows", "hash"]
    assert [line.split()[0] for line in lines[1:-1]] == [
        *("epochs", "horizon", "clock", "servers", "paused_types", "request_ids", "tombstones"),
        *("tasks", "payloads", "outcomes", "labels", "attempts", "events", "figures", "counted"),
        *("webhooks", "deliveries", "waiting"),
    ]
    assert lines[-1].startswith("moved 0 tasks in ")


async def test_the_command_says_why_nothing_was_moved(tmp_path: Path, postgres_url: str) -> None:
    source = f"sqlite:{tmp_path}/tasks.db"
    async with opened(tmp_path / "tasks.db"):
        status, out, err = await inferry(tmp_path, "migrate-store", source, postgres_url)
    assert (status, out) == (1, "")
    assert err == (
        f"inferry: nothing was moved: cannot use {source}: {tmp_path}/tasks.db.lock is locked: "
        f"process {os.getpid()} has the store open\n"
    )
    async with opened_postgres(postgres_url):
        status, _, err = await inferry(tmp_path, "migrate-store", postgres_url, source)
    assert status == 1
    assert "gateways have it open: replicas 1; stop them first" in err
    status, _, err = await inferry(tmp_path, "migrate-store", "mysql://db", source)
    assert status == 2
    assert "expected sqlite:PATH or postgresql://" in err


async def test_the_command_fails_when_the_stores_differ(tmp_path: Path, postgres_url: str) -> None:
    source = f"sqlite:{tmp_path}/tasks.db"
    async with opened(tmp_path / "tasks.db") as store:
        await do(store, waiting("task_1"))
    # As a stranger with a shell on the file might.
    with closing(apsw.Connection(f"{tmp_path}/tasks.db")) as db:
        db.execute("UPDATE waiting SET tasks = 2")
    status, out, err = await inferry(tmp_path, "migrate-store", source, postgres_url)
    assert status == 1
    assert [line.split()[0] for line in out.splitlines() if "differs" in line] == ["waiting"]
    target = place_of(postgres_url)
    assert err == (f"inferry: waiting differ; {target} cannot be used, and {source} is as it was\n")
    with pytest.raises(StoreError, match=f"cannot open the store {target}: it is half moved"):
        await PostgresStore(PostgresOptions(postgres_url)).open()
    with closing(apsw.Connection(f"{tmp_path}/tasks.db")) as db:
        db.execute("UPDATE waiting SET tasks = 1")
    status, _, err = await inferry(tmp_path, "migrate-store", source, postgres_url)
    assert (status, err) == (0, f"{target}: an earlier move was broken off; it begins anew\n")


async def test_a_move_that_is_killed_leaves_the_source_as_it_was(
    tmp_path: Path, postgres_url: str
) -> None:
    path, move = (
        tmp_path / "tasks.db",
        ("migrate-store", postgres_url, f"sqlite:{tmp_path}/tasks.db"),
    )
    async with opened_postgres(postgres_url) as store:
        await do(store, waiting("task_1"))
        before = await store.task("task_1")
    # Somebody holds it up after the tasks and before their events.
    other = await asyncpg.connect(postgres_url)
    async with other.transaction():
        await other.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        process = await started(tmp_path, *move)
        async with asyncio.timeout(WITHIN_S):
            while True:
                if await other.fetchval(HELD_UP):
                    break
                await asyncio.sleep(0.02)
        process.kill()
        await process.wait()
    await other.close()
    with pytest.raises(StoreError, match="it is half moved"):
        await SqliteStore(path).open()
    async with opened_postgres(postgres_url) as store:
        assert await store.task("task_1") == before
    status, out, err = await inferry(tmp_path, *move)
    assert (status, err) == (0, f"sqlite:{path}: an earlier move was broken off; it begins anew\n")
    assert "moved 1 tasks" in out
    async with opened(path) as file:
        assert await file.task("task_1") == before
