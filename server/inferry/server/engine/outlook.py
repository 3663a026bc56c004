"""What tasks that wait can hope for: the servers and the paused types at one moment."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inferry.server.engine.reasons import Explanation, no_server, paused
from inferry.server.fleet.record import ServerRecord
from inferry.server.fleet.routing import Rule, serves
from inferry.server.task.pause import PausedType
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of


@dataclass(frozen=True, slots=True)
class Outlook:
    """The servers at one moment: what their tasks can hope for. Any thread may ask."""

    #: What keeps each server from any task.
    servers: Sequence[tuple[ServerRecord, Rule]]
    #: Tells why and since when a type is paused; None if it is not.
    pause_of: Callable[[str], PausedType | None]
    #: How many servers there are of which each rule decides, by route.
    _rules: dict[str, Counter[Rule]] = field(default_factory=dict)

    def hindrance(self, record: TaskRecord) -> Explanation | None:
        """Tells what keeps a task that waits from any server; None if a free one may take it."""
        spec = record.spec
        pause = self.pause_of(spec.type)
        if pause is not None:
            return paused(spec.type, pause.reason)
        route = route_of(spec.type, spec.capabilities)
        rules = self._rules.get(route)
        if rules is None:
            rules = self._rules[route] = Counter(
                rule if serves(server, route) else Rule.NOT_CAPABLE for server, rule in self.servers
            )
        return no_server(record, rules)
