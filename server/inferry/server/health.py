"""Probes the servers: ``GET {url}/health``, as the guide has it. Probes never stop."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any

import orjson
import structlog

from inferry.server.clock import Clock
from inferry.server.fleet import Member
from inferry.server.ledger import Ledger
from inferry.server.loop import Loop
from inferry.server.outbound import Outbound, OutboundError
from inferry.server.servers import Load, ServerStatus

#: Probes under way at once.
PROBES_LIMIT = 50
#: How far a probe's interval varies, so that the probes of many servers spread.
JITTER = 0.2
#: How soon a new server is noticed.
_STEP_S = 0.25

_log = structlog.get_logger(__name__)


class HealthLoop(Loop):
    """Keeps the fleet's health and load true."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        outbound: Outbound,
        clock: Clock,
        random: Random,
        interval_ms: int,
        timeout_ms: int,
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._fleet = ledger.fleet
        self._outbound = outbound
        self._clock = clock
        self._random = random
        self._interval_ms = interval_ms
        self._timeout_ms = timeout_ms
        self._due: dict[str, int] = {}
        self._probes = asyncio.Semaphore(PROBES_LIMIT)

    async def run_once(self) -> None:
        """Probes every server whose time has come."""
        now = self._clock.now_ms()
        due = [member for member in self._fleet if self._due.get(member.record.id, 0) <= now]
        self._due = {member.record.id: self._due.get(member.record.id, 0) for member in self._fleet}
        for member in due:
            spread = 1 + JITTER * (2 * self._random.random() - 1)
            self._due[member.record.id] = now + int(self._interval_ms * spread)
        await asyncio.gather(*(self._probe(member) for member in due))

    async def pause(self) -> None:
        """Waits for the next probe, or a little, to notice new servers."""
        await asyncio.sleep(_STEP_S)

    async def _probe(self, member: Member) -> None:
        server, before = member.record, member.status
        load, error = None, ""
        async with self._probes:
            try:
                answer = await self._outbound.get(
                    f"{server.url}/health",
                    timeout_s=self._timeout_ms / 1000,
                    private_allowed=server.private_allowed,
                )
                load, error = read_health(answer.status, answer.body)
            except OutboundError as failure:
                error = str(failure)
        self._fleet.observe(server.id, self._clock.now_ms(), load, error)
        if member.status is not before:
            _log.info("server", server_id=server.id, status=member.status.name, error=error)
            if member.status in (ServerStatus.ACTIVE, ServerStatus.DEGRADED):
                self._ledger.claimable.set()


def read_health(status: int, body: bytes) -> tuple[Load | None, str]:
    """Reads the answer to a probe (guide: "Health Checks").

    Returns:
        The load, if it said one, and why the server is not healthy: empty when it is.
    """
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    said = said if isinstance(said, dict) else {}
    load = read_load(said["load"]) if isinstance(said.get("load"), dict) else None
    if not 200 <= status < 300:  # noqa: PLR2004  # the 2xx class
        return load, f"the health check answered {status}"
    word = said.get("status")
    return load, "" if word == "healthy" else f'the health check said {word!r}, not "healthy"'


def read_load(said: Mapping[str, Any]) -> Load:
    """Reads a load as the guide has it; what is missing or no number counts as 0."""

    def number(name: str) -> float:
        value = said.get(name)
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        return max(0.0, float(value)) if numeric and value is not None else 0.0

    return Load(
        number("cpu"),
        number("memory"),
        min(int(number("active_tasks")), 2**31 - 1),
        min(int(number("queue_length")), 2**31 - 1),
    )
