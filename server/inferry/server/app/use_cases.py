"""The use cases, each with what it works on."""

from dataclasses import dataclass
from random import Random

from inferry.server.app.memory import Memory
from inferry.server.app.rules import task_rules
from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.engine.board import Board
from inferry.server.engine.codes import Codes
from inferry.server.engine.committer import Committer
from inferry.server.engine.creator import Creator
from inferry.server.engine.departures import Departures
from inferry.server.engine.explain import Explainer
from inferry.server.engine.figures.bookkeeper import Bookkeeper
from inferry.server.engine.figures.view import FiguresView
from inferry.server.engine.pause_ledger import PauseLedger
from inferry.server.engine.pauses import Pauses
from inferry.server.engine.purger import Purger
from inferry.server.engine.reader import Reader
from inferry.server.engine.registry import Adopt, Registry
from inferry.server.engine.server_ledger import ServerLedger
from inferry.server.engine.tasks import Engine
from inferry.server.store import Store
from inferry.server.store.shared import Shared


@dataclass(frozen=True, slots=True)
class UseCases:
    """Whoever does something with tasks, servers and the queue."""

    creator: Creator
    engine: Engine
    board: Board
    reader: Reader
    explainer: Explainer
    departures: Departures
    registry: Registry
    pauses: Pauses
    servers: ServerLedger
    pause_ledger: PauseLedger
    bookkeeper: Bookkeeper
    figures: FiguresView
    codes: Codes
    purger: Purger

    def share(self, shared: Shared, adopt: Adopt) -> None:
        """Has the use cases of servers reckon with other replicas.

        Args:
            shared: The replicas.
            adopt: Takes up what servers have that were theirs.
        """
        self.departures.shared = self.registry.shared = shared
        self.registry.adopt = adopt


def new_use_cases(
    config: Config, clock: Clock, store: Store, committer: Committer, memory: Memory
) -> UseCases:
    """Makes the use cases of a gateway."""
    rules = task_rules(config)
    creator = Creator(
        committer=committer, ledger=memory.ledger, allocator=memory.allocator, rules=rules
    )
    board = Board(memory.queue)
    reader = Reader(store, memory.signals, board)
    explainer = Explainer(
        reader=reader,
        queue=memory.queue,
        fleet=memory.fleet,
        clock=clock,
        catch_up=memory.catch_up,
    )
    engine = Engine(
        committer=committer,
        ledger=memory.ledger,
        clock=clock,
        rules=rules,
        random=Random(),  # noqa: S311  # jitter
        look=explainer.outlook,
    )
    servers = ServerLedger(memory.fleet)
    departures = Departures(
        committer=committer, ledger=servers, fleet=memory.fleet, clock=clock, lose=engine.lose
    )
    registry = Registry(
        committer=committer,
        ledger=servers,
        fleet=memory.fleet,
        departures=departures,
        clock=clock,
        catch_up=memory.catch_up,
    )
    pause_ledger = PauseLedger(memory.pauses, memory.allocator)
    pauses = Pauses(committer, pause_ledger, clock)
    bookkeeper = Bookkeeper(
        tally=memory.tally,
        store=store,
        committer=committer,
        queue=memory.queue,
        company=memory.company,
        clock=clock,
    )
    figures = FiguresView(memory.tally, store, bookkeeper.turn, clock)
    return UseCases(
        creator,
        engine,
        board,
        reader,
        explainer,
        departures,
        registry,
        pauses,
        servers,
        pause_ledger,
        bookkeeper,
        figures,
        Codes(committer, store, clock),
        Purger(committer, clock, config.tombstone_ms),
    )
