"""The rules that each room is handed, from the settings: these alone know the numbers."""

from inferry.server.access.tokens import TokenRules
from inferry.server.carriers.http.call import DispatchRules
from inferry.server.carriers.worker.rules import WorkerRules
from inferry.server.config import Config
from inferry.server.fleet.breaker import BreakerRules
from inferry.server.fleet.record import HealthRules
from inferry.server.fleet.rest import RestRules
from inferry.server.fleet.rules import FleetRules
from inferry.server.queue.room import RoomRules
from inferry.server.replica.tenure import Tenure
from inferry.server.rpc.server_service import ServerDefaults
from inferry.server.task.reports import ReportRules
from inferry.server.task.rules import TaskRules


def task_rules(config: Config) -> TaskRules:
    """Gives the numbers of a task's life."""
    return TaskRules(
        grace_ms=config.grace_ms,
        keep_done_ms=config.keep_done_ms,
        keep_failed_ms=config.keep_failed_ms,
        backoff_first_ms=config.backoff_first_ms,
        backoff_longest_ms=config.backoff_longest_ms,
        poison_losses=config.poison_losses,
        poison_window_ms=config.poison_window_ms,
    )


def fleet_rules(config: Config) -> FleetRules:
    """Gives the numbers by which servers are judged."""
    return FleetRules(
        health=HealthRules(bad=config.probe_failures, good=config.probe_successes),
        breaker=BreakerRules(
            failures=config.breaker_failures,
            percent=config.breaker_percent,
            calls=config.breaker_calls,
            window_ms=config.breaker_window_ms,
            open_ms=config.breaker_open_ms,
            longest_ms=config.breaker_longest_ms,
        ),
        rest=RestRules(
            first_ms=config.rest_first_ms,
            unasked_longest_ms=config.rest_unasked_longest_ms,
            longest_ms=config.rest_longest_ms,
        ),
    )


def new_tenure(config: Config, *, alone: bool) -> Tenure:
    """Makes the tenure of a replica, or of a gateway that has its store alone."""
    return Tenure() if alone else Tenure(config.replica_lease_ms / 1_000)


def room_rules(config: Config) -> RoomRules:
    """Gives how much may wait."""
    return RoomRules(limit=config.queue_limit, limit_per_tenant=config.queue_limit_per_tenant)


def report_rules(config: Config) -> ReportRules:
    """Gives what a report may hold."""
    return ReportRules(config.json_depth_limit, config.result_limit_bytes)


def dispatch_rules(config: Config) -> DispatchRules:
    """Gives the numbers of a call."""
    return DispatchRules(
        report=report_rules(config), grace_ms=config.grace_ms, patience_ms=config.sync_timeout_ms
    )


def worker_rules(config: Config) -> WorkerRules:
    """Gives the numbers of workers' streams."""
    return WorkerRules(
        report=report_rules(config),
        beat_ms=config.worker_heartbeat_ms,
        acknowledge_ms=config.worker_acknowledge_ms,
        lease_ms=config.lease_ms,
        cancel_grace_ms=config.cancel_grace_ms,
        reconnect_ms=config.worker_reconnect_ms,
        stalled_ms=config.worker_stalled_ms,
        message_items=config.worker_message_items,
        message_bytes=config.worker_message_bytes,
        unsent_bytes=config.worker_unsent_bytes,
        reports=config.worker_reports,
        chunk_bytes=min(config.worker_chunk_bytes, config.result_limit_bytes),
        chunks_bytes=config.worker_chunks_bytes,
    )


def token_rules(config: Config) -> TokenRules:
    """Gives what a token has to be."""
    return TokenRules(
        issuer=config.jwt_issuer,
        audience=config.jwt_audience,
        leeway_ms=config.jwt_leeway_ms,
        limit=config.jwt_token_limit,
    )


def server_defaults(config: Config) -> ServerDefaults:
    """Gives what counts for a server that does not say."""
    return ServerDefaults(max_concurrent=config.max_concurrent, grace_ms=config.deregister_grace_ms)
