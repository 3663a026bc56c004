"""The composition root: builds everything, starts it in order, stops it in the reverse order."""

import asyncio
from pathlib import Path
from random import Random

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from inferry.server.backlog import Backlog
from inferry.server.breaker import BreakerRules
from inferry.server.callback import CallbackSigner
from inferry.server.clock import Clock, SystemClock
from inferry.server.committer import Committer
from inferry.server.config import Config
from inferry.server.dispatch import Dispatcher
from inferry.server.engine import Engine
from inferry.server.fleet import Fleet
from inferry.server.health import HealthLoop
from inferry.server.keys import SecretError, derive_key, load_secret, read_secret
from inferry.server.ledger import Ledger
from inferry.server.local import LocalChannel
from inferry.server.loop import Loop
from inferry.server.outbound import Outbound
from inferry.server.reading import Reader
from inferry.server.recovery import Recovery
from inferry.server.registry import Registry
from inferry.server.rpc.interceptors import ServerInterceptor
from inferry.server.rpc.queue_service import QueueServicer
from inferry.server.rpc.server_service import ServerServicer
from inferry.server.rpc.task_service import TaskServicer
from inferry.server.scheduler import Scheduler
from inferry.server.signals import Signals
from inferry.server.steps import Rules
from inferry.server.stop import Stopper
from inferry.server.store import Store
from inferry.server.store.sqlite import SqliteStore
from inferry.server.sweep import Sweeper
from inferry.server.tokens import KeySource, PemKey, SecretKey, TokenVerifier
from inferry.v1 import (
    queue_service_pb2,
    queue_service_pb2_grpc,
    server_service_pb2,
    server_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
)

DATABASE = "inferry.db"
SWEEP_INTERVAL_MS = 250
PURGE_INTERVAL_MS = 60_000

#: What calls that only wait or watch get once all dispatches have ended.
_LAST_WORDS_S = 0.5
#: What a message may have beyond the largest result: its other fields.
_ENVELOPE_BYTES = 1_048_576

_SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
    queue_service_pb2.DESCRIPTOR.services_by_name["QueueService"].full_name,
)

_log = structlog.get_logger(__name__)


