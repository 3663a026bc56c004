"""The numbers of workers' streams, as the settings have them. Pure."""

from dataclasses import dataclass

from inferry.server.task.reports import ReportRules

#: The version of the protocol that is spoken.
PROTOCOL = 1
#: Intervals between heartbeats without a message after which a stream is given up.
SILENT_BEATS = 3
#: How far the interval of heartbeats varies, so that those of many workers spread.
BEAT_JITTER = 0.2
#: How far the time of a planned reconnect varies.
RECONNECT_JITTER = 0.1
#: Attempts that one list in a message may name; the rest is passed over.
REFS_LIMIT = 10_000
#: A time that does not come.
NEVER_MS = 2**63


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """Times are milliseconds."""

    #: What a report may hold.
    report: ReportRules
    #: Between two heartbeats, in both directions.
    beat_ms: int
    #: How long an assignment may go unacknowledged.
    acknowledge_ms: int
    #: How long a worker without a stream keeps its attempts.
    lease_ms: int
    #: How long a stopped attempt keeps its slot if the worker confirms nothing.
    cancel_grace_ms: int
    #: After how long a worker is to open another stream.
    reconnect_ms: int
    #: How long the loop of a worker's handlers may lag.
    stalled_ms: int
    #: Assignments a message.
    message_items: int
    #: Bytes a message, unless one item alone is larger.
    message_bytes: int
    #: With more bytes of assignments unsent, a worker gets no more.
    unsent_bytes: int
    #: Reports of a stream that may be unacknowledged at once.
    reports: int
    #: Bytes of a result from which on it comes in chunks, none of which may be larger.
    chunk_bytes: int
    #: Bytes of results in chunks that all streams together may have under way.
    chunks_bytes: int
