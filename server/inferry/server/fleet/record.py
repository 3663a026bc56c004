"""Servers: what they registered, and how healthy they are.

``HEALTH`` maps (health, probe) to the next health, as ``lifecycle.TRANSITIONS`` does for tasks;
draining is an operator's word beside it, resting the server's own. (Design sections 1 and 6.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from math import isnan

#: What a server can say of its load at most: the largest ``int32``.
_MOST = 2**31 - 1

#: What makes a server: its tenant, its url, its name.
Identity = tuple[str, str, str]


class ServerStatus(IntEnum):
    """Whether a server gets tasks; numbered as ``inferry.v1.Server.Status``."""

    ACTIVE = 1
    DEGRADED = 2
    OFFLINE = 3
    DRAINING = 4
    RESTING = 5


class Transport(IntEnum):
    """How tasks reach a server; numbered as ``inferry.v1.Server.Transport``."""

    #: It is called at its URL.
    HTTP = 1
    #: A worker: it dials in, and has no URL.
    GRPC = 2


@dataclass(frozen=True, slots=True)
class Load:
    """What a server says of its load."""

    #: Percent.
    cpu: float = 0.0
    #: Percent.
    memory: float = 0.0
    #: Tasks it works on, of whatever origin.
    active_tasks: int = 0
    #: Tasks that wait inside it.
    queue_length: int = 0


def load_of(cpu: object, memory: object, active_tasks: object, queue_length: object) -> Load:
    """Makes a load of whatever a server says.

    What is missing, no number (NaN included) or below 0 counts as 0, what is huge as 2^31 - 1: it
    spoils that number, and nothing else.
    """
    return Load(
        _amount(cpu), _amount(memory), int(_amount(active_tasks)), int(_amount(queue_length))
    )


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    amount = float(min(max(value, 0), _MOST))
    return 0.0 if isnan(amount) else amount


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A registration, as it is stored."""

    #: ``srv_`` and a ULID.
    id: str
    #: Where it is called, without a trailing slash; empty for a worker.
    url: str
    #: Its name; tenant, url and name together make the server.
    name: str
    #: Types and capabilities; empty takes every type.
    capabilities: frozenset[str]
    #: Tasks it takes at once.
    max_concurrent: int
    #: The owner's own words, a JSON object.
    metadata: bytes
    #: An operator wants it to get no more tasks.
    draining: bool
    #: Whether its URL may lead to a private address: an admin registered it.
    private_allowed: bool
    #: When it first registered.
    created_ms: int
    #: When it last registered.
    updated_ms: int
    #: How tasks reach it.
    transport: Transport = Transport.HTTP
    #: Whose it is; empty unless it is a worker.
    tenant: str = ""
    #: The owner's labels, a JSON object of strings.
    labels: bytes = b"{}"
    #: Epoch of the replica that it gets its tasks from; None while that is none, and where one
    #: gateway alone has the store. It is no part of what it registered.
    owner: int | None = field(default=None, compare=False)

    @property
    def identity(self) -> Identity:
        """What makes it this server: one that registers with the same renews it."""
        return self.tenant, self.url, self.name


class Probe(Enum):
    """What a probe told, with the streak it made."""

    GOOD = "good"
    #: The one of the good ones in a row that is enough, or a later one.
    GOOD_AGAIN = "good again"
    BAD = "bad"
    #: The one of the bad ones in a row that is enough, or a later one.
    BAD_AGAIN = "bad again"


HEALTH: Mapping[tuple[ServerStatus, Probe], ServerStatus] = {
    (ServerStatus.ACTIVE, Probe.GOOD): ServerStatus.ACTIVE,
    (ServerStatus.ACTIVE, Probe.GOOD_AGAIN): ServerStatus.ACTIVE,
    (ServerStatus.ACTIVE, Probe.BAD): ServerStatus.DEGRADED,
    (ServerStatus.ACTIVE, Probe.BAD_AGAIN): ServerStatus.OFFLINE,
    (ServerStatus.DEGRADED, Probe.GOOD): ServerStatus.DEGRADED,
    (ServerStatus.DEGRADED, Probe.GOOD_AGAIN): ServerStatus.ACTIVE,
    (ServerStatus.DEGRADED, Probe.BAD): ServerStatus.DEGRADED,
    (ServerStatus.DEGRADED, Probe.BAD_AGAIN): ServerStatus.OFFLINE,
    (ServerStatus.OFFLINE, Probe.GOOD): ServerStatus.DEGRADED,
    (ServerStatus.OFFLINE, Probe.GOOD_AGAIN): ServerStatus.ACTIVE,
    (ServerStatus.OFFLINE, Probe.BAD): ServerStatus.OFFLINE,
    (ServerStatus.OFFLINE, Probe.BAD_AGAIN): ServerStatus.OFFLINE,
}


@dataclass(frozen=True, slots=True)
class HealthRules:
    """How many probes in a row decide."""

    #: Bad ones that take a server offline.
    bad: int
    #: Good ones that make it active.
    good: int


@dataclass(frozen=True, slots=True)
class Health:
    """A server's health and the streak of probes that led to it."""

    status: ServerStatus = ServerStatus.ACTIVE
    #: Good probes in a row when positive, bad ones when negative.
    streak: int = 0


def observe(health: Health, rules: HealthRules, *, good: bool) -> Health:
    """Applies one probe to a server's health."""
    if good:
        streak = max(health.streak, 0) + 1
        probe = Probe.GOOD_AGAIN if streak >= rules.good else Probe.GOOD
    else:
        streak = min(health.streak, 0) - 1
        probe = Probe.BAD_AGAIN if -streak >= rules.bad else Probe.BAD
    return Health(HEALTH[health.status, probe], streak)
