"""How often replicas tell each other that there is something new."""

import asyncio
import time
from collections.abc import Collection

from inferry.server.store.postgres.notices import EVENTS, SERVERS, Notices

A_SECOND = 100


class Wire:
    """Where notices go."""

    def __init__(self) -> None:
        self.sent: list[Collection[str]] = []

    async def send(self, channels: Collection[str]) -> None:
        self.sent.append(channels)
        await asyncio.sleep(0)


async def test_there_are_no_more_than_a_hundred_a_second_at_any_load() -> None:
    wire = Wire()
    notices = Notices(wire.send)
    began_s = time.monotonic()
    while len(wire.sent) < 20:
        notices.note(EVENTS)
        notices.note(SERVERS)
        await asyncio.sleep(0)
    took_s = time.monotonic() - began_s
    told = sum(len(channels) for channels in wire.sent)
    # The first round comes at once.
    assert told <= A_SECOND * took_s + 2
    await notices.close()


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
