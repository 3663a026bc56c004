"""What replicas tell each other of their servers, so that each can show all of them.

And which of their stopped attempts have said so, wherever that was.
"""

from inferry.server.clock import Clock
from inferry.server.engine.ledger import Ledger
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.owners import Owners
from inferry.server.fleet.told import read_all, write_all
from inferry.server.store.shared import Shared, Survey

#: Between two words of one replica.
_INTERVAL_MS = 1_000


class Tidings:
    """Tells how own servers are, and hears how the others' are."""

    def __init__(
        self, shared: Shared, fleet: Fleet, ledger: Ledger, clock: Clock, number: int
    ) -> None:
        self._shared = shared
        self._owners = Owners(fleet)
        self._ledger = ledger
        self._clock = clock
        self._number = number
        self._said = b""
        self._said_ms = 0
        #: Of each other replica, how often it had told something when it was last heard.
        self._heard: dict[int, int] = {}

    async def exchange(self, survey: Survey) -> None:
        """Tells what is new, now and then, and hears what is."""
        others = {one.number: one.told for one in survey.replicas if one.number != self._number}
        stops, now = self._ledger.stops, self._clock.now_ms()
        if others and now - self._said_ms >= _INTERVAL_MS:
            words = write_all(self._owners.tell(), stops.tell())
            if words != self._said:
                await self._shared.tell(words)
                self._said = words
            self._said_ms = now
        self._heard = {number: told for number, told in self._heard.items() if number in others}
        news = [number for number, told in others.items() if told != self._heard.get(number, 0)]
        if news:
            for number, times, words in await self._shared.told(news):
                servers, stopped = read_all(words)
                self._owners.hear(servers, number)
                stops.hear(number, stopped)
                self._heard[number] = times
        for task_id, attempt in stops.heard(others):
            self._ledger.confirm(task_id, attempt)
