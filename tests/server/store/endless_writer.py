"""Commits tasks until it is killed, and says which are acknowledged: ``FILE`` is the store."""

import asyncio
import sys
from itertools import count

from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.inputs import Succeed
from tests.server.store.samples import change, dispatched, do


async def main(path: str) -> None:
    store = SqliteStore(path)
    await store.open()
    for number in count():
        await do(store, *(dispatched(f"task_{number}_{part}") for part in range(20)))
        await do(store, *(change(f"task_{number}_{part}", Succeed(b"1")) for part in range(20)))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


asyncio.run(main(sys.argv[1]))
