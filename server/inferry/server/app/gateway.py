"""One running Inferry: built in one go, started in order, stopped in the reverse order."""

import asyncio
from collections.abc import Sequence

import structlog

from inferry.server.access.callback import CallbackSigner
from inferry.server.access.resume import ResumeSigner
from inferry.server.access.secret import derive_key
from inferry.server.app.access import (
    load_keys,
    make_data_dir,
    new_backend_tokens,
    new_verifier,
)
from inferry.server.app.core import Core
from inferry.server.app.dispatcher import new_dispatcher
from inferry.server.app.loops import new_loops
from inferry.server.app.memory import new_memory
from inferry.server.app.replicas import Replicas, new_replicas
from inferry.server.app.rules import new_tenure
from inferry.server.app.servicers import new_doors, new_servicers
from inferry.server.app.store import new_store
from inferry.server.app.telemetry import new_telemetry
from inferry.server.app.use_cases import new_use_cases
from inferry.server.app.webhooks import new_webhooks
from inferry.server.app.workers import new_workers
from inferry.server.carriers.http.caller import Caller
from inferry.server.carriers.switch import CarrierSwitch
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.server.engine.committer import Committer
from inferry.server.engine.last_waits import LastWaits
from inferry.server.engine.restart import end_cut_attempts, stop_again, take_up_time
from inferry.server.engine.tracing import note_trace
from inferry.server.fleet.record import Transport
from inferry.server.loop import Loop
from inferry.server.outbound.client import Outbound
from inferry.server.rpc.listener import RpcServer
from inferry.wire.limits import ENVELOPE_BYTES

#: What calls that only wait or watch get once all dispatches have ended, or the grace is over.
LAST_WORDS_S = 0.5
#: What answers may take that are due when the grace is over, however busy the machine is.
_CLOSING_S = 5.0
#: How long what is being written when the gateway stops is waited for before that.
_CATCH_UP_S = 2.0

_log = structlog.get_logger(__name__)


