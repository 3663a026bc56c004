"""What a gateway knows besides its disk: servers, queue, watchers, and what keeps them in step."""

from collections.abc import Sequence
from dataclasses import dataclass

from inferry.server.app.rules import fleet_rules, room_rules
from inferry.server.app.telemetry import Telemetry, new_tallies
from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.announcer import Announcer
from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.committer import Committer
from inferry.server.engine.company import Company
from inferry.server.engine.figures.tally import Tally
from inferry.server.engine.idleness import Idleness
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.refill import Refill
from inferry.server.engine.signals import Signals
from inferry.server.engine.tally import MeterTally
from inferry.server.engine.watch.feed import Feed
from inferry.server.fleet.fleet import Fleet
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.queue.room import Room
from inferry.server.replica.tenure import Tenure
from inferry.server.store import Store
from inferry.server.store.operations import Logged


@dataclass(frozen=True, slots=True)
class Memory:
    """The parts of it that others are handed."""

    fleet: Fleet
    queue: QueueView
    signals: Signals
    alarm: Alarm
    allocator: Allocator
    ledger: Ledger
    idleness: Idleness
    feed: Feed
    tenure: Tenure
    pauses: PausedTypes
    company: Company
    refill: Refill
    catch_up: CatchUp
    telemetry: Telemetry
    counting: MeterTally | None
    tally: Tally

    def take(self, logged: Sequence[Logged]) -> None:
        """Takes what an own commit logged: this is the store's ``listener``."""
        self.feed.take(logged)
        self.tally.take(logged)


def new_memory(
    config: Config,
    clock: Clock,
    store: Store,
    committer: Committer,
    tenure: Tenure,
    telemetry: Telemetry,
) -> Memory:
    """Makes a memory that knows nothing yet."""
    meters = telemetry.meters
    fleet = Fleet(fleet_rules(config), None if meters is None else meters.types)
    tallies, counting = new_tallies(telemetry, fleet, clock)
    backlog = Backlog(clock, config.tenant_weights, config.queue_window)
    pauses, room = PausedTypes(), Room(room_rules(config), clock)
    signals, alarm = Signals(), Alarm(clock)
    allocator = Allocator(fleet, backlog, pauses, tenure)
    ledger = Ledger(
        fleet=fleet,
        backlog=backlog,
        room=room,
        pauses=pauses,
        allocator=allocator,
        announcer=Announcer(signals, alarm),
        clock=clock,
        tally=tallies,
    )
    catch_up, weights = CatchUp(), config.tenant_weights
    queue = QueueView(backlog, room, pauses, store, clock, catch_up, weights, fleet)
    idleness = Idleness(fleet, backlog, pauses, clock)
    refill = Refill(store=store, backlog=backlog, allocator=allocator, committer=committer)
    return Memory(
        fleet=fleet,
        queue=queue,
        signals=signals,
        alarm=alarm,
        allocator=allocator,
        ledger=ledger,
        idleness=idleness,
        feed=Feed(),
        tenure=tenure,
        pauses=pauses,
        company=Company(),
        refill=refill,
        catch_up=catch_up,
        telemetry=telemetry,
        counting=counting,
        tally=Tally(clock.now_ms() // 1_000),
    )
