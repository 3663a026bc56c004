"""What a server's owner tells the other replicas of it: how it is, as text and back. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from inferry.server.fleet.breaker import Breaker, BreakerState
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.line import Connection
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Health, Load, ServerStatus
from inferry.server.fleet.rest import Rest


@dataclass(frozen=True, slots=True)
class Told:
    """How a server is, by the word of the replica that looks after it."""

    #: What its probes told.
    health: ServerStatus
    streak: int
    #: Why its last probe failed.
    last_error: str
    #: Whether calls go through, until when not, and why.
    breaker: BreakerState
    open_until_ms: int
    breaker_reason: str
    #: When its rest ends; 0 when it does not rest.
    rest_until_ms: int
    #: Slots that are taken.
    active: int
    #: What it last said of its load.
    load: Load | None
    #: Its last sign of life.
    seen_ms: int
    #: Share of its last attempts that succeeded.
    success_rate: float | None
    #: Of a worker: its stream, assignments that it can get, whether it said goodbye, how long it
    #: idled.
    connection: Connection | None = None
    credit: int = 0
    leaving: bool = False
    idle_ms: int = 0
    #: When it was last probed, and what it then said otherwise than it registered.
    probed_ms: int = 0
    claims: tuple[str, ...] = ()


def tell(member: Member) -> Told:
    """Says how an own server is."""
    line = member.line
    return Told(
        health=member.health.status,
        streak=member.health.streak,
        last_error=member.last_error,
        breaker=member.breaker.state,
        open_until_ms=member.breaker.until_ms,
        breaker_reason=member.breaker.reason,
        rest_until_ms=member.rest.until_ms,
        active=member.active,
        load=member.load,
        seen_ms=member.lease.seen_ms,
        success_rate=member.success_rate,
        connection=member.connection,
        credit=member.credit or 0,
        leaving=line is not None and line.leaving,
        idle_ms=0 if line is None else line.idle_ms,
        probed_ms=member.probed_ms,
        claims=tuple(sorted(member.claims)),
    )


def hear(member: Member, told: Told) -> None:
    """Takes over how a server is that another replica looks after."""
    member.health = Health(told.health, told.streak)
    member.last_error = told.last_error
    member.breaker = Breaker(told.breaker, told.open_until_ms, told.breaker_reason)
    member.rest = Rest(told.rest_until_ms)
    member.elsewhere, member.load = told.active, told.load
    member.lease.seen_ms, member.told_rate = told.seen_ms, told.success_rate
    member.probed_ms, member.claims = told.probed_ms, frozenset(told.claims)
    if member.line is not None and told.connection is not None:
        member.line.begin(told.connection)
        member.line.granted, member.line.leaving = told.credit, told.leaving
        member.line.idle_ms = told.idle_ms
    member.renew()


def write_load(load: Load) -> bytes:
    """Lays a load out as JSON."""
    return orjson.dumps(asdict(load))


def read_load(text: bytes) -> Load:
    """Reads it."""
    return Load(**orjson.loads(text))


def write_told(told: Told) -> dict[str, Any]:
    """Lays it out as JSON."""
    return asdict(told)


def read_told(said: dict[str, Any]) -> Told | None:
    """Reads it; None if another release wrote what this one does not know."""
    try:
        load, connection = said["load"], said["connection"]
        return Told(
            **{
                **said,
                "health": ServerStatus(said["health"]),
                "breaker": BreakerState(said["breaker"]),
                "load": None if load is None else Load(**load),
                "connection": None if connection is None else Connection(connection),
                "claims": tuple(said.get("claims", ())),
            }
        )
    except (KeyError, TypeError, ValueError):
        return None


def write_all(told: Mapping[str, Told], stopped: Sequence[AttemptKey] = ()) -> bytes:
    """Lays out what is told of many servers, by id, and which of their attempts have stopped."""
    servers = {server_id: write_told(one) for server_id, one in told.items()}
    return orjson.dumps({"servers": servers, "stopped": stopped})


def read_all(text: bytes) -> tuple[dict[str, Told], list[AttemptKey]]:
    """Reads it; what another release says otherwise than this one is left out."""
    said = orjson.loads(text)
    read = {server_id: read_told(one) for server_id, one in said.get("servers", {}).items()}
    told = {server_id: one for server_id, one in read.items() if one is not None}
    return told, [(task_id, attempt) for task_id, attempt in said.get("stopped", ())]
