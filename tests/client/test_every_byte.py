"""A creation whose connection is cut after each byte of it: one task, and the client has it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferry.client import AsyncClient, Client
from inferry.client.testing import FakeGateway
from tests.client.cut_proxy import running_proxy

#: Connections that are cut at the same time.
_AT_ONCE = 40
#: A creation and its answer are shorter.
_LONGEST = 2_000

Submit = Callable[[str, str, str], Awaitable[str]]


@pytest.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    async with FakeGateway({}, queue_limit_per_tenant=10_000) as gateway:
        yield gateway


async def from_coroutines(address: str, token: str, task_type: str) -> str:
    async with AsyncClient(address, token, timeout=60, retries=20) as client:
        return (await client.submit(task_type, {"n": 1})).id


@pytest.fixture(scope="module")
def from_threads() -> "Submit":
    pool = ThreadPoolExecutor(_AT_ONCE)

    def submit(address: str, token: str, task_type: str) -> str:
        with Client(address, token, timeout=60, retries=20) as client:
            return client.submit(task_type, {"n": 1}).id

    async def in_thread(address: str, token: str, task_type: str) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, submit, address, token, task_type)

    return in_thread


@pytest.mark.parametrize("form", ["coroutines", "threads"])
@pytest.mark.parametrize("direction", ["sent", "received"])
async def test_a_creation_cut_after_any_byte_makes_one_task_and_the_client_has_it(
    fake: FakeGateway, from_threads: Submit, form: str, direction: str
) -> None:
    submit = from_threads if form == "threads" else from_coroutines
    places = asyncio.Semaphore(_AT_ONCE)

    async def cut_after(count: int) -> tuple[bool, str]:
        limits = {direction: count}
        async with places, running_proxy(fake.address, **limits) as (proxy, address):
            task_id = await submit(address, fake.token, f"{direction}-{count}")
            return proxy.cut, task_id

    made: list[str] = []
    cut = True
    while cut and len(made) < _LONGEST:
        counts = range(len(made), len(made) + _AT_ONCE)
        ends = await asyncio.gather(*map(cut_after, counts))
        made += [task_id for _, task_id in ends]
        cut = any(one for one, _ in ends)
    # Nothing was left to cut, and there was something.
    assert _AT_ONCE * 3 < len(made) < _LONGEST
    async with AsyncClient(fake.address, fake.token) as client:
        found = {task.state.type: task.id async for task in client.tasks() if task.state}
        assert found == {f"{direction}-{count}": task_id for count, task_id in enumerate(made)}
        assert (await client.queue()).waiting == len(made)
