"""What calls servers over HTTP, from the settings."""

from inferry.server.access.callback import CallbackSigner
from inferry.server.app.memory import Memory
from inferry.server.app.rules import dispatch_rules
from inferry.server.app.use_cases import UseCases
from inferry.server.carriers.http.call import ServerCalls
from inferry.server.carriers.http.cancel import Stopper
from inferry.server.carriers.http.process import Dispatcher
from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.outbound.client import Outbound


def new_dispatcher(
    config: Config,
    clock: Clock,
    memory: Memory,
    cases: UseCases,
    outbound: Outbound,
    signer: CallbackSigner,
) -> Dispatcher:
    """Makes what calls servers."""
    rules, tracing = dispatch_rules(config), memory.telemetry.tracing
    return Dispatcher(
        engine=cases.engine,
        fleet=memory.fleet,
        server_calls=ServerCalls(outbound, signer, clock, rules, tracing),
        clock=clock,
        stopper=Stopper(memory.fleet, outbound, clock, config.cancel_grace_ms),
        tenure=memory.tenure,
    )
