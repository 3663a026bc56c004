"""How long a worker is waited for, and what it is told of that."""

from dataclasses import dataclass

from inferry.v1.worker_pb2 import WorkerWelcome

#: Intervals without a message after which either side gives a stream up.
SILENT = 3
_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a worker is waited for on its stream, in seconds."""

    #: Between two heartbeats; the welcome says so.
    interval_s: float = 1.0
    #: For an acknowledgement; the welcome says so.
    acknowledged_s: float = 5.0
    #: For another stream after the end of one.
    back_s: float = 35.0
    #: For cancelled work to stop.
    stopped_s: float = 10.0
    #: Put off by `reconnect`.
    reconnect_s: float = 1.0
    #: For the first stream of a command that was started.
    started_s: float = 60.0
    #: For a worker that was refused or told to stop to end.
    given_up_s: float = 60.0


def welcome_of(limits: Limits) -> WorkerWelcome:
    """Makes what the worker is told of the gateway's numbers."""
    return WorkerWelcome(
        server_id="srv_check",
        protocol_version=1,
        heartbeat_interval_ms=round(limits.interval_s * _SECOND_MS),
        acknowledge_within_ms=round(limits.acknowledged_s * _SECOND_MS),
        lease_ms=15_000,
        unacknowledged_reports_limit=256,
        result_limit_bytes=3_047_424,
        chunk_bytes=1024 * 1024,
        stalled_after_ms=5_000,
    )
