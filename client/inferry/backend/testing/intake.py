"""What a gateway of tests takes in of attempts over gRPC: acknowledgements, reports, chunks."""

import asyncio
from collections import deque

from inferry.backend.attempt import FINAL, AttemptKey
from inferry.backend.testing.gateway import Gateway
from inferry.v1.task_pb2 import TaskUpdate
from inferry.v1.worker_pb2 import ReportAck, WorkerMessage, WorkerReport


class Intake(Gateway):
    """Notes what workers say of attempts."""

    def __init__(self) -> None:
        super().__init__()
        #: Whether each last report that comes next is refused for now.
        self.again: deque[bool] = deque()
        #: Codes with which the next last reports are refused.
        self.refused: deque[str] = deque()
        #: Whether reports are neither taken nor acknowledged for now.
        self.deaf = False
        #: Set when the attempt was acknowledged since it was last sent.
        self.taken: dict[AttemptKey, asyncio.Event] = {}
        self._parts: dict[AttemptKey, bytearray] = {}

    def take_in(self, message: WorkerMessage) -> list[ReportAck]:
        """Takes a message in; gives the answers to its reports."""
        for taken in message.acknowledged:
            acknowledged = self.taken.get((taken.task_id, taken.attempt))
            if acknowledged is not None:
                acknowledged.set()
        for stopped in message.stopped:
            sent = self.sent.get((stopped.task_id, stopped.attempt))
            if sent is not None:
                sent.stopped.set()
        for chunk in message.result_chunks:
            key = chunk.attempt.task_id, chunk.attempt.attempt
            parts = self._parts.setdefault(key, bytearray())
            del parts[chunk.offset :]
            parts += chunk.data
        return [] if self.deaf else [self.answer(report) for report in message.reports]

    def answer(self, report: WorkerReport) -> ReportAck:
        """Takes a report, or refuses it as it was told to."""
        key = report.attempt.task_id, report.attempt.attempt
        update = TaskUpdate()
        update.CopyFrom(report.update)
        if report.chunked_bytes:
            update.result_json = bytes(self._parts.pop(key, b""))
        final = update.status in FINAL
        ack = ReportAck(number=report.number, status=update.status)
        if final and self.again and self.again.popleft():
            ack.again, ack.code = True, "UNAVAILABLE"
        elif final and self.refused:
            ack.code, ack.error = self.refused.popleft(), "refused by the test"
        elif key in self.sent:
            try:
                self.sent[key].note(update)
            except ValueError as error:
                ack.code, ack.error = "INVALID_PAYLOAD", str(error)
        return ack