class Gateway:
    """State, loops and gRPC.

    Args:
        config: The settings.
        public_url: Where backends reach the gateway's REST, whose port is taken by now.
        clock: The time, if it is not the machine's.

    Raises:
        SecretError: There is no secret that would do.
        OSError: The data directory cannot be made.
        StoreError: What the store needs is not installed.
    """

    def __init__(self, config: Config, public_url: str, clock: SteadyClock | None = None) -> None:
        self._config = config
        self._public_url = public_url
        self._clock = clock or SteadyClock(_tell_of_step)
        make_data_dir(config.data_dir)
        secret, keys = load_keys(config)
        signer = CallbackSigner(derive_key(secret, "callback"), public_url)
        verifier = new_verifier(config, keys, self._clock.wall)
        self._store = new_store(config)
        telemetry = new_telemetry(config)
        self._committer = Committer(self._store, telemetry.commit_note)
        self._outbound = Outbound(config.result_limit_bytes + ENVELOPE_BYTES)
        shared = self._store.shared
        tenure = new_tenure(config, alone=shared is None)
        self._memory = new_memory(
            config, self._clock, self._store, self._committer, tenure, telemetry
        )
        self._store.listener = self._memory.take
        self._cases = new_use_cases(config, self._clock, self._store, self._committer, self._memory)
        self._core = core = Core(
            config=config,
            public_url=public_url,
            secret=secret,
            clock=self._clock,
            store=self._store,
            committer=self._committer,
            memory=self._memory,
            cases=self._cases,
        )
        tokens = new_backend_tokens(config, secret, public_url, self._clock.wall)
        caller = Caller(self._outbound, tokens)
        self._dispatcher = new_dispatcher(core, caller, signer)
        self._webhooks = new_webhooks(core)
        resume = ResumeSigner(derive_key(secret, "resume"))
        self._workers = new_workers(core, resume)
        servicers = new_servicers(core, self._workers, self._webhooks, verifier, signer)
        self._rpc = RpcServer(config, verifier, signer, servicers, new_doors(core, tokens))
        #: Where stubs in this process call the gateway.
        self.channel = self._rpc.channel
        #: ``HOST:PORT`` of gRPC, once started.
        self.grpc_address = ""
        #: Set when another replica took over: this gateway can do nothing more.
        self.lost = asyncio.Event() if shared is None else shared.lost
        self._replicas: Replicas | None = None
        self._grace_s = config.shutdown_grace_ms / 1_000
        self._started = False
        self._loops = new_loops(core, self._workers, caller, self._rpc.say_ready)
        self._loops += self._webhooks.loops
        self._last_waits = LastWaits(
            self._cases.reader, self._memory.ledger, self._memory.fleet, self._clock
        )
        #: When the time of grace is over, by the loop's clock; None before the stop begins.
        self._ends_s: float | None = None

    async def start(self) -> None:
        """Takes the gRPC port, opens the store, takes up where it stopped, and serves.

        Raises:
            OSError: The gRPC port is taken.
            StoreError: The store cannot be opened.
        """
        self.grpc_address = await self._rpc.bind()
        await self._store.open()
        await self._outbound.start()
        await self._webhooks.courier.start()
        await take_up_time(self._store, self._clock)
        memory = self._memory
        self._replicas = new_replicas(self._core)
        await memory.feed.load(self._store)
        await memory.ledger.load(self._store)
        await memory.refill.run_once()
        await self._take_up()
        await self._rpc.serve()
        for loop in (*self._company_loops, *self._loops):
            loop.start()
        self._rpc.say_ready(True)
        self._started = True
        _log.info("gateway started", grpc=self.grpc_address, public_url=self._public_url)

    def begin_stop(self) -> float:
        """Begins the time of grace, once: takes no new calls over gRPC, lets those under way go on.

        Who waits for a while for a task's end is answered now. Who waits without a time is told to
        ask for the task later: once its end cannot come any more, or when the grace is over.

        Returns:
            When that time is over, by the loop's clock. Answers may take ``LAST_WORDS_S`` more.
        """
        if self._ends_s is None:
            loop, reader = asyncio.get_running_loop(), self._cases.reader
            self._ends_s = loop.time() + self._grace_s
            self._rpc.say_stopping()
            self._rpc.refuse()
            reader.hurry()
            self._last_waits.begin(int(self._grace_s * 1_000))
            loop.call_at(self._ends_s, reader.dismiss)
        return self._ends_s

    async def stop(self) -> None:
        """Takes no new work, lets calls end within the time of grace, closes everything."""
        ends_s, loop = self.begin_stop(), asyncio.get_running_loop()
        # Tasks that somebody waits for may still need a server: until then all goes on.
        await self._cases.reader.until_served(ends_s - loop.time())
        await self._last_waits.stop()
        if self._replicas is not None:
            await self._replicas.leave()
        self._memory.allocator.close()
        # What was given away until now is brought to its server, and not left to the next start.
        await self._committer.catch_up(_CATCH_UP_S)
        self._memory.ledger.close()
        for service in reversed(self._loops):
            await service.stop()
        # Workers go on with what they have: the next gateway takes that up.
        await self._workers.close()
        cut = await self._dispatcher.close(max(0.0, ends_s - loop.time()))
        if self._replicas is not None:
            await self._replicas.end_cut(cut)
        for service in self._company_loops:
            await service.stop()
        self._cases.reader.dismiss()
        self._memory.feed.close()
        # What is being written is answered however slow the disk is, and the machine.
        await self._committer.drain()
        await self._rpc.until_answered(_CLOSING_S)
        # Who waited for a call has its answer by now; watchers come back to whoever is next.
        await self._rpc.stop(LAST_WORDS_S)
        await self._committer.drain()
        await self._outbound.close()
        await self._memory.telemetry.close()
        await self._webhooks.courier.close()
        await self._store.close()
        if self._started:
            _log.info("gateway stopped")

    async def abandon(self) -> None:
        """Lets go of everything at once: others have what it had, or it never had anything."""
        self._grace_s = 0.0
        self._memory.tenure.lose()
        await self.stop()

    @property
    def _company_loops(self) -> Sequence[Loop]:
        """What a replica does until its last call has ended."""
        return () if self._replicas is None else self._replicas.loops

    async def _take_up(self) -> None:
        """Takes up what servers have from before this start, or from replicas that are gone."""
        store, ledger, fleet = self._store, self._memory.ledger, self._memory.fleet
        by_call, by_stream = self._dispatcher, self._workers.carrier
        carrier = CarrierSwitch(fleet, {Transport.HTTP: by_call, Transport.GRPC: by_stream})
        if self._replicas is not None:
            ledger.open(carrier)
            await self._replicas.join()
            return
        running = await store.running()
        for record in running:
            note_trace(record)
        # What workers have goes on: this ends none of it.
        await end_cut_attempts(self._cases.engine, running, fleet)
        self._workers.crew.adopt(running)
        ledger.open(carrier)
        await stop_again(store, ledger, self._clock.now_ms() - self._config.cancel_grace_ms)


def _tell_of_step(by_ms: int, ahead_ms: int) -> None:
    _log.warning("the machine's clock was set", by_s=by_ms / 1000, ahead_s=ahead_ms / 1000)
