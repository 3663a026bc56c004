"""The composition root: builds everything, starts it in order, stops it in the reverse order."""

import asyncio
from pathlib import Path
from random import Random

import structlog

from inferry.server.access.callback import CallbackSigner, CallbackVerifier
from inferry.server.access.keys import KeySource, PemKey, SecretKey
from inferry.server.access.secret import SecretError, derive_key, load_secret, read_secret
from inferry.server.access.tokens import TokenRules, TokenVerifier
from inferry.server.carriers.http.cancel import Stopper
from inferry.server.carriers.http.probe import HealthLoop
from inferry.server.carriers.http.process import Dispatcher, DispatchRules
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.server.engine.absentees import Absentees
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.allocator import Allocator
from inferry.server.engine.board import Board
from inferry.server.engine.committer import Committer
from inferry.server.engine.departures import Departures
from inferry.server.engine.explain import Explainer
from inferry.server.engine.ledger import Ledger
from inferry.server.engine.pauses import Pauses
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.reader import Reader
from inferry.server.engine.recovery import Recovery
from inferry.server.engine.registry import Registry
from inferry.server.engine.restart import settle_open_attempts, stop_again, take_up_time
from inferry.server.engine.scheduler import Scheduler
from inferry.server.engine.server_ledger import ServerLedger
from inferry.server.engine.signals import Signals
from inferry.server.engine.sweeper import Sweeper
from inferry.server.engine.tasks import Engine
from inferry.server.fleet.breaker import BreakerRules
from inferry.server.fleet.fleet import Fleet
from inferry.server.outbound.client import Outbound
from inferry.server.queue.backlog import Backlog
from inferry.server.queue.pauses import PausedTypes
from inferry.server.queue.room import Room, RoomRules
from inferry.server.rpc.listener import RpcServer
from inferry.server.rpc.queue_service import QueueServicer
from inferry.server.rpc.server_service import ServerServicer
from inferry.server.rpc.task_service import TaskServicer
from inferry.server.store import Store
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.task.reports import ReportRules
from inferry.server.task.steps import Rules
from inferry.wire.hosts import is_loopback
from inferry.wire.limits import ENVELOPE_BYTES

DATABASE = "inferry.db"
PURGE_INTERVAL_MS = 60_000

#: What calls that only wait or watch get once all dispatches have ended, or the grace is over.
LAST_WORDS_S = 0.5

_log = structlog.get_logger(__name__)


