"""What a worker says, put into messages. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from inferry.backend.app import Backend
from inferry.backend.attempt import Assignment, AttemptKey, Report
from inferry.v1.worker_pb2 import Assignment as AssignmentMessage
from inferry.v1.worker_pb2 import AttemptRef, WorkerHello, WorkerMessage, WorkerReport
from inferry.wire.structs import struct_from

PROTOCOL_VERSION = 1
SDK = "inferry-python"

#: Bytes of reports in one message.
_MESSAGE_BYTES = 1024 * 1024


def hello(
    app: Backend, resume_token: str, held: Iterable[AttemptKey], *, ready: bool
) -> WorkerMessage:
    """Says who the worker is."""
    said = WorkerHello(
        name=app.name,
        protocol_version=PROTOCOL_VERSION,
        capabilities=app.capabilities,
        max_concurrent=app.slots,
        labels=app.labels,
        resume_token=resume_token,
        ready=ready,
        sdk=SDK,
    )
    if app.metadata:
        said.metadata.CopyFrom(struct_from(app.metadata))
    if resume_token:
        said.held.extend(map(ref, held))
    return WorkerMessage(hello=said)


def ref(key: AttemptKey) -> AttemptRef:
    """Names an attempt."""
    task_id, attempt = key
    return AttemptRef(task_id=task_id, attempt=attempt)


def key_of(named: AttemptRef) -> AttemptKey:
    """Reads the name of an attempt."""
    return named.task_id, named.attempt


def assignment(said: AssignmentMessage) -> Assignment:
    """Reads an assignment."""
    return Assignment(
        task_id=said.task_id,
        attempt=said.attempt,
        type=said.type,
        payload=said.payload_json or b"{}",
        timeout_s=said.timeout_ms / 1_000,
        labels=dict(said.labels),
        tenant=said.tenant,
        traceparent=said.traceparent,
        tracestate=said.tracestate,
    )


def batches(
    reports: Sequence[Report], chunk_bytes: int
) -> Iterator[WorkerMessage | Callable[[], Iterator[WorkerMessage]]]:
    """Puts reports into messages, in their order; one that is too large is cut when it is sent."""
    batch, size = WorkerMessage(), 0
    for report in reports:
        length = len(report.update.result_json)
        if length > chunk_bytes or size + length > _MESSAGE_BYTES:
            if size:
                yield batch
            batch, size = WorkerMessage(), 0
        if length > chunk_bytes:
            yield _Chunked(report, chunk_bytes)
        else:
            batch.reports.append(_plain(report))
            # What it says beside its result is small, and not nothing.
            size += max(1, report.update.ByteSize())
    if size:
        yield batch


class _Chunked:
    """A report whose result comes in chunks, which are cut one by one as they are sent."""

    def __init__(self, report: Report, chunk_bytes: int) -> None:
        self._report = report
        self._chunk_bytes = chunk_bytes

    def __call__(self) -> Iterator[WorkerMessage]:
        """Yields the chunks, and then the report."""
        result = self._report.update.result_json
        for offset in range(0, len(result), self._chunk_bytes):
            message = WorkerMessage()
            message.result_chunks.add(
                attempt=ref(self._report.key),
                offset=offset,
                data=result[offset : offset + self._chunk_bytes],
            )
            yield message
        told = WorkerReport(
            attempt=ref(self._report.key), number=self._report.number, chunked_bytes=len(result)
        )
        told.update.status = self._report.update.status
        yield WorkerMessage(reports=[told])


def _plain(report: Report) -> WorkerReport:
    return WorkerReport(attempt=ref(report.key), number=report.number, update=report.update)
