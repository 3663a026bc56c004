"""What a gateway knows besides its disk: servers, queue, watchers, and what keeps them in step."""

from dataclasses import dataclass

from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.signals import Signals
from inferry.server.fleet.breaker import BreakerRules
from inferry.server.fleet.fleet import Fleet
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.queue.room import Room, RoomRules


@dataclass(frozen=True, slots=True)
class Memory:
    """The parts of it that others are handed."""

    fleet: Fleet
    queue: QueueView
    signals: Signals
    alarm: Alarm
    allocator: Allocator
    ledger: Ledger


def new_memory(config: Config, clock: Clock) -> Memory:
    """Makes a memory that knows nothing yet."""
    fleet = Fleet(_breaker_rules(config), rest_longest_ms=config.rest_longest_ms)
    backlog, pauses = Backlog(clock, config.tenant_weights), PausedTypes()
    rules = RoomRules(config.queue_limit, config.queue_limit_per_tenant)
    room = Room(backlog, rules, clock)
    signals, alarm = Signals(), Alarm(clock)
    allocator = Allocator(fleet, backlog, pauses)
    ledger = Ledger(
        fleet=fleet,
        backlog=backlog,
        room=room,
        pauses=pauses,
        allocator=allocator,
        signals=signals,
        alarm=alarm,
        clock=clock,
    )
    queue = QueueView(backlog, room, pauses, clock)
    return Memory(fleet, queue, signals, alarm, allocator, ledger)


def _breaker_rules(config: Config) -> BreakerRules:
    return BreakerRules(
        failures=config.breaker_failures,
        percent=config.breaker_percent,
        calls=config.breaker_calls,
        window_ms=config.breaker_window_ms,
        open_ms=config.breaker_open_ms,
        longest_ms=config.breaker_longest_ms,
    )