class Gateway:
    """One running Inferry: state, loops and gRPC."""

    def __init__(self, config: Config, clock: SteadyClock | None = None) -> None:
        self._config = config
        self._clock = clock or SteadyClock(_tell_of_step)
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret, keys = _secrets(config)
        verifier = TokenVerifier(keys, self._clock.wall, _token_rules(config))
        self._callback_key = derive_key(secret, "callback")
        self._rpc = RpcServer(config, verifier, CallbackVerifier(self._callback_key))
        #: Where stubs in this process call the gateway; they may be made before it starts.
        self.channel = self._rpc.channel
        #: ``HOST:PORT`` of gRPC, once started.
        self.grpc_address = ""
        self._store: Store = SqliteStore(config.data_dir / DATABASE)
        self._committer = Committer(self._store)
        self._outbound = Outbound(config.result_limit_bytes + ENVELOPE_BYTES)
        self._fleet = Fleet(_breaker_rules(config), rest_longest_ms=config.rest_longest_ms)
        backlog, pauses = Backlog(self._clock, config.tenant_weights), PausedTypes()
        room = Room(backlog, _room_rules(config), self._clock)
        self._queue = QueueView(backlog, room, pauses, self._clock)
        signals, alarm = Signals(), Alarm(self._clock)
        allocator = Allocator(self._fleet, backlog, pauses)
        self._ledger = Ledger(
            fleet=self._fleet,
            backlog=backlog,
            room=room,
            pauses=pauses,
            allocator=allocator,
            signals=signals,
            alarm=alarm,
            clock=self._clock,
        )
        self._engine = Engine(
            committer=self._committer,
            ledger=self._ledger,
            allocator=allocator,
            clock=self._clock,
            rules=_rules(config),
            random=Random(),  # noqa: S311  # jitter
        )
        self._report_rules = ReportRules(config.json_depth_limit, config.result_limit_bytes)
        servers = ServerLedger(self._fleet)
        departures = Departures(
            committer=self._committer,
            ledger=servers,
            fleet=self._fleet,
            clock=self._clock,
            lose=self._engine.lose,
        )
        self._registry = Registry(
            committer=self._committer,
            ledger=servers,
            fleet=self._fleet,
            departures=departures,
            clock=self._clock,
        )
        board = Board(self._queue)
        self._loops = [
            board,
            Recovery(self._store, allocator, self._rpc.say_ready),
            departures,
            Sweeper(
                engine=self._engine,
                store=self._store,
                alarm=alarm,
                clock=self._clock,
                restart_grace_ms=config.restart_grace_ms,
                purge_interval_ms=PURGE_INTERVAL_MS,
                tombstone_ms=config.tombstone_ms,
            ),
            HealthLoop(
                fleet=self._fleet,
                lose=self._engine.lose,
                outbound=self._outbound,
                clock=self._clock,
                random=Random(),  # noqa: S311  # jitter
                interval_ms=config.probe_interval_ms,
                timeout_ms=config.probe_timeout_ms,
                lease_ms=config.lease_ms,
            ),
            Scheduler(self._engine, allocator, self._clock),
        ]
        if config.forget_after_ms:
            self._loops.append(Absentees(self._registry, self._clock, config.forget_after_ms))
        self._reader = Reader(self._store, signals, board)
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
        signer = CallbackSigner(self._callback_key, public_url)
        await take_up_time(self._store, self._clock)
        await self._ledger.load(self._store)
        await settle_open_attempts(self._engine, self._store, self._fleet)
        cancel_grace_ms = self._config.cancel_grace_ms
        self._dispatcher = Dispatcher(
            engine=self._engine,
            fleet=self._fleet,
            outbound=self._outbound,
            signer=signer,
            clock=self._clock,
            stopper=Stopper(self._fleet, self._outbound, self._clock, cancel_grace_ms),
            rules=DispatchRules(
                report=self._report_rules,
                grace_ms=self._config.grace_ms,
                patience_ms=self._config.sync_timeout_ms,
            ),
        )
        self._ledger.open(self._dispatcher)
        await stop_again(self._store, self._ledger, self._clock.now_ms() - cancel_grace_ms)
        self._add_services(signer)
        self.grpc_address = await self._rpc.listen()
        for loop in self._loops:
            loop.start()
        await self._rpc.say_ready(True)
        _log.info("gateway started", grpc=self.grpc_address, public_url=public_url)

    def begin_stop(self) -> float:
        """Begins the time of grace, once, and answers who waits for a while for a task's end.

        Who still waits without a time when it is over is told to ask for the task later.

        Returns:
            When that time is over, by the loop's clock. Answers may take ``LAST_WORDS_S`` more.
        """
        if self._ends_s is None:
            grace_s = self._config.shutdown_grace_ms / 1000
            loop = asyncio.get_running_loop()
            self._ends_s = loop.time() + grace_s
            self._reader.hurry()
            loop.call_at(self._ends_s, self._reader.dismiss)
        return self._ends_s

    async def stop(self) -> None:
        """Takes no new work, lets calls end within the time of grace, closes everything."""
        grace_s = max(0.0, self.begin_stop() - asyncio.get_running_loop().time())
        await self._rpc.say_stopping()
        self._ledger.close()
        for loop in reversed(self._loops):
            await loop.stop()
        closing = asyncio.create_task(self._rpc.stop(max(grace_s, LAST_WORDS_S)))
        if self._dispatcher is not None:
            await self._dispatcher.close(grace_s)
        # Who waited for a call has its answer by now; watchers come back to whoever is next.
        await self._rpc.stop(LAST_WORDS_S)
        await closing
        await self._committer.drain()
        await self._outbound.close()
        await self._store.close()
        _log.info("gateway stopped")

    def _add_services(self, signer: CallbackSigner) -> None:
        tasks = TaskServicer(
            engine=self._engine,
            reader=self._reader,
            queue=self._queue,
            explainer=Explainer(
                reader=self._reader, queue=self._queue, fleet=self._fleet, clock=self._clock
            ),
            signer=signer,
            clock=self._clock,
            config=self._config,
            rules=self._report_rules,
        )
        servers = ServerServicer(self._registry)
        pauses = Pauses(self._committer, self._ledger, self._clock)
        self._rpc.add(tasks, servers, QueueServicer(pauses, self._queue))


def _tell_of_step(by_ms: int, ahead_ms: int) -> None:
    _log.warning("the machine's clock was set", by_s=by_ms / 1000, ahead_s=ahead_ms / 1000)


def _secrets(config: Config) -> tuple[bytes, KeySource]:
    given = config.jwt_secret.get_secret_value() if config.jwt_secret else None
    if config.jwt_public_key is not None:
        return read_secret(config.data_dir, given), _public_key(config.jwt_public_key)
    secret = load_secret(config.data_dir, given, loopback_only=is_loopback(config.host))
    return secret, SecretKey(secret)


def _public_key(path: Path) -> PemKey:
    try:
        return PemKey(path.read_bytes())
    except ValueError as error:
        raise SecretError(f"INFERRY_JWT_PUBLIC_KEY: {path}: {error}") from None


def _token_rules(config: Config) -> TokenRules:
    return TokenRules(
        issuer=config.jwt_issuer,
        audience=config.jwt_audience,
        leeway_ms=config.jwt_leeway_ms,
        limit=config.jwt_token_limit,
    )


def _rules(config: Config) -> Rules:
    return Rules(
        grace_ms=config.grace_ms,
        keep_done_ms=config.keep_done_ms,
        keep_failed_ms=config.keep_failed_ms,
    )


def _room_rules(config: Config) -> RoomRules:
    return RoomRules(limit=config.queue_limit, limit_per_tenant=config.queue_limit_per_tenant)


def _breaker_rules(config: Config) -> BreakerRules:
    return BreakerRules(
        failures=config.breaker_failures,
        percent=config.breaker_percent,
        calls=config.breaker_calls,
        window_ms=config.breaker_window_ms,
        open_ms=config.breaker_open_ms,
        longest_ms=config.breaker_longest_ms,
    )
