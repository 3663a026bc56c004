"""The numbers by which servers are judged, as the settings have them. Pure."""

from dataclasses import dataclass

from inferry.server.fleet.breaker import BreakerRules
from inferry.server.fleet.record import HealthRules
from inferry.server.fleet.rest import RestRules


@dataclass(frozen=True, slots=True)
class FleetRules:
    """By probes, by calls, and by the servers' own words."""

    health: HealthRules
    breaker: BreakerRules
    rest: RestRules
