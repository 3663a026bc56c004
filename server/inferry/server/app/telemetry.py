"""What the gateway counts, and who tells it, from the settings."""

from importlib.metadata import version

from inferry.server.app.memory import Memory
from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.engine.committer import Note
from inferry.server.engine.standing import Standing
from inferry.server.rpc.metrics_service import MetricsServicer
from inferry.server.store import Store
from inferry.server.telemetry.meters import Meters


def new_meters(config: Config) -> Meters | None:
    """Makes what is counted with; None if nothing is to be counted."""
    return Meters(config.metrics_types, config.metrics_tenants) if config.metrics else None


def commit_note(meters: Meters | None) -> Note | None:
    """Makes what counts transactions."""
    if meters is None:
        return None
    commit, operations = meters.commit, meters.commit_operations

    def note(count: int, took_s: float) -> None:
        commit.note((), took_s)
        operations.note((), count)

    return note


def new_metrics_servicer(
    clock: Clock, store: Store, memory: Memory, meters: Meters | None
) -> MetricsServicer:
    """Makes what tells the figures."""
    counted = meters or Meters()
    standing = Standing(
        store=store,
        queue=memory.queue,
        fleet=memory.fleet,
        company=memory.company,
        types=counted.types,
        clock=clock,
    )
    kind = "sqlite" if store.shared is None else "postgres"
    return MetricsServicer(meters, memory.meter_tally, standing, (version("inferry"), kind))
