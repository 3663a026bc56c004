"""What runs in the background of a gateway, alone or not."""

from random import Random

from inferry.server.app.core import Core
from inferry.server.app.workers import Workers
from inferry.server.carriers.http.caller import Caller
from inferry.server.carriers.http.probe import HealthLoop
from inferry.server.engine.absentees import Absentees
from inferry.server.engine.recovery import Recovery, SayReady
from inferry.server.engine.scheduler import Scheduler
from inferry.server.engine.sweeper import Sweeper
from inferry.server.loop import Loop

PURGE_INTERVAL_MS = 60_000


def new_loops(core: Core, workers: Workers, caller: Caller, say_ready: SayReady) -> list[Loop]:
    """Makes the loops of a gateway, in the order in which they are to be started.

    Args:
        core: What they look after.
        workers: The workers, whose rounds are among the loops.
        caller: Sends probes.
        say_ready: Is told whether the gateway can serve.
    """
    config, clock, store = core.config, core.clock, core.store
    memory, cases = core.memory, core.cases
    loops = [
        cases.board,
        Recovery(store, memory.allocator, say_ready),
        cases.departures,
        Sweeper(
            engine=cases.engine,
            store=store,
            alarm=memory.alarm,
            clock=clock,
            company=memory.company,
            restart_grace_ms=config.restart_grace_ms,
            purge_interval_ms=PURGE_INTERVAL_MS,
            tombstone_ms=config.tombstone_ms,
        ),
        HealthLoop(
            fleet=memory.fleet,
            lose=cases.engine.lose,
            caller=caller,
            clock=clock,
            random=Random(),  # noqa: S311  # jitter
            interval_ms=config.probe_interval_ms,
            timeout_ms=config.probe_timeout_ms,
            lease_ms=config.lease_ms,
        ),
        workers.rounds,
        memory.idleness,
        memory.refill,
        cases.bookkeeper,
        Scheduler(cases.engine, memory.allocator, clock),
    ]
    if config.forget_after_ms:
        loops.append(Absentees(cases.registry, clock, config.forget_after_ms))
    return loops
