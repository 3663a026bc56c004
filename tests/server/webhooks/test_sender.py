"""Who sends takes what is due from many hosts in turn, and writes down how it went."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from random import Random

import pytest

from inferry.server.engine.committer import Committer
from inferry.server.outbound.courier import Courier, Receipt
from inferry.server.outbound.errors import ConnectError
from inferry.server.replica.tenure import Tenure
from inferry.server.store import StoreError
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.store.webhooks import PutHook, SettleDelivery
from inferry.server.task.inputs import Succeed
from inferry.server.webhooks import sender as module
from inferry.server.webhooks.addressing import Addressing
from inferry.server.webhooks.delivering import Postman, Verdict
from inferry.server.webhooks.sender import Sender
from inferry.server.webhooks.signing import Signer
from inferry.server.webhooks.slots import Slots
from tests.server.fleets import HandClock
from tests.server.store.opening import opened
from tests.server.store.promises.webhooks import HOOK
from tests.server.store.samples import NOW, change, dispatched, do

HOSTS = 5


class FakeCourier(Courier):
    """Notes what is sent, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__([])
        self.urls: asyncio.Queue[str] = asyncio.Queue()
        self.answer: Callable[[str], int] = lambda _url: 204
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Receipt:
        self.urls.put_nowait(url)
        await self.let_go.wait()
        status = self.answer(url)
        if not status:
            raise ConnectError("no connection")
        return Receipt(status, b"", None)

    async def next(self) -> str:
        async with asyncio.timeout(10):
            return await self.urls.get()


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with opened(":memory:") as store:
        yield store


@pytest.fixture
def courier() -> FakeCourier:
    return FakeCourier()


@pytest.fixture
def now_s() -> list[float]:
    return [0.0]


@pytest.fixture
def tenure(now_s: list[float]) -> Tenure:
    tenure = Tenure(10.0, lambda: now_s[0])
    tenure.renewed(0.0)
    return tenure


@pytest.fixture
async def sender(store: SqliteStore, courier: FakeCourier, tenure: Tenure) -> AsyncIterator[Sender]:
    clock = HandClock()
    clock.ms = NOW
    bell = asyncio.Event()
    store.addressees = Addressing("http://gateway", bell, 1_000)
    postman = Postman(
        courier=courier,
        signer=Signer(b"s" * 32),
        clock=clock,
        wall=clock,
        random=Random(1),
        timeout_ms=1_000,
    )
    sender = Sender(
        store=store,
        committer=Committer(store),
        postman=postman,
        slots=Slots(2, 6),
        bell=bell,
        clock=clock,
        tenure=tenure,
    )
    yield sender
    courier.let_go.set()
    await sender.stop()


async def ended(store: SqliteStore, hosts: int, each: int = 1) -> None:
    """Has so many tasks end, each of which a host of its own hears of."""
    for number in range(hosts):
        name = f"host{number}"
        hook = HOOK._replace(
            id=f"whk_{name}",
            tenant=name,
            url=f"http://{name}/",
            host=f"{name}:80",
            types=(),
            labels=(),
            secrets=(),
        )
        await do(store, PutHook(hook, 10))
        for task in range(each):
            task_id = f"task_{number}_{task}"
            await do(store, dispatched(task_id, tenant=name), change(task_id, Succeed(b"1")))


async def settled(store: SqliteStore, task_id: str) -> str:
    """Waits until what a task had to tell does not wait any more."""
    async with asyncio.timeout(10):
        while True:
            (one,) = await store.deliveries(task_id, None, 10)
            if one.state.name != "WAITING" or one.tries:
                return one.state.name
            await asyncio.sleep(0)


async def test_more_hosts_than_are_looked_at_in_a_round_all_have_their_turn(
    store: SqliteStore, courier: FakeCourier, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOSTS_LIMIT", 2)
    await ended(store, HOSTS)
    sender.start()
    urls = {await courier.next() for _ in range(HOSTS)}
    assert urls == {f"http://host{number}/" for number in range(HOSTS)}
    for number in range(HOSTS):
        assert await settled(store, f"task_{number}_0") == "DELIVERED"


async def test_no_host_has_more_under_way_than_it_may(
    store: SqliteStore, courier: FakeCourier, sender: Sender
) -> None:
    courier.let_go.clear()
    await ended(store, 2, each=4)
    await sender.run_once()
    first = [await courier.next() for _ in range(4)]
    assert sorted(first) == ["http://host0/"] * 2 + ["http://host1/"] * 2
    await sender.run_once()
    assert courier.urls.empty()
    courier.let_go.set()
    sender.start()
    assert len([await courier.next() for _ in range(4)]) == 4


async def test_what_was_sent_is_not_sent_again_because_that_could_not_be_written(
    store: SqliteStore,
    courier: FakeCourier,
    sender: Sender,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    await ended(store, 1)
    commit, failed = store.commit, asyncio.Event()

    async def fails_once(operations: list[object]) -> object:
        if not failed.is_set() and any(isinstance(one, SettleDelivery) for one in operations):
            failed.set()
            raise StoreError("the disk failed")
        return await commit(operations)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", fails_once)
    sender.start()
    await courier.next()
    assert await settled(store, "task_0_0") == "DELIVERED"
    assert failed.is_set()
    assert courier.urls.empty()


async def test_each_try_is_told_at_one_place(
    store: SqliteStore, courier: FakeCourier, sender: Sender
) -> None:
    told: list[tuple[str, int]] = []

    def note(claim: object, verdict: Verdict) -> None:
        told.append((verdict.state.name, verdict.attempt.status))

    sender.listener = note
    courier.answer = lambda url: {"http://host0/": 204, "http://host1/": 410}.get(url, 0)
    await ended(store, 3)
    await sender.run_once()
    for number, state in enumerate(("DELIVERED", "FAILED", "WAITING")):
        assert await settled(store, f"task_{number}_0") == state
    assert sorted(told) == [("DELIVERED", 204), ("FAILED", 410), ("WAITING", 0)]


async def test_a_stop_lets_what_is_under_way_end(
    store: SqliteStore, courier: FakeCourier, sender: Sender
) -> None:
    courier.let_go.clear()
    await ended(store, 1)
    sender.start()
    await courier.next()
    stopping = asyncio.create_task(sender.stop())
    await asyncio.sleep(0)
    courier.let_go.set()
    await stopping
    assert await settled(store, "task_0_0") == "DELIVERED"


async def test_nothing_is_sent_while_another_replica_may_send_it(
    store: SqliteStore,
    courier: FakeCourier,
    sender: Sender,
    tenure: Tenure,
    now_s: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    held: list[bool] = []

    def note(_url: str) -> int:
        held.append(tenure.holds)
        return 204

    courier.answer = note
    await ended(store, 1)
    now_s[0] = 20.0
    await sender.run_once()
    for _ in range(10):
        await asyncio.sleep(0)
    assert held == []
    tenure.renewed(20.0)
    assert await settled(store, "task_0_0") == "DELIVERED"
    assert held == [True]
