"""The servicers that take more than one or two parts, put together."""

from importlib.metadata import version

from inferry.server.access.callback import CallbackSigner
from inferry.server.access.tokens import TokenVerifier
from inferry.server.app.memory import Memory
from inferry.server.app.rules import report_rules
from inferry.server.app.use_cases import UseCases
from inferry.server.app.workers import Workers
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.server.engine.standing import Standing
from inferry.server.rpc.creating import Creating
from inferry.server.rpc.metrics_service import MetricsServicer
from inferry.server.rpc.report_door import ReportDoor
from inferry.server.rpc.task_service import TaskServicer
from inferry.server.rpc.watches import Watches
from inferry.server.rpc.worker_service import WorkerServicer
from inferry.server.store import Store
from inferry.server.telemetry.meters import Meters


def new_task_servicer(
    config: Config,
    clock: SteadyClock,
    store: Store,
    memory: Memory,
    cases: UseCases,
    signer: CallbackSigner,
) -> TaskServicer:
    """Makes what serves tasks."""
    creating = Creating(
        creator=cases.creator,
        reader=cases.reader,
        queue=memory.queue,
        clock=clock,
        config=config,
        tracing=memory.telemetry.tracing,
    )
    watches = Watches(
        reader=cases.reader,
        queue=memory.queue,
        feed=memory.feed,
        store=store,
        largest=config.message_limit_bytes,
    )
    return TaskServicer(
        creating=creating,
        engine=cases.engine,
        reader=cases.reader,
        watches=watches,
        queue=memory.queue,
        explainer=cases.explainer,
        reports=ReportDoor(cases.engine, signer, report_rules(config)),
        largest=config.message_limit_bytes,
    )


def new_metrics_servicer(clock: SteadyClock, store: Store, memory: Memory) -> MetricsServicer:
    """Makes what tells the figures."""
    meters = memory.telemetry.meters
    standing = Standing(
        store=store,
        queue=memory.queue,
        fleet=memory.fleet,
        company=memory.company,
        types=(meters or Meters()).types,
        clock=clock,
    )
    build = version("inferry"), "sqlite" if store.shared is None else "postgres"
    return MetricsServicer(meters, memory.counting, standing, build)


def new_worker_servicer(
    config: Config, clock: SteadyClock, cases: UseCases, workers: Workers, verifier: TokenVerifier
) -> WorkerServicer:
    """Makes what serves workers."""
    return WorkerServicer(
        registry=cases.registry,
        crew=workers.crew,
        inbox=workers.inbox,
        verifier=verifier,
        clock=clock,
        wall=clock.wall,
        usual_slots=config.max_concurrent,
    )
