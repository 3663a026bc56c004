"""Carries attempts to workers, on the streams that they open."""

from collections.abc import Callable

import orjson

from inferry.server.carriers.worker.crew import Crew
from inferry.server.clock import Clock
from inferry.server.engine.tracing import Tracing
from inferry.server.fleet.lease import AttemptKey
from inferry.server.task.lifecycle import STOPPED
from inferry.server.task.record import NO_LABELS, Attempt, AttemptOutcome, Status, TaskRecord
from inferry.v1.worker_pb2 import Assignment, AttemptCancel, AttemptRef


class WorkerCarrier:
    """Hands attempts to the workers that they are for.

    Args:
        crew: The workers.
        clock: The time.
        cancel_grace_ms: How long a stopped attempt keeps its slot if its worker confirms nothing.
        tracing: Tells which trace an attempt belongs to.
    """

    def __init__(self, crew: Crew, clock: Clock, cancel_grace_ms: int, tracing: Tracing) -> None:
        self._tracing = tracing
        self._crew = crew
        self._clock = clock
        self._cancel_grace_ms = cancel_grace_ms

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Gives a task's open attempt to its worker's stream."""
        spec, now = record.spec, self._clock.now_ms()
        assignment = Assignment(
            task_id=spec.id,
            attempt=record.attempt,
            type=spec.type,
            payload_json=payload,
            timeout_ms=min(spec.timeout_ms, max(1, record.total_deadline_ms - now)),
            idempotent=spec.idempotent,
            labels=None if spec.labels == NO_LABELS else orjson.loads(spec.labels),
            tenant=spec.tenant,
            silence_timeout_ms=spec.silence_timeout_ms,
            **self._tracing.onward(record).headers,
        )
        self._crew.get(record.server_id or "").attempts.assign(
            (spec.id, record.attempt), assignment, now
        )

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Lets go of an attempt that has ended; one that is stopped goes on until it has."""
        worker = self._crew.find(closed.server_id)
        if worker is not None and (record.status not in STOPPED or record.digest):
            worker.attempts.drop((record.spec.id, closed.number))

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        """Has the worker stop."""
        timed_out = closed.outcome is AttemptOutcome.TIMED_OUT
        cancel = AttemptCancel(
            attempt=AttemptRef(task_id=task_id, attempt=closed.number),
            reason=AttemptCancel.TIMED_OUT if timed_out else AttemptCancel.CANCELLED,
            text=closed.error,
        )
        until_ms = closed.ended_ms + self._cancel_grace_ms
        worker = self._crew.get(closed.server_id)
        worker.attempts.stop((task_id, closed.number), until_ms, cancel, stopped)

    def confirm(self, task_id: str, attempt: int) -> None:
        """Does nothing: a worker says itself when it has stopped."""

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:
        """Whether a worker may say something of an attempt on its stream, or has just done so."""
        worker = self._crew.find(server_id)
        return worker is not None and worker.attempts.hears(attempt)

    def adopt(self, record: TaskRecord) -> None:
        """Keeps what a worker has for it, until it says what has become of that."""
        worker, attempt = self._crew.get(record.server_id or ""), (record.spec.id, record.attempt)
        if worker.attempts.holds.get(attempt) is None:
            worker.attempts.adopt(attempt, taken=record.status is Status.PROCESSING)
            if worker.session is None:
                worker.expect(self._clock.now_ms())

    def carries(self, task_id: str, attempt: int) -> bool:  # noqa: ARG002  # the contract has it
        """Tells that there is nothing: what a worker has is where its stream is."""
        return False
