"""Servers for tests, and a clock that they set themselves."""

from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import ServerRecord
from inferry.server.fleet.rules import FleetRules
from tests.server.rules import FLEET_RULES

START_MS = 1_704_067_200_000
REST_LONGEST_MS = FLEET_RULES.rest.longest_ms


class HandClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


def server(
    name: str = "a",
    *capabilities: str,
    slots: int = 10,
    url: str = "http://127.0.0.1:8080",
    draining: bool = False,
) -> ServerRecord:
    """Makes a registration; its id is ``srv_`` and the name."""
    return ServerRecord(
        id=f"srv_{name}",
        url=url,
        name=name,
        capabilities=frozenset(capabilities),
        max_concurrent=slots,
        metadata=b"{}",
        draining=draining,
        private_allowed=True,
        created_ms=1,
        updated_ms=1,
    )


def new_fleet(rules: FleetRules = FLEET_RULES) -> Fleet:
    """Makes a fleet without servers."""
    return Fleet(rules)


def fleet_of(*servers: ServerRecord) -> tuple[Fleet, list[Member]]:
    """Makes a fleet, and lists its members in the same order."""
    fleet = new_fleet()
    return fleet, [fleet.put(each) for each in servers]
