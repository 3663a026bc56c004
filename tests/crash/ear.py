"""Hears of the ends of all tasks, by a webhook; fails now and then, as receivers do."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random

import orjson
from aiohttp import web

from inferry.client.webhooks import NotVerified, verify
from tests.crash.history import FINAL, Heard, History, Remains
from tests.crash.rest import Rest
from tests.receivers import Message, running_receiver

SECRET = "whsec_" + "a2lsbGVk" * 4
#: The share of messages that are not taken the first time.
_FAILS = 0.05
#: A second try comes after 5 s; what a replica had in hand, when it is known to be dead.
_HEARD_WITHIN_S = 60


class Ear:
    """What a receiver of webhooks does.

    Args:
        history: Takes what is heard.
        random: Draws which messages are not taken.
    """

    def __init__(self, history: History, random: Random) -> None:
        self._history = history
        self._random = random
        self._refused: set[str] = set()
        self._heard: set[str] = set()
        self._news = asyncio.Event()

    async def take(self, message: Message) -> web.StreamResponse:
        """Takes a message, or does not."""
        try:
            said = verify(message.body, message.headers, SECRET)
        except NotVerified as error:
            self._history.surprises.append(f"webhook {message.id}: {error}")
            return web.Response(status=401)
        fails = message.id not in self._refused and self._random.random() < _FAILS
        self._history.heard.append(Heard(message.id, said, taken=not fails))
        if fails:
            self._refused.add(message.id)
            return web.Response(status=503)
        self._heard.add(message.id)
        self._news.set()
        return web.Response(status=204)

    async def until_told(self, aftermath: Mapping[str, Remains]) -> None:
        """Waits until every end was taken; if that does not come, the checker says which."""
        wanted = {
            f"{task_id}_{event['seq']}"
            for task_id, remains in aftermath.items()
            for event in remains.events
            if event["kind"] == "FINISHED" and event["status"] in FINAL
        }
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARD_WITHIN_S):
                while not wanted <= self._heard:
                    self._news.clear()
                    await self._news.wait()


@asynccontextmanager
async def listening(rest: Rest, history: History, random: Random) -> AsyncIterator[Ear]:
    """Has a webhook told of all ends until the block ends."""
    ear = Ear(history, random)
    async with running_receiver(ear.take) as receiver:
        said = {"url": receiver.url, "secret": SECRET}
        status, answer = await rest.until_answered("POST", "/api/webhooks", said)
        assert status == 200, orjson.dumps(answer)
        history.listened = True
        yield ear
