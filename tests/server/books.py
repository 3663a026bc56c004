"""A ledger with the parts that it keeps in step, in reach of a test."""

from inferry.server.clock import Clock
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.announcer import Announcer
from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.pause_ledger import PauseLedger
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.signals import Signals
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.queue.room import Room, RoomRules
from inferry.server.replica.tenure import Tenure
from inferry.server.store.sqlite.store import SqliteStore
from tests.server.fleets import new_fleet


class Books:
    """The memory of a gateway.

    Args:
        clock: The time.
        limit: Tasks that may wait.
    """

    def __init__(self, clock: Clock, limit: int = 10_000) -> None:
        self.fleet = new_fleet()
        self.backlog = Backlog(clock, {}, 10_000)
        self.room = Room(RoomRules(limit, limit), clock)
        self.store = SqliteStore(":memory:")
        self.pauses = PausedTypes()
        self.signals = Signals()
        self.alarm = Alarm(clock)
        self.queue = QueueView(
            self.backlog, self.room, self.pauses, self.store, clock, CatchUp(), {}, self.fleet
        )
        self.allocator = Allocator(self.fleet, self.backlog, self.pauses, Tenure())
        self.ledger = Ledger(
            fleet=self.fleet,
            backlog=self.backlog,
            room=self.room,
            pauses=self.pauses,
            allocator=self.allocator,
            announcer=Announcer(self.signals, self.alarm),
            clock=clock,
        )
        self.pause_ledger = PauseLedger(self.pauses, self.allocator)

    @property
    def active(self) -> int:
        """Slots that are taken."""
        return sum(member.active for member in self.fleet)

    @property
    def looking(self) -> bool:
        """Whether the scheduler is to look."""
        return self.fleet.claimable.is_set()
