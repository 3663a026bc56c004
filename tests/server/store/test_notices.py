"""How often replicas tell each other that there is something new."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection

import asyncpg

from inferry.server.store.postgres.notices import EVENTS, SERVERS, Notices
from tests.server.store.opening import opened_postgres
from tests.server.store.samples import do, waiting

A_SECOND, COMMITS = 100, 300


class Wire:
    """Where notices go."""

    def __init__(self) -> None:
        self.sent: list[Collection[str]] = []

    async def send(self, channels: Collection[str]) -> None:
        self.sent.append(channels)
        await asyncio.sleep(0)


async def test_there_are_no_more_than_a_hundred_a_second_at_any_load(postgres_url: str) -> None:
    heard, commits = Counter[int](), iter(range(COMMITS))
    async with opened_postgres(postgres_url) as store, opened_postgres(postgres_url):
        # It sees that there is another.
        await store.shared.survey()
        listener = await asyncpg.connect(postgres_url)
        for name in (EVENTS, SERVERS):
            await listener.add_listener(name, lambda _db, pid, *_: heard.update([pid]))
        began_s = time.monotonic()

        async def write() -> None:
            for number in commits:
                await do(store, waiting(f"task_{number}"))

        writing = [asyncio.create_task(write()) for _ in range(8)]
        while not all(one.done() for one in writing):
            # As many as there could ever be: as if a commit took no time.
            store.shared.note(logged=True, servers=True)
            await asyncio.sleep(0)
        await asyncio.gather(*writing)
        took_s = time.monotonic() - began_s
        await listener.close()
    # On one connection, and the first round comes at once.
    (count,) = heard.values()
    assert count <= A_SECOND * took_s + 2


async def test_the_first_is_told_at_once_and_none_is_forgotten() -> None:
    wire = Wire()
    notices = Notices(wire.send)
    notices.note(EVENTS)
    await asyncio.sleep(0)
    assert wire.sent == [[EVENTS]]
    notices.note(SERVERS)
    notices.note(EVENTS)
    await notices.close()
    assert wire.sent == [[EVENTS], [EVENTS, SERVERS]]
