"""Probes the servers: ``GET {url}/health``, as the guide has it. Probes never stop.

A connection is a sign of life, whatever is answered; none is a miss of the server's lease.
(Design section 6.)
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import structlog

from inferry.server.carriers.http.caller import Caller
from inferry.server.carriers.http.health import HealthAnswer, read_health
from inferry.server.clock import Clock
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Lose, Member
from inferry.server.fleet.record import ServerRecord, Transport
from inferry.server.loop import Loop, wait_for
from inferry.server.outbound.errors import ConnectError, OutboundError

#: Probes under way at once: of servers whose last probe was good, and as many of the others.
PROBES_LIMIT = 200
#: How far a probe's interval varies, so that the probes of many servers spread.
JITTER = 0.2
#: Probes in the time of a lease, at least.
PROBES_A_LEASE = 3
#: Between two rounds at least: what comes due together goes together.
_STEP_S = 0.05

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watch:
    """What the loop keeps of one server."""

    #: The registration that was last probed; another one is probed at once.
    record: ServerRecord | None = None
    #: When the last probe began, and whether it is still under way.
    probed_ms: int = 0
    probing: bool = False
    #: What the interval to the next probe is multiplied with.
    spread: float = 1.0


class HealthLoop(Loop):
    """Keeps the fleet's health and load true, and notices when a server has died.

    Args:
        fleet: The servers.
        lose: What ends the attempts of a dead one.
        caller: How it is asked.
        clock: The time.
        random: Jitter.
        interval_ms: Between two probes of a server.
        timeout_ms: How long a probe may take.
        lease_ms: How long a server keeps its attempts without a sign of life.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        lose: Lose,
        caller: Caller,
        clock: Clock,
        random: Random,
        interval_ms: int,
        timeout_ms: int,
        lease_ms: int,
    ) -> None:
        super().__init__()
        self._fleet = fleet
        self._lose = lose
        self._caller = caller
        self._clock = clock
        self._random = random
        self._interval_ms = interval_ms
        self._timeout_ms = timeout_ms
        self._lease_ms = lease_ms
        #: What is usual for servers with attempts: three probes a lease, even the latest ones.
        self._beat_ms = min(interval_ms, int(lease_ms / PROBES_A_LEASE / (1 + JITTER)))
        self._watches: dict[str, _Watch] = {}
        self._probes: set[asyncio.Task[None]] = set()
        #: By whether the last probe was good: those that hang wait for each other, and no one else.
        self._turns = {good: asyncio.Semaphore(PROBES_LIMIT) for good in (True, False)}

    async def run_once(self) -> None:
        """Begins the probes whose time has come, and ends the attempts of dead servers."""
        self._fleet.changed.clear()
        now = self._clock.now_ms()
        self._look_around(now)
        dead: list[Member] = []
        for member in self._servers():
            watch = self._watches[member.record.id]
            if not watch.probing and self._due_ms(member, watch) <= now:
                self._begin(member, watch, now)
            if 0 < member.lease.ends_ms(self._lease_ms) <= now:
                dead.append(member)
        await asyncio.gather(*(self._bury(member) for member in dead))

    async def pause(self) -> None:
        """Waits until a probe is due or has ended, a lease ends, or a server registers."""
        await asyncio.sleep(_STEP_S)
        await wait_for(self._fleet.changed, (self._next_ms() - self._clock.now_ms()) / 1000)

    async def stop(self) -> None:
        """Ends the round and the probes under way."""
        await super().stop()
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)

    def _servers(self) -> Iterator[Member]:
        """Goes through its own servers that can be asked: a worker has no address."""
        return (one for one in self._fleet.own_ones if one.record.transport is Transport.HTTP)

    def _look_around(self, now: int) -> None:
        """Keeps a watch for each server that there is; the lease of a new one counts from now."""
        earlier, self._watches = self._watches, {}
        for member in self._servers():
            watch = earlier.get(member.record.id)
            if watch is None:
                watch = _Watch()
                member.lease.grant(now)
            self._watches[member.record.id] = watch

    def _due_ms(self, member: Member, watch: _Watch) -> int:
        if watch.record is not member.record:
            return 0
        usual_ms = self._beat_ms if member.holding else self._interval_ms
        return watch.probed_ms + int(usual_ms * watch.spread)

    def _next_ms(self) -> int:
        """Tells when there is something to do, if nothing happens before."""
        # A server that gets its first attempts meanwhile is not waited for longer than that.
        times = [self._clock.now_ms() + self._beat_ms]
        for member in self._servers():
            watch = self._watches.get(member.record.id)
            if watch is not None and not watch.probing:
                times.append(self._due_ms(member, watch))
            ends_ms = member.lease.ends_ms(self._lease_ms)
            if ends_ms:
                times.append(ends_ms)
        return min(times)

    def _begin(self, member: Member, watch: _Watch, now: int) -> None:
        watch.record, watch.probed_ms, watch.probing = member.record, now, True
        watch.spread = 1 + JITTER * (2 * self._random.random() - 1)
        probe = asyncio.create_task(self._probe(member, watch), name=f"probe {member.record.id}")
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _probe(self, member: Member, watch: _Watch) -> None:
        server_id = member.record.id
        try:
            await self._look_at(member, watch.probed_ms)
        except Exception as broken:  # noqa: BLE001  # whatever it was, it must not go unseen
            _log.exception("a probe broke", server_id=server_id)
            self._fleet.observe(server_id, None, f"the probe broke: {type(broken).__name__}")
        finally:
            watch.probing = False
            self._fleet.changed.set()

    async def _look_at(self, member: Member, now: int) -> None:
        server, connected, said = member.record, True, HealthAnswer(None, "")
        try:
            async with self._turns[not member.last_error]:
                answer = await self._caller.get(server, "/health", self._timeout_ms / 1000)
            said = read_health(answer.status, answer.body)
        except ConnectError as failure:
            said, connected = HealthAnswer(None, str(failure)), False
        except OutboundError as failure:
            said = HealthAnswer(None, str(failure))
        if connected:
            # Who is slow to answer is alive, and was so when the connection was made.
            self._fleet.seen(server.id, now)
        else:
            member.lease.miss(member.holding)
        self._fleet.note_probe(server.id, now, said.claims)
        self._fleet.observe(server.id, said.load, said.error)

    async def _bury(self, member: Member) -> None:
        doomed = member.lease.doomed
        lost = doomed & member.holding
        if lost:
            await self._lose(member.record.id, lost, f"the server is gone: {member.last_error}")
        member.lease.bury(doomed)
