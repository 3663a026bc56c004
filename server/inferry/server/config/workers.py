"""The workers: how streams are kept alive, and how much they carry."""

from pydantic import BaseModel, Field

_MIB = 1024 * 1024


class WorkerSettings(BaseModel):
    """By what the streams of workers are judged."""

    worker_heartbeat_ms: int = Field(
        default=5_000,
        ge=10,
        le=60_000,
        description="Between two heartbeats on a worker's stream, in both directions; after three "
        "without a message the stream is given up.",
    )
    worker_acknowledge_ms: int = Field(
        default=5_000,
        ge=10,
        le=600_000,
        description="How long a worker may leave a task unacknowledged before another one gets it.",
    )
    worker_stalled_ms: int = Field(
        default=5_000,
        ge=10,
        le=600_000,
        description="A worker whose handlers' loop lags for longer gets no more tasks.",
    )
    worker_reconnect_ms: int = Field(
        default=3_600_000,
        ge=100,
        le=86_400_000,
        description="After how long a worker opens its stream anew, more or less a tenth.",
    )
    worker_message_items: int = Field(
        default=64, ge=1, le=10_000, description="Tasks in one message to a worker, at most."
    )
    worker_message_bytes: int = Field(
        default=_MIB,
        ge=1_024,
        le=3 * _MIB,
        description="Bytes of one message to a worker, unless a single task is larger.",
    )
    worker_unsent_bytes: int = Field(
        default=_MIB,
        ge=1_024,
        le=64 * _MIB,
        description="With more bytes that it has not read yet, a worker gets no more tasks.",
    )
    worker_reports: int = Field(
        default=256,
        ge=1,
        le=10_000,
        description="Reports of a worker that may be unacknowledged; who sends more is slowed.",
    )
    worker_chunk_bytes: int = Field(
        default=3 * _MIB,
        ge=1_024,
        le=3 * _MIB,
        description="Results beyond it come from a worker in chunks, none of which may be larger.",
    )
    worker_chunks_bytes: int = Field(
        default=64 * _MIB,
        ge=1_024,
        le=4_096 * _MIB,
        description="What results in chunks may take in memory, of all workers together.",
    )
