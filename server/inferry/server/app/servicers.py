"""What answers the calls, put together."""

from importlib.metadata import version

from inferry.server.access.backend_tokens import BackendTokens
from inferry.server.access.callback import CallbackSigner
from inferry.server.access.secret import derive_key
from inferry.server.access.ticket import TicketSigner
from inferry.server.access.tokens import TokenVerifier
from inferry.server.app.access import new_token_maker
from inferry.server.app.core import Core
from inferry.server.app.rules import report_rules, server_defaults
from inferry.server.app.webhooks import Webhooks
from inferry.server.app.workers import Workers
from inferry.server.engine.standing import Standing
from inferry.server.engine.submit import Submitter
from inferry.server.rpc.access_service import Doors
from inferry.server.rpc.bulk import Bulk
from inferry.server.rpc.creating import Creating
from inferry.server.rpc.metrics_service import MetricsServicer
from inferry.server.rpc.queue_service import QueueServicer
from inferry.server.rpc.report_door import ReportDoor
from inferry.server.rpc.server_service import ServerServicer
from inferry.server.rpc.servicers import Servicers
from inferry.server.rpc.stats_service import StatsServicer
from inferry.server.rpc.stream_urls import StreamUrls
from inferry.server.rpc.task_service import TaskServicer
from inferry.server.rpc.watches import Watches
from inferry.server.rpc.worker_service import WorkerServicer
from inferry.server.telemetry.meters import Meters

#: Read from what is installed once: that takes as long as opening the store.
_VERSION = version("inferry")


def new_servicers(
    core: Core,
    workers: Workers,
    webhooks: Webhooks,
    verifier: TokenVerifier,
    signer: CallbackSigner,
) -> Servicers:
    """Makes what serves all calls but those about access."""
    cases = core.cases
    return Servicers(
        tasks=_tasks(core, verifier, signer),
        servers=ServerServicer(cases.registry, server_defaults(core.config)),
        queue=QueueServicer(cases.pauses, core.memory.queue),
        workers=_workers(core, workers, verifier),
        metrics=_metrics(core, webhooks),
        stats=StatsServicer(cases.figures, core.store, core.clock),
        webhooks=webhooks.servicer,
    )


def new_doors(core: Core, tokens: BackendTokens | None) -> Doors:
    """Makes what changes codes for tokens, and tells what servers verify theirs with."""
    maker = new_token_maker(core.config, core.secret, core.clock.wall)
    keys = () if tokens is None else (tokens.public_key,)
    return Doors(core.cases.codes, maker, core.public_url, keys)


def _tasks(core: Core, verifier: TokenVerifier, signer: CallbackSigner) -> TaskServicer:
    config, memory, cases = core.config, core.memory, core.cases
    creating = Creating(
        creator=cases.creator,
        submitter=Submitter(cases.creator, cases.reader, cases.engine),
        explainer=cases.explainer,
        queue=memory.queue,
        clock=core.clock,
        config=config,
        tracing=memory.telemetry.tracing,
    )
    watches = Watches(
        reader=cases.reader,
        queue=memory.queue,
        feed=memory.feed,
        store=core.store,
        urls=_stream_urls(core, verifier),
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
        bulk=Bulk(cases.engine, cases.reader, cases.purger),
    )


def _stream_urls(core: Core, verifier: TokenVerifier) -> StreamUrls:
    wall = core.clock.wall
    return StreamUrls(
        signer=TicketSigner(derive_key(core.secret, "stream"), wall),
        verifier=verifier,
        reader=core.cases.reader,
        wall=wall,
        public_url=core.public_url,
    )


def _metrics(core: Core, webhooks: Webhooks) -> MetricsServicer:
    memory = core.memory
    meters = memory.telemetry.meters
    standing = Standing(
        store=core.store,
        queue=memory.queue,
        fleet=memory.fleet,
        company=memory.company,
        types=(meters or Meters()).types,
        disabled=lambda: webhooks.addressing.disabled,
        clock=core.clock,
    )
    build = _VERSION, "sqlite" if core.store.shared is None else "postgres"
    return MetricsServicer(meters, memory.counting, standing, build)


def _workers(core: Core, workers: Workers, verifier: TokenVerifier) -> WorkerServicer:
    return WorkerServicer(
        registry=core.cases.registry,
        crew=workers.crew,
        inbox=workers.inbox,
        verifier=verifier,
        clock=core.clock,
        wall=core.clock.wall,
        usual_slots=core.config.max_concurrent,
    )
