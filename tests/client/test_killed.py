"""Ten thousand tasks watched through one stream, by a client that is killed again and again."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from random import Random

from inferry.client import AsyncClient
from inferry.client.testing import FakeGateway
from tests.processes import gone

TASKS = 10_000
LIVES = 50
WITHIN_S = 60

#: Says a line for each change: its cursor and its events. Whoever reads a whole line has dealt with
#: all of it.
PROGRAM = """
import json, sys
from inferry.client import Client
with Client() as client:
    for change in client.watch(after=sys.argv[1], results=False):
        events = [(event.task_id, event.seq) for event in change.events]
        print(json.dumps([change.cursor, change.restarted, events]), flush=True)
"""


class Watcher:
    """What outlives the program: a cursor, and what was seen up to it."""

    def __init__(self, gateway: FakeGateway) -> None:
        self._environment = {"INFERRY_ADDRESS": gateway.address, "INFERRY_TOKEN": gateway.token}
        self.cursor = ""
        self.seen: dict[str, list[int]] = {}
        self.restarts = 0

    @property
    def events(self) -> int:
        return sum(map(len, self.seen.values()))

    async def live(self, lines: int | None, until: int) -> None:
        """Lives for so many lines, or until so many events were seen in all; then it is killed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, self.cursor, stdout=PIPE, env=self._environment
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(WITHIN_S):
                read = 0
                while self.events < until and (lines is None or read < lines):
                    self._take(await process.stdout.readline())
                    read += 1
        finally:
            process.kill()
            await gone(process)

    def _take(self, line: bytes) -> None:
        cursor, restarted, events = json.loads(line)
        self.restarts += restarted
        self.cursor = cursor or self.cursor
        for task_id, seq in events:
            self.seen.setdefault(task_id, []).append(seq)


async def test_a_client_killed_50_times_sees_each_event_once_and_in_order() -> None:
    random = Random(7)
    limits = {"queue_limit": TASKS, "queue_limit_per_tenant": TASKS}
    async with (
        FakeGateway({}, **limits) as gateway,
        AsyncClient(gateway.address, gateway.token) as client,
    ):
        watcher = Watcher(gateway)
        await watcher.live(lines=1, until=1)
        assert watcher.cursor

        async def change_all() -> None:
            for _ in range(TASKS // 200):
                await client.submit_many("nobody", [{}] * 200)
            assert await client.cancel_all(type="nobody") == TASKS

        changing = asyncio.create_task(change_all())
        for _ in range(LIVES):
            await watcher.live(lines=random.randint(1, 20), until=2 * TASKS)
        await watcher.live(lines=None, until=2 * TASKS)
        await changing
    assert watcher.restarts == 0
    assert len(watcher.seen) == TASKS
    assert Counter(map(tuple, watcher.seen.values())) == {(1, 2): TASKS}
