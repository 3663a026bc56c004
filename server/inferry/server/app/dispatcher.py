"""What calls servers over HTTP, from the settings."""

from inferry.server.access.callback import CallbackSigner
from inferry.server.app.core import Core
from inferry.server.app.rules import dispatch_rules
from inferry.server.carriers.http.call import ServerCalls
from inferry.server.carriers.http.caller import Caller
from inferry.server.carriers.http.cancel import Stopper
from inferry.server.carriers.http.process import Dispatcher


def new_dispatcher(core: Core, caller: Caller, signer: CallbackSigner) -> Dispatcher:
    """Makes what calls servers."""
    config, clock, memory = core.config, core.clock, core.memory
    rules, tracing = dispatch_rules(config), memory.telemetry.tracing
    return Dispatcher(
        engine=core.cases.engine,
        fleet=memory.fleet,
        server_calls=ServerCalls(caller, signer, clock, rules, tracing),
        clock=clock,
        stopper=Stopper(memory.fleet, caller, clock, config.cancel_grace_ms),
        tenure=memory.tenure,
    )