class Gateway:
    """One running Inferry: state, loops and gRPC."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secret, keys = _secrets(config)
        verifier = TokenVerifier(
            keys, self._clock, issuer=config.jwt_issuer, audience=config.jwt_audience
        )
        self._interceptor = ServerInterceptor(verifier)
        #: Where stubs in this process call the gateway; they may be made before it starts.
        self.channel = LocalChannel(self._interceptor)
        #: ``HOST:PORT`` of gRPC, once started.
        self.grpc_address = ""
        self._store: Store = SqliteStore(config.data_dir / DATABASE)
        self._committer = Committer(self._store)
        self._outbound = Outbound(config.result_limit_bytes + _ENVELOPE_BYTES)
        self._ledger = Ledger(
            Fleet(_breaker_rules(config)),
            Backlog(
                config.queue_limit,
                config.queue_limit_per_tenant,
                self._clock,
                config.tenant_weights,
            ),
            Signals(),
            self._clock,
        )
        self._engine = Engine(
            store=self._store,
            committer=self._committer,
            ledger=self._ledger,
            clock=self._clock,
            rules=_rules(config),
            random=Random(),  # noqa: S311  # jitter
        )
        self._health = health.aio.HealthServicer()
        self._loops = [
            Recovery(self._store, self._ledger, self._health),
            *_loops(config, self._engine, self._ledger, self._store, self._outbound, self._clock),
        ]
        self._server = grpc.aio.server(
            interceptors=[self._interceptor], options=_grpc_options(config)
        )
        self._reader = Reader(self._store, self._ledger)
        self._dispatcher: Dispatcher | None = None
        #: When the time of grace is over, by the loop's clock; None before the stop begins.
        self._ends_s: float | None = None

    async def start(self, public_url: str) -> None:
        """Opens the store, takes up where it stopped, and serves.

        Args:
            public_url: Where backends reach the gateway's REST.

        Raises:
            StoreError: The store cannot be opened.
            OSError: The gRPC port is taken.
        """
        await self._store.open()
        await self._outbound.start()
        signer = CallbackSigner(derive_key(self._secret, "callback"), public_url)
        await self._ledger.load(self._store)
        await self._engine.recover()
        self._dispatcher = Dispatcher(
            engine=self._engine,
            fleet=self._ledger.fleet,
            outbound=self._outbound,
            signer=signer,
            clock=self._clock,
            stopper=Stopper(self._ledger, self._outbound, self._config.cancel_grace_ms),
            grace_ms=self._config.grace_ms,
        )
        self._add_services(signer)
        self.grpc_address = await self._listen()
        self._ledger.carrier = self._dispatcher
        self._ledger.claimable.set()
        for loop in self._loops:
            loop.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        _log.info("gateway started", grpc=self.grpc_address, public_url=public_url)

    def begin_stop(self) -> float:
        """Begins the time of grace, once, and answers who waits for a while for a task's end.

        Returns:
            When that time is over, by the loop's clock.
        """
        if self._ends_s is None:
            grace_s = self._config.shutdown_grace_ms / 1000
            self._ends_s = asyncio.get_running_loop().time() + grace_s
            self._reader.hurry()
        return self._ends_s

    async def stop(self) -> None:
        """Takes no new work, lets calls end within the time of grace, closes everything."""
        grace_s = max(0.0, self.begin_stop() - asyncio.get_running_loop().time())
        await self._health.enter_graceful_shutdown()
        self._ledger.carrier = None
        for loop in reversed(self._loops):
            await loop.stop()
        closing = asyncio.create_task(self._server.stop(grace_s))
        if self._dispatcher is not None:
            await self._dispatcher.close(grace_s)
        # Who waited for a call has its answer by now; watchers come back to whoever is next.
        await self._server.stop(_LAST_WORDS_S)
        await closing
        await self._committer.drain()
        await self._outbound.close()
        await self._store.close()
        _log.info("gateway stopped")

    def _add_services(self, signer: CallbackSigner) -> None:
        tasks = TaskServicer(
            engine=self._engine,
            reader=self._reader,
            ledger=self._ledger,
            signer=signer,
            clock=self._clock,
            config=self._config,
        )
        servers = ServerServicer(
            Registry(self._committer, self._ledger.fleet, self._clock, self._engine.lose)
        )
        queue = QueueServicer(self._committer, self._ledger, self._clock)
        for place in (self._server, self.channel):
            queue_service_pb2_grpc.add_QueueServiceServicer_to_server(queue, place)
            task_service_pb2_grpc.add_TaskServiceServicer_to_server(tasks, place)
            server_service_pb2_grpc.add_ServerServiceServicer_to_server(servers, place)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, place)
        if self._config.reflection:
            names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def _listen(self) -> str:
        host = self._config.host
        shown = f"[{host}]" if ":" in host else host
        try:
            port = self._server.add_insecure_port(f"{shown}:{self._config.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {shown}:{self._config.grpc_port}: {error}") from None
        await self._server.start()
        return f"{shown}:{port}"


def _secrets(config: Config) -> tuple[bytes, KeySource]:
    given = config.jwt_secret.get_secret_value() if config.jwt_secret else None
    if config.jwt_public_key is not None:
        return read_secret(config.data_dir, given), _public_key(config.jwt_public_key)
    loopback_only = config.host in ("127.0.0.1", "::1", "localhost")
    secret = load_secret(config.data_dir, given, loopback_only=loopback_only)
    return secret, SecretKey(secret)


def _public_key(path: Path) -> PemKey:
    try:
        return PemKey(path.read_bytes())
    except ValueError as error:
        raise SecretError(f"INFERRY_JWT_PUBLIC_KEY: {path}: {error}") from None


def _rules(config: Config) -> Rules:
    return Rules(
        grace_ms=config.grace_ms,
        keep_done_ms=config.keep_done_ms,
        keep_failed_ms=config.keep_failed_ms,
    )


def _breaker_rules(config: Config) -> BreakerRules:
    return BreakerRules(
        failures=config.breaker_failures,
        percent=config.breaker_percent,
        calls=config.breaker_calls,
        window_ms=config.breaker_window_ms,
        open_ms=config.breaker_open_ms,
        longest_ms=config.breaker_longest_ms,
    )


def _loops(
    config: Config,
    engine: Engine,
    ledger: Ledger,
    store: Store,
    outbound: Outbound,
    clock: Clock,
) -> list[Loop]:
    return [
        Sweeper(
            engine=engine,
            store=store,
            clock=clock,
            interval_ms=SWEEP_INTERVAL_MS,
            purge_interval_ms=PURGE_INTERVAL_MS,
            tombstone_ms=config.tombstone_ms,
        ),
        HealthLoop(
            fleet=ledger.fleet,
            lose=engine.lose,
            outbound=outbound,
            clock=clock,
            random=Random(),  # noqa: S311  # jitter
            interval_ms=config.probe_interval_ms,
            timeout_ms=config.probe_timeout_ms,
            lease_ms=config.lease_ms,
        ),
        Scheduler(engine, ledger, clock),
    ]


def _grpc_options(config: Config) -> list[tuple[str, int]]:
    largest = config.result_limit_bytes + _ENVELOPE_BYTES
    return [
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", 2 * largest),
        # A second gateway on the same port must fail, not take half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
